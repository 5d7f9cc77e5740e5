"""Serves the page on loopback, read with the operator's own credentials.

The address has a random part, so that neither another user of the machine nor a web page that
guesses the port can read it.
"""

import json
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import SplitResult, parse_qs, urlsplit

from chalicelib.core.decisions import DecisionLog
from chalicelib.core.errors import PulleyError
from chalicelib.page.answers import HEADERS, html_headers, json_text
from chalicelib.page.document import page
from chalicelib.page.kept import Kept
from chalicelib.page.reading import Source, StageReading
from pulley.operator.stage.stage import Stage, utc_now

FRESH_SECONDS = 2.5
IDLE_SECONDS = 3600.0  # without a request, the server ends
SLOW_SECONDS = 30  # a browser that sends nothing for so long has gone away
_NOT_FOUND = {"error": "not found"}


def reading_of(stage: Stage, journal: DecisionLog) -> StageReading:
    """Reads the stage with the operator's credentials, and the stage's tokens or the operator's."""
    source = Source(
        surroundings=stage.surroundings,
        stored=stage.stored,
        directory=stage.directory,
        history=stage.history,
        outputs=stage.outputs,
        github_api=stage.settings.github_api,
        journal=journal,
        own_token=stage.own_token(),
    )
    return StageReading(source)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_port = False  # else another process could take part of the requests

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that went away. Anything else is a defect: show it."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # a socket


class PageServer:
    """Serves the page until nobody has looked for a while, or `close` is called."""

    def __init__(self, reading: StageReading, *, port: int = 0) -> None:
        """`port` 0 is any free one. Raises OSError if the port is taken."""
        self._place = f"/{secrets.token_urlsafe(18)}/"
        self._reading = reading
        self._kept: Kept[bytes] = Kept(FRESH_SECONDS)
        self._asked_at = time.monotonic()
        self._server = _Server(("127.0.0.1", port), self._handler())

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{self._place}"

    def serve(self) -> None:
        """Answer requests, until the server is closed or idle."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        while thread.is_alive() and time.monotonic() - self._asked_at < IDLE_SECONDS:
            thread.join(1)
        self.close()

    def close(self) -> None:
        """Stop, and free the port."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, target: str) -> tuple[int, Mapping[str, str], bytes]:
        """The answer to GET of a path with its query: status, headers and body."""
        if not target.startswith(self._place):
            return HTTPStatus.NOT_FOUND, HEADERS, json.dumps(_NOT_FOUND).encode()
        self._asked_at = time.monotonic()
        try:
            return self._found(urlsplit(target))
        except PulleyError as error:
            body = json_text({"error": error.in_full}).encode()
            return HTTPStatus.SERVICE_UNAVAILABLE, HEADERS, body
        except Exception as error:  # noqa: BLE001 - a defect: show it on the page
            body = json_text({"error": f"{type(error).__name__}: {error}"}).encode()
            return HTTPStatus.INTERNAL_SERVER_ERROR, HEADERS, body

    def _found(self, asked: SplitResult) -> tuple[int, Mapping[str, str], bytes]:
        name, query = asked.path.removeprefix(self._place), parse_qs(asked.query)
        if name == "":
            return HTTPStatus.OK, html_headers(), page().encode()
        if name == "state.json":
            return HTTPStatus.OK, HEADERS, self._kept.get(self._state)
        if name == "history.json" and (body := self._past(query.get("target", [""])[0])):
            return HTTPStatus.OK, HEADERS, body
        return HTTPStatus.NOT_FOUND, HEADERS, json.dumps(_NOT_FOUND).encode()

    def _state(self) -> bytes:
        return json_text(self._reading.state(now=utc_now())).encode()

    def _past(self, target: str) -> bytes:
        found = self._reading.past(target, now=utc_now())
        return json_text(found).encode() if found else b""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            timeout = SLOW_SECONDS

            server_version, sys_version = "Pulley", ""

            def do_GET(self) -> None:
                status, headers, body = answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
                """Log nothing: the page shows what went wrong."""

        return Handler
