"""An Application Load Balancer on loopback: it forwards each request to a target of one group.

It answers 502 if the target's connection fails, breaks, or is cut because the deregistration delay
is over, 503 if the group has no target for requests, and 504 if the target stays silent.

Source: Elastic Load Balancing, User Guide for Application Load Balancers, "Troubleshoot your
Application Load Balancers".
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from typing import Protocol

from pulley.sandbox.load_balancing.targets import Target
from pulley.sandbox.private.server import OwnRequests
from pulley.sandbox.tcp_server import TcpServer

TARGET_HEADER = "X-Sandbox-Target"  # the instance's id; AWS has no such header
_IDLE_SECONDS = 60  # AWS's default
# They are about one connection. Content-Length is written anew.
_OF_A_CONNECTION = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


class Group(Protocol):
    """The target group that a balancer forwards to."""

    def forward(self) -> AbstractContextManager["Route | None"]:
        """The target of one request, which is under way within the block; None without a target."""
        ...

    def states(self) -> dict[str, str]:
        """The state of each target, by instance id."""
        ...

    def wait_for(self, instance_id: str, state: str, *, timeout: float) -> None:
        """Return when a target has a state. Raises TimeoutError."""
        ...


@dataclass(frozen=True)
class Route:
    """Where a request goes. `address` is None if nothing listens for the instance."""

    target: Target
    address: str | None
    connect: Callable[[HTTPConnection], None]


class Balancer:
    """A load balancer: `url` is where it listens, `arn` its target group's."""

    def __init__(self, arn: str, group: Group) -> None:
        """Listen on 127.0.0.1."""
        self.arn = arn
        self._group = group
        self._server = TcpServer("127.0.0.1", 0, partial(_Handler, group))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._server.start()
        self._closing = threading.Lock()
        self._closed = False

    def states(self) -> dict[str, str]:
        """The state of each target, such as healthy or draining, by instance id."""
        return self._group.states()

    def wait_for(self, instance_id: str, state: str, *, timeout: float = 600) -> None:
        """Return when a target has a state. Raises TimeoutError. "unused" is: no target."""
        self._group.wait_for(instance_id, state, timeout=timeout)

    def close(self) -> None:
        """Cut all connections, and listen no more."""
        with self._closing:
            if not self._closed:
                self._server.stop()
            self._closed = True


class _Handler(OwnRequests, BaseHTTPRequestHandler):
    """Answers the requests of one client's connection, one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    def __init__(self, group: Group, *connection: object) -> None:
        """Answer all that comes on the connection."""
        self._group = group
        super().__init__(*connection)  # type: ignore[arg-type]

    def _forward(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True  # the body stays unread
            self._refuse(HTTPStatus.NOT_IMPLEMENTED)
            return
        body = self.rfile.read(int(length))
        with self._group.forward() as route:
            if route is None:
                self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
                return
            try:
                status, headers, content = self._ask(route, body)
            except TimeoutError:
                self._refuse(HTTPStatus.GATEWAY_TIMEOUT, route.target.instance_id)
                return
            except (OSError, HTTPException):
                self._refuse(HTTPStatus.BAD_GATEWAY, route.target.instance_id)
                return
        self._answer(status, [*headers, (TARGET_HEADER, route.target.instance_id)], content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _forward  # noqa: N815

    def _ask(self, route: Route, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Let the target answer. Returns the whole answer. Raises OSError and HTTPException."""
        if route.address is None:
            raise ConnectionRefusedError
        connection = HTTPConnection(route.address, route.target.port, timeout=_IDLE_SECONDS)
        try:
            route.connect(connection)
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for key, value in self.headers.items():
                if key.lower() not in _OF_A_CONNECTION:
                    connection.putheader(key, value)
            connection.putheader("X-Forwarded-For", self.client_address[0])
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _refuse(self, status: HTTPStatus, instance_id: str = "") -> None:
        """Answer with an error of the balancer's own."""
        named = [(TARGET_HEADER, instance_id)] if instance_id else []
        page = f"<html><body><h1>{status.value} {status.phrase}</h1></body></html>\n".encode()
        length = ("Content-Length", str(len(page)))
        self._answer(
            status, [("Server", "awselb/2.0"), ("Content-Type", "text/html"), length, *named], page
        )

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        has_length = False
        for key, value in headers:
            if key.lower() not in _OF_A_CONNECTION:
                has_length = has_length or key.lower() == "content-length"
                self.send_header(key, value)
        if not has_length and status >= HTTPStatus.OK and status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
