"""A webhook on loopback that records the requests."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self

from tests.processes import HANG_SECONDS


class Posted(NamedTuple):
    """A request as received. The names of the headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> str:
        return self.headers["x-github-event"]


class Listener:
    """Answers each request with `status` and `answer`, but waits while `gate` is closed.

    `react` is called before the answer.
    """

    def __init__(self) -> None:
        self.status, self.answer = 202, b'{"deployments": []}'
        self.react: Callable[[], object] = lambda: None
        self.posted: list[Posted] = []
        self.gate = threading.Event()
        self.gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/github"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def events(self) -> list[str]:
        return [one.event for one in self.posted]

    def _handler(listener) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - self is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers["content-length"]))
                listener.posted.append(Posted(self.path, headers, body))
                listener.gate.wait(HANG_SECONDS)
                listener.react()
                self.send_response(listener.status)
                self.send_header("X-Answer", "yes")
                self.end_headers()
                self.wfile.write(listener.answer)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
