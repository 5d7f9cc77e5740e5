"""The repository on GitHub: its branch, checks and deployments."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from chalicelib.core.deployments import (
    NO_LINKS,
    Cause,
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
    Links,
    NotGreen,
)
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.tags import TaggedCommit, TagGlob
from chalicelib.core.webhook import FailedDelivery
from tests.core.fleet.upstream import Upstream
from tests.fakes import STAGE, TOKEN, FakeAnnouncements, FakeDeployments
from tests.flows.gates.layout import EVERY

LISTED = 100  # commits
Answer = TypeVar("Answer")


class Site(FakeDeployments):
    """`tick` is called before each answer. `fails_in` counts down the calls until a call fails; if
    `loses_answer`, GitHub has done then what it was asked. `has_failed` tells that a call failed.
    `judged` has the time at which GitHub found a commit green, by commit and target.
    """

    def __init__(
        self, upstream: Upstream, clock: Callable[[], datetime], tick: Callable[[], None]
    ) -> None:
        super().__init__()
        self.upstream, self.clock, self.tick = upstream, clock, tick
        self.is_away = self.loses_answer = self.has_failed = self.has_forgotten = False
        self.fails_in = 0
        self.judged: dict[tuple[str, str], datetime] = {}

    def of(self, repository: Repository, token: str) -> "Site":
        assert (str(repository), token) == ("octo/site", TOKEN)
        return self

    # --- The branch -------------------------------------------------------------------------------

    def head(self, branch: Branch) -> CommitSha | None:
        self._call("head")
        return CommitSha(self.upstream.tip) if branch.name == "main" else None

    def commits(self, branch: Branch) -> Sequence[CommitSha]:
        self._call("commits")
        line = self.upstream.line_of(self.upstream.tip) if branch.name == "main" else []
        return [CommitSha(one) for one in line[:LISTED]]

    def tags(self, glob: TagGlob, *, releases: bool) -> Sequence[TaggedCommit]:
        raise NotImplementedError  # no target of a schedule follows tags

    def merge_base(self, one: CommitSha, other: CommitSha) -> CommitSha | None:
        self._call("merge_base")
        base = self.base_of(one.sha, other.sha)
        return CommitSha(base) if base else None

    def base_of(self, one: str, other: str) -> str:
        """The newest commit that both have; "" if GitHub has forgotten what a push removed."""
        if self.has_forgotten and not self.upstream.has(self.upstream.tip, one):
            return ""
        line = self.upstream.line_of(other)
        return next(sha for sha in self.upstream.line_of(one) if sha in line)

    def failed_deliveries(self, since: datetime) -> Sequence[FailedDelivery]:
        self._call("failed_deliveries")
        return []

    # --- Checks and deployments -------------------------------------------------------------------

    def is_green(self, commit: str, checks: Sequence[str]) -> bool:
        """Whether these checks of a commit have passed; all that exist, if it is EVERY."""
        found = self.checks.get(commit, {})
        names = found if checks == EVERY else checks
        if not names:  # no check was reported yet
            return False
        return all(found.get(name) == "success" for name in names)

    def add(
        self, commit: str, environment: str = "web", stage: str = STAGE, target: str = "web"
    ) -> Deployment:
        made = super().add(commit, environment, stage, target)
        self.made[made.id] = replace(made, created=self.clock())
        return self.made[made.id]

    def create(self, request: DeploymentRequest) -> Deployment:
        return self._answer(super().create(request))

    def create_if_green(
        self, request: DeploymentRequest, checks: Sequence[str]
    ) -> Deployment | NotGreen:
        made = super().create_if_green(request, checks)
        if isinstance(made, Deployment):
            self.judged[request.commit.sha, request.target] = self.clock()
        return self._answer(made) if isinstance(made, Deployment) else made

    def post(self, deployment_id: int, status: DeploymentStatus, links: Links = NO_LINKS) -> None:
        super().post(deployment_id, status, links)
        self._answer(deployment_id)

    def _call(self, method: str) -> None:
        self.tick()
        if self.fails_in:
            self.fails_in -= 1
        is_due = self.fails_in == 1 and not self.loses_answer
        if self.is_away or is_due:
            self._fail()

    def _answer(self, answer: Answer) -> Answer:
        if self.fails_in == 1 and self.loses_answer:
            self._fail()
        return answer

    def _fail(self) -> None:
        self.has_failed, self.fails_in = True, 0
        raise UnavailableError("GitHub is away")


class Announcements(FakeAnnouncements):
    """GitHub for a deploy, which returns errors and raises none."""

    def post(
        self, cause: Cause, posts: Sequence[tuple[int, DeploymentStatus]], *, seconds: float
    ) -> Sequence[PulleyError | None]:
        answers: list[PulleyError | None] = []
        for id_, status in posts:
            try:
                self.github.post(id_, status)
                answers.append(None)
            except PulleyError as error:
                answers.append(error)
        return answers

    def _open(self, request: DeploymentRequest) -> tuple[Deployment, bool] | PulleyError:
        try:
            return super()._open(request)
        except PulleyError as error:
            return error
