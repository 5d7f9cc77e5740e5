"""Whatever happens to a fleet, it heals by itself, and nothing that was stopped goes on.

Every schedule is a list of things that go wrong or right, one after the other. The promises that
must hold all the time are checked in tests/core/fleet.py, as commands are sent and hosts move.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib.core.plan import MAX_ATTEMPTS
from tests.core.fleet import World

# With a token, and as many without one. 750 in `make soak`.
SCHEDULES = int(os.environ.get("PULLEY_SCHEDULES", "150"))
LIKE_CI = settings(
    max_examples=SCHEDULES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
DAY = 24 * 3600


def _of(world: World, number: int) -> int:
    return number % len(world.machines)


def _sleep(world: World, number: int) -> None:
    world.machines[_of(world, number)].is_awake = False


def _wake(world: World, number: int) -> None:
    world.machines[_of(world, number)].is_awake = True


def _wake_all(world: World, number: int) -> None:
    for machine in world.machines:
        machine.is_awake, machine.ails = True, ""


def _die(world: World, number: int) -> None:
    world.machines[_of(world, number)].is_alive = number % 3 != 0


def _ail(world: World, number: int) -> None:
    ails = ("rolled_back", "unreachable", "busy")[number % 3]
    world.machines[_of(world, number // 3)].ails = ails


def _recover(world: World, number: int) -> None:
    world.machines[_of(world, number)].ails = ""


def _push(world: World, number: int) -> None:
    world.push()
    world.deliver(-1, delay=(0, 2, 20)[number % 3])


def _push_bad(world: World, number: int) -> None:
    world.push(is_bad=True)
    world.deliver(-1, stays=number % 2 == 0)


def _push_and_lose(world: World, number: int) -> None:
    world.push(is_bad=number % 4 == 0)
    world.lose(-1)


def _mend(world: World, number: int) -> None:
    world.upstream.bad.clear()


def _two_rounds_at_once(world: World, number: int) -> None:
    world.round(delay=(0, 5, 60)[number % 3])
    world.round(delay=(0, 30)[number % 2])


ACTS: Mapping[str, Callable[[World, int], object]] = {
    "a push": _push,
    "a push that fails": _push_bad,
    "a push whose delivery is lost": _push_and_lose,
    "a push whose delivery is late": lambda world, number: world.push(),
    "a force push": lambda world, number: world.force_push(back=number % 2 == 0),
    "a delivery": lambda world, number: world.deliver(number, delay=(0, 20)[number % 2]),
    "a delivery that comes again": lambda world, number: world.deliver(number, stays=True),
    "a delivery is lost": lambda world, number: world.lose(number),
    "a deploy by hand": lambda world, number: world.deploy(),
    "a host falls asleep": _sleep,
    "a host wakes": _wake,
    "all are well": _wake_all,
    "a host dies": _die,
    "a host joins": lambda world, number: world.join(),
    "a host fails": _ail,
    "a host recovers": _recover,
    "what failed is mended": _mend,
    "a pin": lambda world, number: world.set_pin(number // 2, sends=number % 2 == 0),
    "a pin for a while": lambda world, number: world.set_pin(1, sends=True, until=number * 400),
    "a freeze": lambda world, number: world.freeze(until=number * 900 or None),
    "an unpin": lambda world, number: world.unpin(),
    "a cancel": lambda world, number: world.cancel(),
    "a round": lambda world, number: world.round(),
    "a round that is slow": lambda world, number: world.round(delay=(5, 60, 600)[number % 3]),
    "a round without a head": lambda world, number: world.round(reads_head=False),
    "a round of half-listed commands": lambda world, number: world.round(hidden=1 + number % 3),
    "a round that sees history late": lambda world, number: world.round(lag=10),
    "two rounds at once": _two_rounds_at_once,
}
WAITS = (1, 1, 3, 20, 60, 240, 900, 900, 3600, 4 * 3600)


@dataclass(frozen=True)
class Schedule:
    """What happens: an act, a number that says which or how, and the seconds until the next."""

    seed: int
    hosts: int
    max_concurrency: int
    max_errors: int
    update: str
    steps: Sequence[tuple[str, int, int]]

    def play(self, *, has_token: bool) -> World:
        world = World(
            seed=self.seed,
            hosts=self.hosts,
            has_token=has_token,
            max_concurrency=self.max_concurrency,
            max_errors=self.max_errors,
            update=self.update,
        )
        for act, number, seconds in self.steps:
            ACTS[act](world, number)
            world.wait(seconds)
        return world


SCHEDULE = st.builds(
    Schedule,
    seed=st.integers(0, 2**16),
    hosts=st.integers(1, 5),
    max_concurrency=st.sampled_from((1, 1, 2, 50)),
    max_errors=st.sampled_from((0, 0, 1, 3)),
    update=st.sampled_from(("rebase", "reset")),
    steps=st.lists(
        st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 11), st.sampled_from(WAITS)),
        min_size=6,
        max_size=40,
    ),
)


def canary(*steps: tuple[str, int, int]) -> Schedule:
    """Three hosts, one after the other; the first one that fails stops the rest."""
    return Schedule(0, 3, 1, 0, "rebase", steps)


# Rare enough that they are written down. First: a slow round's command is newer than the push that
# was stopped, and does well.
SLOW_ROUND_AFTER_A_STOP = canary(
    ("a host falls asleep", 0, 1),
    ("a host fails", 0, 1),
    ("a push whose delivery is late", 0, 1),
    ("a round that is slow", 2, 1),
    ("a host wakes", 0, 1),
    ("a delivery", 1, 900),
    ("a host joins", 0, 1),
    ("a round", 0, 60),
)
# The same with an older commit's round, after which nobody may take that one for the newest.
SLOW_ROUND_OF_AN_OLDER_COMMIT = canary(
    ("a delivery", 0, 900),
    ("a host joins", 0, 1),
    ("a round that is slow", 2, 1),
    ("a host fails", 0, 1),
    ("a push", 0, 900),
    ("all are well", 0, 1),
    ("a host joins", 0, 1),
    ("a round", 0, 900),
)
PIN_TO_A_HELD_COMMIT = canary(
    ("a delivery", 0, 900),
    ("a push that fails", 1, 900),
    ("a pin", 1, 1),
    ("a host joins", 0, 1),
    ("a round", 0, 60),
)
ASLEEP_AT_THE_LAST_GOOD_ONE = canary(
    ("a delivery", 0, 900),
    ("a host joins", 0, 1),
    ("a round", 0, 900),
    ("a host falls asleep", 3, 1),
    ("a push whose delivery is lost", 4, 1),
    ("a round", 0, 900),
    ("a host wakes", 3, 1),
    ("a round", 0, 60),
)


def _heal(world: World) -> None:
    """Once nothing goes wrong any more, two rounds bring everyone there."""
    world.end_faults()
    world.wake_what_is_stuck()
    world.two_rounds()
    world.check_all_there()


def _rest(world: World) -> None:
    """A fleet where all is well costs nothing, and one command a host where history ends."""
    begun = world.now
    before = len(world.sent_by_rounds)
    for seconds in (3600, DAY, 9 * DAY, 10 * DAY):
        world.round()
        world.wait(seconds)
    assert world.sent_by_rounds[before:] == [], "a quiet fleet is sent something"
    for seconds in (11 * DAY, 900, DAY, 14 * DAY):
        world.wait(seconds)
        if world.now - begun > 49 * DAY:
            break
        world.round()
    hosts = [host for _, host in world.sent_by_rounds[before:]]
    assert len(hosts) == len(set(hosts)), "a quiet host is sent more than one command in 30 days"


def _check(world: World) -> None:
    _heal(world)
    if world.pin.state != "none":
        world.unpin()
        _heal(world)
    _rest(world)


class TestWhateverHappens:
    @given(SCHEDULE)
    @example(SLOW_ROUND_AFTER_A_STOP)
    @example(SLOW_ROUND_OF_AN_OLDER_COMMIT)
    @example(PIN_TO_A_HELD_COMMIT)
    @example(ASLEEP_AT_THE_LAST_GOOD_ONE)
    @LIKE_CI
    def test_fleet_heals_and_keeps_every_promise_where_github_tells_the_tip(
        self, schedule: Schedule
    ) -> None:
        _check(schedule.play(has_token=True))

    @given(SCHEDULE)
    @example(SLOW_ROUND_AFTER_A_STOP)
    @example(SLOW_ROUND_OF_AN_OLDER_COMMIT)
    @example(PIN_TO_A_HELD_COMMIT)
    @example(ASLEEP_AT_THE_LAST_GOOD_ONE)
    @LIKE_CI
    def test_fleet_heals_and_keeps_every_promise_where_nobody_knows_the_tip(
        self, schedule: Schedule
    ) -> None:
        _check(schedule.play(has_token=False))

    @pytest.mark.parametrize("ails", ["unreachable", "busy"])
    def test_host_whose_failure_may_pass_is_never_given_up_and_heals_when_it_has_passed(
        self, ails: str
    ) -> None:
        world = World(hosts=2)
        world.machines[0].ails = ails
        world.deliver(0)
        for _ in range(4 * 24 * 3):
            world.wait(900)
            world.round()
        times = [when for when, _ in world.sent_by_rounds]
        pauses = [later - when for when, later in pairwise(times)]
        assert len(times) > MAX_ATTEMPTS
        assert 900 * 2 <= min(pauses) <= max(pauses) <= 4 * 3600 + 900
        world.machines[0].ails = ""
        for _ in range(4 * 5):
            world.wait(900)
            world.round()
        assert len({machine.ran for machine in world.machines}) == 1

    def test_host_that_fails_for_ever_is_tried_five_times_and_left(self) -> None:
        world = World(hosts=2)
        world.machines[0].ails = "rolled_back"
        world.deliver(0)
        for _ in range(4 * 24 * 3):  # three days of rounds
            world.wait(900)
            world.round()
        times = [when for when, _ in world.sent_by_rounds]
        pauses = [later - when for when, later in pairwise(times)]
        assert len(times) == MAX_ATTEMPTS
        for attempt, pause in enumerate(pauses, 1):
            assert pause >= 900 * 2**attempt
