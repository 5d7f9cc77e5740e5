"""Time in the simulation: in seconds from a start."""

from datetime import UTC, datetime, timedelta

START = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = 3600
DELIVERY_TIMEOUT = TIMEOUT = 600
HISTORY = 30 * 24 * HOUR
LISTED_AFTER = 5  # seconds, before which a command has no invocations and no count of its hosts
LISTED_IN_FULL = 60  # seconds, before which some of its invocations may be missing


def time_of(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)
