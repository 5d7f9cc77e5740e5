"""GitHub's API for commit statuses and check runs.

From GitHub's pages "REST API endpoints for commit statuses" and "... for check runs". At GitHub
only an app may write check runs; here the token may, if it has the permission.
"""

from collections.abc import Sequence

from werkzeug.wrappers import Response

from pulley.sandbox.github.call import Call, Route, respond, respond_page
from pulley.sandbox.github.check_events import run_events, status_events
from pulley.sandbox.github.people import SENDER
from pulley.sandbox.github.repository_shape import show_repository
from pulley.sandbox.github.shapes import show_check_run, show_commit_status


def create_status(call: Call, sha: str) -> Response:
    """Create a status, and tell the webhooks. 201 with the status."""
    status = call.repository.checks.create_status(sha, call.body())
    events = status_events(call.repository, call.url, status)
    call.tell_webhooks(events)
    return respond(show_commit_status(call.url, status) | {"creator": SENDER}, 201)


def get_combined_status(call: Call, ref: str) -> Response:
    """The newest status of each context, and what they say together. Check runs do not count."""
    sha = call.repository.commits.resolve_or_404(ref)
    statuses = call.repository.checks.statuses(sha)
    states = {one.state for one in statuses}
    state = "pending" if not states or "pending" in states else "success"
    if states & {"error", "failure"}:
        state = "failure"

    def wrap(page: Sequence[object]) -> object:
        return {
            "state": state,
            "statuses": page,
            "sha": sha,
            "total_count": len(statuses),
            "repository": show_repository(call.repository, call.url),
            "commit_url": f"{call.url}/commits/{sha}",
            "url": f"{call.url}/commits/{sha}/status",
        }

    return respond_page(call, [show_commit_status(call.url, one) for one in statuses], wrap)


def create_run(call: Call) -> Response:
    """Create a check run, and tell the webhooks. 201 with the run."""
    run = call.repository.checks.create_run(call.body())
    events = run_events(call.repository, call.url, run, None)
    call.tell_webhooks(events)
    return respond(show_check_run(call.repository, call.url, run), 201)


def update_run(call: Call, run_id: int) -> Response:
    """Change a check run, and tell the webhooks if that completed it."""
    before = call.repository.checks.find_run(run_id)
    run = call.repository.checks.update_run(run_id, call.body())
    events = run_events(call.repository, call.url, run, before)
    call.tell_webhooks(events)
    return respond(show_check_run(call.repository, call.url, run))


def list_runs(call: Call, ref: str) -> Response:
    """The check runs of a commit, newest first. An older run of a name only if asked for all."""
    sha = call.repository.commits.resolve_or_422(ref)
    checks, asked = call.repository.checks, call.http.args
    runs = checks.runs(sha) if asked.get("filter") == "all" else checks.latest_runs(sha)
    shown = [
        show_check_run(call.repository, call.url, run)
        for run in runs
        if asked.get("check_name", run.name) == run.name
        and asked.get("status", run.status) == run.status
    ]
    return respond_page(call, shown, lambda page: {"total_count": len(shown), "check_runs": page})


ROUTES = (
    Route("POST", "/statuses/<sha>", "statuses=write", create_status),
    Route("GET", "/commits/<path:ref>/status", "statuses=read", get_combined_status),
    Route("POST", "/check-runs", "checks=write", create_run),
    Route("PATCH", "/check-runs/<int:run_id>", "checks=write", update_run),
    Route("GET", "/commits/<path:ref>/check-runs", "checks=read", list_runs),
)
