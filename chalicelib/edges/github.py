"""A repository's deployments on GitHub.

Source: GitHub's pages "REST API endpoints for deployments" and "... for deployment statuses".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from chalicelib.core.deployments import (
    NO_LINKS,
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
    Links,
    NotGreen,
    read_payload,
)
from chalicelib.core.refs import RefError, Repository
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github_api import ConflictError, GitHubApi, GoneError, unreadable

PAGES, PER_PAGE = 5, 100  # read at most; GitHub's limit
_MOST_CHECKS = 5  # named in a reason

Parsed = TypeVar("Parsed")


class GitHub(GitHubApi):
    """GitHub's API, for every repository."""

    def of(
        self, repository: Repository, token: str, deadline: Deadline | None = None
    ) -> "RepositoryDeployments":
        """One repository. No request begins after the deadline."""
        return RepositoryDeployments(self, repository, token, deadline or Deadline())


def has_deployments(api_url: str) -> bool:
    """Whether it is GitHub's API: that of Gitea and Forgejo ends in /api/v1, and has none."""
    return not api_url.rstrip("/").endswith("/api/v1")


def github_at(api_url: str) -> GitHub:
    """The API at an address: GitHub's, or that of a Gitea or Forgejo server."""
    if has_deployments(api_url):
        return GitHub(api_url)
    from chalicelib.edges.commit_statuses import Forge

    return Forge(api_url)


@dataclass(frozen=True)
class RepositoryDeployments:
    """One repository. Every method raises NotTakenError or UnavailableError."""

    api: GitHubApi
    repository: Repository
    token: str = field(repr=False)
    deadline: Deadline

    def find(self, request: DeploymentRequest) -> Deployment | None:
        """The oldest deployment that matches, so that every caller finds the same one."""
        asked = query(sha=request.commit.sha, environment=request.environment, per_page=100)
        found = _deployments(self._call("GET", f"/deployments?{asked}"))
        return min(
            (one for one in found if one.answers(request)), key=lambda one: one.id, default=None
        )

    def create(self, request: DeploymentRequest) -> Deployment:
        """Create it. If an answer is lost, GitHub may have created one: find it first."""
        return self._create(request, {"required_contexts": []})

    def create_if_green(
        self, request: DeploymentRequest, checks: Sequence[str]
    ) -> Deployment | NotGreen:
        """Create it if these checks of its commit have passed; without names, if all have.

        GitHub judges that. It counts a skipped check as not passed, and does not miss a check that
        has not begun unless it is named.
        """
        try:
            return self._create(request, {"required_contexts": list(checks)} if checks else {})
        except ConflictError as error:
            return NotGreen(_not_green(error.errors))

    def _create(self, request: DeploymentRequest, judged: Mapping[str, object]) -> Deployment:
        body = {
            "ref": request.commit.sha,
            "auto_merge": False,
            **judged,
            "environment": request.environment,
            "description": f"Pulley: {request.target}",
            "payload": request.payload,
        }
        made = _deployments([self._call("POST", "/deployments", body)])
        if not made:
            raise unreadable("no deployment in it")
        if made[0].commit != request.commit.sha:  # `ref` could be a branch's name, too
            raise unreadable("a deployment of another commit")
        return made[0]

    def deployment(self, deployment_id: int) -> Deployment | None:
        """The deployment with this id; None if it was deleted."""
        try:
            found = _deployments([self._call("GET", f"/deployments/{deployment_id}")])
        except GoneError:
            return None
        return found[0] if found else None

    def newest(self, environment: str) -> Iterator[Deployment]:
        """An environment's deployments, newest first; PAGES pages at most, read as needed."""
        for page in range(1, PAGES + 1):
            asked = query(environment=environment, per_page=PER_PAGE, page=page)
            answer = listed(self._call("GET", f"/deployments?{asked}"))
            yield from _deployments(answer)
            if len(answer) < PER_PAGE:  # the last page, even if none of it can be read
                return

    def statuses(self, deployment_id: int) -> Sequence[DeploymentStatus]:
        """A deployment's statuses, newest first, a hundred at most."""
        answer = self._call("GET", f"/deployments/{deployment_id}/statuses?per_page=100")
        return [
            DeploymentStatus(text_of(one.get("state")), text_of(one.get("description")))
            for one in listed(answer)
            if isinstance(one, dict)
        ]

    def post(self, deployment_id: int, status: DeploymentStatus, links: Links = NO_LINKS) -> None:
        """Post a status. GitHub ends no other deployment by it: the caller does."""
        body: dict[str, object] = {
            "state": status.state,
            "description": status.description,
            "auto_inactive": False,
        }
        body |= {name: url for name, url in vars(links).items() if url}
        self._call("POST", f"/deployments/{deployment_id}/statuses", body)

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
        return self.api.call(
            method, self.repository, path, token=self.token, deadline=self.deadline, body=body
        )


def query(**parameters: object) -> str:
    """A query string."""
    # Half a surrogate pair, which UTF-8 cannot encode, becomes a "?".
    return urlencode(parameters, quote_via=quote, errors="replace")


def readable(answer: object, parse: Callable[[Any], Parsed | None]) -> list[Parsed]:
    """The entries of an answer that can be read: the others are not Pulley's."""
    found = []
    for one in listed(answer):
        with suppress(KeyError, TypeError, ValueError, RecursionError, RefError):
            found.append(parse(one))
    return [one for one in found if one is not None]


def _deployments(answer: object) -> list[Deployment]:
    return readable(answer, _deployment)


def _deployment(one: Any) -> Deployment | None:  # noqa: ANN401 - JSON
    payload = read_payload(one["payload"])
    created = datetime.fromisoformat(one["created_at"])
    if type(one["id"]) is not int or created.tzinfo is None:
        return None
    return Deployment(
        id=one["id"],
        commit=text_of(one["sha"]),
        environment=text_of(one["environment"]),
        created=created,
        stage=text_of(payload.get("stage")),
        target=text_of(payload.get("target")),
    )


def _not_green(errors: Any) -> str:  # noqa: ANN401 - JSON
    """What GitHub says of the checks, like "lint: pending"; "" if it names none."""
    with suppress(KeyError, TypeError):
        # GitHub lists every check that it judged, also those that passed.
        states = {one["context"]: one["state"] for error in errors for one in error["contexts"]}
        said = [f"{name}: {state}" for name, state in states.items() if state != "success"]
        return ", ".join(said[:_MOST_CHECKS])
    return ""


def listed(answer: object) -> list[Any]:
    """The answer, which must be a list. Raises UnavailableError."""
    if not isinstance(answer, list):  # to read it as an empty one would make a second deployment
        raise unreadable("not a list")
    return answer


def text_of(value: object) -> str:
    """The value if it is a string, else ""."""
    return value if isinstance(value, str) else ""
