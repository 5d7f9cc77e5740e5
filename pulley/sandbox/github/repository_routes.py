"""GitHub's API for a repository itself, its branches and its deployments.

From GitHub's pages "REST API endpoints for repositories", "... for branches", "... for
deployments", "... for deployment statuses" and "Webhook events and payloads".
"""

from werkzeug.wrappers import Response

from pulley.sandbox.github.call import Call, Route, respond, respond_page
from pulley.sandbox.github.check_events import make_event, posts_of
from pulley.sandbox.github.deployments import RecordedDeployment, RecordedStatus
from pulley.sandbox.github.shapes import Shape, node_id, show_repository, show_time

_FILTERS = ("sha", "ref", "task", "environment")
_CREATOR = {"login": "octo-deployer[bot]", "id": 49_699_333, "type": "Bot", "site_admin": False}


def get_repository(call: Call) -> Response:
    """The repository, as its owner sees it."""
    return respond(show_repository(call.repository, call.url))


def get_branch(call: Call, branch: str) -> Response:
    """A branch and its commit."""
    commit = call.repository.commits.branch_commit(branch)
    shown = {"sha": commit, "url": f"{call.url}/commits/{commit}"}
    return respond({"name": branch, "commit": shown, "protected": False})


def list_deployments(call: Call) -> Response:
    """The deployments that match the filters, newest first."""
    asked = call.http.args
    wanted = {name: asked[name] for name in _FILTERS if asked.get(name)}
    newest_first = (_show(call, one) for one in reversed(call.repository.deployments))
    return respond_page(call, [one for one in newest_first if wanted.items() <= one.items()])


def create_deployment(call: Call) -> Response:
    """Create a deployment, and tell the webhooks. 201 with the deployment."""
    shown = _show(call, call.repository.create_deployment(call.body()))
    _tell(call, "deployment", {"deployment": shown})
    return respond(shown, 201)


def get_deployment(call: Call, deployment_id: int) -> Response:
    """One deployment."""
    return respond(_show(call, call.repository.find_deployment(deployment_id)))


def list_statuses(call: Call, deployment_id: int) -> Response:
    """The statuses, newest first."""
    newest_first = reversed(call.repository.find_deployment(deployment_id).statuses)
    return respond_page(call, [_show_status(call, one, deployment_id) for one in newest_first])


def create_status(call: Call, deployment_id: int) -> Response:
    """Create a status, and tell the webhooks unless it is `inactive`. 201 with the status."""
    status = call.repository.create_status(deployment_id, call.body())
    shown = _show_status(call, status, deployment_id)
    if status.state != "inactive":
        deployment = _show(call, call.repository.find_deployment(deployment_id))
        _tell(call, "deployment_status", {"deployment_status": shown, "deployment": deployment})
    return respond(shown, 201)


ROUTES = (
    Route("GET", "", "metadata=read", get_repository),
    Route("GET", "/branches/<path:branch>", "contents=read", get_branch),
    Route("GET", "/deployments", "deployments=read", list_deployments),
    Route("POST", "/deployments", "deployments=write", create_deployment),
    Route("GET", "/deployments/<int:deployment_id>", "deployments=read", get_deployment),
    Route("GET", "/deployments/<int:deployment_id>/statuses", "deployments=read", list_statuses),
    Route("POST", "/deployments/<int:deployment_id>/statuses", "deployments=write", create_status),
)


def _tell(call: Call, name: str, payload: Shape) -> None:
    """Deliver an event. It is of no workflow: here nobody runs any."""
    of_no_workflow: Shape = {"check_run": None} if name == "deployment_status" else {}
    of_no_workflow |= {"workflow": None, "workflow_run": None}
    event = make_event(name, call.repository, call.url, payload | of_no_workflow, "created")
    call.hookshot.post_events_later(posts_of(call.hooks, [event]))


def _show(call: Call, deployment: RecordedDeployment) -> dict[str, object]:
    url = f"{call.url}/deployments/{deployment.id}"
    shown = _show_record(call, deployment, url) | {
        "description": deployment.description or None,
        "updated_at": show_time((deployment.status or deployment).created_at),
        "statuses_url": f"{url}/statuses",
    }
    del shown["statuses"]
    return shown


def _show_status(call: Call, status: RecordedStatus, deployment_id: int) -> dict[str, object]:
    url = f"{call.url}/deployments/{deployment_id}"
    return _show_record(call, status, f"{url}/statuses/{status.id}") | {
        "deployment_url": url,
        "target_url": status.log_url,
    }


def _show_record(
    call: Call, record: RecordedDeployment | RecordedStatus, url: str
) -> dict[str, object]:
    """The fields that deployments and statuses share. A record's fields have GitHub's names."""
    return vars(record) | {
        "url": url,
        "node_id": node_id(url),
        "creator": _CREATOR,
        "created_at": show_time(record.created_at),
        "updated_at": show_time(record.created_at),
        "repository_url": call.url,
    }
