"""Pins that an operator sets: parse the commit, the end and the reason; read and store the pin.

A pin is a parameter, so it outlasts pushes, redeliveries and rounds of the schedule.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from chalicelib.core.errors import PulleyError
from chalicelib.core.history import Check, Command, plain_status
from chalicelib.core.pins import Pin, PinError, parse_pin
from chalicelib.core.refs import CommitSha, RefError, shown
from chalicelib.core.stored import ParameterNames
from chalicelib.core.targets import Target
from pulley.operator.aws.commands import commands_to
from pulley.operator.aws.parameters import Parameters, StoredValue, Written
from pulley.operator.deploy.stored_pin import is_same, write_pin
from pulley.operator.stage.checkout import Here

LONGEST_REASON = 300  # characters; it is shown in a line, and a parameter holds 4 KB
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LENGTH = re.compile(r"([1-9][0-9]{0,3})([mhdw])")


class MeaningError(PulleyError):
    """The operator's words are no valid commit, time or reason. The message says why."""


@dataclass(frozen=True)
class StoredPin:
    """A target's pin as it was read. `problem` says why it cannot be parsed, or is ""."""

    name: str
    read: StoredValue | None
    pin: Pin = Pin("none")  # noqa: RUF009 - frozen
    problem: str = ""

    def needs(self, pin: Pin, *, now: datetime) -> bool:
        """Whether storing this pin would change anything."""
        if self.problem:
            return True
        if not pin.holds(now):
            return self.pin.holds(now)
        return not is_same(self.pin, pin)


def read_pin(parameters: Parameters, names: ParameterNames, target: Target) -> StoredPin:
    """Read the target's pin. Raises RefusedError and UnavailableError."""
    name = names.pin(target.name)
    read = parameters.read_one(name)
    if read is None:
        return StoredPin(name, None)
    try:
        return StoredPin(name, read, parse_pin(read.value))
    except PinError as error:
        return StoredPin(name, read, problem=str(error))


def store_pin(parameters: Parameters, stored: StoredPin, pin: Pin) -> Written:
    """Store a pin in place of what was read. Raises RefusedError and UnavailableError."""
    return parameters.write(stored.name, write_pin(pin), read=stored.read)


def parse_end(text: str, *, now: datetime) -> datetime:
    """Parse an end: a duration from now like 2h, a date (its beginning in UTC), or a time.

    Returns the end in UTC. Raises MeaningError for any other text, and for a time in the past.
    `now` is aware.
    """
    until = _end(text.strip(), now)
    if until is None:
        raise MeaningError(
            "must be a length like 90m, 2h, 3d or 1w, a date like 2030-01-31, or a time with its "
            f"zone like 2030-01-31T12:00:00Z, not {shown(text)}"
        )
    if until <= now:
        raise MeaningError(f"must be in the future, and {until:%Y-%m-%d %H:%M:%S} UTC is past")
    return until


def parse_reason(text: str) -> str:
    """Put the reason on one line. Raises MeaningError if it is empty, too long or not printable."""
    reason = " ".join(text.split())
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise MeaningError(f"must be 1 to {LONGEST_REASON} characters that can be printed")
    return reason


def parse_commit(text: str, target: Target, here: Here | None) -> CommitSha:
    """Parse a full id, or resolve any name of a commit in the current clone of the repository.

    Raises MeaningError.
    """
    try:
        return CommitSha.parse(text.lower())
    except RefError:
        pass
    if here is None or here.repository != target.repository:
        raise MeaningError(
            f"{shown(text)} is no full id of a commit (40 hex digits). For a shorter one, a branch "
            f"or a tag, stand in a clone of {target.repository}"
        )
    commit = here.resolve(text)
    if commit is None:
        raise MeaningError(
            f"{shown(text)} names no commit in {here.folder}. If it is new, run git fetch there"
        )
    return commit


def doubt_about(
    commit: CommitSha, target: Target, here: Here | None, good: Collection[CommitSha]
) -> str:
    """Why hosts may refuse a commit, as far as the current clone knows; or "".

    `good` are the commits that were deployed to the target before, by Run Command's history.
    """
    if commit in good:
        return ""
    only = "A host takes it only if it is, or was deployed there before"
    if here is None or here.repository != target.repository:
        return (
            f"whether {commit.short} is in its {target.line} is not known outside a clone of "
            f"{target.repository}. {only}"
        )
    if target.branch is None:
        return f"{target.name} follows tags: a host takes only what was deployed there before"
    is_in = here.has(commit, target.branch)
    if is_in is None:
        return (
            f"this clone does not know whether {commit.short} is in {target.branch}: git fetch. "
            f"{only}"
        )
    if is_in:
        return ""
    return (
        f"{commit.short} is not in {target.branch}, as this clone has it: a host takes it only if "
        "it was deployed there before"
    )


def deployed_to(target: Target, commands: Iterable[Command | Check]) -> frozenset[CommitSha]:
    """The commits of the commands that succeeded on every host."""
    return frozenset(
        command.roll_out.commit
        for command in commands_to(target, commands)
        if plain_status(command.status) == "success"
    )


def _end(text: str, now: datetime) -> datetime | None:
    length = _LENGTH.fullmatch(text)
    try:
        if length:
            end = now.astimezone(UTC) + timedelta(**{_UNITS[length[2]]: int(length[1])})
            return end.replace(microsecond=0)
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        until = datetime.fromisoformat(text)
        return until.astimezone(UTC) if until.tzinfo else None
    except (ValueError, OverflowError):
        return None
