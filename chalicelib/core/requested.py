"""Requests: deployments that somebody else made on GitHub, for `trigger = "deployment"`.

An Actions job with an `environment`, `gh api` or a chat bot makes one. The newest request of a
target's environment counts; it overtakes the older ones. Pulley's own deployments are no requests.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from chalicelib.core.deployments import Deployment, DeploymentStatus
from chalicelib.core.history import REMEMBERED
from chalicelib.core.refs import CommitSha, RefError
from chalicelib.core.waiting import CLOSED, OPEN, Gate

# GitHub's own state for a deployment whose job waits for a reviewer or for another protection rule.
# Source: GitHub's page "Enums" of its GraphQL API, DeploymentStatusState.
UNDER_REVIEW = "waiting"


def newest_request(deployments: Iterable[Deployment]) -> Deployment | None:
    """The newest deployment that somebody else made; None without one."""
    foreign = (one for one in deployments if one.is_foreign and _has_commit(one))
    return max(foreign, key=lambda one: one.id, default=None)


def is_pending(request: Deployment, served: Collection[int], *, now: datetime) -> bool:
    """Whether no command was sent for it yet. `now` is aware.

    Systems Manager forgets commands after REMEMBERED. An older request does not count as pending.
    """
    return request.id not in served and now - request.created < REMEMBERED


def judge_request(request: Deployment, said: Sequence[DeploymentStatus]) -> Gate | None:
    """The gate `trigger` of a pending request; `said` is newest first.

    None if it has ended: it asks for nothing any more.
    """
    newest = said[0] if said else None
    if newest and newest.is_final:
        return None
    if newest and newest.state == UNDER_REVIEW:
        words = f"waits until deployment {request.id} is approved on GitHub"
        return Gate("trigger", CLOSED, words)
    return Gate("trigger", OPEN, f"asked for by deployment {request.id}")


def may_be_told(said: Sequence[DeploymentStatus]) -> bool:
    """Whether Pulley may post what a request waits for; `said` is newest first.

    A status on top of GitHub's own would look like an approval.
    """
    return not said or said[0].state != UNDER_REVIEW


def was_queued(said: Sequence[DeploymentStatus]) -> bool:
    """Whether the newest status of a request is Pulley's, which says that it waits.

    GitHub Actions posts the same state, but without a description.
    """
    return bool(said) and said[0].state == "queued" and said[0].description != ""


def _has_commit(request: Deployment) -> bool:
    try:
        CommitSha.parse(request.commit)
    except RefError:
        return False
    return True
