"""An overview of targets: what a round would see and do, and the newest command's result.

It reads and plans as the schedule does. Only if GitHub does not tell the branch's tip, the
operator's own git is asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from chalicelib.core.errors import PulleyError
from chalicelib.core.history import Command, Run, age
from chalicelib.core.hosts import Host
from chalicelib.core.observations import FAILED, RUNNING, WAITING, judge_host
from chalicelib.core.plan import SEND, HostPlan, TargetPlan, plan_target
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.targets import Target
from chalicelib.core.waiting import Waiting
from chalicelib.core.wanted import TargetFacts
from chalicelib.flows.snapshot import Reader, Snapshot
from chalicelib.status.deploys import Deploy, deploy_of
from chalicelib.status.gates import GatesView
from chalicelib.status.last_seen import Whereabouts, find_heads, find_whereabouts

MAX_RUNS = 40  # of a target, read to find since when a host is at its commit
GITHUB, OWN_GIT = "GitHub", "your own git"
THERE, BEHIND, BROKEN = "at it", "behind", "broken"
UNKNOWN, DRIFTED = "unknown", "drifted"


class Clone(Protocol):
    """An operator's own clone of a repository."""

    @property
    def repository(self) -> Repository:
        """The repository on GitHub."""

    def tip(self, branch: Branch) -> CommitSha | None:
        """The branch's tip, as the operator's git is told by the remote; None if it is not."""


@dataclass(frozen=True)
class HostStanding:
    """A host: the commit that it reported, and what a round would do about it.

    `running` is the newest run that is under way on it; `is_waiting` says that this has not begun.
    `head` is the full HEAD that the newest check saw; "" without a check.
    """

    plan: HostPlan
    whereabouts: Whereabouts | None
    wanted: str
    is_later: bool = False
    running: Run | None = None
    is_waiting: bool = False
    head: str = ""

    @property
    def host(self) -> Host:
        """The host."""
        return self.plan.host

    @property
    def commit(self) -> str:
        """The full commit that it runs; "" if unknown. For a drifted host it is the HEAD."""
        if self.has_drifted:
            return self.head
        return self.plan.at or (self.whereabouts.commit if self.whereabouts else "")

    @property
    def since(self) -> datetime | None:
        """Since when the host reports its commit; None if unknown."""
        known = self.whereabouts
        return known.since if known and known.commit == self.commit else None

    @property
    def has_drifted(self) -> bool:
        """Whether a check has found its checkout moved since the last run."""
        return self.plan.has_drifted

    @property
    def set_aside(self) -> str:
        """A file whose local edit was set aside and not dropped since; or ""."""
        return self.plan.set_aside

    @property
    def is_there(self) -> bool:
        """Whether it was at its wanted commit when it was last seen."""
        return self.plan.is_there

    @property
    def place(self) -> str:
        """How the host stands to its wanted commit, in a word; "" if none is wanted.

        A frozen host that has drifted is shown as drifted, too. A host that has the commit and
        whose run failed is broken.
        """
        if self.running and self.host.is_online:
            return WAITING if self.is_waiting else RUNNING
        if self.has_drifted:
            return DRIFTED
        if not self.wanted:
            return ""
        if self.is_there:
            return THERE
        if not self.commit:
            return UNKNOWN
        last = self.whereabouts.last if self.whereabouts else None
        has_failed = last is not None and last.kind == FAILED
        return BROKEN if has_failed and self.commit == self.wanted else BEHIND


@dataclass(frozen=True)
class Standing:
    """A target. `tip_from` says who told the branch's tip; "" if nobody was asked, or knew.

    `waiting` is the newest commit that the target was not sent. `newest` is the newest
    command, as the history shows it; None if nothing was sent in the history.
    """

    facts: TargetFacts
    plan: TargetPlan
    hosts: tuple[HostStanding, ...]
    tip_from: str
    waiting: Waiting | None = None
    newest: Deploy | None = None

    @property
    def target(self) -> Target:
        """The target."""
        return self.facts.target


@dataclass(frozen=True)
class View:
    """The targets of one stage at one time.

    `find_here` is called only if GitHub tells no tip, because git takes a while to load.
    """

    reader: Reader
    snapshot: Snapshot
    find_here: Callable[[], Clone | None]
    gates: GatesView
    _asked: set[object] = field(default_factory=set)

    def standing(self, target: Target) -> Standing:
        """How a target stands. Raises RefusedError and UnavailableError."""
        facts = self.reader.facts(target, self.snapshot)
        key = (target.repository, target.branch)
        here = self.find_here() if facts.head is None and target.branch else None
        if here and target.branch and here.repository == target.repository:
            if key not in self._asked:
                self._asked.add(key)
                heads = self.snapshot.branches.heads
                heads[target.repository, target.branch] = here.tip(target.branch)
            facts = self.reader.facts(target, self.snapshot)
        tip_from = "" if facts.head is None else OWN_GIT if key in self._asked else GITHUB
        plan = plan_target(facts, now=self.snapshot.now)
        waiting = self.gates.newest_waiting(facts, self.snapshot)
        newest = self._newest(target)
        return Standing(facts, plan, self._hosts(plan, facts), tip_from, waiting, newest)

    def run(self, command: Command) -> Run:
        """A command with its invocations. Raises RefusedError and UnavailableError."""
        return Run(command, self.reader.invocations(command, self.snapshot))

    def _newest(self, target: Target) -> Deploy | None:
        sent = [one for one in self.snapshot.sent_to(target) if not one.roll_out.is_recheck]
        return deploy_of(self.run(sent[0]), now=self.snapshot.now) if sent else None

    def _hosts(self, plan: TargetPlan, facts: TargetFacts) -> tuple[HostStanding, ...]:
        ids = [one.host.instance_id for one in plan.hosts]
        known = find_whereabouts(ids, self._runs(plan.target))
        now = {id_ for send in plan.sends for id_ in send.instance_ids}
        wanted = plan.wanted.commit.sha if plan.wanted else ""
        running = {
            one.instance_id: (run, judge_host(one, run.roll_out).kind == WAITING)
            for run in sorted(facts.runs, key=lambda one: age(one.command))
            if self.snapshot.now <= run.command.expires
            for one in run.invocations
            if not one.is_over
        }
        standings, heads = [], find_heads(facts.looks)
        for one in plan.hosts:
            run, is_waiting = running.get(one.host.instance_id, (None, False))
            standings.append(
                HostStanding(
                    one,
                    known.get(one.host.instance_id),
                    one.wanted.commit.sha if one.wanted else wanted,
                    is_later=one.action == SEND and one.host.instance_id not in now,
                    running=run,
                    is_waiting=is_waiting,
                    head=heads.get(one.host.instance_id, ""),
                )
            )
        return tuple(standings)

    def _runs(self, target: Target) -> Iterator[Run]:
        for command in self.snapshot.sent_to(target)[:MAX_RUNS]:
            yield self.run(command)


@dataclass(frozen=True)
class Standings:
    """The targets that could be read, and why the others could not: (target, error).

    `problems` are of stored targets that are not valid.
    """

    view: View
    standings: tuple[Standing, ...]
    failed: tuple[tuple[str, PulleyError], ...]
    problems: tuple[str, ...] = ()


def view_of(  # noqa: PLR0913 - each is a fact of its own
    gates: GatesView,
    targets: Sequence[Target],
    tokens: Mapping[Repository, str],
    *,
    find_here: Callable[[], Clone | None],
    now: datetime,
    without_pins: bool = False,
) -> View:
    """Read what the targets share. `now` is aware. Raises RefusedError and UnavailableError.

    `tokens` has each repository's token for GitHub, or "". `without_pins` ignores the targets'
    pins.
    """
    names = {name for target in targets for name in target.gates.after}
    before = [one for one in gates.targets if one.name in names and one not in targets]
    snapshot = gates.reader.begin([*targets, *before], tokens, now=now)
    if without_pins:
        snapshot.pins = replace(snapshot.pins, by_target={})
    return View(gates.reader, snapshot, find_here, gates)


def look_at(view: View, targets: Sequence[Target], problems: Sequence[str] = ()) -> Standings:
    """Read how the targets stand. `problems` are of stored targets that are not valid."""
    standings, failed = [], []
    for target in targets:
        try:
            standings.append(view.standing(target))
        except PulleyError as error:
            failed.append((target.name, error))
    return Standings(view, tuple(standings), tuple(failed), tuple(problems))
