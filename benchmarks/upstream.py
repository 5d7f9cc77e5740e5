"""A repository to pull from, whose commits are made as fast as git can, and checkouts of it."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

Commit = Iterable[tuple[str, bytes]]  # the paths and the contents of its files
PIECE = 10  # MB; GitHub takes no file above 100 MB, and warns of one above 50


class Upstream:
    """A bare repository on this machine, packed as GitHub's are."""

    def __init__(self, path: Path) -> None:
        """Without a commit."""
        self.path = path
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)

    def push(self, commits: Iterable[Commit]) -> str:
        """Add commits to `main`. Returns the newest one's SHA."""
        # No deltas and no compression are tried: what is large here has nothing of either.
        settings = ["-c", "fastimport.unpackLimit=1", "-c", "pack.compression=0"]
        begun = self._git("for-each-ref", "refs/heads/main")
        source = "from refs/heads/main^0\n" if begun else ""
        command = self._command(*settings, "fast-import", "--quiet", "--depth=0")
        with tempfile.TemporaryFile() as stream:
            for commit in commits:
                head = f"committer Someone <someone@example.invalid> {time.time():.0f} +0000\n"
                stream.write(f"commit refs/heads/main\n{head}data 6\nChange\n{source}".encode())
                source = ""  # the next one's parent is this one
                for path, content in commit:
                    stream.write(f"M 100644 inline {path}\ndata {len(content)}\n".encode())
                    stream.write(content + b"\n")
            stream.seek(0)
            subprocess.run(command, stdin=stream, check=True)
        return self._git("rev-parse", "main")

    def rewind(self, commit: str) -> None:
        """Let `main` be at an older commit."""
        self._git("update-ref", "refs/heads/main", commit)

    def _git(self, *arguments: str) -> str:
        return subprocess.check_output(self._command(*arguments), text=True).strip()

    def _command(self, *arguments: str) -> list[str]:
        # Named, a repository may be another user's; found, git would refuse it.
        return ["git", f"--git-dir={self.path}", *arguments]


def pieces(megabytes: int) -> Commit:
    """Files that no compression makes smaller, of PIECE MB each."""
    for number in range(-(-megabytes // PIECE)):
        yield f"data/{number}.bin", os.urandom(min(PIECE, megabytes) * 1_000_000)


def copy_checkout(kept: Path, path: Path, run: Callable[..., object]) -> None:
    """Make a checkout as the one that was kept. `run(command, cwd=)` runs as its owner."""
    if path.exists():
        shutil.rmtree(path)
    run(["cp", "-a", str(kept), str(path)], cwd=kept)
    # The index knows each file by its inode, too.
    run(["git", "update-index", "-q", "--refresh"], cwd=path)
