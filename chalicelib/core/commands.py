"""The contract with Systems Manager: the document, a send request, a host's result line.

Nothing from a payload reaches a host but a commit of 40 hex digits and a delivery's GUID; the rest
comes from the target. Every value meets its pattern here, in SSM, and once more in the script.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import BRANCH_PATTERN, REPOSITORY_PATTERN, CommitSha
from chalicelib.core.targets import (
    AFTER_PULL_PATTERN,
    CHECKOUT_PATTERN,
    HEALTH_CHECK_PATTERN,
    NAME_PATTERN,
    RESTART_PATTERN,
    STAGE_TAG,
    Target,
)

# The agent enforces allowedPattern only, unanchored, as RE2; and before version 3.3.2746.0 it
# writes the value into the script as text. So each is anchored, and admits no quote, `$`,
# backslash, brace, space or newline. The value is the parameter's pattern, and what it
# means where its name does not say it: a document has little room.
PARAMETERS: Mapping[str, tuple[str, str]] = {
    "Target": (NAME_PATTERN, ""),
    "Repository": (REPOSITORY_PATTERN, ""),
    "Checkout": (CHECKOUT_PATTERN, ""),
    "Branch": (BRANCH_PATTERN, ""),
    "Commit": ("^([0-9a-f]{40})?$", "Must be in the branch; empty: its tip"),
    "Update": ("^(rebase|reset|exact|check)$", ""),
    "AfterPull": (AFTER_PULL_PATTERN, ""),
    "Restart": (RESTART_PATTERN, "systemd units, separated by commas"),
    "HealthCheck": (HEALTH_CHECK_PATTERN, ""),
    "Timeout": ("^[1-9][0-9]{1,5}$", "Seconds"),
    "Issued": ("^([0-9]{1,15})?$", "Epoch milliseconds"),
    "Cause": ("^(push|reconcile|rollback|manual)$", ""),
    "Delivery": ("^[0-9A-Za-z-]{0,64}$", ""),
    "Deployment": ("^[0-9]{0,20}$", ""),
}
RELEASE = "0.1.0"  # pyproject.toml has the same
_PRODUCT = "Pulley/"
# EventBridge's name for an event of a whole command: Systems Manager User Guide, "Monitoring
# Systems Manager events with Amazon EventBridge".
COMMAND_CHANGE = "EC2 Command Status-change Notification"
_DEFAULTS = {"Update": "rebase", "Timeout": "600", "Cause": "manual"} | dict.fromkeys(
    ("Commit", "AfterPull", "Restart", "HealthCheck", "Issued", "Delivery", "Deployment"), ""
)
# The agent takes the step's limit only by text substitution; an environment variable would leave
# the braces standing.
_BY_TEXT = "Timeout"
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_PUSHED_AT = re.compile(r"push at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)( by [^ ]+)?: ", re.ASCII)
# A login of GitHub's, a bot's too, or the end of an ARN; whatever else it is stays out.
_NAME = re.compile(r"[A-Za-z0-9._@+=,-]{1,39}(\[bot\])?")
_BY = re.compile(rf"[a-z]+(?: at [0-9TZ:-]+)? by ({_NAME.pattern}): ")
_ATTEMPT = re.compile(r"reconcile, attempt ([1-9]): ", re.ASCII)


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


def build_document(script: str) -> dict[str, object]:
    """The SSM document (schema 2.2, one step: a failed step would not stop the next).

    The script is one string in the list of commands: the agent compiles patterns for each element,
    which took a second of every run when each line was one.
    """
    parameters = {}
    for name, (pattern, meaning) in PARAMETERS.items():
        parameter = {"type": "String", "allowedPattern": pattern}
        if meaning:
            parameter["description"] = meaning
        if name in _DEFAULTS:
            parameter["default"] = _DEFAULTS[name]
        if name != _BY_TEXT:
            parameter["interpolationType"] = "ENV_VAR"
        parameters[name] = parameter
    step = {
        "action": "aws:runShellScript",
        "name": "pull",
        "precondition": {"StringEquals": ["platformType", "Linux"]},
        "inputs": {
            "timeoutSeconds": f"{{{{ {_BY_TEXT} }}}}",
            "runCommand": [script],
        },
    }
    return {
        "schemaVersion": "2.2",
        "description": f"{_PRODUCT}{RELEASE} brings a git checkout to its branch.",
        "parameters": parameters,
        "mainSteps": [step],
    }


def release_of(content: Mapping[str, object]) -> str:
    """The release that a document's content is of: the first word of its description; "" if none.

    That word is for programs, as in HTTP's User-Agent: a product, a slash, its version.
    """
    word = str(content.get("description", "")).partition(" ")[0]
    return word.removeprefix(_PRODUCT) if word.startswith(_PRODUCT) else ""


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

    `issued` is in epoch milliseconds, `deployment` GitHub's id. `pushed_at` (aware), `attempt` and
    `by` (who is the cause) go into the comment, from which `parse_pushed_at`, `parse_attempt` and
    `parse_by` have them again: a host has no use for them. With `instance_ids`, fifty at the most,
    it is for these hosts alone. Without a commit it is the tip, whatever that is: only `update`
    check, of which nobody reports, can do with that.
    """
    ids = instance_ids or target.instances.ids
    if ids:
        selectors: tuple[tuple[str, tuple[str, ...]], ...] = (("InstanceIds", ids),)
    else:
        tags = [(f"tag:{key}", values) for key, values in target.instances.tags]
        selectors = ((f"tag:{STAGE_TAG}", (stage,)), *tags)
    when = f" at {pushed_at.astimezone(UTC):{_TIME}}" if pushed_at else ""
    when += f", attempt {attempt}" if attempt else ""
    when += f" by {by}" if _NAME.fullmatch(by) else ""
    what = f"{target.repository} {commit.short} to" if commit else f"{update} of"
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
        },
        comment=comment[:100],
        max_concurrency=target.max_concurrency,
        max_errors=target.max_errors,
        log_group=target.log_group,
    )


def parse_pushed_at(comment: str) -> datetime | None:
    """When GitHub took the push that a command's comment tells of, in UTC; None if it does not."""
    told = _PUSHED_AT.match(comment)
    try:
        return datetime.strptime(told[1], _TIME).replace(tzinfo=UTC) if told else None
    except ValueError:  # the 31st of February
        return None


def parse_attempt(comment: str) -> int:
    """Which attempt of reconciling a command's comment tells of; 0 if it is none."""
    told = _ATTEMPT.match(comment)
    return int(told[1]) if told else 0


def parse_by(comment: str) -> str:
    """Who a command's comment says was its cause: a login at GitHub, or of an operator; or ""."""
    told = _BY.match(comment)
    return told[1] if told else ""


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
