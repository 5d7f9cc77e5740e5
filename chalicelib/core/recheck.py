"""Which hosts are due to be asked again, since what was seen of them has grown old."""

import zlib
from collections.abc import Mapping
from datetime import datetime

from chalicelib.core.targets import MAX_IDS, Target


def due_for_recheck(
    target: Target, seen: Mapping[str, datetime], *, now: datetime
) -> frozenset[str]:
    """The instance ids of those that are due, of hosts that were well when they were last `seen`.

    Hosts are asked in groups of fifty, and groups at different times, so that a thousand hosts do
    not ask GitHub at once. All times are aware.
    """
    groups: dict[int, dict[str, datetime]] = {}
    count = -(-len(seen) // MAX_IDS)
    for instance_id, at in seen.items():
        groups.setdefault(_number_of(instance_id) % count, {})[instance_id] = at
    due: set[str] = set()
    for number, group in groups.items():
        # Between half of `recheck` and nine tenths: a round may be late.
        share = 0.5 + 0.4 * (_number_of(f"{target.name} {number}") % 100) / 100
        late = now - target.recheck_after
        # One that is late was asked and has not answered: it is asked again, alone.
        oldest = min((at for at in group.values() if at >= late), default=now)
        # With those that are not due yet, so that the group stays together.
        fresh = now - target.recheck_after / 4
        until = fresh if now - oldest > share * target.recheck_after else late
        due |= {instance_id for instance_id, at in group.items() if at < until}
    return frozenset(due)


def _number_of(text: str) -> int:
    """The same number for the same text, in every process."""
    return zlib.crc32(text.encode())
