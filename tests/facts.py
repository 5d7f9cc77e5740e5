"""Test data for several layers: a roll-out, a result line, an invocation."""

import json
from datetime import datetime, timedelta

from chalicelib.core.history import Command, Invocation, RollOut
from chalicelib.core.refs import CommitSha
from tests.fakes import COMMIT, GUID, SITE

OLD = "a" * 40
ROLL_OUT = RollOut(
    target="web",
    repository=SITE,
    commit=CommitSha(COMMIT),
    issued=1_896_091_200_000,
    cause="push",
    delivery=GUID,
    deployment=None,
    timeout="600",
    pushed_at=None,
    checkout="/srv/site",
)
RESULT: dict[str, object] = {
    "v": 1,
    "target": "web",
    "outcome": "updated",
    "before": OLD,
    "after": COMMIT,
    "upstream": COMMIT,
    "local_commits": 0,
    "saved": None,
    "step": None,
    "detail": "",
    "seconds": 1.4,
}
# The status of an invocation if it differs from the status details.
STATUSES = {
    "ExecutionTimedOut": "TimedOut",
    "DeliveryTimedOut": "TimedOut",
    "Undeliverable": "Failed",
    "AccessDenied": "Failed",
    "Terminated": "Cancelled",
}


def result_line(**changes: object) -> str:
    """The result line of an updated host, with the changes."""
    return json.dumps(RESULT | changes) + "\n"


def invocation(
    number: int, details: str = "Success", output: str = "", ended: datetime | None = None
) -> Invocation:
    """The invocation on the host of that number. Without output, no script has ended."""
    id_, status = f"i-{number:017x}", STATUSES.get(details, details)
    return Invocation(id_, f"web-{number}", status, details, output, ended if output else None)


def sent(
    id_: str, roll_out: RollOut, requested: datetime, *, status: str, details: str, count: int
) -> Command:
    """A command that expires twenty minutes after it was requested, for `count` hosts."""
    return Command(
        id=id_,
        status=status,
        details=details or status,
        requested=requested,
        expires=requested + timedelta(minutes=20),
        target_count=count,
        roll_out=roll_out,
    )
