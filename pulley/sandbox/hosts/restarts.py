"""Restarts that hurt, as on a real host: the site's unit is down for a while.

The host's `systemctl` ends when the old server is gone and before the new one listens, as systemd's
does for a unit of the type `simple`. It reaches the sandbox by a port of the host's own address.
"""

import shlex
import sys
from functools import partial
from pathlib import Path
from socketserver import BaseRequestHandler

from pulley.sandbox.hosts.site import Site
from pulley.sandbox.tcp_server import TcpServer

UNIT = "site.service"
# The hosts' owner may not be allowed to run the sandbox's Python, as in site.py.
_SYSTEMCTL = """\
#!/bin/sh
# Stands in for systemd's: writes down what it was asked for, and restarts this host's site.
echo "$(id -un): systemctl $*" >>{journal}
case " $* " in *reload-or-restart*" {unit} "*) ;; *) exit ;; esac
python={python}
[ -x "$python" ] || python=python3
exec "$python" -IS -c 'import socket; socket.create_connection(("{address}", {port})).recv(1)'
"""


class Restarts:
    """Lets each restart of the unit stop the site for some seconds."""

    def __init__(self, site: Site, seconds: float) -> None:
        """Listen for the host's `systemctl`, which `install` makes."""
        self.seconds = seconds
        self._site = site
        self._server = TcpServer(site.address, 0, partial(_Handler, self))
        self._server.start()

    def install(self, root: Path, journal: Path) -> None:
        """Replace the stand-in in the `bin` below a host's root. It writes to the same journal."""
        program = root / "bin/systemctl"
        program.write_text(
            _SYSTEMCTL.format(
                journal=shlex.quote(str(journal)),
                unit=UNIT,
                python=shlex.quote(sys.executable),
                address=self._site.address,
                port=self._server.server_address[1],
            )
        )
        program.chmod(0o755)

    def restart(self) -> None:
        """Do what systemd does."""
        self._site.restart(self.seconds)

    def close(self) -> None:
        """Listen no more."""
        self._server.stop()


class _Handler(BaseRequestHandler):
    """Each connection is a restart. It is closed when the old server is gone."""

    def __init__(self, restarts: Restarts, *connection: object) -> None:
        self._restarts = restarts
        super().__init__(*connection)  # type: ignore[arg-type]

    def handle(self) -> None:
        self._restarts.restart()
