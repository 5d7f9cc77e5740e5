"""One script, run as the agent runs it, and what is kept of its output.

Source: the agent's source (executers.go, iohandler.go) and runs under a real agent. A script is
killed without warning, together with its process group, but with no process outside that group.
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

STREAM_BYTES, OUTPUT_BYTES = 24_000, 2_500
STREAM_CUT = b"--output truncated--"
ERROR_TITLE = b"\n----------ERROR-------\n"
_DIRECTORY = "/usr/bin"  # the agent's own
_UMASK = 0o022
# A killed group is dead within this time. A process that then holds the output is outside it.
_LET_GO_SECONDS, _LOOK_SECONDS = 5.0, 0.01
_STDOUT_CUT, _STDERR_CUT = b"\n---Output truncated---", b"\n---Error truncated----"


class Ending(Enum):
    """Why the wait for a script ended."""

    ITSELF = "it ended"
    LIMIT = "its time was over"
    HELD = "its time was over, and a process beyond its group held its output"
    CANCELLED = "it was cancelled"
    LEFT = "the process that waited for it was killed, and it runs on"


@dataclass(frozen=True)
class ScriptOutcome:
    """How a script ended, and the kept part of its output. `exit_code` is -1 after a signal."""

    ending: Ending
    exit_code: int
    stdout: bytes
    stderr: bytes


class Script:
    """A running script. Call `wait` once; any thread may call `cancel`, `leave` and `kill`."""

    def __init__(self, path: Path, text: str, *, environment: Mapping[str, str]) -> None:
        """Write the script to `path` and start it."""
        # Another process writes the file. If this one did, a process that is forked meanwhile would
        # hold the file open for writing, and then nobody may run it ("Text file busy").
        write = ["install", "-m", "700", "/dev/stdin", str(path)]
        subprocess.run(write, input=text.encode(), check=True)
        # The shell runs the file by its path: the kernel honours a shebang; without a shebang, the
        # shell reads the file itself.
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_DIRECTORY,
            umask=_UMASK,
            env=dict(environment),
            process_group=0,
        )
        self._wake_reader, self._wake_writer = os.pipe()
        self._closing = threading.Lock()
        self._told: Ending | None = None
        self._exited = threading.Event()
        threading.Thread(target=self._await_exit, daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether the script itself has not ended."""
        return not self._exited.is_set()

    def cancel(self) -> None:
        """Kill the script's process group, and make `wait` return."""
        self._tell(Ending.CANCELLED)

    def leave(self) -> None:
        """Make `wait` return, as if the waiting process was killed. The script runs on."""
        self._tell(Ending.LEFT)

    def wait(self, seconds: float) -> ScriptOutcome:
        """Wait until the script has ended and no process holds its stdout and stderr."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            streams = [bytearray(), bytearray()]
            for pipe, stream in zip((self._shell.stdout, self._shell.stderr), streams, strict=True):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, stream)
            selector.register(self._wake_reader, selectors.EVENT_READ, bytearray())
            ending = Ending.ITSELF
            while len(selector.get_map()) > 1 or not self._exited.is_set():
                is_late = not self._read(selector, max(0.0, deadline - time.monotonic()))
                if self._told or is_late:
                    ending = self._told or Ending.LIMIT
                    break
            if ending is not Ending.LEFT:
                if ending is not Ending.ITSELF:
                    self.kill()
                if not self._let_go(selector) and ending is Ending.LIMIT:
                    ending = Ending.HELD
                self._exited.wait()
        self._close()
        exit_code = -1 if ending is Ending.LEFT else max(self._shell.returncode, -1)
        return ScriptOutcome(ending, exit_code, *(cut_stream(bytes(one)) for one in streams))

    def kill(self) -> None:
        """Kill the script's process group, and no other process."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._shell.pid, signal.SIGKILL)

    def _read(self, selector: selectors.BaseSelector, seconds: float) -> bool:
        """Read what comes within the time. Returns whether anything came."""
        ready = selector.select(seconds)
        for key, _ in ready:
            chunk = os.read(key.fd, 65_536)
            key.data.extend(chunk[: STREAM_BYTES + 1 - len(key.data)])
            if not chunk:
                selector.unregister(key.fileobj)
        return bool(ready)

    def _let_go(self, selector: selectors.BaseSelector) -> bool:
        """Whether no process holds the output after the killed group is dead."""
        deadline = time.monotonic() + _LET_GO_SECONDS
        while len(selector.get_map()) > 1:
            is_over = self._is_dead() or time.monotonic() > deadline
            if not self._read(selector, _LOOK_SECONDS) and is_over:
                return False
        return True

    def _is_dead(self) -> bool:
        """Whether no process of the group is left."""
        try:
            os.killpg(self._shell.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def _await_exit(self) -> None:
        self._shell.wait()
        self._exited.set()
        self._wake()

    def _tell(self, ending: Ending) -> None:
        self._told = self._told or ending
        self._wake()

    def _wake(self) -> None:
        with self._closing:
            if self._wake_writer >= 0:
                os.write(self._wake_writer, b"!")

    def _close(self) -> None:
        for pipe in (self._shell.stdout, self._shell.stderr):
            if pipe is not None:
                pipe.close()
        with self._closing:
            os.close(self._wake_writer)
            os.close(self._wake_reader)
            self._wake_writer = -1


def cut_stream(stream: bytes) -> bytes:
    """The part of a stream that the agent keeps, with its mark for a cut."""
    if len(stream) <= STREAM_BYTES:
        return stream
    return stream[: STREAM_BYTES - len(STREAM_CUT)] + STREAM_CUT


def join_output(stdout: bytes, stderr: bytes) -> bytes:
    """Join stdout, the error title and stderr to a step's `Output` of 2,500 bytes at most."""
    title = ERROR_TITLE if stderr else b""
    room = OUTPUT_BYTES - len(title)
    if len(stdout) + len(stderr) < room:
        return stdout + title + stderr
    if len(stdout) > room // 2 and len(stderr) > room // 2:
        each = (room - len(_STDOUT_CUT) - len(_STDERR_CUT)) // 2
        return stdout[:each] + _STDOUT_CUT + title + stderr[:each] + _STDERR_CUT
    if len(stdout) <= room // 2:
        left = room - len(_STDERR_CUT) - len(stdout)
        return stdout + title + stderr[:left] + _STDERR_CUT
    left = room - len(_STDOUT_CUT) - len(stderr)
    return stdout[:left] + _STDOUT_CUT + title + stderr
