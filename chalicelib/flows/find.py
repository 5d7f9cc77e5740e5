"""The one deployment of a commit and a target on GitHub, for everyone who asks: the first one."""

from collections.abc import Sequence
from typing import Protocol

from chalicelib.core.deployments import (
    Deployment,
    DeploymentRequest,
    DeploymentsPage,
    DeploymentStatus,
)
from chalicelib.core.errors import UnavailableError

RETRY_SECONDS = 2.0  # for what GitHub made to be found


class Deployments(Protocol):
    """A repository's on GitHub. Every method raises NotTakenError or UnavailableError."""

    def find(self, request: DeploymentRequest) -> Deployment | None:
        """The first one that answers the request."""

    def create(self, request: DeploymentRequest) -> Deployment:
        """Make it."""

    def deployment(self, deployment_id: int) -> Deployment | None:
        """The one with this id."""

    def newest(self, environment: str, page: int) -> DeploymentsPage:
        """A page of an environment's, newest first. Pages count from 1."""

    def statuses(self, deployment_id: int) -> Sequence[DeploymentStatus]:
        """Newest first."""

    def post(self, deployment_id: int, status: DeploymentStatus, *, log_url: str = "") -> None:
        """Say how it stands."""


def find_or_create(
    github: Deployments, request: DeploymentRequest, known_id: int | None
) -> Deployment:
    """The deployment; one that could not be made before is made. `known_id` went with the command.

    Raises NotTakenError and UnavailableError.
    """
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
