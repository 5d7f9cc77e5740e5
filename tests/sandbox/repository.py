"""git commands to fill the bare repositories that GitHub's API serves."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import urllib3

TOKEN = "ghs_loopback"

Call = Callable[..., urllib3.BaseHTTPResponse]
Commits = dict[str, str]


def git(path: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "--git-dir", str(path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().strip()


def commit(path: Path, message: str, *parents: str) -> str:
    tree = git(path, "hash-object", "-t", "tree", "-w", "/dev/null")
    options = [word for parent in parents for word in ("-p", parent)]
    return git(path, "commit-tree", tree, *options, "-m", message)
