"""Programs that tests start. None outlives its test, nor the process that runs the tests."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# For whatever is waited for: however busy the machine, only what hangs takes so long.
HANG_SECONDS = 600
# The kernel kills what it starts when the thread that started it ends, also where that is killed.
# What a sandbox starts dies with the sandbox's own process in the same way.
DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
# A shell's background job ignores Ctrl-C, and all that it starts inherits that.
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
    """A program, which is killed at the end if it still runs. `env` comes on top of ours."""
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
