"""The past of targets: the commands with their results, the cancels, and the pins."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import REMEMBERED, Check, Command, Run, plain_status
from chalicelib.core.pins import Pin, PinError, parse_pin
from chalicelib.core.refs import shown
from chalicelib.status.deploys import Deploy, deploy_of
from pulley.operator.aws.commands import Addressed, addressees_of, commands_to
from pulley.operator.aws.parameters import StoredValue
from pulley.operator.stage.stage import Stage, StoredTargets, short_name
from pulley.operator.suggest import suggest

_NOBODY = "N/A"  # the user in some emulators of AWS
_WHOLE_ID = 36  # characters


@dataclass(frozen=True)
class PinChange:
    """A version of a pin. If it cannot be parsed, `pin` is None and `problem` says why.

    `by` is the user whom AWS has recorded, with the ARN in `arn`, else the one in the pin.
    """

    at: datetime
    target: str
    pin: Pin | None
    by: str
    version: int
    problem: str = ""
    arn: str = ""


@dataclass(frozen=True)
class Cancel:
    """A cancel of a command. Systems Manager does not record who cancelled; CloudTrail does.

    `hosts` is the number of hosts on which it was cancelled; on `begun` of them the script had
    begun. `at` is when the first of these scripts ended. It is None if no script had begun,
    because nothing else tells when the command was cancelled.
    """

    at: datetime | None
    target: str
    command: Command
    hosts: int
    begun: int


Entry = Deploy | PinChange | Cancel


def commands_of(stage: Stage, *, now: datetime) -> Sequence[Command | Check]:
    """Every command in Run Command's history. Raises RefusedError and UnavailableError.

    `now` is aware.
    """
    return stage.history.commands_since(now - REMEMBERED)


def find_addressees(
    stored: StoredTargets, sent: Sequence[Command | Check], name: str | None
) -> tuple[Addressed, ...]:
    """The named target, or every target: the stored ones, and others that were sent commands.

    Targets that are not stored any more, or not valid, have a past too. Raises UnavailableError for
    an unknown name.
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
    """The newest entries of the targets, the newest first, at most `limit`.

    `sent` is the whole history, `now` is aware. Raises RefusedError and UnavailableError.
    """
    commands = [one for target in targets for one in commands_to(target, sent)]
    changes = [
        change
        for name in dict.fromkeys(target.name for target in targets)
        for change in pin_changes(name, stage.parameters.versions(stage.names.pin(name)))
    ]
    times = sorted([one.requested for one in commands] + [one.at for one in changes], reverse=True)
    # Each command's result costs a call, so read only those that are shown.
    oldest = times[limit - 1] if len(times) >= limit else min(times, default=now)
    entries: list[Entry] = [one for one in changes if one.at >= oldest]
    for command in commands:
        if command.requested >= oldest:
            run = Run(command, stage.history.invocations(command.id))
            if command.is_cancelled:
                entries.append(cancel_of(run))
            entries.append(deploy_of(run, now=now))
    return sorted(entries, key=_place, reverse=True)[:limit]


def cancel_of(run: Run) -> Cancel:
    """The cancel of a command, from its invocations."""
    ended = [one for one in run.invocations if plain_status(one.details) == "cancelled"]
    begun = [run.command.ended_on(one) for one in ended if one.has_begun]
    return Cancel(
        min(begun, default=None), run.roll_out.target, run.command, len(ended), len(begun)
    )


def _place(entry: Entry) -> datetime:
    """The time to sort by. A cancel without a time is put beside its command."""
    return entry.at or entry.command.requested if isinstance(entry, Cancel) else entry.at


def pin_changes(target: str, versions: Iterable[StoredValue]) -> list[PinChange]:
    """A pin's versions as changes, in their order."""
    changes = []
    for one in versions:
        if one.at is None:
            continue
        arn = "" if one.by == _NOBODY else one.by
        by = short_name(arn)
        try:
            pin = parse_pin(one.value)
        except PinError as error:
            changes.append(PinChange(one.at, target, None, by, one.version, str(error), arn))
        else:
            changes.append(PinChange(one.at, target, pin, by or pin.by, one.version, arn=arn))
    return changes


def find_run(
    stage: Stage,
    targets: Sequence[Addressed],
    sent: Sequence[Command | Check],
    command_id: str | None,
) -> Run:
    """The command of this id, or the newest one to the targets, with its invocations.

    `targets` all have one name, `sent` is the whole history. Raises RefusedError and
    UnavailableError, also if there is no such command.
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
        # A full id may be of a command older than those in `sent`.
        whole = stage.history.command(command_id) if len(command_id) == _WHOLE_ID else None
        if whole:
            ours = [one for target in targets for one in commands_to(target, [whole])]
        command = find_by_id(ours, command_id, name)
    return Run(command, stage.history.invocations(command.id))


def find_by_id(sent: Sequence[Command], begins: str, name: str) -> Command:
    """The one command to the named target whose id begins so. Raises UnavailableError."""
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
