"""What GitHub has of one repository: its deployments, its branches, what its webhooks brought.

Source: GitHub's pages "REST API endpoints for deployments", "... for deployment statuses", "... for
branches" and "... for repository webhooks".
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from chalicelib.core.deployments import Deployment, DeploymentRequest, DeploymentStatus
from chalicelib.core.refs import Branch, CommitSha, RefError, Repository
from chalicelib.core.webhook import FailedDelivery
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github_api import GitHubApi, GoneError, unreadable

_WEBHOOK_PATH = "/github"  # that Pulley's address ends in, behind any stage of API Gateway
PAGES, _PER_PAGE = 5, 100  # looked through, and GitHub's most
_LONGEST_STATUS = 100  # characters of GitHub's words for what became of a delivery


class GitHub(GitHubApi):
    """The deployments of every repository, over connections that are kept."""

    def of(
        self, repository: Repository, token: str, deadline: Deadline | None = None
    ) -> "RepositoryDeployments":
        """The deployments of a repository. Past the deadline no request begins."""
        return RepositoryDeployments(self, repository, token, deadline or Deadline())


@dataclass(frozen=True)
class RepositoryDeployments:
    """One repository's deployments, and what reconciling asks of it.

    Every method raises NotTakenError or UnavailableError.
    """

    api: GitHubApi
    repository: Repository
    token: str = field(repr=False)
    deadline: Deadline

    def find(self, request: DeploymentRequest) -> Deployment | None:
        """The oldest deployment that answers the request, so that everyone finds the same one."""
        query = _query(sha=request.commit.sha, environment=request.environment, per_page=100)
        found = _deployments(self._call("GET", f"/deployments?{query}"))
        return min(
            (one for one in found if one.answers(request)), key=lambda one: one.id, default=None
        )

    def create(self, request: DeploymentRequest) -> Deployment:
        """Make it. One whose answer is lost may have been made all the same: find it first."""
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
        """The one with this id; None where there is none any more."""
        try:
            found = _deployments([self._call("GET", f"/deployments/{deployment_id}")])
        except GoneError:
            return None
        return found[0] if found else None

    def newest(self, environment: str) -> Iterator[Deployment]:
        """An environment's deployments, newest first: a page at a time, PAGES at the most.

        The last page is the one that GitHub did not fill, however many of it can be read.
        """
        for page in range(1, PAGES + 1):
            query = _query(environment=environment, per_page=_PER_PAGE, page=page)
            answer = _list(self._call("GET", f"/deployments?{query}"))
            yield from _deployments(answer)
            if len(answer) < _PER_PAGE:
                return

    def statuses(self, deployment_id: int) -> Sequence[DeploymentStatus]:
        """What was said of a deployment, newest first, a hundred at most."""
        path = f"/deployments/{deployment_id}/statuses?per_page=100"
        answer = self._call("GET", path)
        return [
            DeploymentStatus(_text(one.get("state")), _text(one.get("description")))
            for one in _list(answer)
            if isinstance(one, dict)
        ]

    def post(self, deployment_id: int, status: DeploymentStatus, *, log_url: str = "") -> None:
        """Say how it stands. Which earlier ones it ends is said for each, not left to GitHub."""
        body: dict[str, object] = {
            "state": status.state,
            "description": status.description,
            "auto_inactive": False,
        }
        if log_url:
            body["log_url"] = log_url
        self._call("POST", f"/deployments/{deployment_id}/statuses", body)

    def head(self, branch: Branch) -> CommitSha | None:
        """The branch's tip; None where there is no such branch, or none that the token may see."""
        try:
            answer = self._call("GET", f"/branches/{quote(branch.name, safe='')}")
        except GoneError:
            return None
        try:
            # GitHub leads on from a branch that was renamed, to one that nobody asked for.
            name, commit = answer["name"], CommitSha.parse(answer["commit"]["sha"])
        except (KeyError, TypeError, RefError):
            raise unreadable("no branch in it") from None
        return commit if name == branch.name else None

    def failed_deliveries(self, since: datetime) -> Sequence[FailedDelivery]:
        """What Pulley's webhooks did not take at this time (aware) or later, and not since.

        Of each webhook whose address ends in `/github`, whichever stage's it is, the newest hundred
        deliveries are looked at.
        """
        hooks = _list(self._call("GET", "/hooks?per_page=100"))  # GitHub allows 20 for an event
        return [
            lost
            for hook in hooks
            if _is_pulleys(hook)
            for lost in lost_deliveries(self.attempts(hook["id"]), since)
        ]

    def attempts(self, hook_id: int) -> Sequence[FailedDelivery]:
        """What a webhook tried, the newest hundred, failed or not; nothing where it is gone."""
        try:
            return _attempts(self._call("GET", f"/hooks/{hook_id}/deliveries?per_page=100"))
        except GoneError:
            return []

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
        return self.api.call(
            method, self.repository, path, token=self.token, deadline=self.deadline, body=body
        )


def _query(**parameters: object) -> str:
    """A query whose spaces are %20; half a surrogate pair, which UTF-8 has not, becomes a "?"."""
    return urlencode(parameters, quote_via=quote, errors="replace")


def _deployments(answer: object) -> list[Deployment]:
    """The deployments of an answer that can be read; whatever else is there is not Pulley's."""
    found = []
    for one in _list(answer):
        try:
            payload = one["payload"]
            payload = json.loads(payload) if isinstance(payload, str) and payload else payload
            payload = payload if isinstance(payload, dict) else {}
            created = datetime.fromisoformat(one["created_at"])
            if type(one["id"]) is not int or created.tzinfo is None:
                continue
            found.append(
                Deployment(
                    id=one["id"],
                    commit=_text(one["sha"]),
                    environment=_text(one["environment"]),
                    created=created,
                    stage=_text(payload.get("stage")),
                    target=_text(payload.get("target")),
                )
            )
        except (KeyError, TypeError, ValueError, RecursionError):
            continue
    return found


def _is_pulleys(hook: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether a webhook of GitHub's answer is one of Pulley's."""
    try:
        path = urlsplit(hook["config"]["url"]).path
        return type(hook["id"]) is int and path.endswith(_WEBHOOK_PATH)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _attempts(answer: object) -> list[FailedDelivery]:
    """The deliveries of an answer that can be read, as if each had failed."""
    found = []
    for one in _list(answer):
        try:
            at = datetime.fromisoformat(one["delivered_at"])
            id_, code = one["guid"], one["status_code"]
            if not isinstance(id_, str) or type(code) is not int or at.tzinfo is None:
                continue
            status = _text(one.get("status"))[:_LONGEST_STATUS]
            found.append(FailedDelivery(id_, _text(one.get("event")), at, status, code))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def lost_deliveries(attempts: Sequence[FailedDelivery], since: datetime) -> list[FailedDelivery]:
    """The newest attempt of each delivery that none of its attempts brought, oldest first."""
    taken = {one.id for one in attempts if 200 <= one.status_code < 300}
    newest = {one.id: one for one in sorted(attempts, key=lambda one: one.delivered_at)}
    return [one for one in newest.values() if one.id not in taken and one.delivered_at >= since]


def _list(answer: object) -> list[Any]:
    """A list, or UnavailableError: "none" would have a second deployment made."""
    if not isinstance(answer, list):
        raise unreadable("not a list")
    return answer


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
