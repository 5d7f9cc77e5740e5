"""A repository on Gitea or Forgejo: reports are commit statuses, as these have no deployments.

A target's deployment of a commit is the commit's statuses in the context `pulley/<environment>`.
Such a status has fewer states than a deployment. So the link of each status that Pulley posts ends
in the deployment's state, and `statuses` reads back exactly what was posted:

- `queued` and `in_progress` are `pending`.
- `inactive` is no end of its own: the status keeps the state of the end before it (a commit that
  was replaced has still succeeded). Without such an end it is a `warning`.

Sources: Gitea's and Forgejo's API reference (Swagger), "repository"; their API ends in `/api/v1`.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urldefrag

from chalicelib.core.deployments import (
    NO_LINKS,
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
    Links,
    NotGreen,
)
from chalicelib.core.errors import NotTakenError
from chalicelib.core.refs import CommitSha, RefError, Repository
from chalicelib.core.tags import TaggedCommit, TagGlob, highest_first
from chalicelib.core.webhook import FailedDelivery
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github import PAGES, GitHub, Parsed, listed, query, readable, text_of
from chalicelib.edges.github_api import GoneError, unreadable
from chalicelib.edges.github_reading import MOST_TAGS, RepositoryReading, published_tag, with_parent

PER_PAGE = 50  # the servers' default limit
PAGES_OF_TAGS, PAGES_OF_RELEASES = 40, 2  # read at most
MAX_KNOWN = 1000  # deployments that a process remembers
_LEFT_OUT = {"stat": "false", "verification": "false", "files": "false"}  # of commits
_INACTIVE = "inactive"
_STATES = {  # of a commit status, by a deployment's state
    "queued": "pending",
    "pending": "pending",
    "in_progress": "pending",
    "success": "success",
    "failure": "failure",
    "error": "error",
}
_NO_END = "warning"
_OF_OTHERS = {"pending": "in_progress", _NO_END: _INACTIVE}  # without our link


@dataclass(frozen=True)
class _Status:
    """A commit status of Pulley's context; `number` counts those of a commit, `shown` is its state.

    `said` is what it says of the deployment.
    """

    number: int
    context: str
    shown: str
    said: DeploymentStatus
    created: datetime


class Forge(GitHub):
    """The API of a Gitea or Forgejo server, for every repository."""

    def __init__(self, api_url: str, clock: Callable[[], float] = time.time) -> None:
        """`clock` is in epoch seconds."""
        super().__init__(api_url, clock)
        self.site = api_url.rstrip("/").removesuffix("/api/v1")
        # A commit status cannot be looked up by id. So each deployment gets an id computed from its
        # request (`_remember`); this maps the id back to the request.
        self.known: OrderedDict[tuple[Repository, int], DeploymentRequest] = OrderedDict()

    def of(
        self, repository: Repository, token: str, deadline: Deadline | None = None
    ) -> "ForgeRepository":
        """One repository. No request begins after the deadline."""
        return ForgeRepository(self, repository, token, deadline or Deadline(), self)

    def permission_for(self, method: str, part: str) -> str:  # noqa: ARG002 - parts are alike
        """What a request needs: tokens have scopes, and their user has rights."""
        scope = "read" if method == "GET" else "write"
        return f"the scope {scope}:repository, and its user the right to {scope}"


@dataclass(frozen=True)
class ForgeRepository(RepositoryReading):
    """One repository. Every method raises NotTakenError or UnavailableError."""

    forge: Forge

    def find(self, request: DeploymentRequest) -> Deployment | None:
        """The deployment, if the commit has a status of it.

        `deployment`, `statuses` and `post` know only the ids that this process found or created.
        """
        id_ = self._remember(request)
        own = self._own(request)
        return _deployment(id_, request, own[-1].created) if own else None

    def create(self, request: DeploymentRequest) -> Deployment:
        """Post its first status, as a deployment without any status is nothing here."""
        id_ = self._remember(request)
        first = DeploymentStatus("queued", f"Pulley: {request.target}")
        made = readable([self._post(request, first, _STATES["queued"])], _status)
        if not made:
            raise unreadable("no commit status in it")
        return _deployment(id_, request, made[0].created)

    def create_if_green(
        self,
        request: DeploymentRequest,  # noqa: ARG002 - the port's
        checks: Sequence[str],  # noqa: ARG002 - the port's
    ) -> Deployment | NotGreen:
        """Refuse: only GitHub judges checks. `pulley targets apply` refuses such a target, too."""
        raise NotTakenError("the gate checks needs GitHub: Gitea and Forgejo have no deployments")

    def deployment(self, deployment_id: int) -> Deployment | None:
        """The deployment with this id, if this process has asked for it before."""
        request = self.forge.known.get((self.repository, deployment_id))
        return self.find(request) if request else None

    def newest(self, environment: str) -> Iterator[Deployment]:  # noqa: ARG002 - the port's
        """Empty: statuses are listed by commit only. So nobody ends what a commit replaces."""
        return iter(())

    def statuses(self, deployment_id: int) -> Sequence[DeploymentStatus]:
        """A deployment's statuses, newest first, as they were posted."""
        return [one.said for one in self._own(self._request(deployment_id))]

    def post(self, deployment_id: int, status: DeploymentStatus, links: Links = NO_LINKS) -> None:
        """Post a status. For `inactive` the newest statuses are read first."""
        request = self._request(deployment_id)
        shown = _STATES.get(status.state, _NO_END)
        if status.state == _INACTIVE:
            own = self._own(request)
            ended = (one.shown for one in own if one.shown != _STATES["queued"])
            shown = next(ended, _NO_END)
        self._post(request, status, shown, links.log_url)

    def merge_base(self, one: CommitSha, other: CommitSha) -> CommitSha | None:
        """The newest commit among `other` and its first parents that `one` has in its history.

        It may be older than git's merge base. None also if the server is too old to compare
        two commits.
        """
        try:
            answer = self._call("GET", f"/compare/{one.sha}...{other.sha}?{query(**_LEFT_OUT)}")
        except GoneError:
            return None
        try:
            lacking = answer["commits"] or []  # what Go writes for an empty list may be null
        except (KeyError, TypeError):
            raise unreadable("no comparison in it") from None
        parents = dict(readable(lacking, with_parent))
        if len(parents) < len(lacking):  # the way through them would end too early
            raise unreadable("a commit without its parents in it")
        commit = other.sha
        while commit in parents:
            commit = parents.pop(commit)
        try:
            return CommitSha.parse(commit) if commit else None
        except RefError:
            raise unreadable("a parent in it that is no commit") from None

    def tags(self, glob: TagGlob, *, releases: bool) -> Sequence[TaggedCommit]:
        """The highest MOST_TAGS tags that fit, the highest first.

        Among the 2,000 tags that were made last; with `releases`, only those of published releases
        that are no pre-releases, among the newest hundred releases.
        """
        found = dict(one for one in self._paged("/tags", PAGES_OF_TAGS, _tag) if glob.fits(one[0]))
        if releases and found:
            names = self._paged("/releases", PAGES_OF_RELEASES, published_tag)
            found = {name: found[name] for name in names if name in found}
        return [TaggedCommit(name, found[name]) for name in highest_first(found)[:MOST_TAGS]]

    def failed_deliveries(
        self,
        since: datetime,  # noqa: ARG002 - the port's
    ) -> Sequence[FailedDelivery]:
        """Empty: the API does not list deliveries. Their page of the webhook does."""
        return []

    def attempts(self, hook_id: int) -> Sequence[FailedDelivery]:  # noqa: ARG002 - the port's
        """Empty: see `failed_deliveries`."""
        return []

    def commits_path(self, tip: CommitSha) -> str:
        """The path of the commits up to a tip, without what costs the server most."""
        return f"/commits?{query(sha=tip.sha, limit=PER_PAGE, **_LEFT_OUT)}"

    def _remember(self, request: DeploymentRequest) -> int:
        """The id of the deployment: the same one in each process, as it is made from the request.

        It fits into the document's parameter, and other callers find the request by it.
        """
        request = replace(request, delivery="")
        text = f"{request.commit}\n{request.environment}\n{request.stage}\n{request.target}"
        id_ = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])
        known = self.forge.known
        known[self.repository, id_] = request
        known.move_to_end((self.repository, id_))
        while len(known) > MAX_KNOWN:
            known.popitem(last=False)
        return id_

    def _request(self, deployment_id: int) -> DeploymentRequest:
        try:
            return self.forge.known[self.repository, deployment_id]
        except KeyError:
            raise NotTakenError("the deployment was not found before it was used") from None

    def _own(self, request: DeploymentRequest) -> Sequence[_Status]:
        """The commit's statuses for the environment, newest first.

        Times are whole seconds, so the order is that of the numbers.
        """
        listed_now = self._paged(f"/statuses/{request.commit}", PAGES, _status)
        context = _context(request)
        own = {one.number: one for one in listed_now if one.context == context}
        return [own[number] for number in sorted(own, reverse=True)]

    def _paged(self, path: str, pages: int, parse: Callable[[Any], Parsed | None]) -> list[Parsed]:
        """The entries of a list that can be read, of so many pages at most."""
        found: list[Parsed] = []
        for page in range(1, pages + 1):
            answer = listed(self._call("GET", f"{path}?{query(limit=PER_PAGE, page=page)}"))
            found += readable(answer, parse)
            if len(answer) < PER_PAGE:
                break
        return found

    def _post(
        self, request: DeploymentRequest, status: DeploymentStatus, shown: str, log_url: str = ""
    ) -> Any:  # noqa: ANN401 - JSON
        commit = request.commit.sha
        page = log_url or f"{self.forge.site}/{self.repository}/commit/{commit}"
        body: Mapping[str, object] = {
            "state": shown,
            "context": _context(request),
            "description": status.description,
            "target_url": f"{page}#{status.state}",
        }
        return self._call("POST", f"/statuses/{commit}", body)


def _context(request: DeploymentRequest) -> str:
    return f"pulley/{request.environment}"


def _deployment(id_: int, request: DeploymentRequest, created: datetime) -> Deployment:
    return Deployment(
        id=id_,
        commit=request.commit.sha,
        environment=request.environment,
        created=created,
        stage=request.stage,
        target=request.target,
    )


def _tag(one: Any) -> tuple[str, CommitSha]:  # noqa: ANN401 - JSON
    return text_of(one["name"]), CommitSha.parse(one["commit"]["sha"])


def _status(one: Any) -> _Status | None:  # noqa: ANN401 - JSON
    created = datetime.fromisoformat(one["created_at"])
    if type(one["id"]) is not int or created.tzinfo is None:
        return None
    shown = text_of(one["status"])
    state = urldefrag(text_of(one["target_url"])).fragment
    if state != _INACTIVE and _STATES.get(state) != shown:  # not posted by Pulley
        state = _OF_OTHERS.get(shown, shown)
    said = DeploymentStatus(state, text_of(one["description"]))
    return _Status(one["id"], text_of(one["context"]), shown, said, created)
