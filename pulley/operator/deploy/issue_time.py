"""When an operator's command is issued: later than all that the history knows of the repository.

Of two commands a host obeys the one that was issued later. So an operator's slow clock must not
make a roll back a no-op. A target may have had another name, so its repository's commands count,
and not those of others: a fast clock elsewhere makes nobody issue in the future.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from chalicelib.core.history import Check, Command
from chalicelib.core.refs import Repository

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A command has whole milliseconds, cut from a float. Half a one keeps the cut from the one before.
_HALF = timedelta(microseconds=500)


def issue_time(
    repository: Repository, sent: Iterable[Command | Check], *, now: datetime
) -> datetime:
    """Now (aware), or a millisecond after the newest that was sent, where that is later."""
    roll_outs = (one.roll_out for one in sent if isinstance(one, Command))
    issued = (one.issued for one in roll_outs if one.repository == repository)
    newest = max(issued, default=0)
    return max(now, _EPOCH + timedelta(milliseconds=newest + 1) + _HALF)


def milliseconds(time: datetime) -> int:
    """As a command has it: since the epoch."""
    return int(time.timestamp() * 1000)
