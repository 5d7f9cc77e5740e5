"""What was done with targets: what was sent and what became of it, and what they were pinned at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.deployments import DeploymentStatus, status_of
from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import Command, RollOut
from chalicelib.core.pins import Pin, PinError, parse_pin
from chalicelib.core.refs import shown
from chalicelib.core.targets import Target
from chalicelib.core.verdicts import Run, Verdict, judge
from pulley.operator.commands import commands_to
from pulley.operator.parameters import StoredValue
from pulley.operator.stage import Stage

REMEMBERED = timedelta(days=30)  # by Systems Manager
_NOBODY = "N/A"  # as some have it who emulate AWS


@dataclass(frozen=True)
class SentCommand:
    """A command, and what became of it by itself, whatever was sent after it."""

    at: datetime
    target: str
    command: Command
    roll_out: RollOut
    verdict: Verdict
    status: DeploymentStatus


@dataclass(frozen=True)
class PinChange:
    """A pin as it was stored. `pin` is None for one that cannot be read; then `problem` says why.

    `by` is AWS's word where it has one, else the pin's own.
    """

    at: datetime
    target: str
    pin: Pin | None
    by: str
    version: int
    problem: str = ""


Entry = SentCommand | PinChange


def read_past(
    stage: Stage, targets: Sequence[Target], *, limit: int, now: datetime
) -> Sequence[Entry]:
    """What was done last with the targets, the newest first, so many entries at the most.

    `now` is aware. Raises RefusedError and UnavailableError.
    """
    sent = stage.history.commands_since(now - REMEMBERED)
    commands = [one for target in targets for one in commands_to(target, sent)]
    changes = [
        change
        for target in targets
        for change in pin_changes(
            target.name, stage.parameters.versions(stage.names.pin(target.name))
        )
    ]
    times = sorted(
        [one.requested for one, _ in commands] + [one.at for one in changes], reverse=True
    )
    # What became of a command costs a call: of those that are shown, and of no others.
    oldest = times[limit - 1] if len(times) >= limit else min(times, default=now)
    entries: list[Entry] = [one for one in changes if one.at >= oldest]
    for command, roll_out in commands:
        if command.requested >= oldest:
            run = Run(command, roll_out, stage.history.invocations(command.id))
            verdict = judge([run], now=now)
            status = status_of(verdict)
            entries.append(
                SentCommand(command.requested, roll_out.target, command, roll_out, verdict, status)
            )
    return sorted(entries, key=lambda one: one.at, reverse=True)[:limit]


def pin_changes(target: str, versions: Iterable[StoredValue]) -> list[PinChange]:
    """A pin's versions as changes, in their order."""
    changes = []
    for one in versions:
        if one.at is None:
            continue
        by = "" if one.by == _NOBODY else one.by.rpartition("/")[2].rpartition(":")[2]
        try:
            pin = parse_pin(one.value)
        except PinError as error:
            changes.append(PinChange(one.at, target, None, by, one.version, str(error)))
        else:
            changes.append(PinChange(one.at, target, pin, by or pin.by, one.version))
    return changes


def find_run(stage: Stage, target: Target, command_id: str | None, *, now: datetime) -> Run:
    """The command of the id, or the newest to the target, with what each host made of it.

    `now` is aware. Raises RefusedError and UnavailableError, which says so where there is none.
    """
    if command_id is None:
        sent = commands_to(target, stage.history.commands_since(now - REMEMBERED))
        if not sent:
            raise UnavailableError(
                f"nothing was sent to {target.name} in the {REMEMBERED.days} days that Systems "
                "Manager remembers"
            )
        command, roll_out = max(sent, key=lambda one: one[0].requested)
    else:
        found = stage.history.command(command_id)
        ours = commands_to(target, [found] if found else [])
        if not ours:
            raise UnavailableError(
                f"{shown(command_id)} is no command that deploys to {target.name}: pulley history "
                f"{target.name} has their ids"
            )
        command, roll_out = ours[0]
    return Run(command, roll_out, stage.history.invocations(command.id))
