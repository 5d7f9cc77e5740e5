"""The notification of a finished deployment or a failed launch: JSON, with a line for people.

Amazon Q Developer in chat applications (formerly AWS Chatbot) shows this JSON in Slack and Teams as
a custom notification; its `additionalContext` has the same facts, each as text.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.core.deployments import DeploymentStatus, plain_text
from chalicelib.core.observations import AT
from chalicelib.core.verdicts import Verdict

MAX_SUBJECT = 100  # SNS: one line of ASCII, which becomes a mail's subject


@dataclass(frozen=True)
class Notification:
    """One message. Subscriptions filter by the attributes."""

    subject: str
    message: Mapping[str, object]
    attributes: Mapping[str, str]


def launch_notification(
    *, stage: str, host: str, group: str, done: str, reason: str
) -> Notification:
    """The notification of an instance that could not be brought to its commit at its launch.

    `done` is "abandoned" or "continued".
    """
    return _notification(
        f"{host}: launch {done}, {reason}",
        f"{host} in {group}: launch {done}",
        {"threadId": f"launch-{group}", "eventType": "launch"},
        {"state": done, "group": group},
        {"stage": stage, "host": host, "reason": reason},
    )


def notification_of(
    verdict: Verdict, status: DeploymentStatus, *, stage: str, environment: str, log_url: str
) -> Notification:
    """The notification of a deployment that ended with this status."""
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
    title = f"{roll_out.repository} {roll_out.commit.short}: {status.state}"
    thread = f"{roll_out.target}-{roll_out.commit.short}"
    about = {"threadId": thread, "eventType": "deployment"}
    return _notification(line, title, about, attributes, parts)


def _notification(
    line: str,
    title: str,
    about: Mapping[str, str],
    attributes: Mapping[str, str],
    parts: Mapping[str, str],
) -> Notification:
    facts = {name: text for name, text in {**attributes, **parts}.items() if text}
    return Notification(
        subject=plain_text(line, MAX_SUBJECT).encode("ascii", "replace").decode(),
        message={
            "version": "1.0",
            "source": "custom",
            "content": {"title": title, "description": line},
            "metadata": {**about, "summary": line, "additionalContext": facts},
        },
        attributes=attributes,
    )
