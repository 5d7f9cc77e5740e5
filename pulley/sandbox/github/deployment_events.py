"""Deployments and their statuses as GitHub's JSON shows them, and their events.

From GitHub's pages "REST API endpoints for deployments", "... for deployment statuses" and "Webhook
events and payloads".
"""

from pulley.sandbox.github.check_events import Event, make_event
from pulley.sandbox.github.deployments import (
    HostedRepository,
    RecordedDeployment,
    RecordedStatus,
)
from pulley.sandbox.github.people import DEPLOYER, Shape, node_id
from pulley.sandbox.github.shapes import show_time


def show_deployment(url: str, deployment: RecordedDeployment) -> Shape:
    """A deployment. `url` is the repository's in the API."""
    own = f"{url}/deployments/{deployment.id}"
    shown = _show_record(url, deployment, own) | {
        "description": deployment.description or None,
        "updated_at": show_time((deployment.status or deployment).created_at),
        "statuses_url": f"{own}/statuses",
    }
    del shown["statuses"]
    return shown


def show_status(url: str, status: RecordedStatus, deployment_id: int) -> Shape:
    """A deployment's status."""
    deployment = f"{url}/deployments/{deployment_id}"
    return _show_record(url, status, f"{deployment}/statuses/{status.id}") | {
        "deployment_url": deployment,
        "target_url": status.log_url,
    }


def deployment_events(
    repository: HostedRepository,
    url: str,
    deployment: RecordedDeployment,
    run: Shape | None = None,
) -> list[Event]:
    """A deployment was created, by a workflow's `run` or by nobody's."""
    payload = {"deployment": show_deployment(url, deployment), **_workflow(run)}
    return [make_event("deployment", repository, url, payload, "created")]


def status_events(
    repository: HostedRepository,
    url: str,
    deployment_id: int,
    status: RecordedStatus,
    run: Shape | None = None,
) -> list[Event]:
    """A status was created. GitHub does not tell of `inactive`."""
    if status.state == "inactive":
        return []
    payload: Shape = {
        "deployment_status": show_status(url, status, deployment_id),
        "deployment": show_deployment(url, repository.find_deployment(deployment_id)),
        "check_run": None,
        **_workflow(run),
    }
    return [make_event("deployment_status", repository, url, payload, "created")]


def _workflow(run: Shape | None) -> Shape:
    return {"workflow": {"name": "deploy"} if run else None, "workflow_run": run}


def _show_record(url: str, record: RecordedDeployment | RecordedStatus, own: str) -> Shape:
    """The fields that deployments and statuses share. A record's fields have GitHub's names."""
    return vars(record) | {
        "url": own,
        "node_id": node_id(own),
        "creator": DEPLOYER,
        "created_at": show_time(record.created_at),
        "updated_at": show_time(record.created_at),
        "repository_url": url,
    }
