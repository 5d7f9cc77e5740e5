"""Read the clone of the application around the operator's current folder."""

import configparser
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from chalicelib.core.refs import Branch, CommitSha, RefError, Repository

if TYPE_CHECKING:
    from git import Repo

# An address with a host: a URL, or ssh's short form.
_ADDRESS = re.compile(
    r"(?:(?:https?|ssh|git|git\+ssh)://[^/]+/|(?:[^/:@]+@)?[^/:@]{2,}:(?!//))(?P<path>.+)", re.ASCII
)
_Name = TypeVar("_Name", Branch, CommitSha)


@dataclass(frozen=True)
class Here:
    """The operator's current clone, of a repository on GitHub."""

    repository: Repository
    branch: Branch | None
    commit: CommitSha | None
    folder: Path

    def resolve(self, revision: str) -> CommitSha | None:
        """The commit that a branch, a tag or a short id names in this clone; or None."""
        try:
            with _opened(self.folder) as repo:
                return CommitSha.parse(repo.commit(revision).hexsha)
        except _NoAnswerError:
            return None

    def has(self, commit: CommitSha, branch: Branch) -> bool | None:
        """Whether the branch, as of the last fetch, contains the commit; None if unknown."""
        try:
            with _opened(self.folder) as repo:
                return repo.is_ancestor(repo.commit(commit.sha), repo.commit(f"origin/{branch}"))
        except _NoAnswerError:
            return None

    def subject(self, commit: CommitSha) -> str:
        """The first line of a commit's message; "" if the clone does not have the commit."""
        try:
            with _opened(self.folder) as repo:
                return str(repo.commit(commit.sha).summary)
        except _NoAnswerError:
            return ""

    def tip(self, branch: Branch) -> CommitSha | None:
        """Ask the remote for the branch's tip, with the operator's git. None without an answer."""
        try:
            with (
                _opened(self.folder) as repo,
                repo.git.custom_environment(**_never_asking(repo)),
            ):
                listed = repo.git.ls_remote("origin", branch.ref, kill_after_timeout=30)
                return CommitSha.parse(str(listed).split()[0])
        except _NoAnswerError:
            return None


def find_here(folder: Path | None = None) -> Here | None:
    """The clone around a folder; None if there is none, or if its remote is a local path."""
    try:
        with _opened(folder or Path.cwd()) as repo:
            repository = repository_of(repo.remote("origin").url)
            branch = None if repo.head.is_detached else repo.active_branch.name
            head = repo.head.commit.hexsha if repo.head.is_valid() else ""
            place = Path(repo.working_dir)
    except _NoAnswerError:
        return None
    if repository is None:
        return None
    return Here(repository, _parsed(Branch, branch), _parsed(CommitSha, head), place)


class _NoAnswerError(Exception):
    """Git cannot answer."""


@contextmanager
def _opened(folder: Path) -> "Iterator[Repo]":
    """Open the repository around a folder. Turn all that GitPython raises into _NoAnswerError.

    A remote may have no URL, the settings file may contain anything, and GitPython does not
    implement HEAD@{yesterday}.
    """
    from git import Repo
    from git.exc import GitError, ODBError

    try:
        with Repo(folder, search_parent_directories=True) as repo:
            yield repo
    except (
        GitError,
        ODBError,
        ValueError,
        TypeError,
        LookupError,
        OSError,
        AttributeError,
    ) as error:
        raise _NoAnswerError from error
    except (configparser.Error, NotImplementedError, RefError) as error:
        raise _NoAnswerError from error


def repository_of(url: str) -> Repository | None:
    """The repository that a remote's URL names, from the last two parts of its path.

    Returns None without these, and for local paths.
    """
    address = _ADDRESS.fullmatch(url.rstrip("/").removesuffix(".git"))
    try:
        return Repository.parse("/".join(address["path"].split("/")[-2:])) if address else None
    except RefError:
        return None


def _never_asking(repo: "Repo") -> Mapping[str, str]:
    """The environment in which git and ssh do not prompt. ssh would prompt on the terminal."""
    environ = {"GIT_TERMINAL_PROMPT": "0"}
    with repo.config_reader() as settings:
        has_own = "GIT_SSH_COMMAND" in os.environ or "GIT_SSH" in os.environ
        if not has_own and not settings.has_option("core", "sshCommand"):
            environ["GIT_SSH_COMMAND"] = "ssh -oBatchMode=yes"
    return environ


def _parsed(kind: type[_Name], text: str | None) -> _Name | None:
    try:
        return kind.parse(text) if text else None
    except RefError:
        return None
