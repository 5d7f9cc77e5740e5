"""A request end to end: somebody else's deployment on GitHub moves hosts and gets their report."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from click.testing import CliRunner

from pulley.cli import main
from pulley.sandbox.github.server import RecordedDeployment
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox
from pulley.sandbox.setup import store_targets

ENVIRONMENT = "production"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Two hosts, whose target waits for a request. Pushes and requests reach the webhook."""
    with Sandbox(["web-1", "web-2"]) as opened:
        target = {**opened.target, "environment": ENVIRONMENT, "trigger": "deployment"}
        store_targets(opened.account.ssm, STAGE, FULL_NAME, [target])
        run(opened, "connect", FULL_NAME, "--yes")
        yield opened


def run(sandbox: Sandbox, *arguments: str) -> str:
    """Run a command of an operator. Returns what it prints."""
    environ = {**sandbox.environ, "GITHUB_TOKEN": None, "GH_TOKEN": None}
    done = CliRunner().invoke(main, arguments, env=environ)
    assert done.exit_code == 0, done.output
    return done.output


def post(sandbox: Sandbox, path: str, body: Mapping[str, object]) -> dict[str, Any]:
    """Somebody else calls GitHub's API, with a token of theirs."""
    url = f"{sandbox.github.api_url}/repos/{FULL_NAME}/deployments{path}"
    headers = {"Authorization": f"Bearer {sandbox.token}", "User-Agent": "gh"}
    answer = urllib3.request("POST", url, body=json.dumps(body), headers=headers)
    assert answer.status == 201, answer.data
    made: dict[str, Any] = answer.json()
    return made


def ask(sandbox: Sandbox, commit: str, **fields: object) -> int:
    """Somebody else asks for a commit. Returns the deployment's id when all is quiet."""
    body = {"ref": commit, "environment": ENVIRONMENT, "required_contexts": [], **fields}
    made: int = post(sandbox, "", body | {"auto_merge": False})["id"]
    settle(sandbox)
    return made


def settle(sandbox: Sandbox) -> None:
    sandbox.github.hookshot.wait_until_idle()
    sandbox.wait_until_quiet()


def found(sandbox: Sandbox, request: int) -> RecordedDeployment:
    (one,) = [one for one in sandbox.github.deployments(FULL_NAME) if one.id == request]
    return one


def push(sandbox: Sandbox, text: str) -> str:
    """Push a commit, which by itself deploys nothing."""
    commit = sandbox.commit({"index.html": f"{text}\n"}, text)
    sandbox.developer.remote().push().raise_if_error()
    settle(sandbox)
    return commit


class TestRequest:
    """The tests go on from each other: one sandbox is costly."""

    def test_push_moves_no_host_and_plan_says_what_is_waited_for(self, sandbox: Sandbox) -> None:
        commit = push(sandbox, "First")
        assert sandbox.account.run_command.commands() == []
        assert sandbox.github.deployments(FULL_NAME) == ()
        assert all(one.head() != commit for one in sandbox.machines)
        words = "gates: it waits for a GitHub deployment of its environment"
        assert words in run(sandbox, "plan")
        assert words in run(sandbox, "status")

    def test_request_moves_the_hosts_and_gets_their_report_and_there_is_no_second_deployment(
        self, sandbox: Sandbox
    ) -> None:
        commit = sandbox.developer.head.commit.hexsha
        request = ask(sandbox, commit, payload="by a chat bot", description="please")
        assert [one.head() for one in sandbox.machines] == [commit, commit]
        (only,) = sandbox.github.deployments(FULL_NAME)
        assert (only.id, only.state) == (request, "success")
        assert only.status
        short = commit[:7]
        assert only.status.description == f"2 of 2 hosts at {short}: web-1, web-2"
        assert only.payload == "by a chat bot"
        (command,) = sandbox.account.run_command.commands()
        assert command.request.parameters["Deployment"] == (str(request),)

    def test_older_commit_that_is_asked_for_replaces_it(self, sandbox: Sandbox) -> None:
        (first,) = sandbox.github.deployments(FULL_NAME)
        newer = push(sandbox, "Second")
        older = sandbox.developer.commit("HEAD~2").hexsha
        request = ask(sandbox, older)
        assert [one.head() for one in sandbox.machines] == [older, older]
        assert found(sandbox, request).state == "success"
        assert found(sandbox, first.id).state == "inactive"
        assert newer not in {one.sha for one in sandbox.github.deployments(FULL_NAME)}

    def test_commit_that_the_branch_does_not_have_is_a_failure_and_moves_no_host(
        self, sandbox: Sandbox
    ) -> None:
        before = [one.head() for one in sandbox.machines]
        git = sandbox.developer.git
        git.checkout("-q", "--orphan", "stranger")
        git.commit("-q", "--allow-empty", "-m", "A stranger's")
        stranger = sandbox.developer.head.commit.hexsha
        git.push("-q", "origin", "stranger")
        git.checkout("-q", "-f", "main")
        request = ask(sandbox, stranger)
        assert [one.head() for one in sandbox.machines] == before
        assert found(sandbox, request).state == "failure"

    def test_round_of_the_schedule_finds_a_request_whose_event_was_lost(
        self, sandbox: Sandbox
    ) -> None:
        tip = sandbox.developer.commit("main").hexsha
        (hook,) = sandbox.github.hooks(FULL_NAME)
        hook.active = False
        try:
            request = ask(sandbox, tip)
            assert found(sandbox, request).statuses == ()
        finally:
            hook.active = True
        sandbox.reconcile()
        settle(sandbox)
        assert [one.head() for one in sandbox.machines] == [tip, tip]
        assert found(sandbox, request).state == "success"

    def test_request_that_somebody_ended_moves_no_host(self, sandbox: Sandbox) -> None:
        (hook,) = sandbox.github.hooks(FULL_NAME)
        hook.active = False
        before = [one.head() for one in sandbox.machines]
        request = ask(sandbox, sandbox.developer.commit("main~1").hexsha)
        post(sandbox, f"/{request}/statuses", {"state": "failure"})
        hook.active = True
        sandbox.reconcile()
        settle(sandbox)
        assert [one.head() for one in sandbox.machines] == before
        assert [one.state for one in found(sandbox, request).statuses] == ["failure"]

    def test_deploy_sends_again_what_was_asked_for_and_reports_it_there(
        self, sandbox: Sandbox
    ) -> None:
        before = sandbox.github.deployments(FULL_NAME)
        run(sandbox, "deploy", "--yes")
        settle(sandbox)
        after = sandbox.github.deployments(FULL_NAME)
        assert [one.id for one in after] == [one.id for one in before]
        assert len(sandbox.account.run_command.commands()) == 5

    def test_job_moves_the_hosts_when_its_reviewers_have_approved_and_not_before(
        self, sandbox: Sandbox
    ) -> None:
        jobs, commit = sandbox.github.jobs(FULL_NAME), push(sandbox, "Third")
        job = jobs.start(commit, ENVIRONMENT, needs_review=True)
        settle(sandbox)
        sandbox.reconcile()
        settle(sandbox)
        assert all(one.head() != commit for one in sandbox.machines)
        assert [one.state for one in found(sandbox, job).statuses] == ["waiting"]
        words = f"trigger: closed: waits until deployment {job} is approved on GitHub"
        assert words in run(sandbox, "plan")
        jobs.approve(job)
        settle(sandbox)
        assert [one.head() for one in sandbox.machines] == [commit, commit]
        states = [one.state for one in found(sandbox, job).statuses]
        assert states[:3] == ["waiting", "queued", "in_progress"]
        assert states[-1] == "success"
        jobs.post(job, "success")
        sandbox.reconcile()
        settle(sandbox)
        status = found(sandbox, job).status
        assert status
        assert status.description == f"2 of 2 hosts at {commit[:7]}: web-1, web-2"

    def test_simulated_push_and_simulated_request_say_what_they_start(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        (hook,) = sandbox.github.hooks(FULL_NAME)
        said = {}
        for event in ("push", "deployment"):
            told = [one for one in hook.deliveries if one.event == event]
            payload = tmp_path / f"{event}.json"
            payload.write_text(json.dumps(told[0].payload))
            said[event] = run(sandbox, "simulate", str(payload), "--event", event)
        words = "it waits for a GitHub deployment of its environment; a push starts nothing"
        assert words in said["push"]
        words = "deployment: a round looks whether it opens a gate of web"
        assert words in said["deployment"]

    def test_closed_gate_is_told_on_the_request_and_shown_by_plan(self, sandbox: Sandbox) -> None:
        closed = datetime.now(UTC) + timedelta(days=3)
        gates = {"trigger": "deployment", "window": f"{closed:%a} 09:00-09:30 UTC"}
        target = {**sandbox.target, "environment": ENVIRONMENT, **gates}
        store_targets(sandbox.account.ssm, STAGE, FULL_NAME, [target])
        commit = sandbox.developer.commit("main~1").hexsha
        request = ask(sandbox, commit)
        (said,) = found(sandbox, request).statuses
        assert said.state == "queued"
        assert said.description.startswith("waits for its window, which opens")
        shown = run(sandbox, "plan")
        assert f"next: {commit[:7]}" in shown
        assert f"trigger: open: asked for by deployment {request}" in shown
        assert "window: closed: waits for its window" in shown

    def test_every_delivery_was_answered_and_every_deployment_is_somebody_elses(
        self, sandbox: Sandbox
    ) -> None:
        settle(sandbox)
        (hook,) = sandbox.github.hooks(FULL_NAME)
        assert hook.events == ("push", "deployment", "deployment_status")
        assert {one.status_code for one in hook.deliveries} == {200}
        assert "deployment_status" in {one.event for one in hook.deliveries}
        assert all(
            not isinstance(one.payload, dict) for one in sandbox.github.deployments(FULL_NAME)
        )
