"""An account for each test, its time-outs scaled: 30 s of delivery are 0.3 s here.

And GitHub's API, with two repositories that are one on the disk.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import urllib3

from pulley.sandbox.account import Account
from pulley.sandbox.github.server import GitHubServer
from pulley.sandbox.run_command.agent import EmulatedHost
from pulley.sandbox.run_command.commands import EmulatedCommand
from tests.processes import HANG_SECONDS
from tests.sandbox.listener import Listener
from tests.sandbox.repository import TOKEN, Call, Commits, commit, git


@pytest.fixture
def account() -> Iterator[Account]:
    with Account(delivery_second=0.01, execution_second=0.05) as opened:
        yield opened


@pytest.fixture
def add_host(account: Account, tmp_path: Path) -> Callable[..., EmulatedHost]:
    """Add a host; its tags as keywords."""

    def add(name: str = "web-1", **tags: str) -> EmulatedHost:
        return account.add_host(name, tags={"fleet": "all"} | tags, root=tmp_path / name)

    return add


@pytest.fixture
def store(account: Account) -> Callable[..., str]:
    """Store a document of one step, or of several where a line is a list of lines.

    `as_one_string` is the other form of `runCommand`.
    """

    def store_document(
        *lines: str | list[str],
        parameters: dict[str, dict[str, object]] | None = None,
        timeout: str = "3600",
        name: str = "test-document",
        as_one_string: bool = False,
    ) -> str:
        scripts = lines if lines and isinstance(lines[0], list) else [list(lines)]
        content = {
            "schemaVersion": "2.2",
            "parameters": parameters or {},
            "mainSteps": [
                {
                    "action": "aws:runShellScript",
                    "name": f"step{number}",
                    "inputs": {
                        "runCommand": "\n".join(map(str, script)) if as_one_string else script,
                        "timeoutSeconds": timeout,
                    },
                }
                for number, script in enumerate(scripts, 1)
            ],
        }
        account.ssm.create_document(
            Name=name, Content=json.dumps(content), DocumentType="Command", DocumentFormat="JSON"
        )
        return name

    return store_document


@pytest.fixture
def send(account: Account) -> Callable[..., str]:
    """Send the document, to every host unless told otherwise; gives the command's id."""

    def send_command(**arguments: object) -> str:
        request: dict[str, object] = {"DocumentName": "test-document", **arguments}
        if "InstanceIds" not in request:
            request.setdefault("Targets", [{"Key": "tag:fleet", "Values": ["all"]}])
        answer = account.ssm.send_command(**request)  # type: ignore[arg-type]
        return answer["Command"]["CommandId"]

    return send_command


@pytest.fixture
def run(account: Account, send: Callable[..., str]) -> Callable[..., EmulatedCommand]:
    """Send the document and wait until the command is over."""

    def run_command(**arguments: object) -> EmulatedCommand:
        return account.wait_until_ended(send(**arguments), timeout=HANG_SECONDS)

    return run_command


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Make a named pipe: a script that reads it runs until somebody writes to it."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    """Make another named pipe, for the way back."""
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
    """One of the test's own: a copy costs less than what git makes."""
    return Path(shutil.copytree(empty_repository, tmp_path / "site.git"))


@pytest.fixture
def commits(repository: Path, full_repository: tuple[Path, Commits]) -> Commits:
    """The repository has what `full_repository` has."""
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
    """Ask the API; a body is JSON, unless it is bytes."""
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
    """A webhook that is there."""
    with Listener() as opened:
        yield opened
