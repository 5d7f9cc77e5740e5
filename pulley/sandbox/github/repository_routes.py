"""GitHub's API for a repository itself, its branches and its deployments.

From GitHub's pages "REST API endpoints for repositories", "... for branches", "... for
deployments", "... for deployment statuses" and "Webhook events and payloads".
"""

from urllib.parse import quote

from werkzeug.wrappers import Response

from pulley.sandbox.github.call import Call, Route, respond, respond_page
from pulley.sandbox.github.deployment_events import (
    deployment_events,
    show_deployment,
    show_status,
    status_events,
)
from pulley.sandbox.github.repository_shape import page_of, show_repository
from pulley.sandbox.github.shapes import show_commit

_UNPROTECTED = {
    "enabled": False,
    "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []},
}
_FILTERS = ("sha", "ref", "task", "environment")


def get_repository(call: Call) -> Response:
    """The repository, as its owner sees it."""
    return respond(show_repository(call.repository, call.url))


def get_branch(call: Call, branch: str) -> Response:
    """A branch and its commit."""
    sha = call.repository.commits.branch_commit(branch)
    commit = call.repository.commits.find(sha)
    own, page = f"{call.url}/branches/{quote(branch)}", page_of(call.repository)
    return respond(
        {
            "name": branch,
            "commit": show_commit(call.repository, call.url, commit),
            "_links": {"self": own, "html": f"{page}/tree/{quote(branch)}"},
            "protected": False,
            "protection": _UNPROTECTED,
            "protection_url": f"{own}/protection",
        }
    )


def list_deployments(call: Call) -> Response:
    """The deployments that match the filters, newest first."""
    asked = call.http.args
    wanted = {name: asked[name] for name in _FILTERS if asked.get(name)}
    newest_first = (show_deployment(call.url, one) for one in reversed(call.repository.deployments))
    return respond_page(call, [one for one in newest_first if wanted.items() <= one.items()])


def create_deployment(call: Call) -> Response:
    """Create a deployment, and tell the webhooks. 201 with the deployment."""
    deployment = call.repository.create_deployment(call.body())
    events = deployment_events(call.repository, call.url, deployment)
    call.tell_webhooks(events)
    return respond(show_deployment(call.url, deployment), 201)


def get_deployment(call: Call, deployment_id: int) -> Response:
    """One deployment."""
    return respond(show_deployment(call.url, call.repository.find_deployment(deployment_id)))


def list_statuses(call: Call, deployment_id: int) -> Response:
    """The statuses, newest first."""
    newest_first = reversed(call.repository.find_deployment(deployment_id).statuses)
    return respond_page(call, [show_status(call.url, one, deployment_id) for one in newest_first])


def create_status(call: Call, deployment_id: int) -> Response:
    """Create a status, and tell the webhooks. 201 with the status."""
    status = call.repository.create_status(deployment_id, call.body())
    events = status_events(call.repository, call.url, deployment_id, status)
    call.tell_webhooks(events)
    return respond(show_status(call.url, status, deployment_id), 201)


ROUTES = (
    Route("GET", "", "metadata=read", get_repository),
    Route("GET", "/branches/<path:branch>", "contents=read", get_branch),
    Route("GET", "/deployments", "deployments=read", list_deployments),
    Route("POST", "/deployments", "deployments=write", create_deployment),
    Route("GET", "/deployments/<int:deployment_id>", "deployments=read", get_deployment),
    Route("GET", "/deployments/<int:deployment_id>/statuses", "deployments=read", list_statuses),
    Route("POST", "/deployments/<int:deployment_id>/statuses", "deployments=write", create_status),
)
