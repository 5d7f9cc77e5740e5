"""EventBridge's events as AWS sends them, through the function, to GitHub and into the log."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from chalice.test import Client
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.sns.models import sns_backends

import app
from chalicelib import wiring
from chalicelib.core.commands import COMMAND_CHANGE
from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.core.events import INVOCATION_CHANGE
from pulley.sandbox.github.server import Fault, GitHubServer
from tests.app.run_command import (
    DOCUMENT,
    HOST,
    OTHER_HOST,
    RunCommand,
    Sent,
    result_line,
    rolled_back,
)
from tests.app.stage import REGION, TOKEN, Stage, forget_what_is_warm
from tests.fakes import GUID, NAMES, SITE, Reply, aws_error

BAD_GATEWAY = Fault(502, b"<html>Unicorn!</html>")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """How long the reporter wanted to wait. It does not wait."""
    pauses: list[float] = []
    monkeypatch.setattr("chalicelib.wiring.time", SimpleNamespace(sleep=pauses.append))
    yield pauses
    assert sum(pauses) < 60  # of the function's 120 seconds


@pytest.fixture
def sent(stage: Stage, run_command: RunCommand, github: GitHubServer, commit: str) -> Sent:
    """A push that was announced and sent, under way."""
    stage.push(after=commit)
    (sent,) = run_command.commands
    assert sent.deployment
    return sent


def statuses(github: GitHubServer) -> list[tuple[str, str]]:
    """What was said of the one deployment, in order."""
    (deployment,) = github.deployments("octo/site")
    return [(status.state, status.description) for status in deployment.statuses]


def fail(github: GitHubServer, fault: Fault | None) -> None:
    github.fault = None if fault is None else lambda _method, _path: fault


def ended(stage: Stage) -> list[dict[str, Any]]:
    """The log's lines of deployments that are over."""
    return [line for line in stage.log.lines("deployment") if "Deploys" in line]


class TestReported:
    def test_success(self, stage: Stage, github: GitHubServer, sent: Sent, commit: str) -> None:
        sent.add_host(result_line(commit))
        sent.end()
        words = f"1 of 1 host at {commit[:7]}: web-1"
        assert stage.report(sent.event()) == {
            "command_id": sent.id,
            "state": "success",
            "description": words,
        }
        assert statuses(github) == [("success", words)]
        (deployment,) = github.deployments("octo/site")
        assert deployment.status
        assert f"/run-command/{sent.id}?region={REGION}" in deployment.status.log_url

    def test_line_of_the_log(self, stage: Stage, sent: Sent, commit: str) -> None:
        sent.add_host(result_line(commit))
        sent.end()
        stage.report(sent.event())
        (line,) = ended(stage)
        names = ("delivery", "repository", "target", "commit", "command_id", "cause")
        assert [line[name] for name in names] == [GUID, "octo/site", "web", commit, sent.id, "push"]
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
        (line,) = ended(stage)
        assert line["SecondsFromPushToPulled"] == pytest.approx(sent.requested + 3 - pushed, abs=1)

    def test_failure_says_why(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str
    ) -> None:
        sent.add_host(rolled_back(commit), status="Failed")
        sent.end("Failed")
        assert stage.report(sent.event())["state"] == "failure"
        ((state, words),) = statuses(github)
        assert state == "failure"
        assert "web-1: rolled back to 0000000: health check: 500 from" in words
        (line,) = ended(stage)
        assert (line["outcome"], line["level"]) == ("failure", "error")
        assert "rolled back" in line["hosts"]["web-1"]

    def test_success_by_the_event_is_not_green_where_a_host_says_otherwise(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str, parent: str
    ) -> None:
        sent.add_host(result_line(parent, outcome="unchanged"))
        sent.end("Success")
        assert stage.report(sent.event())["state"] != "success"
        assert "success" not in dict(statuses(github))

    def test_no_host_is_an_error(self, stage: Stage, github: GitHubServer, sent: Sent) -> None:
        sent.end("Success", "NoInstancesInTag")
        assert stage.report(sent.event())["state"] == "error"
        ((state, words),) = statuses(github)
        assert state == "error"
        assert words.startswith("no host matched")

    def test_some_asleep_is_success_with_their_number(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str
    ) -> None:
        sent.add_host(result_line(commit))
        sent.add_host(status="TimedOut", details="DeliveryTimedOut", instance_id=OTHER_HOST)
        sent.end("Success", "Incomplete")
        assert stage.report(sent.event())["state"] == "success"
        assert "1 offline, will catch up" in statuses(github)[0][1]

    def test_in_progress_is_told_and_nothing_is_counted(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str
    ) -> None:
        sent.add_host(status="InProgress")
        assert stage.report(sent.event())["state"] == "in_progress"
        assert statuses(github) == [("in_progress", f"deploying {commit[:7]} to 1 host")]
        assert ended(stage) == []

    def test_repeated_and_late_events_change_nothing(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str
    ) -> None:
        sent.add_host(result_line(commit))
        late = sent.event()
        sent.end()
        for event in (sent.event(), sent.event(), late):
            assert stage.report(event)["state"] == "success"
        assert [state for state, _ in statuses(github)] == ["success"]
        assert len(ended(stage)) == 1

    def test_another_function_s_memory_is_not_needed(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str
    ) -> None:
        sent.add_host(result_line(commit))
        sent.end()
        for _ in range(2):
            forget_what_is_warm()
            stage.report(sent.event())
        assert [state for state, _ in statuses(github)] == ["success"]
        assert len(ended(stage)) == 1

    def test_newer_commit_replaces_the_one_before(
        self,
        stage: Stage,
        github: GitHubServer,
        run_command: RunCommand,
        commit: str,
        parent: str,
    ) -> None:
        for pushed in (parent, commit):
            stage.push(after=pushed)
            newest = run_command.commands[0]
            newest.add_host(result_line(pushed))
            newest.end()
            stage.report(newest.event())
        states = {one.sha: one.state for one in github.deployments("octo/site")}
        assert states == {parent: "inactive", commit: "success"}

    def test_command_by_hand_that_says_it_is_of_the_future_replaces_nothing_after_it(
        self,
        stage: Stage,
        github: GitHubServer,
        run_command: RunCommand,
        commit: str,
        parent: str,
    ) -> None:
        for pushed in (parent, commit):
            stage.push(after=pushed)
            newest = run_command.commands[0]
            if pushed == parent:
                newest.requested -= 3600
                parameters = dict(newest.arguments["Parameters"]) | {"Issued": ["9" * 15]}
                newest.arguments = dict(newest.arguments) | {"Parameters": parameters}
            newest.add_host(result_line(pushed))
            newest.end()
            stage.report(newest.event())
        states = {one.sha: one.state for one in github.deployments("octo/site")}
        assert states == {parent: "inactive", commit: "success"}

    def test_push_that_could_not_be_announced_is_made_up_for(
        self, stage: Stage, github: GitHubServer, run_command: RunCommand, commit: str
    ) -> None:
        fail(github, BAD_GATEWAY)
        stage.push(after=commit)
        fail(github, None)
        (sent,) = run_command.commands
        assert sent.deployment == ""
        sent.add_host(result_line(commit))
        sent.end()
        assert stage.report(sent.event())["state"] == "success"
        (deployment,) = github.deployments("octo/site")
        assert deployment.payload == {"stage": "dev", "target": "web", "delivery": GUID}
        assert deployment.state == "success"

    @pytest.mark.parametrize("parameters", ["", "{", None, 7, {}, {"Target": ["evil"]}])
    def test_parameters_in_the_event_are_not_believed(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str, parameters: object
    ) -> None:
        sent.add_host(result_line(commit))
        sent.end()
        assert stage.report(sent.event(parameters=parameters))["state"] == "success"
        assert [state for state, _ in statuses(github)] == ["success"]

    def test_parameters_as_an_object_are_as_good(
        self, stage: Stage, sent: Sent, commit: str
    ) -> None:
        sent.add_host(result_line(commit))
        sent.end()
        event = sent.event(parameters=sent.arguments["Parameters"])
        assert stage.report(event)["state"] == "success"

    def test_target_that_is_stored_no_more_is_told_of_under_its_name(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str
    ) -> None:
        stage.remove(NAMES.targets(SITE))
        sent.add_host(result_line(commit))
        sent.end()
        assert stage.report(sent.event())["state"] == "success"
        assert [state for state, _ in statuses(github)] == ["success"]

    def test_through_chalice_s_own_test_client(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str
    ) -> None:
        sent.add_host(result_line(commit))
        sent.end()
        with Client(app.app, stage_name="dev") as client:
            payload = client.lambda_.invoke("report_status_change", sent.event()).payload
        assert payload["state"] == "success"
        assert [state for state, _ in statuses(github)] == ["success"]


class TestHostsWords:
    @pytest.mark.parametrize(
        "output",
        [
            "",
            "\n",
            "null",
            "[]",
            "{}",
            "not JSON at all",
            "[" * 2000,
            '{"v":1,"target":"web","outcome":"upda',
            '{"v":2,"target":"web"}',
            "\u0000\ud7ff\u2028",
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_output_without_a_result_line_is_a_failure(
        self, stage: Stage, github: GitHubServer, sent: Sent, output: str
    ) -> None:
        sent.add_host(output)
        sent.end()
        assert stage.report(sent.event())["state"] == "failure"
        ((state, words),) = statuses(github)
        assert state == "failure"
        assert "no result line in the host's output" in words

    @pytest.mark.parametrize(
        "changes",
        [
            {"v": 2},
            {"v": "1"},
            {"target": "api"},
            {"upstream": "main"},
            {"upstream": None},
            {"local_commits": "many"},
            {"outcome": "success"},
            {"outcome": "<b>updated</b>"},
        ],
        ids=str,
    )
    def test_result_line_that_is_not_of_the_contract_is_never_green(
        self,
        stage: Stage,
        github: GitHubServer,
        sent: Sent,
        commit: str,
        changes: dict[str, object],
    ) -> None:
        sent.add_host(result_line(commit, **changes))
        sent.end()
        assert stage.report(sent.event())["state"] in {"failure", "inactive"}
        assert "success" not in dict(statuses(github))

    def test_output_that_was_cut_is_a_failure(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str
    ) -> None:
        cut = result_line(commit, detail="x" * 3000)[:2481] + "\n--output truncated--"
        sent.add_host(cut)
        sent.end()
        assert stage.report(sent.event())["state"] == "failure"

    @pytest.mark.parametrize(
        "detail",
        [
            "<script>alert(1)</script>",
            "[click](https://example.com/evil) `x` *y*",
            "\x1b[31mred\x1b[0m\r\nsecond line\u202etxt\u0000",
            "🚀" * 400,
            'x", "about": "deployment", "outcome": "success"}\n{"level": "info"',
            "/" * 5000,
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_hostile_detail_is_plain_text_in_one_line(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str, detail: str
    ) -> None:
        sent.add_host(rolled_back(commit, detail=detail), status="Failed")
        sent.end("Failed")
        assert stage.report(sent.event())["state"] == "failure"
        ((state, words),) = statuses(github)
        assert state == "failure"
        assert len(words) <= 140
        assert words.replace("…", "").isprintable()
        assert not set("<>`*[]|\\\n\r\x1b🚀") & set(words)
        (line,) = ended(stage)
        assert line["outcome"] == "failure"

    @pytest.mark.parametrize(
        "name", ["", "a" * 300, "<b>", "\u202eweb", "{}", "w; 3 of 3 hosts at ccccccc; a"]
    )
    def test_host_s_odd_name_is_not_told(
        self, stage: Stage, github: GitHubServer, sent: Sent, commit: str, name: str
    ) -> None:
        sent.add_host(result_line(commit), name=name)
        sent.end()
        assert stage.report(sent.event())["state"] == "success"
        assert statuses(github) == [("success", f"1 of 1 host at {commit[:7]}: {HOST}")]


class TestIgnored:
    def ignore(self, stage: Stage, event: Mapping[str, Any], reason: str) -> None:
        asked = len(stage.wire.attempts)
        outcome = stage.report(event)
        assert set(outcome) == {"ignored"}
        assert reason in outcome["ignored"]
        assert len(stage.wire.attempts) == asked
        line = stage.log.lines("event")[-1]
        assert (line["outcome"], line["level"]) == ("ignored", "info")
        assert line["reason"] == outcome["ignored"]

    def test_event_of_one_host(self, stage: Stage, sent: Sent) -> None:
        event = sent.event(**{"detail-type": INVOCATION_CHANGE, "instance-id": HOST})
        self.ignore(stage, event, "of one host")

    @pytest.mark.parametrize("name", ["pulley-prod-pull", "AWS-RunShellScript", "", None, []])
    def test_event_of_another_document(self, stage: Stage, sent: Sent, name: object) -> None:
        self.ignore(stage, sent.event(**{"document-name": name}), "of another document")

    @pytest.mark.parametrize("source", ["aws.ec2", "", None])
    def test_event_of_another_source(self, stage: Stage, sent: Sent, source: object) -> None:
        self.ignore(stage, sent.event(source=source), "not an event of Systems Manager")

    @pytest.mark.parametrize("detail", [None, [], "x", {}])
    def test_detail_of_another_shape(self, stage: Stage, sent: Sent, detail: object) -> None:
        self.ignore(stage, sent.event(detail=detail), "")

    @pytest.mark.parametrize(
        "command_id", ["", None, 7, "x", "../x", pytest.param("a" * 100_000, id="long")]
    )
    def test_command_id_that_is_none(self, stage: Stage, sent: Sent, command_id: object) -> None:
        self.ignore(stage, sent.event(**{"command-id": command_id}), "no command id but")

    @pytest.mark.parametrize("unknown", [None, aws_error("InvalidCommandId")])
    def test_unknown_command(
        self, stage: Stage, run_command: RunCommand, sent: Sent, unknown: Reply
    ) -> None:
        if unknown:
            run_command.fault["ListCommands"] = unknown
        event = sent.event(**{"command-id": str(uuid.uuid4())})
        assert stage.report(event) == {"ignored": "Systems Manager does not know the command"}

    def test_command_of_this_id_that_ran_another_document(
        self, stage: Stage, github: GitHubServer, run_command: RunCommand, sent: Sent
    ) -> None:
        sent.arguments = {**sent.arguments, "DocumentName": "pulley-prod-pull"}
        assert "ignored" in stage.report(sent.event())
        assert statuses(github) == []

    @pytest.mark.parametrize(
        "parameters", [{"Commit": [""]}, {"Update": ["check"]}, {"Repository": ["../x"]}]
    )
    def test_command_that_deploys_no_named_commit(
        self, stage: Stage, github: GitHubServer, sent: Sent, parameters: dict[str, list[str]]
    ) -> None:
        changed = {**sent.arguments["Parameters"], **parameters}
        sent.arguments = {**sent.arguments, "Parameters": changed}
        sent.end()
        assert stage.report(sent.event()) == {"ignored": "it deploys no named commit"}
        assert statuses(github) == []


class TestWithoutAToken:
    def test_outcome_is_written_down_once_and_github_is_not_asked(
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
        assert [line["outcome"] for line in ended(stage)] == ["success"]


class TestGitHubIsNotWell:
    UNAVAILABLE: Mapping[str, Fault] = {
        "broken": Fault(500),
        "behind a bad gateway": BAD_GATEWAY,
        "limited for long": Fault(429, headers={"Retry-After": "60"}),
        "spent": Fault(
            403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999"}
        ),
        "talking garbage": Fault(200, b"<html>\xff"),
        "nesting": Fault(200, b"[" * 100_000),
        "of another shape": Fault(200, b'"x"'),
        "silent": Fault(200, b"[]", silent_seconds=30),
    }

    @pytest.fixture
    def ended_well(self, sent: Sent, commit: str) -> Sent:
        sent.add_host(result_line(commit))
        sent.end()
        return sent

    @pytest.mark.parametrize("name", UNAVAILABLE)
    def test_event_fails_so_that_lambda_tries_it_again_and_then_it_is_told(
        self,
        stage: Stage,
        github: GitHubServer,
        ended_well: Sent,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
    ) -> None:
        monkeypatch.setattr("chalicelib.edges.github_api.READ_SECONDS", 0.2)
        fail(github, self.UNAVAILABLE[name])
        with pytest.raises(UnavailableError, match="GitHub") as failure:
            stage.report(ended_well.event())
        assert TOKEN not in str(failure.value) + failure.value.detail
        (line,) = stage.log.lines("event")
        assert (line["outcome"], line["level"]) == ("failed", "warning")
        assert line["command_id"] == ended_well.id
        assert line["reason"]
        assert ended(stage) == []
        fail(github, None)
        forget_what_is_warm()
        assert stage.report(ended_well.event())["state"] == "success"
        assert [state for state, _ in statuses(github)] == ["success"]
        assert len(ended(stage)) == 1

    def test_short_fault_is_waited_for(
        self, stage: Stage, github: GitHubServer, ended_well: Sent, pauses: list[float]
    ) -> None:
        faults = iter([BAD_GATEWAY, BAD_GATEWAY])
        github.fault = lambda _method, _path: next(faults, None)
        assert stage.report(ended_well.event())["state"] == "success"
        assert pauses == [2.0, 2.0]
        assert stage.log.lines("event") == []

    def test_short_limit_is_waited_for_as_long_as_github_says(
        self,
        stage: Stage,
        github: GitHubServer,
        ended_well: Sent,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("chalicelib.wiring.time", time)
        faults = iter([Fault(429, headers={"Retry-After": "1"})])
        github.fault = lambda _method, _path: next(faults, None)
        began = time.monotonic()
        assert stage.report(ended_well.event())["state"] == "success"
        assert time.monotonic() - began >= 1

    def test_long_limit_is_left_to_lambda(
        self, stage: Stage, github: GitHubServer, ended_well: Sent, pauses: list[float]
    ) -> None:
        fail(github, self.UNAVAILABLE["limited for long"])
        with pytest.raises(UnavailableError):
            stage.report(ended_well.event())
        assert pauses == []

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(403, b'{"message": "Resource not accessible by personal access token"}'),
            Fault(401, b'{"message": "Bad credentials"}'),
            Fault(422, b'{"message": "Validation Failed"}'),
        ],
        ids=lambda fault: str(fault.status),
    )
    def test_refusal_is_written_down_and_the_outcome_all_the_same(
        self, stage: Stage, github: GitHubServer, ended_well: Sent, fault: Fault
    ) -> None:
        fail(github, fault)
        assert stage.report(ended_well.event())["state"] == "success"
        refusal, outcome = stage.log.lines("deployment")
        assert (refusal["outcome"], refusal["level"]) == ("not_reported", "error")
        assert (refusal["delivery"], refusal["target"]) == (GUID, "web")
        assert (outcome["outcome"], outcome["command_id"]) == ("success", ended_well.id)

    def test_refused_token_is_written_down_once(
        self, stage: Stage, github: GitHubServer, ended_well: Sent
    ) -> None:
        fail(github, Fault(403, b"{}"))
        for _ in range(3):
            stage.report(ended_well.event())
        outcomes = [line["outcome"] for line in stage.log.lines("deployment")]
        assert outcomes == ["not_reported", "success"]

    def test_deployment_that_was_deleted_is_made_again(
        self, stage: Stage, github: GitHubServer, ended_well: Sent
    ) -> None:
        gone = f"/deployments/{ended_well.deployment}"
        github.fault = lambda method, path: Fault(404) if path.endswith(gone) else None
        assert stage.report(ended_well.event())["state"] == "success"
        assert "success" in {one.state for one in github.deployments("octo/site")}

    @pytest.mark.parametrize("token", [f"{TOKEN}\nand-an-older-one", f"{TOKEN}\u2026"])
    def test_token_that_no_header_can_have_is_a_refused_one(
        self, stage: Stage, github: GitHubServer, ended_well: Sent, token: str
    ) -> None:
        stage.store(NAMES.github_token, token)
        assert stage.report(ended_well.event())["state"] == "success"
        refusal, _ = stage.log.lines("deployment")
        assert refusal["outcome"] == "not_reported"
        assert TOKEN not in str(stage.log)


class TestAwsFails:
    @pytest.mark.parametrize(
        "operation", ["ListCommands", "ListCommandInvocations", "GetParameters"]
    )
    @pytest.mark.parametrize(
        ("code", "kind"),
        [("AccessDeniedException", RefusedError), ("ThrottlingException", UnavailableError)],
    )
    def test_event_fails_and_the_log_says_why(
        self,
        stage: Stage,
        run_command: RunCommand,
        github: GitHubServer,
        sent: Sent,
        commit: str,
        operation: str,
        code: str,
        kind: type[PulleyError],
    ) -> None:
        sent.add_host(result_line(commit))
        sent.end()
        run_command.fault[operation] = aws_error(code)
        with pytest.raises(kind, match="AWS"):
            stage.report(sent.event())
        (line,) = stage.log.lines("event")
        assert (line["outcome"], line["command_id"]) == ("failed", sent.id)
        assert code in line["reason"]
        assert statuses(github) == []

    def test_answers_that_lag_behind_the_event_are_waited_for_and_then_fail(
        self, stage: Stage, sent: Sent, pauses: list[float]
    ) -> None:
        sent.add_host(status="InProgress")
        with pytest.raises(UnavailableError, match="lag"):
            stage.report(sent.event(status="Success"))
        assert pauses == [1.0] * 5

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("PULLEY_STAGE", ""),
            ("PULLEY_GITHUB_API", "http://github.example.com/api/v3"),
            ("PULLEY_TOPIC_ARN", "pulley-dev"),
        ],
    )
    def test_stage_that_is_not_set_up_is_in_the_log(
        self, stage: Stage, sent: Sent, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(UnavailableError, match="not set up"):
            stage.report(sent.event())
        (line,) = stage.log.lines("event")
        assert (line["outcome"], line["level"]) == ("failed", "error")
        assert name in line["reason"]


class TestTopic:
    def published(self) -> list[Any]:
        (topic,) = sns_backends[DEFAULT_ACCOUNT_ID][REGION].topics.values()
        return list(topic.sent_notifications)

    def test_end_is_told_once_and_progress_never(
        self, stage: Stage, sent: Sent, commit: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arn = boto3.client("sns").create_topic(Name="pulley-dev")["TopicArn"]
        monkeypatch.setenv("PULLEY_TOPIC_ARN", arn)
        sent.add_host(status="InProgress")
        stage.report(sent.event())
        assert self.published() == []
        sent.hosts.clear()
        sent.add_host(result_line(commit))
        sent.end()
        for _ in range(2):
            stage.report(sent.event())
        ((_, text, subject, *_),) = self.published()
        assert subject.startswith("web: success, 1 of 1 host")
        assert json.loads(text)["metadata"]["additionalContext"]["command_id"] == sent.id
        assert TOKEN not in text

    def test_topic_that_is_not_there_is_in_the_log_and_github_is_told(
        self,
        stage: Stage,
        github: GitHubServer,
        sent: Sent,
        commit: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        arn = f"arn:aws:sns:{REGION}:{DEFAULT_ACCOUNT_ID}:pulley-dev"
        monkeypatch.setenv("PULLEY_TOPIC_ARN", arn)
        sent.add_host(result_line(commit))
        sent.end()
        assert stage.report(sent.event())["state"] == "success"
        assert [state for state, _ in statuses(github)] == ["success"]
        (line,) = stage.log.lines("notification")
        assert (line["outcome"], line["level"]) == ("failed", "error")


class TestPattern:
    def test_rule_is_for_commands_of_this_stage_s_document_alone(self) -> None:
        assert wiring.STATUS_CHANGES == {
            "source": ["aws.ssm"],
            "detail-type": [COMMAND_CHANGE],
            "detail": {"document-name": [DOCUMENT]},
        }
