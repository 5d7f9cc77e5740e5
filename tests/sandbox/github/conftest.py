"""A token that may also write commit statuses and check runs, as a CI server's may."""

from collections.abc import Callable
from typing import Any

import pytest

from pulley.sandbox.github.server import GitHubServer
from tests.sandbox.repository import Call, Commits

Submit = Callable[..., dict[str, Any]]


@pytest.fixture
def ci(github: GitHubServer) -> GitHubServer:
    """The server, with a token that is a CI server's too."""
    github.permissions |= {"statuses": "write", "checks": "write"}
    return github


@pytest.fixture
def set_status(ci: GitHubServer, call: Call, commits: Commits) -> Submit:
    """Create a commit status through the API, of main's tip unless another commit is named."""

    def create(context: str, state: str, sha: str = "", **fields: object) -> dict[str, Any]:
        path = f"/repos/octo/site/statuses/{sha or commits['second']}"
        answer = call("POST", path, {"context": context, "state": state, **fields})
        assert answer.status == 201, answer.data
        ci.hookshot.wait_until_idle()
        shown: dict[str, Any] = answer.json()
        return shown

    return create


@pytest.fixture
def create_run(ci: GitHubServer, call: Call, commits: Commits) -> Submit:
    """Create a check run through the API, of main's tip unless another commit is named."""

    def create(name: str, conclusion: str = "", sha: str = "", **fields: object) -> dict[str, Any]:
        body = {"name": name, "head_sha": sha or commits["second"], **fields}
        body |= {"conclusion": conclusion} if conclusion else {}
        answer = call("POST", "/repos/octo/site/check-runs", body)
        assert answer.status == 201, answer.data
        ci.hookshot.wait_until_idle()
        shown: dict[str, Any] = answer.json()
        return shown

    return create


@pytest.fixture
def update_run(ci: GitHubServer, call: Call) -> Submit:
    """Change a check run through the API."""

    def update(run: dict[str, Any], **fields: object) -> dict[str, Any]:
        answer = call("PATCH", f"/repos/octo/site/check-runs/{run['id']}", fields)
        assert answer.status == 200, answer.data
        ci.hookshot.wait_until_idle()
        shown: dict[str, Any] = answer.json()
        return shown

    return update
