"""In any schedule of events and faults no commit goes out past a closed gate, nor waits in vain.

Every schedule is a list of acts, good and bad, in order. The flows are the real ones.
tests/flows/gates/promises.py checks the promises whenever a command is sent and after each round.

Each of these mutations of the flows turned a hundred schedules red: ignore the soak time, the
window, the window's zone, one of two targets in `after`, the commit of a target in `after`; send
the tip, or the oldest commit, in place of the newest open commit; judge the tip's checks, the first
check only, or none; take every commit for newer, one more or one less; skip `merge_base`, or trust
all commits if GitHub has forgotten the last one; let a manual target go by itself; let hosts go
past the commit; let a round repair a gated target to the tip; let a push skip the gates;
forget what a person sent, or count a pin's commit as sent; never end a commit that waits.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.core.pins import Pin
from tests.core.fleet.times import START, time_of
from tests.flows.gates import Layout, Node, World
from tests.flows.gates.hosts import Host
from tests.flows.gates.layout import EVERY, WINDOWS

SCHEDULES = int(os.environ.get("PULLEY_SCHEDULES", "100"))  # 1000 in `make soak`
LIKE_CI = settings(
    max_examples=SCHEDULES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _name(world: World, number: int) -> str:
    return world.layout.name(number % len(world.nodes))


def _host(world: World, number: int) -> Host:
    hosts = [one for own in world.hosts.values() for one in own]
    return hosts[number % len(hosts)]


def _turn(state: str) -> Callable[[World, int], None]:
    def act(world: World, number: int) -> None:
        """Of one of the last four commits, or both checks of the tip."""
        line = world.upstream.line_of(world.upstream.tip)
        if number < 4:
            for name in ("test", "lint"):
                world.set_check(line[0], name, state)
            return
        world.set_check(
            line[min(number // 2 % 4, len(line) - 1)], ("test", "lint")[number % 2], state
        )

    return act


def _push_green(world: World, _number: int) -> None:
    world.push()
    _turn("success")(world, 0)


def _round_at_edge(world: World, number: int) -> None:
    world.wait_for_edge(number)
    world.round()


def _push_many(world: World, number: int) -> None:
    for _ in range(3 + number):
        world.push(has_ci=number % 2 == 0)


def _fail(world: World, number: int) -> None:
    _host(world, number // 3).failure = ("rolled_back", "unreachable", "busy")[number % 3]


def _lie(world: World, number: int) -> None:
    _host(world, number // 3).lies = ("old", "done", "nonsense")[number % 3]


def _wake_all(world: World, _number: int) -> None:
    for one in world.machines:
        one.is_awake, one.failure, one.lies, one.is_alive = True, "", "", True


def _set_awake(world: World, number: int, *, is_awake: bool) -> None:
    _host(world, number).is_awake = is_awake


def _die(world: World, number: int) -> None:
    _host(world, number).is_alive = False


def _set_clock(world: World, number: int) -> None:
    _host(world, number // 3).clock_is_off = (-3600, 600, 86400)[number % 3]


def _deploy_by_a_wrong_clock(world: World, number: int) -> None:
    world.deploy(_name(world, number), clock_is_off=(-3600, 200, 3600)[number // 4])


def _github_fails_once(world: World, number: int) -> None:
    world.site.fails_in, world.site.loses_answer = 2 + number // 2, number % 2 == 1


def _away(world: World, number: int) -> None:
    world.site.is_away = number % 3 != 0


def _refuse(world: World, number: int) -> None:
    world.refuses = number % 2 == 0


def _slow_round(world: World, number: int) -> None:
    """Something happens while the round runs."""
    name = _name(world, number)
    meanwhile: Sequence[Callable[[], object]] = (
        world.round,
        lambda: world.wait(120),
        world.push,
        lambda: world.set_pin(name, Pin("frozen")),
        lambda: _turn("failure")(world, 0),
        lambda: world.deploy(name),
        lambda: world.force_push(number),
        lambda: _turn("success")(world, 0),
    )
    calls = world.random.randrange(25)
    world.round(interrupt=(calls, meanwhile[world.random.randrange(len(meanwhile))]))


def _freeze(world: World, number: int) -> None:
    until = time_of(world.now + 900 * number) if number % 2 else None
    world.set_pin(_name(world, number), Pin("frozen", until=until))


def _unpin_all(world: World, _number: int) -> None:
    for name in world.nodes:
        if world.pins[name].state != "none":
            world.set_pin(name, Pin("none"))


ACTS: Mapping[str, Callable[[World, int], object]] = {
    "a push": lambda world, number: world.push(),
    "a push with green checks": _push_green,
    "a push that fails": lambda world, number: world.push(is_bad=True),
    "many pushes": _push_many,
    "a force push": lambda world, number: world.force_push(number),
    "a check turns green": _turn("success"),
    "a check turns red": _turn("failure"),
    "a check begins again": _turn(""),
    "a round": lambda world, number: world.round(),
    "a round at a window's edge": _round_at_edge,
    "a slow round": _slow_round,
    "a deploy by hand": lambda world, number: world.deploy(_name(world, number)),
    "a deploy by a wrong clock": _deploy_by_a_wrong_clock,
    "a pin": lambda world, number: world.pin_back(_name(world, number), number // 4),
    "a pin for a while": lambda world, number: world.pin_back(
        _name(world, number), number // 4, until=number * 400
    ),
    "a freeze": _freeze,
    "all are unpinned": _unpin_all,
    "a cancel": lambda world, number: world.cancel(),
    "a host falls asleep": lambda world, number: _set_awake(world, number, is_awake=False),
    "a host wakes": lambda world, number: _set_awake(world, number, is_awake=True),
    "a host dies": _die,
    "a host joins": lambda world, number: world.join(_name(world, number)),
    "a host fails": _fail,
    "a host lies": _lie,
    "a host's clock is wrong": _set_clock,
    "all are well": _wake_all,
    "what failed is fixed": lambda world, number: world.upstream.bad.clear(),
    "GitHub goes away or comes back": _away,
    "GitHub fails once": _github_fails_once,
    "Systems Manager is busy or not": _refuse,
}
USUAL = ("a push with green checks",) * 5 + ("a round",) * 4 + ("a check turns green",) * 2
WAITS = (1, 20, 60, 240, 900, 900, 900, 1800, 3600, 4 * 3600)
BEGINS = tuple(
    int((one - START).total_seconds())
    for one in (
        datetime(2030, 3, 30, 20, 50, tzinfo=UTC),  # the clocks go forward in the night
        datetime(2030, 10, 26, 20, 50, tzinfo=UTC),  # the clocks go back in the night
        datetime(2030, 6, 5, 12, 10, tzinfo=UTC),
    )
)


@dataclass(frozen=True)
class Schedule:
    """Acts, each with a number that selects a target, host or variant, and the seconds after it."""

    seed: int
    layout: Layout
    begins: int
    losses: float
    steps: Sequence[tuple[str, int, int]]

    def play(self) -> World:
        world = World(self.layout, seed=self.seed, begins=self.begins, losses=self.losses)
        for act, number, seconds in self.steps:
            ACTS[act](world, number)
            world.wait(seconds)
        return world


CHAIN = ((), (0,), (1,))
DIAMOND = ((), (0,), (0,), (1, 2))
FORK = ((), (0,))
WINDOW_CHOICES = (*[()] * 2 * len(WINDOWS), *((one,) for one in WINDOWS), tuple(WINDOWS)[:2])


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    nodes = []
    for place, after in enumerate(draw(st.sampled_from((CHAIN, DIAMOND, FORK, FORK)))):
        nodes.append(
            Node(
                after=after,
                checks=draw(st.sampled_from((*[()] * 4, ("test",), ("test", "lint"), EVERY))),
                soak=draw(st.sampled_from((0, 10, 60))),
                windows=draw(st.sampled_from(WINDOW_CHOICES)),
                is_manual=place < 2 and draw(st.integers(0, 9)) == 9,
                hosts=draw(st.sampled_from((1, 2, 2))),
                max_concurrency=draw(st.sampled_from(("1", "50"))),
            )
        )
    return Layout(tuple(nodes), is_backwards=draw(st.booleans()))


SCHEDULE = st.builds(
    Schedule,
    seed=st.integers(0, 2**16),
    layout=layouts(),
    begins=st.sampled_from(BEGINS),
    losses=st.sampled_from((0.0, 0.5, 1.0)),
    steps=st.lists(
        st.tuples(st.sampled_from((*ACTS, *USUAL)), st.integers(0, 11), st.sampled_from(WAITS)),
        min_size=6,
        max_size=24,
    ),
)


def _check_pins(world: World) -> None:
    """Rounds bring the hosts of a pinned target to the pin, with any gates."""
    pinned = {
        name: pin.commit.sha
        for name, pin in world.pins.items()
        if pin.commit
        and pin.until is None
        and world.upstream.has(world.upstream.tip, pin.commit.sha)
    }
    if not pinned:
        return
    _turn("success")(world, 0)
    world.wait_for_window(min(pinned))
    world.rest(2)
    world.wait(4 * 3600)  # the longest pause after a failure
    world.rest(2)
    for name, commit in pinned.items():
        was_stopped = any(
            one.was_stopped and (one.roll_out.target, one.roll_out.commit.sha) == (name, commit)
            for one in world.runs
        )
        if not was_stopped:
            at = {one.ran for one in world.hosts[name]}
            assert at == {commit}, f"{name} is not at its pin"


def _check_end(world: World) -> None:
    """A good commit whose gates open in turn reaches every target, and nothing else is queued."""
    _unpin_all(world, 0)
    tip = world.push(has_ci=False)
    _turn("success")(world, 0)
    by_themselves = [
        world.layout.name(place)
        for place in range(len(world.nodes))
        if not world.layout.waits_for_people(place)
    ]
    gated = [name for name in by_themselves if world.nodes[name].has_gates]
    for _ in world.nodes:
        waiting = [name for name in gated if world.promises.last(name) != tip]
        world.wait_for_window(waiting[0] if waiting else "")
        world.round()
        world.wait(4500)  # longer than any soak time
    world.rest(1)
    for name in gated:
        assert world.promises.last(name) == tip, f"{name} waits for ever"
    for name in by_themselves:
        assert {one.ran for one in world.hosts[name]} == {tip}, f"hosts of {name} are elsewhere"
    world.promises.check_queued()


class TestGatesUnderFaults:
    @given(SCHEDULE)
    @LIKE_CI
    def test_no_commit_passes_a_closed_gate_or_waits_at_open_gates(
        self, schedule: Schedule
    ) -> None:
        world = schedule.play()
        world.end_faults()
        _check_pins(world)
        _check_end(world)


GREEN_TESTS = Node(checks=("test",))


class TestFoundBySchedules:
    """What schedules found, or find rarely, in as few acts as possible."""

    def test_of_two_pushes_in_one_moment_the_next_target_gets_what_its_forerunner_runs(
        self,
    ) -> None:
        chain = Layout(tuple(Node(after=after) for after in CHAIN))
        steps = [("many pushes", 4, 1), ("a freeze", 0, 1), *[("a push", 0, 1)] * 10]
        world = Schedule(seed=0, layout=chain, begins=BEGINS[0], losses=0.0, steps=steps).play()
        world.end_faults()
        _check_end(world)

    def test_target_that_had_only_a_pin_goes_to_nothing_older_than_the_pin(self) -> None:
        chain = Layout(tuple(Node(after=after) for after in CHAIN))
        push = ("a push", 0, 1)
        steps = [push, push, push, ("a pin", 0, 1), push, ("a pin", 1, 1)]
        world = Schedule(seed=0, layout=chain, begins=BEGINS[0], losses=0.0, steps=steps).play()
        world.end_faults()
        _check_end(world)

    def test_commit_of_a_pin_waits_for_its_checks_when_the_pin_ends(self) -> None:
        world = World(Layout((GREEN_TESTS,)))
        world.pin_back("a0", 0)
        world.rest(2)
        world.set_pin("a0", Pin("none"))
        world.rest(2)
        assert [one.roll_out.update for one in world.runs] == ["exact"]

    def test_pin_is_brought_to_the_hosts_although_a_newer_commit_has_passed_its_gates(self) -> None:
        world = World(Layout((GREEN_TESTS,)))
        world.push(has_ci=False)
        world.set_check(world.upstream.tip, "test", "success")
        world.pin_back("a0", 1)
        world.rest(1)
        assert [one.roll_out.update for one in world.runs] == ["exact"]
        assert {one.ran for one in world.machines} == {world.upstream.tips[0]}

    def test_late_delivery_of_an_older_push_does_not_hide_the_soak_time(self) -> None:
        world = World(Layout((Node(), Node(after=(0,), soak=10))))
        first = world.delivery()
        world.push(has_ci=False)
        world.wait(900)
        world.receive(first)
        world.rest(2)
        assert world.promises.last("b1") == world.upstream.tip

    def test_host_that_pulled_a_newer_commit_than_it_was_sent_is_well_since_then(self) -> None:
        world = World(Layout((Node(), Node(after=(0,), soak=10))))
        first = world.delivery()
        world.upstream.push()
        world.receive(first)
        world.wait(120)
        world.rest(2)
        assert world.promises.last("b1") == world.upstream.tip

    def test_commit_that_a_person_overtook_is_not_queued_any_more(self) -> None:
        world = World(Layout((Node(), Node(after=(0,)))))
        world.round()
        assert world.site.states(7001) == ["queued"]
        world.upstream.push()
        world.deploy("b1")
        world.rest(2)
        world.promises.check_queued()

    @pytest.mark.parametrize("fails_in", range(2, 14))
    def test_overtaken_commits_are_not_queued_if_github_failed_meanwhile(
        self, fails_in: int
    ) -> None:
        world = World(Layout((Node(is_manual=True), Node(after=(0,)))))
        for _ in range(12):
            world.upstream.push()
            world.round()
        world.deploy("a0")
        world.wait(120)
        world.site.fails_in = fails_in
        world.rest(3)
        assert world.promises.last("b1") == world.upstream.tip
        world.promises.check_queued()

    def test_chain_follows_a_push_by_events_alone(self) -> None:
        world = World(Layout((GREEN_TESTS, Node(after=(0,)), Node(after=(1,)))))
        world.push(has_ci=False)
        world.set_check(world.upstream.tip, "test", "success")
        world.wait(600)
        assert {one.ran for one in world.machines} == {world.upstream.tip}
