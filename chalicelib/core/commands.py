"""The contract with Systems Manager: a send request of the stage's document.

Of a delivery, only a commit of 40 hex digits, the GUID, the time and the pusher's login reach the
command; the rest comes from the target. Each value is checked against its pattern when it is
parsed, by SSM (pulley/host/document.py), and again by the script.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import STAGE_TAG, TAGS, Target

# A login of GitHub, or an operator's ARN; empty if not known.
BY_PATTERN = "^([A-Za-z0-9][A-Za-z0-9._@+=,:/-]{0,299})?$"
_LOGIN = "[A-Za-z0-9][A-Za-z0-9._@+=,-]{0,38}"  # of a push: a payload may say anything
# EventBridge's name for an event of a whole command: Systems Manager User Guide, "Monitoring
# Systems Manager events with Amazon EventBridge".
COMMAND_CHANGE = "EC2 Command Status-change Notification"
# Values of Update that deploy. The others only look, or drop what a host has saved.
DEPLOYING = frozenset({"rebase", "reset", "rebase-to", "reset-to", "exact", *TAGS})
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class DocumentPinError(PulleyError):
    """The stored version and hash of the document cannot be read."""


@dataclass(frozen=True)
class DocumentPin:
    """The document's version and its content's SHA-256, as SSM reported them."""

    version: str
    hash: str


@dataclass(frozen=True)
class SendRequest:
    """One SendCommand of the document to a target's hosts."""

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
    """The name of the stage's document."""
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
    reason: str = "",
    tag: str = "",
) -> SendRequest:
    """The request that brings a target's hosts to a tip that contains the commit, or to the commit.

    `tag` is the name of the commit's tag, for a target that follows tags. `issued` is in epoch
    milliseconds, `deployment` is GitHub's id, `pushed_at` is aware, `by` is who pushed or deployed.
    The script ignores `deployment`, `pushed_at`, `by` and `attempt`: the report reads them.
    `reason` is for people, who see it in the command's comment. With `instance_ids`, at most fifty,
    only these hosts get the command. `commit` may be None only if `update` is not in DEPLOYING.
    """
    ids = instance_ids or target.instances.ids
    if ids:
        selectors: tuple[tuple[str, tuple[str, ...]], ...] = (("InstanceIds", ids),)
    else:
        tags = [(f"tag:{key}", values) for key, values in target.instances.tags]
        selectors = ((f"tag:{STAGE_TAG}", (stage,)), *tags)
    pushed = f"{pushed_at.astimezone(UTC):{_TIME}}" if pushed_at else ""
    name = by.removesuffix("[bot]")
    pattern = _LOGIN if cause == "push" else BY_PATTERN
    by = by if name and re.fullmatch(pattern, name) else ""
    when = f" at {pushed}" if pushed else ""
    when += f", attempt {attempt}" if attempt else ""
    when += f" by {by.rpartition('/')[2][:39]}" if by else ""
    if commit is None:
        what = f"{update} of"
    elif (update or target.sent_update) in DEPLOYING:
        what = f"{target.repository} {commit.short} to"
    else:
        what = f"{update} {commit.short} of"
    comment = f"{cause}{when}: {what} {target.name}{f': {reason}' if reason else ''}"
    return SendRequest(
        target=target.name,
        document=document_name(stage),
        document_pin=document_pin,
        selectors=selectors,
        parameters={
            "Target": target.name,
            "Repository": str(target.repository),
            "Checkout": target.checkout,
            "Branch": target.branch.name if target.branch else tag,
            "Commit": commit.sha if commit else "",
            "Update": update or target.sent_update,
            "AfterPull": target.after_pull,
            "Restart": ",".join(target.restart),
            "HealthCheck": target.health_check,
            "Timeout": str(target.timeout),
            "Issued": str(issued),
            "Cause": cause,
            "Delivery": delivery,
            "Deployment": "" if deployment is None else str(deployment),
            "Attempt": str(attempt or ""),
            "By": name if by else "",
            "PushedAt": pushed,
            "Saved": target.saved,
            # A stage's document of an older release does not have these.
            **({"Paths": ",".join(target.paths)} if target.paths else {}),
            **({"Clone": target.clone, "Owner": target.owner} if target.clone else {}),
            **({"Drain": ",".join(target.drain)} if target.drain else {}),
            **({"BeforeRestart": target.before_restart} if target.before_restart else {}),
            **({"AfterHealthy": target.after_healthy} if target.after_healthy else {}),
            **({"Releases": _releases(target)} if target.has_releases else {}),
        },
        comment=comment[:100],
        max_concurrency=target.max_concurrency,
        max_errors=target.max_errors,
        log_group=target.log_group,
    )


def _releases(target: Target) -> str:
    """How many releases stay, and what they share."""
    return ",".join((str(target.keep), *target.shared))


def parse_time(text: str) -> datetime | None:
    """Parse a PushedAt, in UTC; None if it is not a time (the 31st of February, for example)."""
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def parse_document_pin(text: str) -> DocumentPin:
    """Parse the stored JSON `{version, hash}`. Raises DocumentPinError."""
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
