"""Choose when an operator's command is issued: later than every command of the repository.

A host obeys the newer of two commands. So if the operator's clock is slow, hosts would ignore a
roll back. The target may have had another name, so all commands of its repository count. Commands
of other repositories do not count: if they were sent by a fast clock, they must not move this time
into the future.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from chalicelib.core.history import Check, Command
from chalicelib.core.refs import Repository

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# `milliseconds` truncates a float, which may be a little too small. So add half a millisecond.
_HALF = timedelta(microseconds=500)


def issue_time(
    repository: Repository, sent: Iterable[Command | Check], *, now: datetime
) -> datetime:
    """`now` (aware), or a millisecond after the newest command in `sent`, whichever is later."""
    roll_outs = (one.roll_out for one in sent if isinstance(one, Command))
    issued = (roll_out.issued for roll_out in roll_outs if roll_out.repository == repository)
    newest = max(issued, default=0)
    return max(now, _EPOCH + timedelta(milliseconds=newest + 1) + _HALF)


def milliseconds(time: datetime) -> int:
    """Convert a time to milliseconds since the epoch, as a command has it."""
    return int(time.timestamp() * 1000)
