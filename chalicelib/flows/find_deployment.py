"""A target's deployments on GitHub: the one of a commit, and the one that its success replaces.

Of a commit it is the first one, for everyone who asks.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol

from chalicelib.core.deployments import Deployment, DeploymentRequest, DeploymentStatus, replaced
from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import Command, RollOut
from chalicelib.flows.verdict import History, read_verdict, sent_to, since_made

LOOKS = 50  # deployments looked into
RETRY_SECONDS = 2.0  # for what GitHub made to be found


class Deployments(Protocol):
    """A repository's on GitHub. Every method raises NotTakenError or UnavailableError."""

    def find(self, request: DeploymentRequest) -> Deployment | None:
        """The first one that answers the request."""

    def create(self, request: DeploymentRequest) -> Deployment:
        """Make it."""

    def deployment(self, deployment_id: int) -> Deployment | None:
        """The one with this id."""

    def newest(self, environment: str) -> Iterator[Deployment]:
        """An environment's, newest first, as far back as is worth it."""

    def statuses(self, deployment_id: int) -> Sequence[DeploymentStatus]:
        """Newest first."""

    def post(self, deployment_id: int, status: DeploymentStatus, *, log_url: str = "") -> None:
        """Say how it stands."""


def find_or_create(
    github: Deployments, sent: RollOut, environment: str, *, stage: str
) -> Deployment:
    """The deployment that a command is part of; one that could not be made before is made.

    Raises NotTakenError and UnavailableError.
    """
    request = DeploymentRequest(
        sent.repository, sent.commit, environment, stage, sent.target, sent.delivery
    )
    known_id = sent.deployment
    found = github.find(request)
    if found is None and known_id is not None:  # its environment had another name then
        known = github.deployment(known_id)
        found = known if known and known.commit == request.commit.sha else None
    if found is None:
        known_id = github.create(request).id
        found = github.find(request) or github.deployment(known_id)
    if found is None:
        raise UnavailableError("GitHub does not know what it made", retry_seconds=RETRY_SECONDS)
    if known_id is not None and known_id != found.id:
        _end_twin(github, known_id, found, request)
    return found


def _end_twin(
    github: Deployments, twin: int, first: Deployment, request: DeploymentRequest
) -> None:
    """Two were made at once, and the other one must not wait for ever."""
    made = github.deployment(twin)
    said = github.statuses(twin) if made and made.answers(request) else None
    if said is not None and not any(one.state == "inactive" for one in said[:1]):
        github.post(twin, DeploymentStatus("inactive", f"the same as {first.id}"))


def end_replaced(  # noqa: PLR0913 - each is a fact of its own
    github: Deployments,
    history: History,
    command: Command,
    *,
    environment: str,
    stage: str,
    now: datetime,
) -> None:
    """Say of the deployment that this command's replaces that it does not run any more.

    The command's commit is on every host of its target by `now` (aware). There is one at the most,
    as each ended the one before it. It is not far back, but for what failed since, and for other
    targets in the environment. Raises what its ports do.
    """
    target, commit = command.roll_out.target, command.roll_out.commit
    others = (
        one
        for one in github.newest(environment)
        if (one.stage, one.target) == (stage, target) and one.commit != commit.sha
    )
    for other in islice(others, LOOKS):
        said = github.statuses(other.id)
        if not said or said[0].state != "success":
            continue
        # By the same look as its own events have: they may come later, or have seen more.
        sent = sent_to(history, command, since_made(other, command))
        status = replaced(commit)
        if any(one.roll_out.commit.sha == other.commit for one in sent):
            _, status = read_verdict(history, sent, other.commit, now=now)
        if status.state == "inactive":
            github.post(other.id, status)
            return
