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
import socketserver
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

_NETWORK = "127.0.1"
_SHARED = "127.0.0.1"  # the address that each host uses for itself
_PORTS_TRIED = 20
_STOP_SECONDS = 0.05  # how long a server may take to notice that it should stop
# The hosts' owner may not be allowed to enter the folder of the Python that runs the sandbox.
_CURL = """\
#!/bin/sh
# Stands in for curl's: asks this host's own site for what is at {shared}.
python={python}
[ -x "$python" ] || python=python3
exec "$python" -IS {program} {shared} {own} "$@"
"""


class Site:
    """A static web server of one folder, on an address of its own."""

    def __init__(self, folder: Path, address: str, port: int = 0) -> None:
        """Serve the folder as it is at each request. Raises OSError for a port in use."""
        self._server = _Server((address, port), partial(_Handler, directory=str(folder)))
        self.address, self.port = address, int(self._server.server_address[1])
        self.url = f"http://{address}:{self.port}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_SECONDS,), daemon=True
        )
        self._thread.start()

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
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


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


class _Server(socketserver.ThreadingTCPServer):
    """A server that, unlike `http.server`'s, does not look up the name of its address in DNS."""

    allow_reuse_address = True
    daemon_threads = True


class _Handler(SimpleHTTPRequestHandler):
    """Serves files as nginx does, and lists no folder."""

    def send_head(self) -> io.BytesIO | None:
        """Answer a GET or a HEAD with the current file, or with 404."""
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
