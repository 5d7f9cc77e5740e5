"""Write a pin as JSON. Only operators write pins; chalicelib/core/pins.py reads them."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from chalicelib.core.pins import Pin


def is_same(one: Pin, other: Pin) -> bool:
    """Whether two pins are the same, apart from who set them and when."""
    return replace(one, by="", at=None) == replace(other, by="", at=None)


def as_stored(pin: Pin) -> dict[str, str | None]:
    """The pin as a dict with every key that is stored."""
    return {
        "state": pin.state,
        "commit": pin.commit.sha if pin.commit else None,
        "reason": pin.reason,
        "by": pin.by,
        "at": _time(pin.at),
        "until": _time(pin.until),
    }


def write_pin(pin: Pin) -> str:
    """The JSON to store. `parse_pin` reads it."""
    return json.dumps(as_stored(pin))


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
