"""EventBridge's status changes of commands. They only say which command to read.

Facts: Systems Manager User Guide, "Monitoring Systems Manager events with Amazon EventBridge".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.core.commands import COMMAND_CHANGE
from chalicelib.core.history import OVER, plain_status
from chalicelib.core.refs import shown

INVOCATION_CHANGE = "EC2 Command Invocation Status-change Notification"
_COMMAND_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class StatusChange:
    """A command of this stage has a new status, or is over."""

    command_id: str
    is_over: bool


@dataclass(frozen=True)
class NotReported:
    """An event that is ignored, and the reason."""

    reason: str


def parse_status_change(event: object, document: str) -> StatusChange | NotReported:
    """Parse an event, which may be anything. Only commands of this document are reported."""
    fields = event if isinstance(event, Mapping) else {}
    detail = fields.get("detail")
    if fields.get("source") != "aws.ssm" or not isinstance(detail, Mapping):
        return NotReported("not an event of Systems Manager")
    kind = fields.get("detail-type")
    if kind == INVOCATION_CHANGE:
        return NotReported("of one host: what counts is the command's event")
    if kind != COMMAND_CHANGE:
        return NotReported(f"not a change of a command's status but {shown(kind)}")
    if detail.get("document-name") != document:
        return NotReported(f"of another document: {shown(detail.get('document-name'))}")
    command_id, status = detail.get("command-id"), detail.get("status")
    if not isinstance(command_id, str) or not _COMMAND_ID.fullmatch(command_id):
        return NotReported(f"no command id but {shown(command_id)}")
    return StatusChange(command_id, isinstance(status, str) and plain_status(status) in OVER)
