"""Decides which hosts are due for a recheck, because their newest observation is old."""

import zlib
from collections.abc import Mapping
from datetime import datetime

from chalicelib.core.targets import MAX_IDS, Target


def due_for_recheck(
    target: Target, seen: Mapping[str, datetime], *, now: datetime
) -> frozenset[str]:
    """The instance ids that are due, of hosts that were well at their last observation (`seen`).

    Hosts are rechecked in groups of fifty at different times, so that a thousand hosts do not fetch
    from GitHub at once. All times are aware.
    """
    groups: dict[int, dict[str, datetime]] = {}
    count = -(-len(seen) // MAX_IDS)
    for instance_id, at in seen.items():
        groups.setdefault(_number_of(instance_id) % count, {})[instance_id] = at
    due: set[str] = set()
    for number, group in groups.items():
        # A group is due between 0.5 and 0.9 of `recheck`, because a round may be late.
        share = 0.5 + 0.4 * (_number_of(f"{target.name} {number}") % 100) / 100
        late = now - target.recheck_after
        # A late host did not answer its recheck: it is rechecked again, without its group.
        oldest = min((at for at in group.values() if at >= late), default=now)
        # Recheck the whole group, so that it stays together; only fresh hosts are left out.
        fresh = now - target.recheck_after / 4
        until = fresh if now - oldest > share * target.recheck_after else late
        due |= {instance_id for instance_id, at in group.items() if at < until}
    return frozenset(due)


def _number_of(text: str) -> int:
    """The same number for the same text in every process, unlike hash()."""
    return zlib.crc32(text.encode())
