"""The deliveries of commit statuses and check runs, to a webhook that listens."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from pulley.sandbox.github.server import GitHubError, GitHubServer
from tests.sandbox.github.conftest import Submit
from tests.sandbox.github.shapes import (
    CHECK_RUN_EVENT,
    CHECK_SUITE_EVENT,
    STATUS_EVENT,
    check_shape,
)
from tests.sandbox.listener import Listener
from tests.sandbox.repository import Call, Commits, git

pytestmark = pytest.mark.timeout(30)

EVENTS = ("status", "check_run", "check_suite")
SECRET = "hush"
CREATED, COMPLETED = ("check_run", "created"), ("check_run", "completed")
SUITE = ("check_suite", "completed")


@pytest.fixture
def hooked(ci: GitHubServer, listener: Listener) -> Listener:
    """The listener, as a webhook that wants the three events."""
    ci.add_hook("octo/site", listener.url, secret=SECRET, events=EVENTS)
    return listener


def payloads(listener: Listener) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in listener.posted]


def actions(listener: Listener) -> list[tuple[str, str]]:
    """The events so far, with their actions. The listener forgets them."""
    seen = [
        (one.event, payload.get("action", ""))
        for one, payload in zip(listener.posted, payloads(listener), strict=True)
    ]
    listener.posted.clear()
    return seen


class TestStatus:
    def test_created_status_is_delivered_signed_with_its_branches(
        self, hooked: Listener, set_status: Submit, commits: Commits
    ) -> None:
        made = set_status("ci/build", "failure", description="Two failed.")
        (posted,) = hooked.posted
        assert posted.event == "status"
        digest = hmac.new(SECRET.encode(), posted.body, hashlib.sha256).hexdigest()
        assert posted.headers["x-hub-signature-256"] == f"sha256={digest}"
        payload = json.loads(posted.body)
        check_shape(payload, STATUS_EVENT)
        assert (payload["id"], payload["sha"]) == (made["id"], commits["second"])
        assert (payload["context"], payload["state"]) == ("ci/build", "failure")
        assert payload["repository"]["full_name"] == payload["name"] == "Octo/Site"
        assert payload["commit"]["sha"] == commits["second"]
        tips = {one["name"]: one["commit"]["sha"] for one in payload["branches"]}
        assert tips == {"main": commits["second"], "feature/x": commits["ahead"]}

    def test_payload_names_ten_branches_at_most(
        self, hooked: Listener, set_status: Submit, repository: Path, commits: Commits
    ) -> None:
        for number in range(12):
            git(repository, "update-ref", f"refs/heads/b{number}", commits["second"])
        set_status("ci", "success")
        assert len(payloads(hooked)[0]["branches"]) == 10

    def test_refused_status_is_not_delivered(
        self, hooked: Listener, ci: GitHubServer, call: Call, commits: Commits
    ) -> None:
        call("POST", f"/repos/octo/site/statuses/{commits['second']}", {"state": "green"})
        ci.hookshot.wait_until_idle()
        assert hooked.posted == []


class TestCheckRun:
    def test_payload_has_the_run_with_its_suite_and_branch(
        self, hooked: Listener, create_run: Submit, commits: Commits
    ) -> None:
        made = create_run("test", status="in_progress")
        (payload,) = payloads(hooked)
        check_shape(payload, CHECK_RUN_EVENT)
        assert payload["action"] == "created"
        run, suite = payload["check_run"], payload["check_run"].pop("check_suite")
        assert run == {name: one for name, one in made.items() if name != "check_suite"}
        assert (suite["id"], suite["head_sha"]) == (made["check_suite"]["id"], commits["second"])
        assert (suite["head_branch"], suite["status"]) == ("main", "in_progress")
        assert suite["conclusion"] is None
        assert payload["repository"]["full_name"] == "Octo/Site"

    def test_run_is_delivered_when_it_is_created_and_completed_and_not_between(
        self, hooked: Listener, create_run: Submit, update_run: Submit
    ) -> None:
        create_run("other")
        made = create_run("test")
        assert actions(hooked) == [CREATED, CREATED]
        update_run(made, status="in_progress")
        assert actions(hooked) == []
        update_run(made, conclusion="failure")
        (payload,) = payloads(hooked)
        run = payload["check_run"]
        assert (run["name"], run["status"], run["conclusion"]) == ("test", "completed", "failure")
        assert actions(hooked) == [COMPLETED]
        update_run(made, external_id="42")
        assert actions(hooked) == []


class TestCheckSuite:
    def test_suite_is_delivered_when_the_last_of_its_runs_completes(
        self, hooked: Listener, create_run: Submit, update_run: Submit, commits: Commits
    ) -> None:
        test, lint = create_run("test"), create_run("lint")
        create_run("test", sha=commits["ahead"])  # of another suite
        update_run(test, conclusion="success")
        assert SUITE not in actions(hooked)
        update_run(lint, conclusion="skipped")
        payload = payloads(hooked)[-1]
        check_shape(payload, CHECK_SUITE_EVENT)
        suite = payload["check_suite"]
        assert (suite["status"], suite["conclusion"]) == ("completed", "success")
        assert (suite["head_sha"], suite["head_branch"]) == (commits["second"], "main")
        assert suite["latest_check_runs_count"] == 2
        assert suite["head_commit"]["id"] == commits["second"]
        assert actions(hooked) == [COMPLETED, SUITE]

    def test_suite_completes_again_after_a_run_is_made_again(
        self, hooked: Listener, create_run: Submit, update_run: Submit
    ) -> None:
        create_run("test", "failure")
        assert payloads(hooked)[-1]["check_suite"]["conclusion"] == "failure"
        assert actions(hooked) == [CREATED, COMPLETED, SUITE]
        again = create_run("test")
        assert actions(hooked) == [CREATED]
        update_run(again, conclusion="success")
        assert payloads(hooked)[-1]["check_suite"]["conclusion"] == "success"
        assert actions(hooked) == [COMPLETED, SUITE]

    @pytest.mark.parametrize(
        ("conclusions", "expected"),
        [
            (["success", "neutral"], "success"),
            (["skipped", "neutral"], "neutral"),
            (["cancelled", "success"], "cancelled"),
            (["cancelled", "failure"], "failure"),
            (["timed_out", "action_required"], "timed_out"),
        ],
    )
    def test_suite_has_the_worst_conclusion_of_its_runs(
        self, hooked: Listener, create_run: Submit, conclusions: list[str], expected: str
    ) -> None:
        for number, conclusion in enumerate(conclusions):
            create_run(f"test {number}", conclusion)
        assert payloads(hooked)[-1]["check_suite"]["conclusion"] == expected

    @pytest.mark.parametrize(
        ("commit", "branch"), [("ahead", "feature/x"), ("behind", "behind"), ("first", "main")]
    )
    def test_head_branch_has_the_commit_as_its_tip_or_is_the_default_branch(
        self, hooked: Listener, create_run: Submit, commits: Commits, commit: str, branch: str
    ) -> None:
        create_run("test", sha=commits[commit])
        (payload,) = payloads(hooked)
        assert payload["check_run"]["check_suite"]["head_branch"] == branch

    def test_commit_of_no_branch_has_no_head_branch(
        self, hooked: Listener, create_run: Submit, repository: Path, commits: Commits
    ) -> None:
        git(repository, "update-ref", "-d", "refs/heads/behind")
        create_run("test", sha=commits["behind"])
        (payload,) = payloads(hooked)
        assert payload["check_run"]["check_suite"]["head_branch"] is None


class TestSubscription:
    @pytest.mark.parametrize(
        ("events", "expected"),
        [
            (["push"], []),
            (["status"], ["status"]),
            (["check_run"], ["check_run", "check_run"]),
            (["check_suite", "push"], ["check_suite"]),
            (["*"], ["status", "check_run", "check_run", "check_suite"]),
        ],
    )
    def test_webhook_gets_only_the_events_that_it_wants(
        self,
        ci: GitHubServer,
        call: Call,
        listener: Listener,
        set_status: Submit,
        create_run: Submit,
        events: list[str],
        expected: list[str],
    ) -> None:
        body = {"config": {"url": listener.url}, "events": events}
        assert call("POST", "/repos/octo/site/hooks", body).status == 201
        ci.hookshot.wait_until_idle()
        listener.posted.clear()  # the ping
        set_status("ci", "success")
        create_run("test", "success")
        assert listener.events == expected

    def test_webhooks_of_one_event_get_one_guid(
        self, ci: GitHubServer, hooked: Listener, set_status: Submit
    ) -> None:
        ci.add_hook("octo/site", f"{hooked.url}/2", events=["status"])
        set_status("ci", "success")
        set_status("ci", "failure")
        guids = [one.headers["x-github-delivery"] for one in hooked.posted]
        assert guids[0] == guids[1] != guids[2] == guids[3]


class TestChecker:
    """The sandbox's own CI server: it needs no permission of the token's."""

    def test_set_status_is_delivered_before_it_returns(
        self, github: GitHubServer, hooked: Listener, commits: Commits
    ) -> None:
        (delivery,) = github.checker("octo/site").set_status(commits["second"], "ci", "pending")
        assert (delivery.event, delivery.status_code) == ("status", 202)
        assert payloads(hooked)[0]["state"] == "pending"
        assert github.hooks("octo/site")[0].deliveries == [delivery]

    def test_check_starts_finishes_and_is_made_again(
        self, github: GitHubServer, call: Call, hooked: Listener, commits: Commits
    ) -> None:
        checker, sha = github.checker("Octo/Site"), commits["second"]
        checker.start_check(sha, "test")
        assert actions(hooked) == [CREATED]
        checker.finish_check(sha, "test", "failure")
        assert actions(hooked) == [COMPLETED, SUITE]
        checker.finish_check(sha, "test")
        assert actions(hooked) == [CREATED, COMPLETED, SUITE]
        shown = call("GET", "/repos/octo/site/commits/main/check-runs", filter="all").json()
        assert [one["conclusion"] for one in shown["check_runs"]] == ["success", "failure"]

    def test_receiver_of_a_delivery_may_call_the_api_meanwhile(
        self, github: GitHubServer, call: Call, hooked: Listener, commits: Commits
    ) -> None:
        body = {"ref": "main", "required_contexts": ["test"]}
        github.checker("octo/site").start_check(commits["second"], "test")
        assert call("POST", "/repos/octo/site/deployments", body).status == 409
        hooked.react = lambda: call("POST", "/repos/octo/site/deployments", body)
        github.checker("octo/site").finish_check(commits["second"], "test")
        assert len(github.deployments("octo/site")) == 2  # for check_run and for check_suite

    def test_commit_that_is_not_there_raises(self, github: GitHubServer) -> None:
        with pytest.raises(GitHubError, match="No commit found"):
            github.checker("octo/site").finish_check("0" * 40, "test")
