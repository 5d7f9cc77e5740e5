"""Choose the way back: the last good commit before the current one, by the hosts' results."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import RollOut, Run, age
from chalicelib.core.hosts import Host
from chalicelib.core.refs import CommitSha
from chalicelib.core.status_text import status_of
from chalicelib.core.targets import Target
from chalicelib.core.verdicts import Verdict, judge
from chalicelib.core.wanted import Wanted
from chalicelib.status.overview import View
from pulley.operator.deploy.offline import without_sleepers
from pulley.operator.suggest import suggest

MAX_RUNS = 50  # each costs a call


def read_runs(target: Target, view: View) -> list[Run]:
    """The target's newest runs, without rechecks. Raises RefusedError and UnavailableError."""
    sent = [one for one in view.snapshot.sent_to(target) if not one.roll_out.is_recheck]
    return [view.run(command) for command in sent[:MAX_RUNS]]


def commit_to_leave(wanted: Wanted | None, sent: Sequence[RollOut]) -> CommitSha | None:
    """The commit to undo: the wanted one if it was sent, else the one that was sent last.

    If the branch's tip was not sent yet, it runs nowhere, so there is nothing to undo.
    """
    commits = [one.commit for one in sorted(sent, key=lambda one: one.issued)]
    if wanted and wanted.commit in commits:
        return wanted.commit
    return commits[-1] if commits else None


@dataclass(frozen=True)
class PassedOver:
    """A commit that is newer than the one to go back to, and why it was not chosen."""

    commit: CommitSha
    why: str


@dataclass(frozen=True)
class WayBack:
    """The commit to go back to. `passed_over` are the newer ones, the newest first."""

    commit: CommitSha
    passed_over: tuple[PassedOver, ...] = ()


def choose_way_back(
    target: Target,
    leave: CommitSha | None,
    runs: Sequence[Run],
    hosts: Sequence[Host],
    *,
    now: datetime,
) -> WayBack:
    """The last good commit before the one to leave. Raises UnavailableError if none is known.

    The commit to leave may have been deployed several times. Only runs before the newest unbroken
    series of its runs count. A commit that a roll back has left is not chosen, even
    if every host was at it, unless it was sent again since.
    """
    pin = suggest("pin", target.name, "COMMIT", "--reason", "WHY")
    if leave is None:
        raise UnavailableError(
            f"nothing was sent to {target.name} in the last 30 days, so no good commit is known: "
            f"{pin} names one"
        )
    until = sent_until(leave, runs)
    left = left_by_roll_backs([run.roll_out for run in until])
    passed_over = []
    for verdict in verdicts_of(sent_before(leave, until), hosts, now):
        commit = verdict.roll_out.commit
        if commit == leave:
            continue
        if commit in left:
            passed_over.append(PassedOver(commit, "an earlier roll back left it"))
        elif not verdict.is_everywhere:
            passed_over.append(PassedOver(commit, status_of(verdict).description))
        else:
            return WayBack(commit, tuple(passed_over))
    seen = "".join(f". {one.commit.short}: {one.why}" for one in passed_over)
    raise UnavailableError(
        f"no good commit of {target.name} is known from before {leave.short}: Systems Manager "
        "remembers 30 days, and a good commit is on every host that it was sent to and that was "
        f"reached. {pin} goes to one that you know{seen}"
    )


def sent_until(leave: CommitSha, runs: Sequence[Run]) -> list[Run]:
    """The runs up to the newest one of the commit to leave, the oldest first."""
    ordered = sorted(runs, key=lambda run: age(run.command))
    while ordered and ordered[-1].roll_out.commit != leave:
        ordered.pop()
    return ordered


def sent_before(leave: CommitSha, until: Sequence[Run]) -> list[Run]:
    """The runs before the commit to leave last replaced another commit."""
    before = list(until)
    while before and before[-1].roll_out.commit == leave:
        before.pop()
    return before


def left_by_roll_backs(sent: Sequence[RollOut]) -> frozenset[CommitSha]:
    """The commits that roll backs have left and that were not sent since. `sent` is by age."""
    left: set[CommitSha] = set()
    for count, roll_out in enumerate(sent):
        if roll_out.cause == "rollback":
            before = [one.commit for one in sent[:count] if one.commit != roll_out.commit]
            left.update(before[-1:])
        left.discard(roll_out.commit)
    return frozenset(left)


def verdicts_of(runs: Iterable[Run], hosts: Iterable[Host], now: datetime) -> list[Verdict]:
    """The verdict on each commit, the newest first.

    A host that is offline and was not reached yet counts as offline, as it will when Systems
    Manager gives up: it says nothing about the commit.
    """
    awake = {host.instance_id for host in hosts if host.is_online}
    by_commit: dict[CommitSha, list[Run]] = {}
    for run in runs:
        asleep = {invocation.instance_id for invocation in run.invocations} - awake
        by_commit.setdefault(run.roll_out.commit, []).append(without_sleepers(run, asleep))
    verdicts = []
    for commit, of_commit in by_commit.items():
        others = [run for other, of in by_commit.items() if other != commit for run in of]
        verdicts.append(judge(of_commit, now=now, others=others))
    return sorted(verdicts, key=lambda one: one.roll_out.issued, reverse=True)
