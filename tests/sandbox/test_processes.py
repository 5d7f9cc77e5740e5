"""Programs that tests and sandboxes start end with them, even if they are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.app.policies import PROJECT
from tests.processes import HANG_SECONDS, running

# Each program starts its children, prints their process ids as JSON, and waits to be killed.
OF_A_TEST = """\
import json, signal, subprocess
from tests.processes import running
command = ["sh", "-c", "echo begun; exec sleep infinity"]
with running(command, stdout=subprocess.PIPE) as process:
    process.stdout.readline()
    print(json.dumps([process.pid]), flush=True)
    signal.pause()
"""
OF_A_SANDBOX = """\
import json, signal, sys
from pathlib import Path
from pulley.sandbox.app.function import Function
from pulley.sandbox.app.chalice_local import Webhook
folder, environ = Path(sys.argv[1]), {"AWS_DEFAULT_REGION": "eu-west-1"}
webhook = Webhook(environ, stage="dev", log=folder / "webhook.log")
function = Function("reconcile_targets", environ, stage="dev", log=folder / "function.log")
(process,) = function._processes.values()
print(json.dumps([webhook._server.pid, process._child.pid]), flush=True)
signal.pause()
"""


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} runs on"
        time.sleep(0.01)


def test_program_is_killed_when_its_test_fails() -> None:
    with pytest.raises(ZeroDivisionError), running(["sleep", "infinity"]) as process:
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("program", [OF_A_TEST, OF_A_SANDBOX], ids=["of a test", "of a sandbox"])
def test_children_of_a_killed_process_die_with_it(tmp_path: Path, program: str) -> None:
    command = [sys.executable, "-c", program, str(tmp_path)]
    pids: list[int] = []
    try:
        with running(command, stdout=subprocess.PIPE, cwd=PROJECT) as process:
            assert process.stdout
            pids = json.loads(process.stdout.readline())
            assert all(map(is_running, pids))
            process.kill()
        for pid in pids:
            wait_until_gone(pid)
    finally:
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGKILL)
