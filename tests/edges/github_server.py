"""GitHub as a server on loopback, with its answers and requests, for the tests of two edges."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.core.deployments import Deployment, DeploymentRequest, DeploymentStatus
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github import GitHub, RepositoryDeployments
from tests.edges.scripted_server import Raw, Script, ScriptedServer, answer
from tests.fakes import COMMIT, GUID, SITE, STAGE, FakeClock

TOKEN = "github_pat_11AAAAAAA0aaaaaaaaaaaa_secret"
REQUEST = DeploymentRequest(CommitSha(COMMIT), "production", STAGE, "web", GUID)
STATUS = DeploymentStatus("success", "2 of 2 hosts at 4d5e6f7")
PATH = "/repos/octo/site/deployments"


def shown(number: int = 1, **changes: object) -> dict[str, object]:
    """A deployment as GitHub's page "REST API endpoints for deployments" shows it."""
    url = f"https://api.github.com/repos/octo/site/deployments/{number}"
    return {
        "url": url,
        "id": number,
        "node_id": "MDEwOkRlcGxveW1lbnQx",
        "sha": COMMIT,
        "ref": COMMIT,
        "task": "deploy",
        "payload": REQUEST.payload,
        "original_environment": "production",
        "environment": "production",
        "description": "Pulley: web",
        "creator": {"login": "octocat", "id": 1, "type": "User", "site_admin": False},
        "created_at": "2026-07-20T01:19:13Z",
        "updated_at": "2026-07-20T01:19:13Z",
        "statuses_url": f"{url}/statuses",
        "repository_url": "https://api.github.com/repos/octo/site",
        "transient_environment": False,
        "production_environment": True,
    } | changes


def shown_status(state: str, description: object = "") -> dict[str, object]:
    return {
        "url": "https://api.github.com/repos/octo/site/deployments/42/statuses/1",
        "id": 1,
        "node_id": "MDE2OkRlcGxveW1lbnRTdGF0dXMx",
        "state": state,
        "creator": {"login": "octocat", "id": 1},
        "description": description,
        "environment": "production",
        "target_url": "",
        "created_at": "2026-07-20T01:19:13Z",
        "log_url": "",
    }


def deployment_of(number: int = 1) -> Deployment:
    created = datetime(2026, 7, 20, 1, 19, 13, tzinfo=UTC)
    return Deployment(number, COMMIT, "production", created, STAGE, "web")


def said(message: str, status: int, **headers: object) -> Raw:
    content = {"message": message, "documentation_url": "https://docs.github.com/rest"}
    return answer(content, status, **headers)


UNAUTHORIZED = said("Bad credentials", 401)
FORBIDDEN = said("Resource not accessible by personal access token", 403)
NOT_FOUND = said("Not Found", 404)


class Api:
    """A server, the edge that sends requests to it, and the clock of the edge's memory."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.clock = FakeClock()
        self.github = GitHub(server.url, self.clock)
        self.deployments = self.of()

    def of(
        self, repository: Repository = SITE, token: str = TOKEN, deadline: Deadline | None = None
    ) -> RepositoryDeployments:
        return self.github.of(repository, token, deadline)

    def answers(self, *raws: Raw) -> None:
        """Answer with one after the other, and then always with the last."""
        turns = count()
        self.script(lambda _request: raws[min(next(turns), len(raws) - 1)])

    def script(self, script: Script) -> None:
        self.server.script = script

    @property
    def calls(self) -> int:
        return len(self.server.requests)

    def query(self) -> Mapping[str, list[str]]:
        return parse_qs(urlsplit(self.server.requests[-1].target).query, strict_parsing=True)


ASKING: dict[str, Callable[[RepositoryDeployments], object]] = {
    "find": lambda deployments: deployments.find(REQUEST),
    "create": lambda deployments: deployments.create(REQUEST),
    "create_if_green": lambda deployments: deployments.create_if_green(REQUEST, ["test"]),
    "deployment": lambda deployments: deployments.deployment(42),
    "newest": lambda deployments: list(deployments.newest("production")),
    "statuses": lambda deployments: deployments.statuses(42),
    "post": lambda deployments: deployments.post(42, STATUS),
}
every_method = pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING.keys())
