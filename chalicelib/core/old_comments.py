"""The cause of a command, from its comment: where releases before 2026-11-29 put it.

Systems Manager forgets those commands by 2026-12-29; then this module can go.
"""

import re
from datetime import datetime

from chalicelib.core.commands import parse_time

_PUSHED_AT = re.compile(r"push at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)( by [^ ]+)?: ", re.ASCII)
_BY = re.compile(r"[a-z]+(?: at [0-9TZ:-]+)? by ([A-Za-z0-9._@+=,-]{1,39}(\[bot\])?): ")
_ATTEMPT = re.compile(r"reconcile, attempt ([1-9]): ", re.ASCII)


def parse_comment(comment: str) -> tuple[datetime | None, int, str]:
    """When it was pushed (UTC), the number of the attempt, and who it was by; or None, 0 and ""."""
    pushed_at, attempt = _PUSHED_AT.match(comment), _ATTEMPT.match(comment)
    by = _BY.match(comment)
    return (
        parse_time(pushed_at[1]) if pushed_at else None,
        int(attempt[1]) if attempt else 0,
        by[1] if by else "",
    )
