"""Pins: an operator's order that a target stays at a commit, or stays as it is."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import CommitSha, RefError

FROZEN = "frozen"
STATES = ("none", "pinned", FROZEN)

_UNREADABLE = (
    *(TypeError, KeyError, AttributeError),  # another shape
    *(ValueError, OverflowError, RecursionError, RefError),
)


class PinError(PulleyError):
    """A stored pin that cannot be read. Send nothing then: it may say "frozen"."""


@dataclass(frozen=True)
class Pin:
    """A stored pin. `until` is its end, in UTC; without one it holds until `pulley unpin`.

    `by` and `at` (aware) tell people who stored it, and when. They decide nothing.
    """

    state: str
    commit: CommitSha | None = None
    reason: str = ""
    until: datetime | None = None
    by: str = ""
    at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether the pin is in force at this time (aware, any zone)."""
        return self.state != "none" and (self.until is None or now < self.until)

    def is_to(self, commit: CommitSha) -> bool:
        """Whether it pins the target to this commit."""
        return self.state == "pinned" and self.commit == commit

    def __str__(self) -> str:
        """The pin for people, such as a developer whose push was not deployed."""
        words = self.state
        if self.commit:
            words += f" at {self.commit.short}"
        if self.until:
            words += f" until {self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return words + (f": {self.reason}" if self.reason else "")


def parse_pin(text: str) -> Pin:
    """Parse the stored JSON. Raises PinError."""
    try:
        stored = json.loads(text)
        state, commit, until = stored["state"], stored.get("commit"), stored.get("until")
        if state not in STATES:
            raise PinError(f"state must be one of {', '.join(STATES)}")
        pin = Pin(
            state=state,
            commit=CommitSha.parse(commit) if commit else None,
            reason=_line(stored.get("reason")),
            until=_parse_until(until) if until else None,
            by=_line(stored.get("by")),
            at=_parse_at(stored.get("at")),
        )
    except _UNREADABLE as error:
        raise PinError(f"must be JSON like {{state, commit, until}}: {error}") from None
    if pin.state == "pinned" and pin.commit is None:
        raise PinError("a pinned target must have a commit")
    return pin


def _line(value: object) -> str:
    return " ".join(str(value or "").split())  # it becomes part of one line of a log


def _parse_at(text: object) -> datetime | None:
    """Parse a time, in UTC; None if it is not valid: the pin counts all the same."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
        return at.astimezone(UTC) if at and at.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _parse_until(text: str) -> datetime:
    until = datetime.fromisoformat(text)
    if until.tzinfo is None:
        raise PinError("until must have a time zone, like 2030-01-31T12:00:00Z")
    return until.astimezone(UTC)
