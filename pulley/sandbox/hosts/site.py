"""An emulated host's site, so that a target's `health_check` gets a real answer.

All hosts of a target have the same URL for their site, but here they share one loopback. So each
site has an address of its own in 127.0.0.0/8, all have the same port, and a host's `curl` asks the
host's own site.
The server runs as the sandbox's user, so it must serve only files of the host's owner.
"""

import io
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from pulley.sandbox.hosts import curl
from pulley.sandbox.hosts.users import OWNER
from pulley.sandbox.private.server import OwnRequests
from pulley.sandbox.tcp_server import TcpServer

_NETWORK = "127.0.1"
_SHARED = "127.0.0.1"  # the address that each host uses for itself
_PORTS_TRIED = 20
# The hosts' owner may not be allowed to enter the folder of the Python that runs the sandbox.
_CURL = """\
#!/bin/sh
# Stands in for curl's: asks this host's own site for what is at {shared}.
python={python}
[ -x "$python" ] || python=python3
exec "$python" -IS {program} {shared} {own} "$@"
"""


class Site:
    """A static web server of one folder, on an address of its own.

    Where there are release folders, it serves this folder of the release that is current.

    `pause` is how many seconds it thinks about each answer.
    """

    def __init__(self, folder: Path, address: str, port: int = 0) -> None:
        """Serve the folder as it is at each request. Raises OSError for a port in use."""
        self.pause = 0.0
        self._handler = partial(_Handler, self, folder)
        self._server = TcpServer(address, port, self._handler)
        self.address, self.port = address, int(self._server.server_address[1])
        self.url = f"http://{address}:{self.port}/"
        self._lock = threading.RLock()
        self._is_up = self._is_closed = False
        self._starting: threading.Timer | None = None
        self.start()

    def start(self) -> None:
        """Serve, unless it serves already, or is closed."""
        with self._lock:
            if not self._is_up and not self._is_closed:
                self._server.start()
                self._is_up = True

    def stop(self) -> None:
        """Refuse connections, and cut those under way, as when the server's process is killed."""
        with self._lock:
            self._forget_restart()
            if self._is_up:
                self._server.stop()
                self._server = TcpServer(self.address, self.port, self._handler)
                self._is_up = False

    def restart(self, seconds: float) -> None:
        """Stop, and serve again after this time. Does not wait for it."""
        with self._lock:
            self.stop()
            self._starting = threading.Timer(seconds, self._come_back)
            self._starting.daemon = True
            self._starting.start()

    @property
    def health_check(self) -> str:
        """The URL that the host itself asks, the same on every host."""
        return f"http://{_SHARED}:{self.port}/health"

    def install_curl(self, root: Path, *, python: Path = Path(sys.executable)) -> Path:
        """Put the stand-in into the `bin` below a host's root. Returns its path."""
        program = root / "libexec/curl.py"
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(curl.__file__, program)
        program.chmod(0o644)
        stand_in = root / "bin/curl"
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text(
            _CURL.format(
                python=shlex.quote(str(python)),
                program=shlex.quote(str(program)),
                shared=f"{_SHARED}:{self.port}",
                own=f"{self.address}:{self.port}",
            )
        )
        stand_in.chmod(0o755)
        return stand_in

    def close(self) -> None:
        """Stop serving for ever."""
        with self._lock:
            self._forget_restart()
            if not self._is_closed:
                self._server.stop()
            self._is_closed = True

    def _forget_restart(self) -> None:
        if self._starting:
            self._starting.cancel()
        self._starting = None

    def _come_back(self) -> None:
        with self._lock:
            if self._starting is threading.current_thread():  # nobody stopped it meanwhile
                self.start()


def open_sites(folders: Sequence[Path]) -> list[Site]:
    """A site for each folder, at 127.0.1.1 and so on, on one port. Raises OSError."""
    for tried in range(1, _PORTS_TRIED + 1):
        with ExitStack() as opening:
            sites: list[Site] = []
            try:
                for number, folder in enumerate(folders, 1):
                    port = sites[0].port if sites else 0
                    sites.append(Site(folder, f"{_NETWORK}.{number}", port))
                    opening.callback(sites[-1].close)
            except OSError:  # free at the first address, but in use at a later one
                if tried == _PORTS_TRIED:
                    raise
                continue
            opening.pop_all()
            return sites
    raise AssertionError("a last try returns or raises")


class _Handler(OwnRequests, SimpleHTTPRequestHandler):
    """Serves files as nginx does, and lists no folder."""

    server: TcpServer

    def __init__(self, site: Site, folder: Path, *connection: object) -> None:
        """Answer one request."""
        self._site = site
        current = folder.parent / "current"
        served = current / folder.name if current.is_symlink() else folder
        super().__init__(*connection, directory=str(served))  # type: ignore[arg-type] # socketserver's

    def send_head(self) -> io.BytesIO | None:
        """Answer a GET or a HEAD with the current file, or with 404."""
        if self.server.cut.wait(self._site.pause):
            raise ConnectionAbortedError
        content = _content(Path(self.translate_path(self.path)))
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(self.path))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return io.BytesIO(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _content(path: Path) -> bytes | None:
    """The content of a file, or of a folder's index.html; None if the owner has no such file."""
    try:
        place = path / "index.html" if path.is_dir() else path
        if not place.is_file():
            return None
        with place.open("rb") as file:  # a link may lead to another user's file
            return file.read() if os.fstat(file.fileno()).st_uid == OWNER.pw_uid else None
    except (OSError, ValueError):
        return None
