"""Programs that tests start. They end with their test and with the process that runs the tests."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# The limit of all waiting. Even on a busy machine only a program that hangs takes so long.
HANG_SECONDS = 600
# The kernel kills the program when the thread that started it ends, even if the thread is killed.
# The programs of a sandbox end with the sandbox's own process in the same way.
DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
# A background job of a shell ignores Ctrl-C, and its children inherit that.
HEARS_CTRL_C = ("env", "--default-signal=INT", "--")


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: IO[str] | int | None = None,
    stderr: IO[str] | int | None = None,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Start a program, and kill it at the end if it still runs. `env` is added to ours."""
    with subprocess.Popen(
        [*DIE_WITH_US, *HEARS_CTRL_C, *command],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
