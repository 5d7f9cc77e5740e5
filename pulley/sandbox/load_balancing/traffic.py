"""Clients of a site: a fixed number of requests a second, even if answers are late or fail.

A request is due at its time, even if those before it are slow: so an outage is not counted too low.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from itertools import count
from urllib.parse import urlsplit

from pulley.sandbox.load_balancing.balancer import TARGET_HEADER

_CLIENTS = 8  # each keeps its connection
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """A request and what came of it: `status`, or why none came (`error`).

    `at` is when it was sent, in seconds since the first; `seconds` is how long it took.
    """

    at: float
    seconds: float
    status: int = 0
    error: str = ""
    instance_id: str = ""  # of the target; "" if the balancer had none

    @property
    def is_failed(self) -> bool:
        """Whether the client got no page."""
        return not HTTPStatus.OK <= self.status < HTTPStatus.BAD_REQUEST


class Seen:
    """All answers so far."""

    def __init__(self) -> None:
        """Without answers."""
        self._answers: list[Answer] = []
        self._changed = threading.Condition()

    def add(self, answer: Answer) -> None:
        """Note one more."""
        with self._changed:
            self._answers.append(answer)
            self._changed.notify_all()

    @property
    def answers(self) -> list[Answer]:
        """The answers, in the order in which they came."""
        with self._changed:
            return [*self._answers]

    @property
    def failures(self) -> list[Answer]:
        """The failed ones."""
        return [one for one in self.answers if one.is_failed]

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self.answers)

    @property
    def failed(self) -> int:
        """How many failed."""
        return len(self.failures)

    @property
    def share_failed(self) -> float:
        """The share of those that failed, from 0 to 1; 0 without any."""
        return self.failed / self.total if self.total else 0.0

    def wait_for_more(self, number: int, *, timeout: float = 600) -> None:
        """Return when so many more have come. Raises TimeoutError."""
        with self._changed:
            wanted = len(self._answers) + number
            if not self._changed.wait_for(lambda: len(self._answers) >= wanted, timeout):
                raise TimeoutError(f"{wanted - len(self._answers)} of {number} are missing")


@contextmanager
def traffic(url: str, rate: float, *, clients: int = _CLIENTS) -> Iterator[Seen]:
    """Request a page `rate` times a second within the block. At its end, wait for what is due."""
    seen, ended = Seen(), threading.Event()
    numbers, begun = count(), time.monotonic()

    def run() -> None:
        client = _Client(url)
        for number in numbers:  # a step of `count` is atomic: no number comes twice
            due = begun + number / rate
            if ended.wait(max(0.0, due - time.monotonic())):
                break
            seen.add(client.get(begun))
        client.close()

    threads = [threading.Thread(target=run, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()


class _Client:
    """A client that keeps its connection as long as that works."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path or "/"
        self._connection = HTTPConnection(
            parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS
        )

    def get(self, begun: float) -> Answer:
        """Request the page once. It connects anew after a failure."""
        sent = time.monotonic()
        try:
            self._connection.request("GET", self._path)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            return Answer(sent - begun, time.monotonic() - sent, error=repr(error))
        return Answer(
            sent - begun,
            time.monotonic() - sent,
            status=answer.status,
            instance_id=answer.headers.get(TARGET_HEADER, ""),
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
