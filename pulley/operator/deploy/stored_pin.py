"""A pin as it is stored: chalicelib/core/pins.py reads it, and only an operator writes one."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from chalicelib.core.pins import Pin


def is_same(one: Pin, other: Pin) -> bool:
    """Whether they hold in the same way and for the same reason, whoever put them there."""
    return replace(one, by="", at=None) == replace(other, by="", at=None)


def as_stored(pin: Pin) -> dict[str, str | None]:
    """The keys that are stored, every one of them."""
    return {
        "state": pin.state,
        "commit": pin.commit.sha if pin.commit else None,
        "reason": pin.reason,
        "by": pin.by,
        "at": _time(pin.at),
        "until": _time(pin.until),
    }


def write_pin(pin: Pin) -> str:
    """The JSON to store; `parse_pin` reads the same pin in it."""
    return json.dumps(as_stored(pin))


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
