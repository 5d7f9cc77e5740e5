"""What is wanted of a target, and whether somebody stopped it: one answer for everyone who asks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.asleep import without_sleepers
from chalicelib.core.history import RollOut, plain_status
from chalicelib.core.hosts import Host
from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.core.verdicts import Run, Verdict, age, judge, runs_by_commit


@dataclass(frozen=True)
class Wanted:
    """The commit that a target is to have, and how a host gets there (the document's `Update`)."""

    commit: CommitSha
    update: str
    reason: str

    @property
    def is_exact(self) -> bool:
        """Whether it is this commit and no later one."""
        return self.update == "exact"


@dataclass(frozen=True)
class TargetFacts:
    """All that there is to know of a target. `runs` are of any order; `head` is the branch's tip.

    Without a head nobody may ask GitHub, and the newest commit that was asked for is wanted.
    `asked` is all that was sent to the target, where `runs` is the part that was looked into.
    """

    target: Target
    hosts: Sequence[Host]
    runs: Sequence[Run]
    head: CommitSha | None = None
    pin: Pin | None = None
    asked: Sequence[RollOut] = ()


def wanted_of(facts: TargetFacts, *, now: datetime) -> Wanted | None:
    """The commit that the target is to have: the pin's, else the branch's tip, else the newest.

    None where it is to stay as it is, or where nothing is known.
    """
    pin = facts.pin if facts.pin and facts.pin.holds(now) else None
    if pin:
        if pin.state == "frozen" or pin.commit is None:
            return None
        return Wanted(pin.commit, "exact", "it is pinned")
    if facts.head:
        return Wanted(facts.head, facts.target.update, "it is the branch's tip")
    newest = _newest_asked(facts.asked or [run.roll_out for run in facts.runs])
    if newest is None:
        return None
    return Wanted(newest, facts.target.update, "it is the newest that was asked for")


def why_held(runs: Iterable[Run], commit: CommitSha) -> str:
    """Why reconciling must leave a commit alone: its newest roll-out was stopped. "" if not so.

    Reconciling goes on with the roll-out that a push or a person began: it can be stopped too, but
    what was stopped before it stays so.
    """
    since: list[Run] = []
    for run in sorted((one for one in runs if one.roll_out.commit == commit), key=age):
        if run.roll_out.cause != "reconcile":
            since = []
        since.append(run)
    if any(run.command.is_cancelled for run in since):
        return f"the roll-out of {commit.short} was cancelled"
    if any(plain_status(one.details) == "terminated" for run in since for one in run.invocations):
        return f"the roll-out of {commit.short} was stopped by its failures"
    return ""


def last_good(
    runs: Iterable[Run], held: CommitSha, hosts: Iterable[Host], now: datetime
) -> Wanted | None:
    """The newest other commit that is on every host it was sent to; None where there is none."""
    good = [
        one.roll_out
        for one in verdicts_of(runs, hosts, now)
        if one.is_everywhere and one.roll_out.commit != held
    ]
    if not good:
        return None
    return Wanted(good[0].commit, "exact", f"{held.short} is held; it is the last good one")


def verdicts_of(runs: Iterable[Run], hosts: Iterable[Host], now: datetime) -> list[Verdict]:
    """What became of each commit, the one that was sent last first.

    A host that is not online and was not reached yet counts as offline, as it will when Systems
    Manager gives up: one that sleeps says nothing of a commit.
    """
    awake = {host.instance_id for host in hosts if host.is_online}
    by_commit = runs_by_commit(
        without_sleepers(run, {one.instance_id for one in run.invocations} - awake) for run in runs
    )
    verdicts = [
        judge(of_commit, now=now, others=_others(by_commit, sha))
        for sha, of_commit in by_commit.items()
    ]
    return sorted(verdicts, key=lambda one: one.roll_out.issued, reverse=True)


def _newest_asked(roll_outs: Iterable[RollOut]) -> CommitSha | None:
    """The commit that was asked for last; not the one that was sent last.

    A redelivery asks for what its push asked for, when that was pushed. Reconciling asks for
    nothing: where a commit is known by it alone, what counts is when it first was.
    """
    pushed: dict[CommitSha, int] = {}
    found: dict[CommitSha, int] = {}
    for roll_out in roll_outs:
        commit, issued = roll_out.commit, roll_out.issued
        if roll_out.update == "exact":
            continue
        if roll_out.cause == "reconcile":
            found[commit] = min(issued, found.get(commit, issued))
        else:
            told = roll_out.pushed_at
            asked = int(told.timestamp() * 1000) if told else issued
            pushed[commit] = max(asked, pushed.get(commit, asked))
    asked_at = found | pushed
    return max(asked_at, key=lambda commit: (asked_at[commit], commit.sha), default=None)


def _others(by_commit: Mapping[str, Sequence[Run]], sha: str) -> list[Run]:
    return [run for other, runs in by_commit.items() if other != sha for run in runs]
