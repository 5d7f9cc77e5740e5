"""The promises about gates. A broken promise raises AssertionError.

They are checked by the world: what GitHub has, what hosts reported, what time it is, and what was
sent before. No word of the flows counts, except a command's commit, issue time and `Update`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.core.pins import Pin
from tests.core.fleet.sent import SentRun
from tests.core.fleet.times import time_of
from tests.flows.gates.aws import GatedRun
from tests.flows.gates.hosts import well_at
from tests.flows.gates.layout import Node, is_window_open

if TYPE_CHECKING:
    from tests.flows.gates.world import World

LISTED_WITHIN = 60  # seconds, after which Run Command lists a command
CALLS = 3  # of a release, after it has looked for commands that were sent since the round began
JUDGED = 10  # commits whose checks a round has GitHub judge
GATES = ("checks", "window", "after")


@dataclass(frozen=True)
class Asked:
    """A commit that a target was sent by open gates or by a person, in the order of `issued`."""

    issued: int
    at: int
    listed_at: int
    commit: str


@dataclass(eq=False)
class Act:
    """Who acts, since when, and how the gates were then, if time may pass meanwhile."""

    who: str
    begun: int
    tip: str
    pins: Mapping[str, Pin]
    open_before: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


class Promises:
    """The promises of a world.

    `asked` has what each target was sent by open gates or people, `exact` what it was sent for pins
    and ways back.
    """

    def __init__(self, world: "World") -> None:
        self.world = world
        self.asked: dict[str, list[Asked]] = {name: [] for name in world.nodes}
        self.exact: dict[str, list[Asked]] = {name: [] for name in world.nodes}
        self.reported: dict[str, set[str]] = {name: set() for name in world.nodes}
        self.releases = self.dues = 0

    # --- What is sent -----------------------------------------------------------------------------

    def check_send(self, sent: GatedRun, *, is_to_all: bool) -> None:
        """Check a command that is just sent, and remember it."""
        world, act, roll_out = self.world, self.world.acts[-1], sent.roll_out
        name, commit = roll_out.target, roll_out.commit.sha
        node, earlier = world.nodes[name], self.asked[name]
        known = [one for one in earlier if one.listed_at <= act.begun]
        if roll_out.update == "exact":
            pins = act.pins[name], world.pins[name]
            is_to_pin = any(one.state == "pinned" and one.commit == roll_out.commit for one in pins)
            assert is_to_pin or commit in self.reported[name], "an unknown commit is sent"
            self.exact[name].append(Asked(roll_out.issued, world.now, world.now + sent.lag, commit))
            return
        if act.who != "person":
            may_go = not world.is_pinned(name) or world.interrupted_at == world.ticks
            assert may_go, "a pinned or frozen target is sent another commit"
        if act.who == "round" and not is_to_all:
            newest = max(known, key=lambda one: one.issued, default=None)
            if node.has_gates:
                assert any(one.commit == commit for one in earlier), "a repair skips the gates"
                assert (
                    newest is None
                    or commit == newest.commit
                    or any(one.commit == commit and one.issued > newest.issued for one in earlier)
                ), "a repair brings hosts to an older commit"
            return
        if act.who != "person" and node.has_gates:
            assert act.who == "round", "a push skips the gates"
            if world.interrupted_at < world.ticks - CALLS:
                others = (
                    one
                    for one in world.runs
                    if one.roll_out.target == name and one.requested >= act.begun and one.act != act
                )
                is_beside = any(one.is_known(world.now) for one in others)
                assert not is_beside, "a release goes out beside a command sent since"
            self._check_release(
                name, commit, [one for one in known if one.issued < roll_out.issued]
            )
            self.releases += 1
        self.asked[name].append(Asked(roll_out.issued, world.now, world.now + sent.lag, commit))

    def _check_release(self, name: str, commit: str, known: list[Asked]) -> None:
        world, act, node = self.world, self.world.acts[-1], self.world.nodes[name]
        assert not node.is_manual, "a manual target is sent a commit by itself"
        tips = {act.tip, world.upstream.tip}
        on_branch = any(world.upstream.has(tip, commit) for tip in tips)
        assert on_branch, "a commit is sent that the branch does not have"
        if known:
            last = max(known, key=lambda one: one.issued).commit
            assert last != commit, "a commit is released twice"
            # If GitHub has forgotten the last commit, the tip may be older, and nobody can tell.
            is_unknown = commit in tips and not world.site.base_of(last, commit)
            is_older = world.upstream.has(last, commit) and not is_unknown
            assert not is_older, "an older commit is sent"
        else:
            pins = [one for one in self.exact[name] if one.listed_at <= act.begun]
            pin = max(pins, key=lambda one: one.issued).commit if pins else commit
            is_unknown = commit in tips and not world.site.base_of(pin, commit)
            is_older = pin != commit and world.upstream.has(pin, commit) and not is_unknown
            assert not is_older, "a commit is sent that is older than the pin was"
        is_open = self.open_gates(name, commit) | act.open_before.get((name, commit), frozenset())
        closed = [gate for gate in GATES if gate not in is_open]
        assert not closed, f"{commit[-4:]} goes to {name} past a closed gate: {closed}"

    def check_move(self, sent: SentRun, before: str, after: str) -> None:
        """Hosts of a target with gates go to the commit, and not past it."""
        if self.world.nodes[sent.roll_out.target].has_gates:
            assert after in {before, sent.roll_out.commit.sha}, "a host goes past the commit"

    # --- How the gates are ------------------------------------------------------------------------

    def open_gates(self, name: str, commit: str, *, is_certain: bool = False) -> frozenset[str]:
        """The target's gates that are open for a commit now; with `is_certain`, without doubt."""
        world, node = self.world, self.world.nodes[name]
        now, is_open = time_of(world.now), set()
        # A check may turn red in the middle of a round, after GitHub has judged.
        was_green = world.site.judged.get((commit, name)) == now and not is_certain
        if not node.checks or was_green or world.site.is_green(commit, node.checks):
            is_open.add("checks")
        if not node.windows or any(is_window_open(one, now) for one in node.windows):
            is_open.add("window")
        if all(self._is_well(name, other, commit, is_certain=is_certain) for other in node.after):
            is_open.add("after")
        return frozenset(is_open)

    def _is_well(self, name: str, place: int, commit: str, *, is_certain: bool) -> bool:
        """Whether the target at that place in the layout lets another target have the commit."""
        world, other = self.world, self.world.layout.name(place)
        if is_certain:
            is_doubtful = any(one.has_lied for one in world.hosts[other])
            return not is_doubtful and self._has_soaked(
                name, other, commit, world.now, is_certain=is_certain
            )
        # What a run reported is not known before Run Command lists it.
        begun, hosts = world.acts[-1].begun if world.acts else world.now, world.hosts[other]
        hidden = [
            one.requested
            for one in world.runs[-40:]
            if one.roll_out.target == other and not one.is_listed_at(begun)
        ]
        changes = (
            [time for one in hosts for time, _ in one.stood[1:] if time >= min(hidden)]
            if hidden
            else []
        )
        times = {world.now, *hidden, *changes, *(time - 1 for time in changes)}
        return any(
            self._has_soaked(name, other, commit, time, is_certain=is_certain) for time in times
        )

    def _has_soaked(
        self,
        name: str,
        other: str,
        commit: str,
        time: int,
        *,
        is_certain: bool,
    ) -> bool:
        world = self.world
        well, soak = well_at(world.hosts[other], time), world.nodes[name].soak
        if well is None or well.commit != commit:
            return False
        since = well.last if is_certain else well.first
        return not soak or (
            since is not None and time_of(world.now) - since >= timedelta(minutes=soak)
        )

    def all_open(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """The open gates of each target and commit of the branch."""
        world = self.world
        line = world.upstream.line_of(world.upstream.tip)
        return {
            (name, commit): self.open_gates(name, commit)
            for name, node in world.nodes.items()
            if node.has_gates
            for commit in line
        }

    # --- What must be sent ------------------------------------------------------------------------

    def due(self) -> Mapping[str, str]:
        """By target, the newest commit whose gates are certainly open; a round has to send it."""
        found = {}
        for name, node in self.world.nodes.items():
            if node.has_gates and not node.is_manual and not self.world.is_pinned(name):
                commit = next(self._candidates(name, node), "")
                if commit:
                    found[name] = commit
        return found

    def _candidates(self, name: str, node: Node) -> Iterator[str]:
        judged = 0
        for commit in self.newer(name):
            is_open = self.open_gates(name, commit, is_certain=True)
            if not {"window", "after"} <= is_open:
                continue
            judged += bool(node.checks)
            if judged > JUDGED:
                return
            if "checks" in is_open:
                yield commit

    def newer(self, name: str) -> list[str]:
        """The commits of the branch that are newer than what the target was sent last.

        If it was sent only pins, also the commit of the newest pin.
        """
        upstream, last = self.world.upstream, self.last(name)
        line = upstream.line_of(upstream.tip)
        if not last and self.exact[name]:
            last = max(self.exact[name], key=lambda one: one.issued).commit
            if last in line:  # the pin's commit may have closed gates
                return line[: line.index(last) + 1]
        if not last:
            return line
        base = self.world.site.base_of(last, upstream.tip)
        return line[: line.index(base)] if base else line[:1]

    def last(self, name: str) -> str:
        """The commit that the target was sent last, but no pin's."""
        asked = self.asked[name]
        return max(asked, key=lambda one: one.issued).commit if asked else ""

    def check_sent(self, due: Mapping[str, str]) -> None:
        """After a round, no commit that was due waits any more."""
        for name, commit in due.items():
            self.dues += 1
            assert commit not in self.newer(name), f"{commit[-4:]} waits, and its gates are open"

    # --- What GitHub shows at the end -------------------------------------------------------------

    def check_queued(self) -> None:
        """A deployment waits only for a commit that nothing has overtaken."""
        world = self.world
        for name in world.nodes:
            queued = [
                one.commit
                for one in world.site.made.values()
                if one.target == name and world.site.states(one.id)[-1:] == ["queued"]
            ]
            overtaken = set(queued) - set(self.newer(name))
            assert not overtaken, f"an overtaken commit is queued for {name}"
