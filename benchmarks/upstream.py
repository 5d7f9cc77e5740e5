"""A repository to pull from, with a fast way to make commits, and checkouts of it."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

Commit = Iterable[tuple[str, bytes]]  # the paths and the contents of its files
PIECE = 10  # MB; GitHub refuses files above 100 MB, and warns above 50


class Upstream:
    """A bare repository on this machine, packed as GitHub's are."""

    def __init__(self, path: Path) -> None:
        """Make it without a commit."""
        self.path = path
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)

    def push(self, commits: Iterable[Commit]) -> str:
        """Add commits to `main`. Returns the newest one's SHA."""
        # Try no deltas and no compression: the large files here would not get smaller.
        settings = ["-c", "fastimport.unpackLimit=1", "-c", "pack.compression=0"]
        begun = self._git("for-each-ref", "refs/heads/main")
        source = "from refs/heads/main^0\n" if begun else ""
        command = self._command(*settings, "fast-import", "--quiet", "--depth=0")
        with tempfile.TemporaryFile() as stream:
            for commit in commits:
                head = f"committer Someone <someone@example.invalid> {time.time():.0f} +0000\n"
                stream.write(f"commit refs/heads/main\n{head}data 6\nChange\n{source}".encode())
                source = ""  # the next commit's parent is this one
                for path, content in commit:
                    stream.write(f"M 100644 inline {path}\ndata {len(content)}\n".encode())
                    stream.write(content + b"\n")
            stream.seek(0)
            subprocess.run(command, stdin=stream, check=True)
        return self._git("rev-parse", "main")

    def rewind(self, commit: str) -> None:
        """Set `main` back to an older commit."""
        self._git("update-ref", "refs/heads/main", commit)

    def _git(self, *arguments: str) -> str:
        return subprocess.check_output(self._command(*arguments), text=True).strip()

    def _command(self, *arguments: str) -> list[str]:
        # Git accepts another user's repository if it is named, but refuses it if it has to find it.
        return ["git", f"--git-dir={self.path}", *arguments]


def pieces(megabytes: int) -> Commit:
    """Files of PIECE MB each that cannot be compressed."""
    for number in range(-(-megabytes // PIECE)):
        yield f"data/{number}.bin", os.urandom(min(PIECE, megabytes) * 1_000_000)


def copy_checkout(kept: Path, path: Path, run: Callable[..., object]) -> None:
    """Make a checkout like the kept one. `run(command, cwd=)` runs as its owner."""
    if path.exists():
        shutil.rmtree(path)
    run(["cp", "-a", str(kept), str(path)], cwd=kept)
    # The index stores each file's inode, so it must be refreshed.
    run(["git", "update-index", "-q", "--refresh"], cwd=path)
