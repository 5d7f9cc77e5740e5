"""Read the clone of the application around the operator's current folder.

All that git is asked goes through `git.py`, which runs nothing that the clone names.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from chalicelib.core.refs import Branch, CommitSha, RefError, Repository
from pulley.operator.stage import git

_HEADS = "refs/heads/"
# An address with a host: a URL, or ssh's short form, but not "helper::address".
_ADDRESS = re.compile(
    r"(?:(?:https?|ssh|git|git\+ssh)://[^/]+/|(?:[^/:@]+@)?[^/:@]{2,}:(?!//|:))(?P<path>.+)",
    re.ASCII,
)
_Name = TypeVar("_Name", Branch, CommitSha)


@dataclass(frozen=True)
class Here:
    """The operator's current clone, of a repository on GitHub."""

    repository: Repository
    branch: Branch | None
    commit: CommitSha | None
    folder: Path
    url: str = field(default="", repr=False)  # of its remote; may have a password in it

    def resolve(self, revision: str) -> CommitSha | None:
        """The commit that a branch, a tag or a short id names in this clone; or None."""
        return _commit_at(self.folder, revision)

    def has(self, commit: CommitSha, branch: Branch) -> bool | None:
        """Whether the branch, as of the last fetch, contains the commit; None if unknown."""
        tip = _commit_at(self.folder, f"refs/remotes/origin/{branch}")
        if tip is None or _commit_at(self.folder, commit.sha) is None:
            return None
        common = git.read(self.folder, "merge-base", commit.sha, tip.sha)
        return common == commit.sha

    def subject(self, commit: CommitSha) -> str:
        """The first line of a commit's message; "" if the clone does not have the commit."""
        written = git.read(self.folder, "cat-file", "commit", commit.sha)
        message = (written or "").partition("\n\n")[2]
        return message.lstrip("\n").partition("\n")[0]

    def tip(self, branch: Branch) -> CommitSha | None:
        """Ask the remote for the branch's tip, with the operator's git. None without an answer.

        The operator's own settings count, and not those of the clone.
        """
        listed = git.ask(self.folder, "ls-remote", "--", self.url, branch.ref) if self.url else None
        return _parsed(CommitSha, (listed or "").partition("\t")[0])


def find_here(folder: Path | None = None) -> Here | None:
    """The clone around a folder; None if there is none, or if its remote is a local path.

    A bare repository is none, nor is a clone of another user, which git refuses to read.
    """
    folder = folder or Path.cwd()
    found = git.read(folder, "rev-parse", "--is-inside-work-tree", "--show-toplevel")
    is_inside, _, place = (found or "").partition("\n")
    if is_inside != "true" or not place:
        return None
    top = Path(place)
    url = (git.read(top, "config", "-z", "--get-all", "remote.origin.url") or "").partition("\0")[0]
    repository = repository_of(url)
    if repository is None:
        return None
    branch = git.read(top, "symbolic-ref", "-q", "HEAD") or ""
    return Here(
        repository,
        _parsed(Branch, branch.removeprefix(_HEADS) if branch.startswith(_HEADS) else None),
        _commit_at(top, "HEAD"),
        top,
        url,
    )


def _commit_at(folder: Path, revision: str) -> CommitSha | None:
    """The commit that a revision names in a clone."""
    if not revision or revision.startswith("-"):  # git would take it for an option
        return None
    named = git.read(folder, "rev-parse", "-q", "--verify", f"{revision}^{{commit}}")
    return _parsed(CommitSha, named)


def repository_of(url: str) -> Repository | None:
    """The repository that a remote's URL names, from the last two parts of its path.

    Returns None without these, and for local paths.
    """
    address = _ADDRESS.fullmatch(url.rstrip("/").removesuffix(".git"))
    try:
        return Repository.parse("/".join(address["path"].split("/")[-2:])) if address else None
    except RefError:
        return None


def _parsed(kind: type[_Name], text: str | None) -> _Name | None:
    try:
        return kind.parse(text) if text else None
    except RefError:
        return None
