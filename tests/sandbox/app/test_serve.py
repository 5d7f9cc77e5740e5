"""The app's server in the sandbox: how many pushes may come at once."""

import http.client
import signal
import socket
import sys
import time
from contextlib import ExitStack

from pulley.project import project
from tests.fakes import STAGE
from tests.processes import HANG_SECONDS, running

LOOPBACK = "127.0.0.1"
AT_ONCE = 50
ENVIRON = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}


def test_fifty_connections_that_come_before_one_is_accepted_are_all_answered() -> None:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-u", "-m", "pulley.sandbox.app.serve", f"{port}", STAGE]
    with running(command, cwd=project(), env=ENVIRON) as server, ExitStack() as opened:
        deadline = time.monotonic() + HANG_SECONDS
        while not _is_open(port):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.send_signal(signal.SIGSTOP)
        connections = [http.client.HTTPConnection(LOOPBACK, port) for _ in range(AT_ONCE)]
        for one in connections:
            opened.callback(one.close)
            one.timeout = 2  # past it, the kernel's queue is full
            one.connect()
            one.sock.settimeout(HANG_SECONDS)
            one.request("POST", "/github", body=b"{}", headers={"Content-Type": "application/json"})
        server.send_signal(signal.SIGCONT)
        statuses = [one.getresponse().status for one in connections]

    assert statuses == [401] * AT_ONCE


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
