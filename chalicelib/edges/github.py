"""A repository on GitHub: its deployments, its branches, and the deliveries of its webhooks.

Source: GitHub's pages "REST API endpoints for deployments", "... for deployment statuses", "... for
branches" and "... for repository webhooks".
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from chalicelib.core.deployments import Deployment, DeploymentRequest, DeploymentStatus
from chalicelib.core.refs import Branch, CommitSha, RefError, Repository
from chalicelib.core.webhook import FailedDelivery
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github_api import GitHubApi, GoneError, unreadable

_WEBHOOK_PATH = "/github"  # how Pulley's address ends, behind any stage of API Gateway
PAGES, _PER_PAGE = 5, 100  # read at most; GitHub's limit
_LONGEST_STATUS = 100  # characters of GitHub's status of a delivery

Parsed = TypeVar("Parsed")


class GitHub(GitHubApi):
    """GitHub's API, for every repository."""

    def of(
        self, repository: Repository, token: str, deadline: Deadline | None = None
    ) -> "RepositoryDeployments":
        """One repository. No request begins after the deadline."""
        return RepositoryDeployments(self, repository, token, deadline or Deadline())


@dataclass(frozen=True)
class RepositoryDeployments:
    """One repository. Every method raises NotTakenError or UnavailableError."""

    api: GitHubApi
    repository: Repository
    token: str = field(repr=False)
    deadline: Deadline

    def find(self, request: DeploymentRequest) -> Deployment | None:
        """The oldest deployment that matches, so that every caller finds the same one."""
        query = _query(sha=request.commit.sha, environment=request.environment, per_page=100)
        found = _deployments(self._call("GET", f"/deployments?{query}"))
        return min(
            (one for one in found if one.answers(request)), key=lambda one: one.id, default=None
        )

    def create(self, request: DeploymentRequest) -> Deployment:
        """Create it. If an answer is lost, GitHub may have created one: find it first."""
        body = {
            "ref": request.commit.sha,
            "auto_merge": False,
            "required_contexts": [],
            "environment": request.environment,
            "description": f"Pulley: {request.target}",
            "payload": request.payload,
        }
        made = _deployments([self._call("POST", "/deployments", body)])
        if not made:
            raise unreadable("no deployment in it")
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
            query = _query(environment=environment, per_page=_PER_PAGE, page=page)
            answer = _list(self._call("GET", f"/deployments?{query}"))
            yield from _deployments(answer)
            if len(answer) < _PER_PAGE:  # the last page, even if none of it can be read
                return

    def statuses(self, deployment_id: int) -> Sequence[DeploymentStatus]:
        """A deployment's statuses, newest first, a hundred at most."""
        answer = self._call("GET", f"/deployments/{deployment_id}/statuses?per_page=100")
        return [
            DeploymentStatus(_text(one.get("state")), _text(one.get("description")))
            for one in _list(answer)
            if isinstance(one, dict)
        ]

    def post(self, deployment_id: int, status: DeploymentStatus, *, log_url: str = "") -> None:
        """Post a status. GitHub ends no other deployment by it: the caller does."""
        body: dict[str, object] = {
            "state": status.state,
            "description": status.description,
            "auto_inactive": False,
        }
        if log_url:
            body["log_url"] = log_url
        self._call("POST", f"/deployments/{deployment_id}/statuses", body)

    def head(self, branch: Branch) -> CommitSha | None:
        """The branch's tip; None if the branch does not exist, or not for this token."""
        try:
            answer = self._call("GET", f"/branches/{quote(branch.name, safe='')}")
        except GoneError:
            return None
        try:
            # GitHub redirects from a renamed branch to the new name, which nobody asked for.
            name, commit = answer["name"], CommitSha.parse(answer["commit"]["sha"])
        except (KeyError, TypeError, RefError):
            raise unreadable("no branch in it") from None
        return commit if name == branch.name else None

    def failed_deliveries(self, since: datetime) -> Sequence[FailedDelivery]:
        """The deliveries that failed at this time (aware) or later, in each of their attempts.

        Reads the newest hundred of each webhook whose address ends in `/github`, of any stage.
        """
        hooks = _list(self._call("GET", "/hooks?per_page=100"))  # GitHub allows 20 for an event
        return [
            lost
            for hook in hooks
            if _is_pulleys(hook)
            for lost in lost_deliveries(self.attempts(hook["id"]), since)
        ]

    def attempts(self, hook_id: int) -> Sequence[FailedDelivery]:
        """A webhook's newest hundred deliveries, failed or not; empty if it was deleted."""
        try:
            answer = self._call("GET", f"/hooks/{hook_id}/deliveries?per_page=100")
        except GoneError:
            return []
        return _readable(answer, _attempt)

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
        return self.api.call(
            method, self.repository, path, token=self.token, deadline=self.deadline, body=body
        )


def _query(**parameters: object) -> str:
    # Half a surrogate pair, which UTF-8 cannot encode, becomes a "?".
    return urlencode(parameters, quote_via=quote, errors="replace")


def _readable(answer: object, parse: Callable[[Any], Parsed | None]) -> list[Parsed]:
    """The entries of an answer that can be read: the others are not Pulley's."""
    found = []
    for one in _list(answer):
        with suppress(KeyError, TypeError, ValueError, RecursionError):
            found.append(parse(one))
    return [one for one in found if one is not None]


def _deployments(answer: object) -> list[Deployment]:
    return _readable(answer, _deployment)


def _deployment(one: Any) -> Deployment | None:  # noqa: ANN401 - JSON
    payload = one["payload"]
    payload = json.loads(payload) if isinstance(payload, str) and payload else payload
    payload = payload if isinstance(payload, dict) else {}
    created = datetime.fromisoformat(one["created_at"])
    if type(one["id"]) is not int or created.tzinfo is None:
        return None
    return Deployment(
        id=one["id"],
        commit=_text(one["sha"]),
        environment=_text(one["environment"]),
        created=created,
        stage=_text(payload.get("stage")),
        target=_text(payload.get("target")),
    )


def _is_pulleys(hook: Any) -> bool:  # noqa: ANN401 - JSON
    try:
        path = urlsplit(hook["config"]["url"]).path
        return type(hook["id"]) is int and path.endswith(_WEBHOOK_PATH)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _attempt(one: Any) -> FailedDelivery | None:  # noqa: ANN401 - JSON
    at = datetime.fromisoformat(one["delivered_at"])
    id_, code = one["guid"], one["status_code"]
    if not isinstance(id_, str) or type(code) is not int or at.tzinfo is None:
        return None
    status = _text(one.get("status"))[:_LONGEST_STATUS]
    return FailedDelivery(id_, _text(one.get("event")), at, status, code)


def lost_deliveries(attempts: Sequence[FailedDelivery], since: datetime) -> list[FailedDelivery]:
    """The newest attempt of each delivery whose attempts all failed, oldest first."""
    taken = {one.id for one in attempts if 200 <= one.status_code < 300}
    newest = {one.id: one for one in sorted(attempts, key=lambda one: one.delivered_at)}
    return [one for one in newest.values() if one.id not in taken and one.delivered_at >= since]


def _list(answer: object) -> list[Any]:
    if not isinstance(answer, list):  # to read it as an empty one would make a second deployment
        raise unreadable("not a list")
    return answer


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
