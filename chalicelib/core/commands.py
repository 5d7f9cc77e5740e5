"""The contract with Systems Manager: a send request of the stage's document.

Nothing from a payload reaches a host but a commit of 40 hex digits and a delivery's GUID; the rest
comes from the target. Every value meets its pattern where the target is parsed, in SSM
(pulley/host/document.py), and once more in the script.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import STAGE_TAG, Target

# A login of GitHub's, or the end of an ARN; empty where nobody is known.
BY_PATTERN = "^([A-Za-z0-9][A-Za-z0-9._@+=,-]{0,38})?$"
# EventBridge's name for an event of a whole command: Systems Manager User Guide, "Monitoring
# Systems Manager events with Amazon EventBridge".
COMMAND_CHANGE = "EC2 Command Status-change Notification"
# Values of Update that bring a host to a commit. The others look, or drop what a host has saved.
DEPLOYING = frozenset({"rebase", "reset", "exact"})
_TIME = "%Y-%m-%dT%H:%M:%SZ"
# Any other name is left out.
_NAME = re.compile(BY_PATTERN.replace("?$", "$"))


class DocumentPinError(PulleyError):
    """The stored version and hash of the document cannot be read."""


@dataclass(frozen=True)
class DocumentPin:
    """The document's version and its content's SHA-256, as SSM reported them."""

    version: str
    hash: str


@dataclass(frozen=True)
class SendRequest:
    """One SendCommand: the document, on a target's hosts."""

    target: str
    document: str
    document_pin: DocumentPin | None
    selectors: tuple[tuple[str, tuple[str, ...]], ...]
    parameters: Mapping[str, str]
    comment: str
    max_concurrency: str
    max_errors: str
    log_group: str


def document_name(stage: str) -> str:
    """The stage's document."""
    return f"pulley-{stage}-pull"


def build_send_request(  # noqa: PLR0913 - each is a fact of its own
    target: Target,
    *,
    stage: str,
    commit: CommitSha | None,
    issued: int,
    cause: str,
    delivery: str = "",
    deployment: int | None = None,
    pushed_at: datetime | None = None,
    document_pin: DocumentPin | None = None,
    update: str = "",
    instance_ids: tuple[str, ...] = (),
    attempt: int = 0,
    by: str = "",
) -> SendRequest:
    """What brings a target's hosts to a tip that has the commit, or with `update` exact to it.

    `issued` is in epoch milliseconds, `deployment` GitHub's id, `pushed_at` aware, `by` who is the
    cause. The host ignores these and `attempt`: the report needs them. With `instance_ids`, fifty
    at the most, it is for these hosts alone. `commit` None means the branch's tip, or none; only
    where `update` is not of DEPLOYING.
    """
    ids = instance_ids or target.instances.ids
    if ids:
        selectors: tuple[tuple[str, tuple[str, ...]], ...] = (("InstanceIds", ids),)
    else:
        tags = [(f"tag:{key}", values) for key, values in target.instances.tags]
        selectors = ((f"tag:{STAGE_TAG}", (stage,)), *tags)
    pushed = f"{pushed_at.astimezone(UTC):{_TIME}}" if pushed_at else ""
    by = by if _NAME.fullmatch(by.removesuffix("[bot]")) else ""
    when = f" at {pushed}" if pushed else ""
    when += f", attempt {attempt}" if attempt else ""
    when += f" by {by}" if by else ""
    if commit is None:
        what = f"{update} of"
    elif (update or target.update) in DEPLOYING:
        what = f"{target.repository} {commit.short} to"
    else:
        what = f"{update} {commit.short} of"
    comment = f"{cause}{when}: {what} {target.name}"
    return SendRequest(
        target=target.name,
        document=document_name(stage),
        document_pin=document_pin,
        selectors=selectors,
        parameters={
            "Target": target.name,
            "Repository": str(target.repository),
            "Checkout": target.checkout,
            "Branch": target.branch.name,
            "Commit": commit.sha if commit else "",
            "Update": update or target.update,
            "AfterPull": target.after_pull,
            "Restart": ",".join(target.restart),
            "HealthCheck": target.health_check,
            "Timeout": str(target.timeout),
            "Issued": str(issued),
            "Cause": cause,
            "Delivery": delivery,
            "Deployment": "" if deployment is None else str(deployment),
            "Attempt": str(attempt or ""),
            "By": by.removesuffix("[bot]"),
            "PushedAt": pushed,
            "Saved": target.saved,
        },
        comment=comment[:100],
        max_concurrency=target.max_concurrency,
        max_errors=target.max_errors,
        log_group=target.log_group,
    )


def parse_time(text: str) -> datetime | None:
    """A time as PushedAt has it, in UTC; None for anything else: the 31st of February, say."""
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def parse_document_pin(text: str) -> DocumentPin:
    """From the stored JSON `{version, hash}`. Raises DocumentPinError."""
    try:
        stored = json.loads(text)
        pin = DocumentPin(str(stored["version"]), str(stored["hash"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DocumentPinError("must be JSON with version and hash") from None
    if not re.fullmatch("[1-9][0-9]{0,9}", pin.version) or not re.fullmatch(
        "[0-9a-f]{64}", pin.hash
    ):
        raise DocumentPinError("must have a version number and a SHA-256 of 64 hex digits")
    return pin
