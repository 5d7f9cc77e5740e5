"""The owner of a checkout on an emulated host: another user if we are root, as on a real host."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

AS_ROOT = os.geteuid() == 0
OWNER = pwd.getpwnam("nobody") if AS_ROOT else pwd.getpwuid(os.geteuid())


def give_to_owner(path: Path) -> None:
    """Give the owner a folder and everything below it."""
    if not AS_ROOT:
        return
    for below in [path, *path.rglob("*")]:
        os.chown(below, OWNER.pw_uid, OWNER.pw_gid, follow_symlinks=False)


def run_as_owner(command: Sequence[str], *, cwd: Path) -> str:
    """Run a program as the owner and return its output. Raises CalledProcessError."""
    become = ["setpriv", f"--reuid={OWNER.pw_uid}", f"--regid={OWNER.pw_gid}", "--clear-groups"]
    return run_as_self([*(become if AS_ROOT else []), *command], cwd=cwd)


def run_as_self(command: Sequence[str], *, cwd: Path) -> str:
    """Run a program as the current user and return its output. Raises CalledProcessError."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def missing_programs() -> list[str]:
    """Programs that a host needs and this machine lacks."""
    programs = ("git", "flock", "timeout", "setpriv") + (("getent",) if AS_ROOT else ())
    return [program for program in programs if shutil.which(program) is None]
