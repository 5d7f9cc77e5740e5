"""How statuses and check runs decide whether GitHub creates a deployment."""

from typing import Any

import pytest
import urllib3

from pulley.sandbox.github.server import GitHubServer
from tests.sandbox.github.conftest import Submit
from tests.sandbox.repository import Call, Commits

pytestmark = pytest.mark.timeout(30)

DEPLOYMENTS = "/repos/octo/site/deployments"


def deploy(call: Call, **fields: object) -> urllib3.BaseHTTPResponse:
    """Ask for a deployment of main; without `required_contexts` unless they are named."""
    return call("POST", DEPLOYMENTS, {"ref": "main", "auto_merge": False, **fields})


def refused_contexts(answer: urllib3.BaseHTTPResponse, ref: str = "main") -> list[tuple[str, str]]:
    """What a 409 says that it judged."""
    assert answer.status == 409, answer.data
    body: dict[str, Any] = answer.json()
    assert body["message"] == f"Conflict: Commit status checks failed for {ref}."
    assert body["status"] == "409"
    (error,) = body["errors"]
    contexts = error.pop("contexts")
    assert error == {"resource": "Deployment", "field": "required_contexts", "code": "invalid"}
    assert all(set(one) == {"context", "state"} for one in contexts)
    return [(one["context"], one["state"]) for one in contexts]


class TestWithoutTheKey:
    def test_commit_without_checks_is_deployed(self, call: Call) -> None:
        assert deploy(call).status == 201

    def test_null_counts_as_no_key(self, call: Call, set_status: Submit) -> None:
        set_status("ci", "failure")
        assert deploy(call, required_contexts=None).status == 409

    def test_commit_whose_statuses_and_runs_all_succeeded_is_deployed(
        self, call: Call, set_status: Submit, create_run: Submit
    ) -> None:
        set_status("ci", "success")
        create_run("test", "success")
        assert deploy(call).status == 201

    @pytest.mark.parametrize("state", ["pending", "failure", "error"])
    def test_status_that_is_no_success_is_409_with_everything_judged(
        self,
        github: GitHubServer,
        call: Call,
        set_status: Submit,
        create_run: Submit,
        state: str,
    ) -> None:
        set_status("ci", state)
        create_run("test", "success")
        assert refused_contexts(deploy(call)) == [("ci", state), ("test", "success")]
        assert github.deployments("octo/site") == ()

    @pytest.mark.parametrize(
        "conclusion",
        ["failure", "neutral", "skipped", "cancelled", "timed_out", "action_required"],
    )
    def test_run_with_another_conclusion_than_success_is_409(
        self, call: Call, create_run: Submit, conclusion: str
    ) -> None:
        create_run("test", conclusion)
        assert refused_contexts(deploy(call)) == [("test", conclusion)]

    @pytest.mark.parametrize("status", ["queued", "in_progress"])
    def test_run_that_is_not_completed_is_409(
        self, call: Call, create_run: Submit, status: str
    ) -> None:
        create_run("test", status=status)
        assert refused_contexts(deploy(call)) == [("test", "pending")]

    def test_newest_status_and_newest_run_count(
        self, call: Call, set_status: Submit, create_run: Submit
    ) -> None:
        set_status("ci", "failure")
        create_run("test", "failure")
        set_status("ci", "success")
        again = create_run("test")
        assert refused_contexts(deploy(call)) == [("ci", "success"), ("test", "pending")]
        call("PATCH", f"/repos/octo/site/check-runs/{again['id']}", {"conclusion": "success"})
        assert deploy(call).status == 201

    def test_other_commit_s_checks_and_another_repository_s_do_not_count(
        self, call: Call, set_status: Submit, commits: Commits
    ) -> None:
        set_status("ci", "failure", commits["ahead"])
        path = f"/repos/octo/other/statuses/{commits['second']}"
        assert call("POST", path, {"state": "failure"}).status == 201
        assert deploy(call).status == 201
        sha = commits["ahead"]
        assert refused_contexts(deploy(call, ref=sha), sha) == [("ci", "failure")]


class TestEmptyList:
    def test_nothing_is_judged(self, call: Call, set_status: Submit, create_run: Submit) -> None:
        set_status("ci", "failure")
        create_run("test")
        assert deploy(call, required_contexts=[]).status == 201


class TestNames:
    def test_only_the_named_are_judged(
        self, call: Call, set_status: Submit, create_run: Submit
    ) -> None:
        set_status("ci", "success")
        set_status("slow", "pending")
        create_run("test", "success")
        create_run("lint", "failure")
        assert deploy(call, required_contexts=["ci", "test"]).status == 201
        answer = deploy(call, required_contexts=["test", "lint"])
        assert refused_contexts(answer) == [("lint", "failure"), ("test", "success")]

    def test_name_that_nobody_submitted_is_409(
        self, call: Call, create_run: Submit, set_status: Submit
    ) -> None:
        set_status("ci", "success")
        create_run("test", "success")
        answer = deploy(call, required_contexts=["test", "never", "never"])
        assert refused_contexts(answer) == [("test", "success"), ("never", "pending")]

    @pytest.mark.parametrize(
        ("state", "conclusion", "code"),
        [("success", "success", 201), ("failure", "success", 409), ("success", "failure", 409)],
    )
    def test_name_of_a_status_and_of_a_run_needs_both(
        self,
        call: Call,
        set_status: Submit,
        create_run: Submit,
        state: str,
        conclusion: str,
        code: int,
    ) -> None:
        set_status("ci", state)
        create_run("ci", conclusion)
        answer = deploy(call, required_contexts=["ci"])
        assert answer.status == code
        if code == 409:
            assert refused_contexts(answer) == [("ci", state), ("ci", conclusion)]

    def test_case_matters_for_a_run_and_not_for_a_status(
        self, call: Call, set_status: Submit, create_run: Submit
    ) -> None:
        set_status("CI", "success")
        create_run("Test", "success")
        assert deploy(call, required_contexts=["ci"]).status == 201
        assert refused_contexts(deploy(call, required_contexts=["test"])) == [("test", "pending")]

    def test_list_of_anything_but_text_is_422(self, call: Call) -> None:
        assert deploy(call, required_contexts=["ci", 1]).status == 422
