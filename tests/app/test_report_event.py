"""EventBridge's events as AWS sends them, through the function, to GitHub and into the log.

tests/core/test_deployments.py tests the text of a status, tests/flows tests which events count and
when. tests/app/test_faults.py makes each call fail.
"""

import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from chalice.test import Client
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

import app
from chalicelib.core.errors import UnavailableError
from chalicelib.core.events import INVOCATION_CHANGE
from pulley.sandbox.github.server import Fault, GitHubServer
from tests.app.run_command import HOST, OTHER_HOST, RunCommand, Sent, result_line, rolled_back
from tests.app.stage import REGION, TOKEN, Stage, forget_warm_clients
from tests.fakes import GUID, NAMES, aws_error


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The pauses that the reporter asks for, in seconds. It does not wait."""
    pauses: list[float] = []
    monkeypatch.setattr("chalicelib.wiring.time", SimpleNamespace(sleep=pauses.append))
    yield pauses
    assert sum(pauses) < 60  # of the function's 120 seconds


@pytest.fixture
def sent(stage: Stage, run_command: RunCommand, github: GitHubServer, commit: str) -> Sent:
    """The command of a push, announced on GitHub and still running."""
    stage.push(after=commit)
    (sent,) = run_command.commands
    assert sent.deployment
    return sent


@pytest.fixture
def succeeded(sent: Sent, commit: str) -> Sent:
    sent.add_host(result_line(commit))
    sent.end()
    return sent


def statuses(github: GitHubServer) -> list[tuple[str, str]]:
    """The states and descriptions of the one deployment, oldest first."""
    (deployment,) = github.deployments("octo/site")
    return [(status.state, status.description) for status in deployment.statuses]


def final_lines(stage: Stage) -> list[dict[str, Any]]:
    """The log's lines about ended deployments."""
    return [line for line in stage.log.lines("deployment") if "Deploys" in line]


class TestReported:
    def test_success_is_posted_to_github_and_logged(
        self, stage: Stage, github: GitHubServer, succeeded: Sent, commit: str
    ) -> None:
        words = f"1 of 1 host at {commit[:7]}: web-1"
        assert stage.report(succeeded.event()) == {
            "command_id": succeeded.id,
            "state": "success",
            "description": words,
        }
        assert statuses(github) == [("success", words)]
        (deployment,) = github.deployments("octo/site")
        assert deployment.status
        assert f"/run-command/{succeeded.id}?region={REGION}" in deployment.status.log_url
        (line,) = final_lines(stage)
        names = ("delivery", "repository", "target", "commit", "command_id", "cause")
        facts = [GUID, "octo/site", "web", commit, succeeded.id, "push"]
        assert [line[name] for name in names] == facts
        assert (line["outcome"], line["level"]) == ("success", "info")
        assert (line["Deploys"], line["HostsUpdated"]) == (1, 1)
        assert list(line["hosts"]) == ["web-1"]

    def test_seconds_from_push_to_pulled_are_counted(
        self, stage: Stage, run_command: RunCommand, commit: str
    ) -> None:
        pushed = int(time.time()) - 5
        stage.push(after=commit, repository={"full_name": "octo/site", "pushed_at": pushed})
        (sent,) = run_command.commands
        sent.add_host(result_line(commit))
        sent.end()
        stage.report(sent.event())
        (line,) = final_lines(stage)
        assert line["SecondsFromPushToPulled"] == pytest.approx(sent.requested + 3 - pushed, abs=1)

    def test_failure_names_the_host_and_the_reason(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str
    ) -> None:
        sent.add_host(rolled_back(commit), status="Failed")
        sent.end("Failed")
        assert stage.report(sent.event())["state"] == "failure"
        ((state, words),) = statuses(github)
        assert state == "failure"
        assert "web-1: rolled back to 0000000: health check: 500 from" in words
        (line,) = final_lines(stage)
        assert (line["outcome"], line["level"]) == ("failure", "error")
        assert "rolled back" in line["hosts"]["web-1"]

    def test_event_with_success_is_no_success_if_a_host_is_at_another_commit(
        self, stage: Stage, github: GitHubServer, sent: Sent, parent: str
    ) -> None:
        sent.add_host(result_line(parent, outcome="unchanged"))
        sent.end("Success")
        assert stage.report(sent.event())["state"] != "success"
        assert "success" not in dict(statuses(github))

    def test_success_with_offline_hosts_gives_their_number(
        self, stage: Stage, github: GitHubServer, succeeded: Sent
    ) -> None:
        succeeded.add_host(status="TimedOut", details="DeliveryTimedOut", instance_id=OTHER_HOST)
        succeeded.end("Success", "Incomplete")
        assert stage.report(succeeded.event())["state"] == "success"
        assert "1 offline, will catch up" in statuses(github)[0][1]

    def test_repeated_and_late_events_change_nothing_even_in_a_cold_lambda(
        self, stage: Stage, github: GitHubServer, succeeded: Sent
    ) -> None:
        late = succeeded.event(status="InProgress")
        for event in (succeeded.event(), succeeded.event(), late, None, succeeded.event()):
            if event is None:
                forget_warm_clients()
                continue
            assert stage.report(event)["state"] == "success"
        assert [state for state, _ in statuses(github)] == ["success"]
        assert len(final_lines(stage)) == 1

    @pytest.mark.parametrize("issued", ["", "9" * 15])
    def test_newer_commit_replaces_the_older_even_if_its_issued_time_is_missing_or_later(
        self,
        stage: Stage,
        github: GitHubServer,
        run_command: RunCommand,
        commit: str,
        parent: str,
        issued: str,
    ) -> None:
        for pushed in (parent, commit):
            stage.push(after=pushed)
            newest = run_command.commands[0]
            if pushed == parent and issued:  # a command by hand, of the future
                newest.requested -= 3600
                parameters = dict(newest.arguments["Parameters"]) | {"Issued": [issued]}
                newest.arguments = dict(newest.arguments) | {"Parameters": parameters}
            newest.add_host(result_line(pushed))
            newest.end()
            stage.report(newest.event())
        states = {one.sha: one.state for one in github.deployments("octo/site")}
        assert states == {parent: "inactive", commit: "success"}

    def test_parameters_in_the_event_are_not_used(
        self, stage: Stage, github: GitHubServer, succeeded: Sent
    ) -> None:
        event = succeeded.event(parameters={"Target": ["evil"]})
        assert stage.report(event)["state"] == "success"
        assert [state for state, _ in statuses(github)] == ["success"]

    def test_chalice_s_test_client_runs_the_function(
        self, stage: Stage, github: GitHubServer, succeeded: Sent
    ) -> None:
        with Client(app.app, stage_name="dev") as client:
            event = succeeded.event()
            payload = client.lambda_.invoke("report_status_change", event).payload
        assert payload["state"] == "success"
        assert [state for state, _ in statuses(github)] == ["success"]

    def test_hostile_detail_is_plain_text_in_one_line(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str
    ) -> None:
        forged = 'x", "about": "deployment", "outcome": "success"}\n{"level": "info"'
        detail = f"[click](https://example.com/evil) `x` *y* <b>\x1b[31mred\r\u202e\0{forged}"
        sent.add_host(rolled_back(commit, detail=detail), status="Failed", name="\u202e<b>")
        sent.end("Failed")
        assert stage.report(sent.event())["state"] == "failure"
        ((state, words),) = statuses(github)
        assert state == "failure"
        assert len(words) <= 140
        assert words.replace("…", "").isprintable()
        assert not set("<>`*[]|\\\n\r\x1b🚀") & set(words)
        assert HOST in words
        (line,) = final_lines(stage)
        assert line["outcome"] == "failure"


class TestIgnored:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"detail-type": INVOCATION_CHANGE, "instance-id": HOST}, "of one host"),
            ({"document-name": "pulley-prod-pull"}, "of another document"),
        ],
    )
    def test_foreign_event_makes_no_call_and_is_logged_as_ignored(
        self, stage: Stage, sent: Sent, changes: dict[str, object], reason: str
    ) -> None:
        asked = len(stage.wire.attempts)
        outcome = stage.report(sent.event(**changes))
        assert set(outcome) == {"ignored"}
        assert reason in outcome["ignored"]
        assert len(stage.wire.attempts) == asked
        line = stage.log.lines("event")[-1]
        assert (line["outcome"], line["level"]) == ("ignored", "info")
        assert line["reason"] == outcome["ignored"]

    def test_command_that_systems_manager_forgot_is_ignored(
        self, stage: Stage, run_command: RunCommand, sent: Sent
    ) -> None:
        run_command.fault["ListCommands"] = aws_error("InvalidCommandId")
        outcome = stage.report(sent.event())
        assert outcome == {"ignored": "Systems Manager does not know the command"}


class TestWithoutAToken:
    def test_outcome_is_logged_once_and_github_gets_no_request(
        self, stage: Stage, github: GitHubServer, run_command: RunCommand, commit: str
    ) -> None:
        stage.remove(NAMES.github_token)
        stage.push(after=commit)
        (sent,) = run_command.commands
        sent.add_host(result_line(commit))
        sent.end()
        for _ in range(2):
            assert stage.report(sent.event())["state"] == "success"
        assert github.requests == []
        assert [line["outcome"] for line in final_lines(stage)] == ["success"]


class TestGitHubFails:
    def test_garbled_answer_fails_the_event_and_the_retry_reports_it(
        self, stage: Stage, github: GitHubServer, succeeded: Sent
    ) -> None:
        github.fault = lambda _method, _path: Fault(200, b"<html>\xff")
        with pytest.raises(UnavailableError, match="GitHub") as failure:
            stage.report(succeeded.event())
        assert TOKEN not in str(failure.value) + failure.value.detail
        (line,) = stage.log.lines("event")
        assert (line["outcome"], line["level"]) == ("failed", "warning")
        assert line["command_id"] == succeeded.id
        assert line["reason"]
        assert final_lines(stage) == []
        github.fault = None
        forget_warm_clients()
        assert stage.report(succeeded.event())["state"] == "success"
        assert [state for state, _ in statuses(github)] == ["success"]
        assert len(final_lines(stage)) == 1

    def test_short_fault_is_retried_after_a_pause(
        self, stage: Stage, github: GitHubServer, succeeded: Sent, pauses: list[float]
    ) -> None:
        faults = iter([Fault(502, b"<html>Unicorn!</html>")] * 2)
        github.fault = lambda _method, _path: next(faults, None)
        assert stage.report(succeeded.event())["state"] == "success"
        assert pauses == [2.0, 2.0]
        assert stage.log.lines("event") == []

    def test_short_rate_limit_is_retried_after_github_s_retry_after(
        self,
        stage: Stage,
        github: GitHubServer,
        succeeded: Sent,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("chalicelib.wiring.time", time)
        faults = iter([Fault(429, headers={"Retry-After": "1"})])
        github.fault = lambda _method, _path: next(faults, None)
        began = time.monotonic()
        assert stage.report(succeeded.event())["state"] == "success"
        assert time.monotonic() - began >= 1

    def test_refusal_and_outcome_are_each_logged_once(
        self, stage: Stage, github: GitHubServer, succeeded: Sent
    ) -> None:
        github.fault = lambda _method, _path: Fault(401, b'{"message": "Bad credentials"}')
        for _ in range(3):
            assert stage.report(succeeded.event())["state"] == "success"
        refusal, outcome = stage.log.lines("deployment")
        assert (refusal["outcome"], refusal["level"]) == ("not_reported", "error")
        assert (refusal["delivery"], refusal["target"]) == (GUID, "web")
        assert (outcome["outcome"], outcome["command_id"]) == ("success", succeeded.id)


class TestAwsFails:
    def test_failed_call_fails_the_event_and_the_log_gives_the_reason(
        self, stage: Stage, run_command: RunCommand, github: GitHubServer, succeeded: Sent
    ) -> None:
        run_command.fault["ListCommandInvocations"] = aws_error("ThrottlingException")
        with pytest.raises(UnavailableError, match="AWS"):
            stage.report(succeeded.event())
        (line,) = stage.log.lines("event")
        assert (line["outcome"], line["command_id"]) == ("failed", succeeded.id)
        assert "ThrottlingException" in line["reason"]
        assert statuses(github) == []

    def test_answers_that_lag_behind_the_event_are_retried_and_then_fail_it(
        self, stage: Stage, sent: Sent, pauses: list[float]
    ) -> None:
        sent.add_host(status="InProgress")
        with pytest.raises(UnavailableError, match="lag"):
            stage.report(sent.event(status="Success"))
        assert pauses == [1.0] * 5

    def test_invalid_topic_arn_fails_the_event_and_is_logged(
        self, stage: Stage, sent: Sent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PULLEY_TOPIC_ARN", "pulley-dev")
        with pytest.raises(UnavailableError, match="not set up"):
            stage.report(sent.event())
        (line,) = stage.log.lines("event")
        assert (line["outcome"], line["level"]) == ("failed", "error")
        assert "PULLEY_TOPIC_ARN" in line["reason"]


class TestTopic:
    def published(self) -> list[Any]:
        (topic,) = sns_backends[DEFAULT_ACCOUNT_ID][REGION].topics.values()
        return list(topic.sent_notifications)

    def test_end_of_a_deployment_is_published_once_and_progress_never(
        self,
        stage: Stage,
        github: GitHubServer,
        sent: Sent,
        commit: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        arn = boto3.client("sns").create_topic(Name="pulley-dev")["TopicArn"]
        monkeypatch.setenv("PULLEY_TOPIC_ARN", arn)
        sent.add_host(status="InProgress")
        assert stage.report(sent.event())["state"] == "in_progress"
        assert statuses(github) == [("in_progress", f"deploying {commit[:7]} to 1 host")]
        assert final_lines(stage) == self.published() == []
        sent.hosts.clear()
        sent.add_host(result_line(commit))
        sent.end()
        for _ in range(2):
            stage.report(sent.event())
        ((_, text, subject, *_),) = self.published()
        assert subject.startswith("web: success, 1 of 1 host")
        message = json.loads(json.loads(text)["default"])
        assert message["metadata"]["additionalContext"]["command_id"] == sent.id
        assert TOKEN not in text
