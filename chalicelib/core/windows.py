"""Windows: the hours of a week in which commits go out, in a time zone.

A window is written like `Mon-Fri 09:00-17:00 Europe/Berlin`. It may pass midnight
(`Fri 22:00-02:00`): then its days are those on which it begins. Its hours are wall-clock hours.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "(?:" + "|".join(_DAYS) + ")"
_WINDOW = re.compile(
    rf"({_DAY}(?:-{_DAY})?(?:,{_DAY}(?:-{_DAY})?){{0,6}}) "
    r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00) "
    r"([A-Za-z][A-Za-z0-9_+/-]{0,49})"
)
_DAY_MINUTES = 24 * 60
# Some copies of the tz database have these names; they mean the machine's own zone.
_OF_THE_MACHINE = frozenset({"localtime", "posixrules"})


@dataclass(frozen=True)
class Window:
    """Hours on some days. `begin` and `end` are minutes since midnight; 0 in `days` is Monday."""

    text: str
    days: frozenset[int]
    begin: int
    end: int
    zone: str

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Parse a window. Raises ValueError."""
        found = _WINDOW.fullmatch(text)
        if not found:
            raise ValueError('must be like "Mon-Fri 09:00-17:00 Europe/Berlin"')
        begin = int(found[2]) * 60 + int(found[3])
        end = int(found[4]) * 60 + int(found[5]) if found[4] else _DAY_MINUTES
        if begin == end:
            raise ValueError("must end at another time than it begins, or it never opens")
        _zone(found[6])
        return cls(text, _days(found[1]), begin, end, found[6])

    def is_open(self, now: datetime) -> bool:
        """Whether it is open at `now` (aware)."""
        local = now.astimezone(_zone(self.zone))
        today, minute = local.weekday(), local.hour * 60 + local.minute
        if self.begin < self.end:
            return today in self.days and self.begin <= minute < self.end
        began_yesterday = (today - 1) % 7 in self.days and minute < self.end
        return began_yesterday or (today in self.days and minute >= self.begin)

    def opens_at(self, now: datetime) -> datetime:
        """The first moment from `now` (aware) on at which it is open, in its own zone."""
        at = now.astimezone(UTC)
        while not self.is_open(at):
            at = self._next_chance(at)
        return at.astimezone(_zone(self.zone))

    def _next_chance(self, at: datetime) -> datetime:
        """When it may open next, if it is closed at this time (UTC).

        That is at the wall-clock time of its begin. But if the clocks change before, they may pass
        over the begin, or go back into the window: then it is the minute of the change.
        """
        zone = _zone(self.zone)
        local, minute = at.astimezone(zone), at.replace(second=0, microsecond=0)
        unchanged = 0
        begins = self.begin - (local.hour * 60 + local.minute)
        changed = begins % _DAY_MINUTES or _DAY_MINUTES
        if _after(minute, changed).astimezone(zone).utcoffset() == local.utcoffset():
            return _after(minute, changed)
        while changed - unchanged > 1:
            middle = (changed + unchanged) // 2
            if _after(minute, middle).astimezone(zone).utcoffset() == local.utcoffset():
                unchanged = middle
            else:
                changed = middle
        return _after(minute, changed)


def next_opening(windows: Iterable[Window], now: datetime) -> datetime | None:
    """When the first of the windows opens, in its zone; None if one of them is open now."""
    listed = tuple(windows)
    if any(one.is_open(now) for one in listed):
        return None
    # As numbers: Python compares two times of one zone by the wall clock, which may go back.
    return min((one.opens_at(now) for one in listed), key=datetime.timestamp)


def _after(at: datetime, minutes: int) -> datetime:
    return at + timedelta(minutes=minutes)


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin = _DAYS.index(first)
        length = (_DAYS.index(last or first) - begin) % 7
        days |= {(begin + count) % 7 for count in range(length + 1)}
    return frozenset(days)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    """A time zone by its name in the tz database. Raises ValueError."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        zone: tzinfo | None = None if name in _OF_THE_MACHINE else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of the database
        zone = _copied_zone(name)
    if zone is None:
        raise ValueError("must name a time zone of the tz database, like Europe/Berlin or UTC")
    return zone


def _copied_zone(name: str) -> tzinfo | None:
    """The zone from dateutil's copy of the database: a minimal image may have no other.

    Lambda's runtime has dateutil, because the SDK needs it.
    """
    from dateutil import zoneinfo  # type: ignore[import-untyped] # dateutil has no types

    zone: tzinfo | None = zoneinfo.get_zonefile_instance().get(name)
    return zone
