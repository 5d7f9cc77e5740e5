"""A TCP server that knows its connections: it can cut them, as the end of a process does."""

import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pulley.sandbox.private.server import OwnConnections

_STOP_SECONDS = 0.05  # how long a server may take to notice that it should stop
_QUEUED = 128  # connections that nobody has accepted yet


class TcpServer(OwnConnections, socketserver.ThreadingTCPServer):
    """Holds its port from the start: connections are refused until `start`, and after `stop`.

    Unlike `http.server`'s, it does not look up the name of its address in DNS.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = _QUEUED

    def __init__(self, address: str, port: int, handler: Callable[..., Any]) -> None:
        """Raises OSError for a port in use."""
        super().__init__((address, port), handler, bind_and_activate=False)
        self.cut = threading.Event()  # no connection may be answered any more
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        try:
            self.server_bind()
        except OSError:
            self.server_close()
            raise

    def start(self) -> None:
        """Accept connections."""
        self.server_activate()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_STOP_SECONDS,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections, and cut those that are open. The port is free."""
        self.cut.set()
        if self._thread:
            self.shutdown()
            self._thread.join()
        self.server_close()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):  # the other side was faster
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in the base class
        """Answer a new connection on a thread of its own."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as in the base class
        """Close a connection."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in the base class
        """Say nothing about a connection that broke; any other error is a fault of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
