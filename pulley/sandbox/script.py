"""One script, run as the agent runs it, and what is kept of its output.

Source: the agent's source (executers.go, iohandler.go) and runs under a real agent. A script is
killed without warning, together with its process group, and with nothing beyond that group.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

STDOUT_BYTES, STDERR_BYTES, OUTPUT_BYTES = 24_000, 8_000, 2_400
ERROR_TITLE = b"\n----------ERROR-------\n"
_STDOUT_CUT, _STDERR_CUT = b"\n---Output truncated---", b"\n---Error truncated----"


class Ending(Enum):
    """Why a script is no longer waited for."""

    ITSELF = "it ended"
    LIMIT = "its time was over"
    CANCELLED = "it was cancelled"


@dataclass(frozen=True)
class Outcome:
    """How a script ended, and the first bytes it wrote. `exit_code` is -1 after a signal."""

    ending: Ending
    exit_code: int
    stdout: bytes
    stderr: bytes


class Script:
    """A running script. `wait` once; `cancel` from any thread, at any time."""

    def __init__(
        self, path: Path, text: str, *, directory: Path, environment: Mapping[str, str]
    ) -> None:
        """Write the script to `path` and start it in `directory`."""
        # By a process of its own: whatever else is forked here meanwhile would hold a file that was
        # open for writing, and nobody may run such a file ("Text file busy").
        write = ["install", "-m", "700", "/dev/stdin", str(path)]
        subprocess.run(write, input=text.encode(), check=True)
        # The shell runs the file by its path: the kernel honours a shebang, and where there
        # is none the shell reads the file itself.
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env=dict(environment),
            process_group=0,
        )
        self._wake_reader, self._wake_writer = os.pipe()
        self._closing = threading.Lock()
        self._cancelled = threading.Event()
        self._exited = threading.Event()
        threading.Thread(target=self._await_exit, daemon=True).start()

    def cancel(self) -> None:
        """Kill the script's process group, and have `wait` return."""
        self._cancelled.set()
        self._wake()

    def wait(self, seconds: float) -> Outcome:
        """Wait until the script has ended and nobody holds its stdout and stderr any more."""
        deadline = time.monotonic() + seconds
        stdout, stderr = bytearray(), bytearray()
        with self._shell, selectors.DefaultSelector() as selector:
            for pipe, kept in (
                (self._shell.stdout, (stdout, STDOUT_BYTES)),
                (self._shell.stderr, (stderr, STDERR_BYTES)),
            ):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, kept)
            selector.register(self._wake_reader, selectors.EVENT_READ, (bytearray(), 0))
            ending = Ending.ITSELF
            while len(selector.get_map()) > 1 or not self._exited.is_set():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if self._cancelled.is_set() or not ready:
                    ending = Ending.CANCELLED if self._cancelled.is_set() else Ending.LIMIT
                    self._kill()
                    break
                for key, _ in ready:
                    chunk = os.read(key.fd, 65_536)
                    stream, limit = key.data
                    stream += chunk[: limit - len(stream)]
                    if not chunk:
                        selector.unregister(key.fileobj)
        self._close_wake()
        exit_code = self._shell.returncode
        return Outcome(ending, max(exit_code, -1), bytes(stdout), bytes(stderr))

    def _await_exit(self) -> None:
        self._shell.wait()
        self._exited.set()
        self._wake()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._shell.pid, signal.SIGKILL)

    def _wake(self) -> None:
        with self._closing:
            if self._wake_writer >= 0:
                os.write(self._wake_writer, b"!")

    def _close_wake(self) -> None:
        with self._closing:
            os.close(self._wake_writer)
            os.close(self._wake_reader)
            self._wake_writer = -1


def join_output(stdout: bytes, stderr: bytes) -> bytes:
    """Join stdout, the error title and stderr to a step's `Output` of 2,400 bytes at most."""
    title = ERROR_TITLE if stderr else b""
    room = OUTPUT_BYTES - len(title)
    if len(stdout) + len(stderr) < room:
        return stdout + title + stderr
    if len(stdout) > room // 2 and len(stderr) > room // 2:
        each = (room - len(_STDOUT_CUT) - len(_STDERR_CUT)) // 2
        return stdout[:each] + _STDOUT_CUT + title + stderr[:each] + _STDERR_CUT
    if len(stdout) < room // 2:
        left = room - len(_STDERR_CUT) - len(stdout)
        return stdout + title + stderr[:left] + _STDERR_CUT
    left = room - len(_STDOUT_CUT) - len(stderr)
    return stdout[:left] + _STDOUT_CUT + title + stderr
