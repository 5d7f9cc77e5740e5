"""EventBridge for Run Command: sends status changes, in order, on one thread.

A subscriber never delays a command, and a subscriber that raises breaks nothing.
"""

import json
import logging
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from queue import Queue

from pulley.sandbox.run_command.commands import EmulatedCommand, EmulatedInvocation

Event = dict[str, object]
Subscriber = Callable[[Event], None]

_LOG = logging.getLogger(__name__)


class EventBus:
    """Builds the events of a status change and passes them to every subscriber."""

    def __init__(self, *, account: str, region: str) -> None:
        """Start the thread that calls the subscribers."""
        self._account, self._region = account, region
        self._subscribers: list[Subscriber] = []
        self._queue: Queue[Event | None] = Queue()
        self._thread = threading.Thread(target=self._deliver, daemon=True)
        self._thread.start()

    def subscribe(self, callback: Subscriber) -> None:
        """Call back with every event from now on."""
        self._subscribers.append(callback)

    def publish(
        self, command: EmulatedCommand, now: datetime, invocation: EmulatedInvocation | None = None
    ) -> None:
        """Send the current status of the invocation, or else of the command."""
        subject = "Command Invocation" if invocation else "Command"
        instances = (invocation,) if invocation else command.invocations
        detail: Event = {
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
        arn = f"arn:aws:ec2:{self._region}:{self._account}:instance"
        self._queue.put(
            {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": f"EC2 {subject} Status-change Notification",
                "source": "aws.ssm",
                "account": self._account,
                "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "region": self._region,
                "resources": [f"{arn}/{one.instance_id}" for one in instances],
                "detail": detail,
            }
        )

    def wait_until_delivered(self) -> None:
        """Wait until nothing is queued and no subscriber is being called."""
        self._queue.join()

    def close(self) -> None:
        """Deliver what is still queued, then stop."""
        self._queue.put(None)
        self._thread.join()

    def _deliver(self) -> None:
        while (event := self._queue.get()) is not None:
            for subscriber in tuple(self._subscribers):
                try:
                    subscriber(event)
                except Exception:  # noqa: BLE001 - the subscriber's fault, which is logged
                    _LOG.exception("a subscriber failed on %s", event["detail-type"])
            self._queue.task_done()


def _timestamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
