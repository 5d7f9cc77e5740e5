"""The sandbox's HTTP servers: on loopback, for this user's programs, and for no web page.

Each server has the first part and one of the other two.
"""

import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import EnvironHeaders
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

from pulley.sandbox.private.peers import is_ours
from pulley.sandbox.private.requests import PERMISSIVE, refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_ADDRESS = "127.0.0.1"


class OwnConnections:
    """A part of a `socketserver` that closes other users' connections without an answer."""

    def verify_request(self, request: Any, _client: object) -> bool:  # noqa: ANN401 - socketserver's
        """Whether to take the connection."""
        return is_ours(request)


class OwnRequests(BaseHTTPRequestHandler):
    """A handler that answers no request of a web page. It comes before the other base class."""

    def parse_request(self) -> bool:
        """Read the request's head. False if it was refused."""
        if not super().parse_request():
            return False
        words = refusal(self.command, self.headers)
        if words:
            self.close_connection = True  # a body stays unread
            self.send_error(HTTPStatus.FORBIDDEN, words)
        return not words

    def send_header(self, keyword: str, value: str) -> None:
        """Send a header, unless it would let other origins read the answer."""
        if not keyword.lower().startswith(PERMISSIVE):
            super().send_header(keyword, value)


class LoopbackServer(OwnConnections, ThreadedWSGIServer):
    """Serves a WSGI application, which gets no request of a web page."""

    def __init__(
        self, port: int, app: "WSGIApplication", handler: type[WSGIRequestHandler]
    ) -> None:
        """Listen; port 0 is any free one. Raises OSError for a port in use."""
        if port:
            # Raises, because werkzeug would print a line and end the program.
            socket.create_server((_ADDRESS, port)).close()
        super().__init__(_ADDRESS, port, _without_pages(app), handler)


def _without_pages(app: "WSGIApplication") -> "WSGIApplication":
    """Refuse the requests of web pages, and let no other origin read the answers.

    moto's applications would let every origin read them. A header that came twice is one value
    here, joined with a comma.
    """

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(
            status: str,
            headers: list[tuple[str, str]],
            *error: Any,  # noqa: ANN401 - WSGI's
        ) -> Callable[[bytes], object]:
            kept = [(key, one) for key, one in headers if not key.lower().startswith(PERMISSIVE)]
            return start_response(status, kept, *error)

        words = refusal(environ["REQUEST_METHOD"], EnvironHeaders(environ))
        if words:
            return Response(f"{words}\n", HTTPStatus.FORBIDDEN)(environ, start)
        return app(environ, start)

    return serve
