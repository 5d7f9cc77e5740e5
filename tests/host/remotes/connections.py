"""A port on loopback: a function answers each connection, in a thread of its own."""

import contextlib
import math
import socket
import threading
from collections.abc import Callable
from typing import Self


class Port:
    """Answers each connection; at the end all are shut, and their threads have ended."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.number: int = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_error: object) -> None:
        shut(self._listening)
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    @property
    def count(self) -> int:
        """How many have connected."""
        return len(self._connections)

    def cut(self) -> None:
        """Cut all connections, as a router does that loses its state."""
        for connection in self._connections:
            shut(connection)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # shut
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the other side may go at any time
            self._answer(connection)


def shut(connection: socket.socket) -> None:
    """Shut both directions, which also wakes readers. A connection may be shut already."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def copy(source: socket.socket, target: socket.socket, most_bytes: float = math.inf) -> None:
    """Copy until the source ends or `most_bytes` have passed; then shut both."""
    passed = 0
    with contextlib.suppress(OSError):
        while passed < most_bytes and (data := source.recv(65536)):
            target.sendall(data)
            passed += len(data)
    shut(source)
    shut(target)
