"""Posts webhooks' deliveries over HTTP, as GitHub does, and records them.

From GitHub's pages "Webhook events and payloads" and "Handling webhook deliveries": ten seconds for
the whole answer, no redirects, no retries. The webhook is read just before the delivery, so a
changed secret counts at once. It posts to this machine only: a connection to any other address
fails.
"""

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from pulley.sandbox.github.deliveries import ANSWER_SECONDS, delivery_headers
from pulley.sandbox.github.hooks import HookDelivery, HostedHook

_CONTENT_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


class Post(NamedTuple):
    """A delivery to be posted. Webhooks that get the same event get the same GUID."""

    hook: HostedHook
    event: str
    payload: Mapping[str, object]
    guid: str


@dataclass(frozen=True)
class _Answer:
    """`code` is 0 without an answer; `status` has GitHub's words."""

    code: int
    status: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


class Hookshot:
    """Posts, at once or in the background. `close` cuts off answers that are still missing."""

    def __init__(self, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        """`answer_seconds` is how long a webhook may take."""
        self._answer_seconds = answer_seconds
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def post(
        self,
        hook: HostedHook,
        event: str,
        payload: Mapping[str, object],
        *,
        guid: str = "",
        redelivery: bool = False,
    ) -> HookDelivery:
        """Post now. Returns the delivery, which is also added to the webhook's deliveries."""
        config, guid = hook.config, guid or str(uuid.uuid4())
        body = json.dumps(payload).encode()
        if config.content_type == "form":
            body = urlencode({"payload": body}).encode()
        headers = delivery_headers(
            body,
            config.secret.encode(),
            event=event,
            guid=guid,
            hook_id=hook.id,
            content_type=_CONTENT_TYPES[config.content_type],
        )
        at, began = datetime.now(UTC), time.monotonic()
        answer = self._ask(config.url, body, headers)
        delivery = HookDelivery(
            guid=guid,
            event=event,
            delivered_at=at,
            status_code=answer.code,
            status=answer.status,
            redelivery=redelivery,
            duration=round(time.monotonic() - began, 2),
            url=config.url,
            payload=payload,
            request_headers=headers,
            response_headers=answer.headers,
            response=answer.body,
        )
        with self._changed:
            hook.deliveries.append(delivery)
        return delivery

    def post_later(
        self,
        hook: HostedHook,
        event: str,
        payload: Mapping[str, object],
        *,
        guid: str = "",
        redelivery: bool = False,
    ) -> None:
        """Post in the background."""
        self._begin(lambda: self.post(hook, event, payload, guid=guid, redelivery=redelivery))

    def post_events(self, posts: Sequence[Post]) -> list[HookDelivery]:
        """Post one after the other."""
        return [self.post(one.hook, one.event, one.payload, guid=one.guid) for one in posts]

    def post_events_later(self, posts: Sequence[Post]) -> None:
        """Post one after the other, in the background."""
        self._begin(lambda: self.post_events(posts))

    def wait_until_idle(self, *, timeout: float = 600) -> None:
        """Wait until nothing runs in the background. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._threads, timeout):
                raise TimeoutError(f"{len(self._threads)} deliveries are still under way")

    def close(self) -> None:
        """Cut off running deliveries, which are recorded as not answered."""
        with self._changed:
            self._closed = True
            for one in self._sockets:
                _cut(one)
            under_way = tuple(self._threads)
        for thread in under_way:
            thread.join()

    def _begin(self, work: Callable[[], object]) -> None:
        def run() -> None:
            try:
                work()
            finally:
                with self._changed:
                    self._threads.discard(thread)
                    self._changed.notify_all()

        thread = threading.Thread(target=run, daemon=True)
        with self._changed:
            if self._closed:
                return
            thread.start()  # within the lock: `close` can join only a thread that was started
            self._threads.add(thread)

    def _ask(self, url: str, body: bytes, headers: Mapping[str, str]) -> _Answer:
        try:
            place = urlsplit(url)
            # Look up no name, so that nothing leaves this machine.
            is_here = place.scheme == "http" and ip_address(place.hostname or "").is_loopback
            host, port = place.hostname or "", place.port or 80
        except ValueError:  # a name, or an invalid port
            is_here = False
        if not is_here:
            return _Answer(0, "failed to connect to host")
        connection = HTTPConnection(host, port, timeout=self._answer_seconds)
        late = threading.Event()
        try:
            connection.connect()
            open_socket: socket.socket = connection.sock
        except OSError:
            connection.close()
            return _Answer(0, "failed to connect to host")

        def end() -> None:
            late.set()
            _cut(open_socket)

        # The socket's limit is for each read, GitHub's for the whole answer.
        clock = threading.Timer(self._answer_seconds, end)
        clock.daemon = True
        with self._changed:
            self._sockets.add(open_socket)
            if self._closed:
                _cut(open_socket)
        clock.start()
        try:
            path = (place.path or "/") + (f"?{place.query}" if place.query else "")
            connection.request("POST", path, body, dict(headers))
            with connection.getresponse() as response:
                text = response.read().decode(errors="replace")
            if late.is_set():  # a body that was cut off may look complete
                return _Answer(0, "timed out")
            status = "OK" if response.status // 100 == 2 else ""
            return _Answer(
                response.status,
                status or f"Invalid HTTP Response: {response.status}",
                dict(response.getheaders()),
                text,
            )
        except TimeoutError:
            return _Answer(0, "timed out")
        except (OSError, HTTPException):
            return _Answer(0, "timed out" if late.is_set() else "failed to connect to host")
        finally:
            clock.cancel()
            with self._changed:
                self._sockets.discard(open_socket)
            connection.close()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended already
        connection.shutdown(socket.SHUT_RDWR)
