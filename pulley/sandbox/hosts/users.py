"""What is done as the owner of the checkouts, or for them."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pulley.sandbox.owner import AS_ROOT, OWNER

__all__ = [
    "AS_ROOT",
    "OWNER",
    "give_to_owner",
    "make_private",
    "missing_programs",
    "run_as_owner",
    "run_as_self",
]


def give_to_owner(path: Path) -> None:
    """Give the owner a folder and everything below it."""
    if not AS_ROOT:
        return
    for below in [path, *path.rglob("*")]:
        os.chown(below, OWNER.pw_uid, OWNER.pw_gid, follow_symlinks=False)


def make_private(folder: Path) -> None:
    """Make a folder that only we and the owner can enter: secrets are below it."""
    folder.mkdir(mode=0o700)
    if AS_ROOT:
        os.chown(folder, 0, OWNER.pw_gid)
        folder.chmod(0o750)


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
