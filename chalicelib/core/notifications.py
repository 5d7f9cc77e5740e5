"""Notifications. `message` is in the schema of Amazon Q Developer in chat applications."""

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.core.deployments import DeploymentStatus, plain_text
from chalicelib.core.observations import AT
from chalicelib.core.verdicts import Verdict

MAX_SUBJECT = 100  # SNS: one line of ASCII


@dataclass(frozen=True)
class Notification:
    """Subscriptions filter by the attributes."""

    subject: str
    text: str  # for mail
    message: Mapping[str, object]
    attributes: Mapping[str, str]


def launch_notification(
    *, stage: str, host: str, group: str, done: str, reason: str
) -> Notification:
    """Of a failed launch."""
    host, reason = plain_text(host), plain_text(reason, 500)
    return _notification(
        f"{host}: launch {done}, {reason}",
        {"title": f"{host} in {group}: launch {done}"},
        {"threadId": f"launch-{group}", "eventType": "launch"},
        {"state": done, "group": group},
        {"stage": stage, "host": host, "reason": reason},
    )


def notification_of(
    verdict: Verdict, status: DeploymentStatus, *, stage: str, environment: str, log_url: str
) -> Notification:
    """Of a deployment that ended with this status."""
    roll_out = verdict.roll_out
    line = f"{roll_out.target}: {status.state}, {status.description}"
    attributes = {"target": roll_out.target, "state": status.state, "environment": environment}
    parts = {
        "stage": stage,
        "repository": str(roll_out.repository),
        "commit": roll_out.commit.sha,
        "description": status.description,
        "cause": roll_out.cause,
        "delivery": roll_out.delivery,
        "command_id": verdict.command_id,
        "hosts": str(verdict.expected_hosts),
        "hosts_at_commit": str(verdict.count(AT)),
        "log_url": log_url,
    }
    content: dict[str, object] = {
        "title": f"{roll_out.repository} {roll_out.commit.short}: {status.state}"
    }
    if status.state in {"failure", "error"}:
        content["nextSteps"] = [f"Read the output: {log_url}"]
    thread = f"{roll_out.target}-{roll_out.commit.short}"
    about = {"threadId": thread, "eventType": "deployment"}
    return _notification(line, content, about, attributes, parts)


def _notification(
    line: str,
    content: Mapping[str, object],
    about: Mapping[str, str],
    attributes: Mapping[str, str],
    parts: Mapping[str, str],
) -> Notification:
    facts = {name: text for name, text in {**attributes, **parts}.items() if text}
    return Notification(
        subject=plain_text(line, MAX_SUBJECT - 2)
        .replace("…", "...")
        .encode("ascii", "replace")
        .decode(),
        text="\n".join((line, "", *(f"{name}: {text}" for name, text in facts.items()))),
        message={
            "version": "1.0",
            "source": "custom",
            "content": {**content, "description": line},
            "metadata": {**about, "summary": line, "additionalContext": facts},
        },
        attributes=attributes,
    )
