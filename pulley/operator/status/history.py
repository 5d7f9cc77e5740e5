"""What was done with targets: what was sent and what became of it, and what they were pinned at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import REMEMBERED, Check, Command, RollOut, Run, plain_status
from chalicelib.core.pins import Pin, PinError, parse_pin
from chalicelib.core.refs import shown
from chalicelib.core.status_text import status_of
from chalicelib.core.verdicts import Verdict, judge
from pulley.operator.aws.commands import Addressed, addressees_of, commands_to
from pulley.operator.aws.parameters import StoredValue
from pulley.operator.stage.stage import Stage, StoredTargets
from pulley.operator.suggest import suggest

_NOBODY = "N/A"  # as some have it who emulate AWS
_WHOLE_ID = 36  # characters
_IN_FULL = 4_000  # characters: GitHub's limit is not ours


@dataclass(frozen=True)
class HistoryCommand:
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


@dataclass(frozen=True)
class Cancel:
    """A command's end by somebody's word. Systems Manager does not say whose: CloudTrail does.

    It was cancelled on so many `hosts`, of which its script had `begun` on some. `at` is when the
    first of these was ended; None where there was none, since nothing else tells the time.
    """

    at: datetime | None
    target: str
    command: Command
    hosts: int
    begun: int


Entry = HistoryCommand | PinChange | Cancel


def became_of(verdict: Verdict) -> DeploymentStatus:
    """What became of a command, with every host that failed."""
    return status_of(verdict, limit=_IN_FULL)


def commands_of(stage: Stage, *, now: datetime) -> Sequence[Command | Check]:
    """All that is remembered at this time (aware). Raises RefusedError and UnavailableError."""
    return stage.history.commands_since(now - REMEMBERED)


def find_addressees(
    stored: StoredTargets, sent: Sequence[Command | Check], name: str | None
) -> tuple[Addressed, ...]:
    """The target of the name, or every one: of those that are stored, else that were sent to.

    A target that is not stored any more, or not in a valid way, has a past too. Raises
    UnavailableError where nobody knows the name.
    """
    names = {target.name for target in stored.targets}
    gone = [one for one in addressees_of(sent) if one.name not in names]
    if name is None:
        return (*stored.targets, *gone)
    return tuple(one for one in gone if one.name == name) or (stored.named(name),)


def read_past(
    stage: Stage,
    targets: Sequence[Addressed],
    sent: Sequence[Command | Check],
    *,
    limit: int,
    now: datetime,
) -> Sequence[Entry]:
    """What was done last with the targets, the newest first, so many entries at the most.

    `sent` is all that is remembered, `now` is aware. Raises RefusedError and UnavailableError.
    """
    commands = [one for target in targets for one in commands_to(target, sent)]
    changes = [
        change
        for name in dict.fromkeys(target.name for target in targets)
        for change in pin_changes(name, stage.parameters.versions(stage.names.pin(name)))
    ]
    times = sorted([one.requested for one in commands] + [one.at for one in changes], reverse=True)
    # What became of a command costs a call: of those that are shown, and of no others.
    oldest = times[limit - 1] if len(times) >= limit else min(times, default=now)
    entries: list[Entry] = [one for one in changes if one.at >= oldest]
    for command in commands:
        if command.requested >= oldest:
            run = Run(command, stage.history.invocations(command.id))
            verdict, roll_out = judge([run], now=now).told, command.roll_out
            status = became_of(verdict)
            if command.is_cancelled:
                entries.append(cancel_of(run))
            entries.append(
                HistoryCommand(
                    command.requested, roll_out.target, command, roll_out, verdict, status
                )
            )
    return sorted(entries, key=_place, reverse=True)[:limit]


def cancel_of(run: Run) -> Cancel:
    """How a command was cancelled, from what Systems Manager has of each host."""
    ended = [one for one in run.invocations if plain_status(one.details) == "cancelled"]
    begun = [run.command.ended_on(one) for one in ended if one.has_begun]
    return Cancel(
        min(begun, default=None), run.roll_out.target, run.command, len(ended), len(begun)
    )


def _place(entry: Entry) -> datetime:
    """A cancel of no known time stands beside its command."""
    return entry.at or entry.command.requested if isinstance(entry, Cancel) else entry.at


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


def find_run(
    stage: Stage,
    targets: Sequence[Addressed],
    sent: Sequence[Command | Check],
    command_id: str | None,
) -> Run:
    """The command of the id, or the newest to the targets, with what each host made of it.

    `targets` are those of one name, `sent` is all that is remembered. Raises RefusedError and
    UnavailableError, which says so where there is none.
    """
    name = targets[0].name
    ours = [one for target in targets for one in commands_to(target, sent)]
    if command_id is None:
        if not ours:
            raise UnavailableError(
                f"nothing was sent to {name} in the {REMEMBERED.days} days that Systems Manager "
                "remembers"
            )
        command = max(ours, key=lambda one: one.requested)
    else:
        # One that is known whole may be older than what was read.
        whole = stage.history.command(command_id) if len(command_id) == _WHOLE_ID else None
        if whole:
            ours = [one for target in targets for one in commands_to(target, [whole])]
        command = find_by_id(ours, command_id, name)
    return Run(command, stage.history.invocations(command.id))


def find_by_id(sent: Sequence[Command], begins: str, name: str) -> Command:
    """The one command to the target of this name whose id begins so. Raises UnavailableError."""
    found = [one for one in sent if one.id.startswith(begins)]
    if len(found) > 1:
        ids = ", ".join(one.id for one in found)
        raise UnavailableError(f"{shown(begins)} begins the ids of several commands: {ids}")
    if not found:
        raise UnavailableError(
            f"{shown(begins)} is no command that deploys to {name}: {suggest('history', name)} has "
            "their ids"
        )
    return found[0]
