"""EventBridge of an account: passes on events, in order, on one thread.

A subscriber never delays whoever publishes, and a subscriber that raises breaks nothing.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from queue import Queue

from moto.events.models import EventPattern

Event = dict[str, object]
Pattern = Mapping[str, object]
Subscriber = Callable[[Event], object]

_LOG = logging.getLogger(__name__)


class EventBus:
    """Takes events and passes each to the subscribers whose pattern matches it."""

    def __init__(self, *, account: str, region: str) -> None:
        """Start the thread that calls the subscribers."""
        self.account, self.region = account, region
        self._subscribers: tuple[tuple[Subscriber, Pattern], ...] = ()
        # An event has its own subscribers: later ones must not get what is still queued.
        self._queue: Queue[tuple[Event, tuple[tuple[Subscriber, Pattern], ...]] | None] = Queue()
        self._thread = threading.Thread(target=self._deliver, daemon=True)
        self._thread.start()

    def subscribe(self, callback: Subscriber, pattern: Pattern) -> None:
        """Call back with each event from now on that a rule with this pattern would match."""
        self._subscribers = (*self._subscribers, (callback, pattern))

    def publish(
        self,
        source: str,
        kind: str,
        detail: Mapping[str, object],
        *,
        resources: Sequence[str] = (),
        at: datetime | None = None,
    ) -> None:
        """Send an event of an AWS service. `kind` is its `detail-type`; it happened now or `at`."""
        event: Event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": kind,
            "source": source,
            "account": self.account,
            "time": (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region,
            "resources": list(resources),
            "detail": dict(detail),
        }
        self._queue.put((event, self._subscribers))

    def wait_until_delivered(self) -> None:
        """Wait until nothing is queued and no subscriber is being called."""
        self._queue.join()

    def close(self) -> None:
        """Deliver what is still queued, then stop."""
        self._queue.put(None)
        self._thread.join()

    def _deliver(self) -> None:
        while (queued := self._queue.get()) is not None:
            event, subscribers = queued
            for callback, pattern in subscribers:
                try:
                    if matches(pattern, event):
                        callback(event)
                except Exception:  # noqa: BLE001 - the subscriber's fault, which is logged
                    _LOG.exception("a subscriber failed on %s", event["detail-type"])
            self._queue.task_done()


def matches(pattern: Pattern, event: Mapping[str, object]) -> bool:
    """Whether EventBridge would deliver the event to a rule with this pattern, by moto."""
    return bool(EventPattern(None, dict(pattern)).matches_event(dict(event)))  # type: ignore[arg-type]
