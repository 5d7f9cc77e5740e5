"""An HTTP server on loopback that sends the answers of a test, byte for byte if needed.

It uses raw sockets, because the tests need answers that no well-behaved server sends.
"""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Self


@dataclass(frozen=True)
class Request:
    """One request as it came; the headers' names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.body)


@dataclass(frozen=True)
class Raw:
    """Bytes to send in parts, and how the connection ends."""

    parts: Iterable[bytes]
    close: bool = True
    reset: bool = False


def answer(content: object = None, status: int = 200, **headers: object) -> Raw:
    """A whole answer: JSON, or bytes as they are. Underscores in headers' names are dashes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Raw([("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), body], close=False)


Script = Callable[[Request], Raw]


class ScriptedServer:
    """Serves from its creation on. `script` makes the answers; `requests` has the requests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for connection in self._connections:
            connection.close()

    @property
    def lines(self) -> list[str]:
        return [f"{request.method} {request.target}" for request in self.requests]

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond the end of the test."""
        self.closing.wait(seconds)

    def silent(self, seconds: float, then: Raw) -> Raw:
        """Send nothing for a while, then the answer."""

        def parts() -> Iterator[bytes]:
            self.wait(seconds)
            yield from then.parts

        return Raw(parts(), close=then.close)

    def dripping(self, content: bytes, seconds: float) -> Raw:
        """Send one byte at a time."""

        def parts() -> Iterator[bytes]:
            for byte in content:
                yield bytes([byte])
                self.wait(seconds)

        return Raw(parts())

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection.makefile("rb") as stream:
            while request := _read(stream):
                self.requests.append(request)
                raw = self.script(request)
                for part in raw.parts:
                    if self.closing.is_set():
                        return
                    connection.sendall(part)
                if raw.reset:
                    connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                    stream.close()
                    connection.close()
                    return
                if raw.close:
                    connection.shutdown(socket.SHUT_RDWR)
                    return


def _read(stream: BinaryIO) -> Request | None:
    first = stream.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = {}
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    return Request(first[0], first[1], headers, body)
