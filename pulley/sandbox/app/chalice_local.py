"""The Chalice app as `chalice local` serves it: the real app.py, in a process of its own.

`serve.py` is what runs there.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from pulley.project import project

START_SECONDS = 600  # only a process that hangs takes so long


class WebhookError(RuntimeError):
    """The app did not begin to serve."""


CHALICE = Path(sys.executable).with_name("chalice")


class Webhook:
    """A `chalice local` that uses the account in the environment."""

    def __init__(self, environ: Mapping[str, str], *, stage: str, log: Path) -> None:
        """Start it, and return when it serves. Raises WebhookError with the end of its log."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}/github"
        # It must not outlive us, even if we are killed.
        die_with_us = ["setpriv", "--pdeathsig", "KILL", "--"]
        serve = [sys.executable, "-u", "-m", "pulley.sandbox.app.serve", str(port), stage]
        with log.open("w") as output:
            self._server = subprocess.Popen(
                [*die_with_us, *serve],
                cwd=project(),
                env={**os.environ, **environ},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_SECONDS
        while not _is_open(port):
            if self._server.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise WebhookError(f"chalice local did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)

    def close(self) -> None:
        """Stop it."""
        self._server.kill()
        self._server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
