"""Reads Run Command's history, and judges a commit on a target by it.

The verdict depends on the history alone: not on which event, round or operator asks for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from chalicelib.core.deployments import Deployment, DeploymentStatus, replaced
from chalicelib.core.history import (
    CLOCKS_APART,
    REMEMBERED,
    Check,
    Command,
    Invocation,
    Run,
    age,
    plain_status,
)
from chalicelib.core.refs import CommitSha
from chalicelib.core.status_text import status_of
from chalicelib.core.verdicts import Verdict, judge


class History(Protocol):
    """Run Command's history. Every method raises RefusedError or UnavailableError."""

    def command(self, command_id: str) -> Command | Check | None:
        """A command of this stage's document; None if Systems Manager does not know it."""

    def commands_since(self, since: datetime, limit: int = ...) -> Sequence[Command | Check]:
        """Commands of this stage's document, newest first, `limit` at most."""

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        """All invocations of a command."""


def since_first(command: Command, deployment: Deployment | None) -> datetime:
    """The time from which to look for commands of the commit: no later than its first command.

    If a deployment existed when the command was sent, it was made before the commit's first command
    to the whole target. A round's command may follow one as old as Systems Manager's memory.
    """
    if deployment and command.roll_out.deployment is not None:
        return since_made(deployment, command)
    is_first = command.roll_out.cause != "reconcile" and not deployment
    return command.requested if is_first else command.requested - REMEMBERED


def since_made(deployment: Deployment, command: Command) -> datetime:
    """A time before the deployment was made, and no later than the command."""
    # `created` comes from outside: clamp it to what Systems Manager remembers.
    created = max(deployment.created, command.requested - REMEMBERED)
    return min(command.requested, created - CLOCKS_APART)


def sent_to(history: History, command: Command, since: datetime) -> Sequence[Command]:
    """The commands to the command's target since then (aware), oldest first; it is among them.

    Successful rechecks are left out: they changed nothing, and there are many.
    """
    roll_out = command.roll_out
    commands = {command.id: command} | {one.id: one for one in history.commands_since(since)}
    sent = [
        one
        for one in commands.values()
        if isinstance(one, Command)
        and (one.roll_out.repository, one.roll_out.target) == (roll_out.repository, roll_out.target)
        and (
            one.id == command.id
            or not one.roll_out.is_recheck
            or plain_status(one.status) != "success"
        )
    ]
    return sorted(sent, key=age)


def with_deployments(sent: Iterable[Command]) -> Sequence[Command]:
    """The commands, oldest first, each with its deployment.

    A command without a deployment gets that of the previous command for the same commit: a round or
    a person sends a commit again for the deployment for which it was sent before.
    """
    last: dict[CommitSha, int | None] = {}
    found = []
    for one in sent:
        roll_out = one.roll_out
        if roll_out.deployment is None:
            roll_out = replace(roll_out, deployment=last.get(roll_out.commit))
        last[roll_out.commit] = roll_out.deployment
        found.append(replace(one, roll_out=roll_out))
    return found


def only_for(deployment: Deployment, sent: Sequence[Command], command: Command) -> list[Command]:
    """The commands without those that were sent for another deployment of the commit.

    Commands of other commits stay. `command` itself always stays. `sent` is oldest first.
    """
    return [
        one
        for one in with_deployments(sent)
        if one.roll_out.commit.sha != deployment.commit
        or one.roll_out.deployment == deployment.id
        or one.id == command.id
    ]


def read_verdict(
    history: History, sent: Sequence[Command], commit: str, *, now: datetime
) -> tuple[Verdict, DeploymentStatus]:
    """The verdict on a commit that was sent at least once, and its status for GitHub."""
    of_commit = [one for one in sent if one.roll_out.commit.sha == commit]
    first, newest = of_commit[0].roll_out.issued, of_commit[-1].roll_out.issued
    runs = [_run(history, one) for one in of_commit]
    # A command of another commit in between may have moved a host away.
    others = [
        _run(history, one)
        for one in sent
        if one.roll_out.commit.sha != commit and first < one.roll_out.issued < newest
    ]
    asked = [one.roll_out for one in sent]
    verdict = judge(runs, now=now, others=others, asked=asked).told
    status = status_of(verdict)
    if status.state not in {"success", "inactive"}:
        return verdict, status
    # The newest of several commands may be overtaken although the commit ran everywhere before.
    stood = [
        run.roll_out.issued
        for count, run in enumerate(runs, 1)
        if judge(runs[:count], now=now, others=others).is_everywhere
    ]
    if not stood:
        return verdict, status
    later = (one for one in sent if one.roll_out.issued > stood[-1])
    newer = _first_everywhere(history, later, now)
    return verdict, replaced(newer) if newer else status


def _first_everywhere(history: History, sent: Iterable[Command], now: datetime) -> CommitSha | None:
    """The first commit of these that reached every host; later ones do not matter."""
    runs: list[Run] = []
    for one in sent:
        commit = one.roll_out.commit
        runs.append(_run(history, one))
        of_commit = [run for run in runs if run.roll_out.commit == commit]
        others = [run for run in runs if run.roll_out.commit != commit]
        if judge(of_commit, now=now, others=others).is_everywhere:
            return commit
    return None


def _run(history: History, command: Command) -> Run:
    return Run(command, history.invocations(command.id))
