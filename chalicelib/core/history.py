"""What Systems Manager remembers of a command, and what EventBridge says of one.

Nothing here is believed for being said: a status is only where to look, the hosts' result lines
say what runs. Facts: Systems Manager User Guide, "Understanding command statuses" and "Monitoring
Systems Manager events with Amazon EventBridge".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.commands import COMMAND_CHANGE, parse_attempt, parse_by, parse_pushed_at
from chalicelib.core.refs import CommitSha, RefError, Repository, shown
from chalicelib.core.targets import NAME_PATTERN

CLOCKS_APART = timedelta(minutes=5)  # AWS's and another one, at the most
INVOCATION_CHANGE = "EC2 Command Invocation Status-change Notification"

_OVER = frozenset({"success", "failed", "timedout", "cancelled"})
# Details of invocations whose script was never begun.
_NOT_BEGUN = frozenset(
    {
        "deliverytimedout",
        "undeliverable",
        "terminated",
        "accessdenied",
        "invalidplatform",
        "ratelimited",
        "rateexceeded",
        "limitexceeded",
    }
)
_HOST_NAME = re.compile("[A-Za-z0-9_-]{1,63}")
_COMMAND_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def plain_status(text: str) -> str:
    """A status as it is compared: AWS writes some with spaces here and without there."""
    return text.replace(" ", "").lower()


@dataclass(frozen=True)
class Invocation:
    """A command on one host, whose name is `host`. `ended`: when the script did, where it ran.

    `is_refused`: the host's agent took the document and ran no step of it, as where a parameter
    does not match its pattern. `trace` is the agent's own reason then.
    """

    instance_id: str
    host: str
    status: str
    details: str
    output: str = ""
    ended: datetime | None = None
    is_refused: bool = False
    trace: str = ""

    @property
    def is_over(self) -> bool:
        """Whether its status will not change any more."""
        return plain_status(self.status) in _OVER

    @property
    def refusal(self) -> str:
        """Why the agent refused the document, in words; "" where it did not."""
        reason = self.trace or "it does not say why"
        return f"its SSM agent refused the document: {reason}" if self.is_refused else ""

    @property
    def has_begun(self) -> bool:
        """Whether the script was begun on the host, or will yet be."""
        if self.is_refused:
            return False
        details = plain_status(self.details)
        return details not in _NOT_BEGUN and (details != "cancelled" or self.ended is not None)


@dataclass(frozen=True)
class RollOut:
    """A command as what Pulley meant by it: this commit, to this target, by this `update`.

    `issued` is in epoch milliseconds. `deployment` is the id on GitHub, where there was one when
    the command was sent; `pushed_at`, in UTC, is when GitHub took the push that was the cause.
    `attempt` counts from 1 where reconciling sent it, and is 0 for everybody else's. `by` is who
    pushed or deployed, where that is known.
    """

    target: str
    repository: Repository
    commit: CommitSha
    issued: int
    cause: str
    delivery: str
    deployment: int | None
    timeout: str
    pushed_at: datetime | None
    update: str = "rebase"
    attempt: int = 0
    by: str = ""


@dataclass(frozen=True)
class Command:
    """One SendCommand. `roll_out` is None for one that deploys no named commit, as a check."""

    id: str
    status: str
    details: str
    requested: datetime
    expires: datetime
    target_count: int
    roll_out: RollOut | None

    @property
    def is_over(self) -> bool:
        """Whether its status will not change any more."""
        return plain_status(self.status) in _OVER

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody cancelled it. It stays "Cancelling" where a host never reports it."""
        return plain_status(self.details) in {"cancelled", "cancelling"}


@dataclass(frozen=True)
class StatusChange:
    """EventBridge's word that a command of this stage has another status, or is over."""

    command_id: str
    is_over: bool


@dataclass(frozen=True)
class NotOurs:
    """An event that is not acted on, and why."""

    reason: str


def host_name(full_name: str, instance_id: str) -> str:
    """The first part of the name, which a host gives itself; the id where it can be no part of one.

    It stands in GitHub's line between others, and must not be taken for one of them.
    """
    name = full_name.partition(".")[0]
    return name if _HOST_NAME.fullmatch(name) else instance_id


def parse_roll_out(
    parameters: Mapping[str, str], comment: str, *, requested: datetime
) -> RollOut | None:
    """From a command's parameters and comment; None where it deploys no commit that it names.

    When it was issued its sender says, and is believed up to when AWS was asked (`requested`).
    """
    try:
        repository = Repository.parse(parameters.get("Repository", ""))
        commit = CommitSha.parse(parameters.get("Commit", ""))
    except RefError:
        return None
    target, deployment = parameters.get("Target", ""), parameters.get("Deployment", "")
    if parameters.get("Update") == "check" or not re.fullmatch(NAME_PATTERN, target):
        return None
    issued = parameters.get("Issued", "")
    newest = int((requested + CLOCKS_APART).timestamp() * 1000)
    return RollOut(
        target=target,
        repository=repository,
        commit=commit,
        issued=min(int(issued), newest) if re.fullmatch("[0-9]{1,15}", issued) else 0,
        cause=parameters.get("Cause", ""),
        delivery=parameters.get("Delivery", ""),
        deployment=int(deployment) if re.fullmatch("[0-9]{1,20}", deployment) else None,
        timeout=parameters.get("Timeout", ""),
        pushed_at=parse_pushed_at(comment),
        update=parameters.get("Update", "rebase"),
        attempt=parse_attempt(comment),
        by=parse_by(comment),
    )


def parse_status_change(event: object, document: str) -> StatusChange | NotOurs:
    """From EventBridge's event, which may be anything. What is not of this document is not ours."""
    fields = event if isinstance(event, Mapping) else {}
    detail = fields.get("detail")
    if fields.get("source") != "aws.ssm" or not isinstance(detail, Mapping):
        return NotOurs("not an event of Systems Manager")
    kind = fields.get("detail-type")
    if kind == INVOCATION_CHANGE:
        return NotOurs("of one host: what counts is the command's event")
    if kind != COMMAND_CHANGE:
        return NotOurs(f"not a change of a command's status but {shown(kind)}")
    if detail.get("document-name") != document:
        return NotOurs(f"of another document: {shown(detail.get('document-name'))}")
    command_id, status = detail.get("command-id"), detail.get("status")
    if not isinstance(command_id, str) or not _COMMAND_ID.fullmatch(command_id):
        return NotOurs(f"no command id but {shown(command_id)}")
    return StatusChange(command_id, isinstance(status, str) and plain_status(status) in _OVER)
