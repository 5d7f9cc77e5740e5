"""An account for each test, with shorter time-outs: 30 s of delivery are 0.3 s here.

Also GitHub's API with two repositories, which share one folder on the disk.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import urllib3

from pulley.sandbox.account import Account
from pulley.sandbox.github.server import GitHubServer
from tests.processes import HANG_SECONDS
from tests.sandbox.lab import Lab
from tests.sandbox.listener import Listener
from tests.sandbox.repository import TOKEN, Call, Commits, commit, git


@pytest.fixture
def account() -> Iterator[Account]:
    with Account(delivery_second=0.01, execution_second=0.05) as opened:
        yield opened


@pytest.fixture
def lab(account: Account, tmp_path: Path) -> Lab:
    return Lab(account, tmp_path)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Make a named pipe: a script that reads it runs until the test writes to it."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    """Make a named pipe for answers of the script."""
    path = tmp_path / "answer"
    os.mkfifo(path)
    return path


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("repositories") / "empty.git"
    subprocess.run(
        ["git", "init", "--quiet", "--bare", "--initial-branch=main", "--template=", str(path)],
        check=True,
    )
    return path


@pytest.fixture(scope="session")
def full_repository(empty_repository: Path) -> tuple[Path, Commits]:
    """`main` has two commits; `feature/x` is one ahead of it, and `behind` lacks the second."""
    path = empty_repository.with_name("full.git")
    shutil.copytree(empty_repository, path)
    first = commit(path, "first")
    second = commit(path, "second", first)
    ahead = commit(path, "ahead", second)
    behind = commit(path, "behind", first)
    for branch, tip in {"main": second, "feature/x": ahead, "behind": behind}.items():
        git(path, "update-ref", f"refs/heads/{branch}", tip)
    git(path, "tag", "-a", "v1", "-m", "one", second)
    return path, {"first": first, "second": second, "ahead": ahead, "behind": behind}


@pytest.fixture
def repository(empty_repository: Path, tmp_path: Path) -> Path:
    """The test's own repository: to copy one costs less than to make one with git."""
    return Path(shutil.copytree(empty_repository, tmp_path / "site.git"))


@pytest.fixture
def commits(repository: Path, full_repository: tuple[Path, Commits]) -> Commits:
    """Copies `full_repository` into `repository`."""
    path, made = full_repository
    shutil.copytree(path, repository, dirs_exist_ok=True)
    return made


@pytest.fixture
def github(repository: Path, commits: Commits) -> Iterator[GitHubServer]:
    assert commits
    places = {"Octo/Site": repository, "octo/other": repository}
    with GitHubServer(places, token=TOKEN) as opened:
        yield opened


@pytest.fixture
def call(github: GitHubServer) -> Iterator[Call]:
    """Call the API. A body is sent as JSON, unless it is bytes."""
    with urllib3.PoolManager(retries=False) as pool:

        def ask(
            method: str,
            path: str,
            body: object = None,
            *,
            headers: dict[str, str] | None = None,
            timeout: float = HANG_SECONDS,
            **query: object,
        ) -> urllib3.BaseHTTPResponse:
            return pool.request(
                method,
                f"{github.api_url}{path}" + (f"?{urlencode(query)}" if query else ""),
                body=body if body is None or isinstance(body, bytes) else json.dumps(body),
                headers={"Authorization": f"Bearer {TOKEN}"} if headers is None else headers,
                timeout=timeout,
            )

        yield ask


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A webhook that answers."""
    with Listener() as opened:
        yield opened
