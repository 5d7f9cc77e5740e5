"""The checkout of Pulley that the command runs from, and the one of the application around it."""

import configparser
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from git import Repo
from git.exc import GitError, ODBError

from chalicelib.core.refs import Branch, CommitSha, RefError, Repository

PROJECT = Path(__file__).parents[2]
SCRIPT = PROJECT / "chalicelib/host/pull.sh"
CHALICE = PROJECT / ".chalice"
_ROUTE = "github"
# With a host: as a URL, or in ssh's short form.
_ADDRESS = re.compile(
    r"(?:(?:https?|ssh|git|git\+ssh)://[^/]+/|(?:[^/:@]+@)?[^/:@]{2,}:(?!//))(?P<path>.+)", re.ASCII
)
_Name = TypeVar("_Name", Branch, CommitSha)


@dataclass(frozen=True)
class Deployed:
    """What Chalice's files say of a stage: its settings, and what `chalice deploy` made of it."""

    stage: str

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The stage's environment variables."""
        stages = _read(CHALICE / "config.json").get("stages", {})
        found = stages.get(self.stage, {}).get("environment_variables", {})
        return {str(name): str(value) for name, value in found.items()}

    @cached_property
    def webhook_url(self) -> str:
        """The address that the last `chalice deploy` from here gave the webhook; "" without one."""
        resources = _read(CHALICE / f"deployed/{self.stage}.json").get("resources", [])
        urls = [one.get("rest_api_url", "") for one in resources if isinstance(one, dict)]
        return next((f"{url.rstrip('/')}/{_ROUTE}" for url in urls if url), "")


@dataclass(frozen=True)
class Here:
    """The repository that the operator is standing in: a clone of one on GitHub."""

    repository: Repository
    branch: Branch | None
    commit: CommitSha | None
    folder: Path

    def resolve(self, revision: str) -> CommitSha | None:
        """The commit that a branch, a tag or a short id names here; None where it names none."""
        try:
            with Repo(self.folder) as repo:
                return CommitSha.parse(repo.commit(revision).hexsha)
        except (GitError, ODBError, ValueError, RefError, IndexError, NotImplementedError):
            return None  # GitPython does not implement HEAD@{yesterday}

    def has(self, commit: CommitSha, branch: Branch) -> bool | None:
        """Whether the branch, as it was fetched last, has a commit; None where git can't tell."""
        try:
            with Repo(self.folder) as repo:
                return repo.is_ancestor(repo.commit(commit.sha), repo.commit(f"origin/{branch}"))
        except (GitError, ODBError, ValueError, IndexError):
            return None

    def subject(self, commit: CommitSha) -> str:
        """The first line of a commit's message; "" where git does not know the commit here."""
        try:
            with Repo(self.folder) as repo:
                return str(repo.commit(commit.sha).summary)
        except (GitError, ValueError, IndexError):
            return ""

    def tip(self, branch: Branch) -> CommitSha | None:
        """The branch's tip at its remote, asked with the operator's own git; None without one."""
        try:
            with Repo(self.folder) as repo, repo.git.custom_environment(**_never_asking(repo)):
                listed = repo.git.ls_remote("origin", branch.ref, kill_after_timeout=30)
            return CommitSha.parse(str(listed).split()[0])
        except (GitError, IndexError, RefError):
            return None


def find_here(folder: Path | None = None) -> Here | None:
    """Where the operator is standing; None outside a clone of a repository with a remote."""
    try:
        with Repo(folder or Path.cwd(), search_parent_directories=True) as repo:
            repository = repository_of(repo.remote("origin").url)
            branch = None if repo.head.is_detached else repo.active_branch.name
            head = repo.head.commit.hexsha if repo.head.is_valid() else ""
            place = Path(repo.working_dir)
    except (GitError, ODBError, ValueError, TypeError, OSError, AttributeError, configparser.Error):
        return None  # a remote may have no address, and the file of settings may be anything
    if repository is None:
        return None
    return Here(repository, _parsed(Branch, branch), _parsed(CommitSha, head), place)


def repository_of(url: str) -> Repository | None:
    """The repository that a remote's address names: the last two parts of its path.

    None without them, and for a path on this machine, which is no repository on GitHub.
    """
    address = _ADDRESS.fullmatch(url.rstrip("/").removesuffix(".git"))
    try:
        return Repository.parse("/".join(address["path"].split("/")[-2:])) if address else None
    except RefError:
        return None


def _never_asking(repo: Repo) -> Mapping[str, str]:
    """The environment for a git that asks nobody: ssh would ask on the terminal itself."""
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


def _read(path: Path) -> dict[str, Any]:
    """A file of Chalice's; nothing where there is none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
