"""Faults: what GitHub's API answers in place of the true answer, if a test says so."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from werkzeug.wrappers import Response


@dataclass(frozen=True)
class Fault:
    """What to answer in place of the true answer, and how slowly.

    `silent_seconds` pass before the first byte, `drip_seconds` before each byte of the body.
    With `applied_first` the request is carried out: only its answer is lost.
    """

    status: int = 500
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    silent_seconds: float = 0
    drip_seconds: float = 0
    applied_first: bool = False

    def respond(self, closing: threading.Event) -> Response:
        """The answer. Once `closing` is set, it stops waiting and may be cut short."""
        closing.wait(self.silent_seconds)

        def drip() -> Iterator[bytes]:
            for byte in self.body:
                if closing.wait(self.drip_seconds):
                    return
                yield bytes([byte])

        headers = {"Content-Type": "application/json; charset=utf-8", **self.headers}
        headers["Content-Length"] = str(len(self.body))
        return Response(drip() if self.drip_seconds else self.body, self.status, headers)
