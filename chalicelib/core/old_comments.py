"""Who caused a command, from its comment: where releases before 2026-11-29 put it.

Systems Manager forgets those commands by 2026-12-29; then this module can go.
"""

import re
from datetime import datetime

from chalicelib.core.commands import parse_time

_PUSHED_AT = re.compile(r"push at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)( by [^ ]+)?: ", re.ASCII)
_BY = re.compile(r"[a-z]+(?: at [0-9TZ:-]+)? by ([A-Za-z0-9._@+=,-]{1,39}(\[bot\])?): ")
_ATTEMPT = re.compile(r"reconcile, attempt ([1-9]): ", re.ASCII)


def parse_pushed_at(comment: str) -> datetime | None:
    """When GitHub took the push that a command's comment tells of, in UTC; None if it does not."""
    told = _PUSHED_AT.match(comment)
    return parse_time(told[1]) if told else None


def parse_attempt(comment: str) -> int:
    """Which attempt of reconciling a command's comment tells of; 0 if it is none."""
    told = _ATTEMPT.match(comment)
    return int(told[1]) if told else 0


def parse_by(comment: str) -> str:
    """Who a command's comment says was its cause: a login at GitHub, or of an operator; or ""."""
    told = _BY.match(comment)
    return told[1] if told else ""
