"""Run Command's events, as Systems Manager's documentation shows them."""

import json
from datetime import datetime

from pulley.sandbox.event_bus import EventBus
from pulley.sandbox.run_command.commands import EmulatedCommand, EmulatedInvocation

SOURCE = "aws.ssm"


class StatusEvents:
    """Publishes the changed status of commands and of their invocations."""

    def __init__(self, bus: EventBus) -> None:
        """Publish on this bus."""
        self._bus = bus

    def publish(
        self, command: EmulatedCommand, now: datetime, invocation: EmulatedInvocation | None = None
    ) -> None:
        """Send the current status of the invocation, or else of the command."""
        subject = "Command Invocation" if invocation else "Command"
        instances = (invocation,) if invocation else command.invocations
        detail: dict[str, object] = {
            "command-id": command.id,
            "document-name": command.request.document,
            "requested-date-time": _timestamp(command.requested),
            "status": (invocation or command).status.name,
        }
        if invocation:
            detail["instance-id"] = invocation.instance_id
        else:
            detail["expire-after"] = _timestamp(command.expires_after)
            detail["parameters"] = json.dumps(
                {name: list(values) for name, values in command.request.parameters.items()}
            )
        arn = f"arn:aws:ec2:{self._bus.region}:{self._bus.account}:instance"
        self._bus.publish(
            SOURCE,
            f"EC2 {subject} Status-change Notification",
            detail,
            resources=[f"{arn}/{one.instance_id}" for one in instances],
            at=now,
        )


def _timestamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
