"""How a commit stands on a target, by the whole of what was sent to the target.

The same history gives the same words to whoever looks, for whatever event.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.deployments import Deployment, DeploymentStatus, replaced
from chalicelib.core.descriptions import status_of
from chalicelib.core.history import CLOCKS_APART, Command, Invocation, RollOut
from chalicelib.core.refs import CommitSha
from chalicelib.core.verdicts import Run, Verdict, judge

REMEMBERED = timedelta(days=30)  # what Systems Manager keeps

Sending = tuple[Command, RollOut]


class Invocations(Protocol):
    """What hosts made of commands. Raises RefusedError or UnavailableError."""

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        """All of a command's."""


class History(Invocations, Protocol):
    """Run Command's memory. Every method raises RefusedError or UnavailableError."""

    def command(self, command_id: str) -> Command | None:
        """One of this stage's document; None where it is not known."""

    def commands_since(self, since: datetime) -> Sequence[Command]:
        """Those of this stage's document, newest first."""


def since_first(command: Command, roll_out: RollOut, deployment: Deployment | None) -> datetime:
    """From when on commands of the commit are looked for: not later than its first one.

    A deployment that was there when the command was sent was made before all of them, or before one
    to the whole target. Else the first may be as old as what Systems Manager remembers.
    """
    if deployment and roll_out.deployment is not None:
        return since_made(deployment, command)
    is_first = not roll_out.attempt and not deployment
    return command.requested if is_first else command.requested - REMEMBERED


def since_made(deployment: Deployment, command: Command) -> datetime:
    """Before it was made, and no later than the command; but not before what is remembered.

    `created` comes from outside, and may be anything: the year 1 as well.
    """
    created = max(deployment.created, command.requested - REMEMBERED)
    return min(command.requested, created - CLOCKS_APART)


def sent_to(
    history: History, command: Command, roll_out: RollOut, since: datetime
) -> Sequence[Sending]:
    """What was sent to the command's target since then (aware), itself too, the oldest first."""
    commands = {one.id: one for one in history.commands_since(since)}
    commands.setdefault(command.id, command)
    sent = [
        (one, one.roll_out)
        for one in commands.values()
        if one.roll_out
        and one.roll_out.target == roll_out.target
        and one.roll_out.repository == roll_out.repository
    ]
    return sorted(sent, key=lambda one: (one[1].issued, one[0].requested, one[0].id))


def look(
    history: Invocations, sent: Sequence[Sending], commit: str, *, now: datetime
) -> tuple[Verdict, DeploymentStatus]:
    """The verdict on a commit, which was sent at least once, and what is to be said of it."""
    of_commit = [one for one in sent if one[1].commit.sha == commit]
    first, newest = of_commit[0][1].issued, of_commit[-1][1].issued
    runs = [_run(history, one) for one in of_commit]
    # What was sent in between may have led a host elsewhere.
    others = [
        _run(history, one)
        for one in sent
        if one[1].commit.sha != commit and first < one[1].issued < newest
    ]
    verdict = judge(runs, now=now, others=others)
    status = status_of(verdict)
    if status.state not in {"success", "inactive"}:
        return verdict, status
    # Sent once more when a newer one was there, it was overtaken; and yet it ran until then.
    stood = [
        run.roll_out.issued
        for count, run in enumerate(runs, 1)
        if judge(runs[:count], now=now, others=others).is_everywhere
    ]
    if not stood:
        return verdict, status
    later = (one for one in sent if one[1].issued > stood[-1])
    newer = _first_everywhere(history, later, now)
    return verdict, replaced(newer) if newer else status


def _first_everywhere(
    history: Invocations, sent: Iterable[Sending], now: datetime
) -> CommitSha | None:
    """The commit of these that was the first on every host, whatever came after it."""
    runs: list[Run] = []
    for one in sent:
        commit = one[1].commit
        runs.append(_run(history, one))
        of_commit = [run for run in runs if run.roll_out.commit == commit]
        others = [run for run in runs if run.roll_out.commit != commit]
        if judge(of_commit, now=now, others=others).is_everywhere:
            return commit
    return None


def _run(history: Invocations, sending: Sending) -> Run:
    command, roll_out = sending
    return Run(command, roll_out, history.invocations(command.id))
