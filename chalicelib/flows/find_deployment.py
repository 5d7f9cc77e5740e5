"""Finds a target's deployments on GitHub: a commit's, and the one that its success replaces.

Of Pulley's own deployments of a commit, the first one counts, for every caller. A command that was
sent for a request counts for the deployment of that request.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Protocol

from chalicelib.core.deployments import (
    NO_LINKS,
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
    Links,
    replaced,
)
from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import REMEMBERED, Command, RollOut, served_by
from chalicelib.flows.verdict import History, only_for, read_verdict, sent_to, since_made

LOOKS = 50  # how many deployments to read at most
RETRY_SECONDS = 2.0  # until GitHub finds a deployment that it has just made


class Deployments(Protocol):
    """A repository's deployments. Every method raises NotTakenError or UnavailableError."""

    def find(self, request: DeploymentRequest) -> Deployment | None:
        """The first deployment that matches the request."""

    def create(self, request: DeploymentRequest) -> Deployment:
        """Create a deployment."""

    def deployment(self, deployment_id: int) -> Deployment | None:
        """The deployment with this id."""

    def newest(self, environment: str) -> Iterator[Deployment]:
        """An environment's deployments, newest first, up to a limit."""

    def statuses(self, deployment_id: int) -> Sequence[DeploymentStatus]:
        """A deployment's statuses, newest first."""

    def post(self, deployment_id: int, status: DeploymentStatus, links: Links = NO_LINKS) -> None:
        """Post a status."""


def find_or_create(
    github: Deployments, sent: RollOut, environment: str, *, stage: str
) -> Deployment:
    """A command's deployment, created if there is none. Raises NotTakenError, UnavailableError.

    A command that was sent for somebody else's deployment has that deployment, unless it was
    deleted.
    """
    request = DeploymentRequest(sent.commit, environment, stage, sent.target, sent.delivery)
    known_id = sent.deployment
    found = github.find(request)
    if known_id is not None and (found is None or found.id != known_id):
        known = github.deployment(known_id)
        # If it is Pulley's own, it may have been made for an earlier environment.
        if known and known.commit == request.commit.sha and (known.is_foreign or found is None):
            return known
    if found is None:
        known_id = github.create(request).id
        found = github.find(request) or github.deployment(known_id)
    if found is None:
        raise UnavailableError("GitHub does not know what it made", retry_seconds=RETRY_SECONDS)
    if known_id is not None and known_id != found.id:
        _end_twin(github, known_id, found, request)
    return found


def first_of(github: Deployments, made: Deployment, request: DeploymentRequest) -> Deployment:
    """The first deployment that matches, after this one was made; if it is another one, end this.

    Raises NotTakenError and UnavailableError.
    """
    first = github.find(request) or made
    if first.id != made.id:
        _end_twin(github, made.id, first, request)
    return first


def _end_twin(
    github: Deployments, twin: int, first: Deployment, request: DeploymentRequest
) -> None:
    """Two callers made a deployment each: end the second, or it would stay pending for ever."""
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
    """Mark the replaced deployment inactive.

    Call it when the command's commit is on every host of its target; `now` is aware. At most one
    deployment of Pulley's own is still green, since each success ends the one before. Failed
    deployments and other targets of the environment may stand before it. Of those that somebody
    else made, several may be green for one commit; only those count for which a command was sent.
    Raises what its ports raise.
    """
    target, commit, ended = command.roll_out.target, command.roll_out.commit, ""

    @cache
    def served() -> frozenset[int]:
        return served_by(sent_to(history, command, command.requested - REMEMBERED))

    others = (
        one
        for one in github.newest(environment)
        if one.commit != commit.sha
        and ((one.stage, one.target) == (stage, target) or (one.is_foreign and one.id in served()))
    )
    for other in islice(others, LOOKS):
        if ended and other.commit != ended:
            continue
        said = github.statuses(other.id)
        if not said or said[0].state != "success":
            continue
        # Post the status that a late report on the old deployment would post, so that the two
        # agree. It may name a third commit, if that one replaced the old one before this one did.
        sent = sent_to(history, command, since_made(other, command))
        if other.is_foreign:
            sent = only_for(other, sent, command)
        status = replaced(commit)
        if any(one.roll_out.commit.sha == other.commit for one in sent):
            _, status = read_verdict(history, sent, other.commit, now=now)
        if status.state == "inactive":
            github.post(other.id, status)
            if not other.is_foreign:
                return
            ended = other.commit
