"""The deployments that somebody else made on GitHub for a target: read, queued, overtaken.

Pulley never makes one, and ends one only if it posted on it before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Protocol

from chalicelib.core.deployments import Deployment, DeploymentStatus, status_from
from chalicelib.core.history import served_by
from chalicelib.core.requested import (
    is_pending,
    judge_request,
    may_be_told,
    newest_request,
    was_queued,
)
from chalicelib.core.targets import Target
from chalicelib.core.waiting import Gate
from chalicelib.flows.find_deployment import LOOKS, Deployments
from chalicelib.flows.snapshot import Snapshot

# GitHub makes a job's deployment first, and then says that it waits for reviewers. The first of
# these wakes a round, which must not take the request for one that nobody has to approve.
NEW, NEW_SECONDS = timedelta(minutes=1), 3.0
LOOKS_BACK = 10  # how many older requests to look at, to end those that wait


class Requests(Protocol):
    """A repository's deployments. Both methods raise NotTakenError or UnavailableError."""

    def newest(self, environment: str) -> Iterator[Deployment]:
        """An environment's deployments, newest first, up to a limit."""

    def statuses(self, deployment_id: int) -> Sequence[DeploymentStatus]:
        """A deployment's statuses, newest first."""


def read_request(
    github: Requests,
    target: Target,
    snapshot: Snapshot,
    pause: Callable[[float], None] | None = None,
) -> tuple[Deployment, Gate] | None:
    """The request that a target has not served yet, with the gate `trigger`; None without one.

    `pause` takes seconds: a new request without a status may get the status that it waits for
    reviewers. Without `pause`, it is judged as it is. Raises NotTakenError and UnavailableError.
    """
    request = newest_request(islice(github.newest(target.environment), LOOKS))
    served = served_by(snapshot.sent_to(target))
    if request is None or not is_pending(request, served, now=snapshot.now):
        return None
    said = github.statuses(request.id)
    if pause and not said and snapshot.now - request.created < NEW:
        pause(NEW_SECONDS)
        said = github.statuses(request.id)
    gate = judge_request(request, said)
    return (request, gate) if gate else None


@dataclass(frozen=True)
class RequestReport:
    """What GitHub is told of a target's requests before a command is sent.

    Every method raises NotTakenError or UnavailableError.
    """

    target: Target
    github: Deployments

    def tell(self, request: Deployment, words: str, snapshot: Snapshot) -> None:
        """Post what a request waits for."""
        said = self.github.statuses(request.id)
        status = status_from("queued", [words])
        if not may_be_told(said) or status in said[:1]:
            return
        self.github.post(request.id, status)
        if not was_queued(said):
            self.end_overtaken(request, snapshot)

    def end_overtaken(self, newer: Deployment, snapshot: Snapshot) -> None:
        """Mark older requests inactive that Pulley has queued."""
        served = served_by(snapshot.sent_to(self.target))
        older = (
            one
            for one in islice(self.github.newest(self.target.environment), LOOKS)
            if one.is_foreign and one.id < newer.id and is_pending(one, served, now=snapshot.now)
        )
        words = f"overtaken by deployment {newer.id} while it waited"
        for one in islice(older, LOOKS_BACK):
            if was_queued(self.github.statuses(one.id)):
                self.github.post(one.id, DeploymentStatus("inactive", words))
