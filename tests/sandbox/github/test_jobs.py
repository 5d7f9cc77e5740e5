"""A job of GitHub Actions with an environment: its deployment, and the deliveries."""

import json
from typing import Any

import pytest

from pulley.sandbox.github.jobs import Jobs
from pulley.sandbox.github.server import GitHubError, GitHubServer
from tests.sandbox.github.shapes import DEPLOYMENT_EVENT, DEPLOYMENT_STATUS_EVENT, check_shape
from tests.sandbox.listener import Listener
from tests.sandbox.repository import Call, Commits

pytestmark = pytest.mark.timeout(30)

EVENTS = ("deployment", "deployment_status")


@pytest.fixture
def jobs(github: GitHubServer, listener: Listener, commits: Commits) -> Jobs:
    github.add_hook("octo/site", listener.url, events=EVENTS)
    return github.jobs("octo/site")


def states(github: GitHubServer) -> list[str]:
    (one,) = github.deployments("octo/site")
    return [status.state for status in one.statuses]


def test_job_that_needs_a_review_waits_for_it(
    github: GitHubServer, jobs: Jobs, listener: Listener, commits: Commits
) -> None:
    job = jobs.start(commits["second"], "production", needs_review=True)
    (one,) = github.deployments("octo/site")
    assert (one.id, one.sha, one.environment) == (job, commits["second"], "production")
    assert states(github) == ["waiting"]
    assert listener.events == ["deployment", "deployment_status"]
    jobs.approve(job)
    jobs.post(job, "failure")
    assert states(github) == ["waiting", "queued", "in_progress", "failure"]


def test_job_without_a_review_runs_at_once(
    github: GitHubServer, jobs: Jobs, commits: Commits
) -> None:
    jobs.start("main", "production")
    assert states(github) == ["queued", "in_progress"]


def test_deliveries_name_the_run_of_the_workflow(
    jobs: Jobs, listener: Listener, commits: Commits
) -> None:
    jobs.start(commits["second"], "production", needs_review=True)
    made, said = (json.loads(one.body) for one in listener.posted)
    of_workflow = {"workflow": dict, "workflow_run": {"id": int, "status": str, "event": str}}
    check_shape(made, {**DEPLOYMENT_EVENT, **of_workflow})
    check_shape(said, {**DEPLOYMENT_STATUS_EVENT, **of_workflow})
    assert said["deployment_status"]["state"] == "waiting"


def test_nobody_else_can_post_that_a_deployment_waits(
    github: GitHubServer, call: Call, jobs: Jobs, commits: Commits
) -> None:
    job = jobs.start(commits["second"], "production")
    path = f"/repos/octo/site/deployments/{job}/statuses"
    answer: Any = call("POST", path, {"state": "waiting"})
    assert answer.status == 422


def test_job_for_an_unknown_commit_is_refused(jobs: Jobs, listener: Listener) -> None:
    with pytest.raises(GitHubError):
        jobs.start("nowhere", "production")
    assert listener.posted == []
