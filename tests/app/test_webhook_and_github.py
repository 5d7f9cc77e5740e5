"""The webhook of a stage with a GitHub token: a failure of GitHub keeps no push from the hosts.

tests/app/test_faults.py makes each call to GitHub fail, and tests/edges tests GitHub's answers.
"""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from pulley.sandbox.github.server import Fault, GitHubServer
from tests.app.stage import JSON, Answer, Stage, rest_event
from tests.fakes import GUID, NAMES, SITE, aws_error, target_json

MORE_SECONDS = 3.0  # beyond a usual push: GitHub may take two
SENT_SECONDS = 10.0  # GitHub waits no longer for a webhook's answer
SILENT = Fault(200, b"[]", silent_seconds=30)
SLOW = {"silent": SILENT, "dripping": Fault(200, b"[" + b" " * 1000 + b"]", drip_seconds=0.5)}


def sent(stage: Stage) -> list[Mapping[str, Any]]:
    """The parameters of each command, in order."""
    return [
        {name: value[0] for name, value in arguments["Parameters"].items()}
        for arguments in stage.wire.arguments_of("SendCommand")
    ]


def missing_deployments(stage: Stage) -> list[dict[str, Any]]:
    return [line for line in stage.log.lines("deployment") if line["outcome"] == "not_made"]


class TestGitHubAnswers:
    def test_command_of_a_push_and_of_its_redelivery_carry_the_same_deployment_id(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        answer = stage.push(after=commit)
        (command,) = stage.commands()
        deployments = [{"target": "web", "command_id": command["CommandId"]}]
        body = {"delivery": GUID, "commit": commit, "deployments": deployments, "skipped": []}
        assert answer == Answer(202, body)
        assert stage.push(after=commit).status == 202
        (deployment,) = github.deployments("octo/site")
        assert [one["Deployment"] for one in sent(stage)] == [str(deployment.id)] * 2
        assert (deployment.sha, deployment.environment) == (commit, "web")
        assert deployment.payload == {"stage": "dev", "target": "web", "delivery": GUID}
        assert deployment.state == "pending"

    def test_each_target_has_a_deployment_in_its_environment(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        names = [f"web{number}" for number in range(12)]
        targets = [target_json(name, environment=f"{name}/eu & co") for name in names]
        stage.store(NAMES.targets(SITE), targets)
        assert stage.push(after=commit).status == 202
        made = {str(one.id): one.environment for one in github.deployments("octo/site")}
        assert {one["Target"]: made[one["Deployment"]] for one in sent(stage)} == {
            name: f"{name}/eu & co" for name in names
        }

    def test_frozen_target_has_an_inactive_deployment_that_names_the_reason(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        stage.store(NAMES.pin("web"), {"state": "frozen", "reason": "a holiday"})
        for _ in range(2):  # the second one is the redelivery
            assert stage.push(after=commit).status == 200
        (deployment,) = github.deployments("octo/site")
        (status,) = deployment.statuses
        assert status.state == "inactive"
        assert status.description == "not deployed: frozen: a holiday"
        assert sent(stage) == []

    def test_ignored_or_unverified_delivery_makes_no_request_to_github(
        self, stage: Stage, github: GitHubServer
    ) -> None:
        body = {"repository": {"full_name": "octo/site"}}
        assert stage.deliver(body, event="release").status == 200
        assert stage.deliver(body, secret="guessed").status == 401
        assert github.requests == []

    def test_stage_without_a_token_makes_no_request_to_github(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        stage.remove(NAMES.github_token)
        assert stage.push(after=commit).status == 202
        assert github.requests == []
        assert [one["Deployment"] for one in sent(stage)] == [""]
        assert stage.log.lines("deployment") == []


class TestGitHubFails:
    @pytest.mark.parametrize("name", SLOW)
    def test_slow_github_delays_no_push_and_the_command_has_no_deployment(
        self, stage: Stage, github: GitHubServer, commit: str, name: str
    ) -> None:
        began = time.monotonic()
        assert stage.push(after=commit).status == 202
        usual = time.monotonic() - began
        github.fault = lambda _method, _path: SLOW[name]
        began = time.monotonic()
        answer = stage.push(after=commit)
        assert time.monotonic() - began < usual + MORE_SECONDS
        assert (answer.status, answer.body["skipped"]) == (202, [])
        assert len(answer.body["deployments"]) == 1
        assert sent(stage)[-1]["Deployment"] == ""
        (line,) = missing_deployments(stage)
        assert line["level"] == "warning"
        assert (line["delivery"], line["repository"]) == (GUID, "octo/site")
        assert (line["target"], line["commit"]) == ("web", commit)
        assert line["reason"]

    def test_twenty_targets_with_silent_github_are_sent_within_ten_seconds(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        names = [f"web{number}" for number in range(20)]
        stage.store(NAMES.targets(SITE), [target_json(name) for name in names])
        github.fault = lambda _method, _path: SILENT
        began = time.monotonic()
        assert stage.push(after=commit).status == 202
        assert time.monotonic() - began < SENT_SECONDS
        assert [one["Deployment"] for one in sent(stage)] == [""] * 20
        assert len(missing_deployments(stage)) == 20

    def test_slow_aws_shortens_the_wait_for_github_and_the_command_is_sent(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        def reply(_operation: str, arguments: Mapping[str, Any]) -> None:
            if NAMES.webhook_secret in arguments.get("Names", []):
                time.sleep(1.8)  # of the 3.5 in which a call may begin

        stage.wire.reply = reply
        github.fault = lambda _method, _path: SILENT
        assert stage.push(after=commit).status == 202
        assert [one["Deployment"] for one in sent(stage)] == [""]

    def test_redelivery_finds_the_deployment_whose_answer_was_lost(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        lost = Fault(502, applied_first=True)
        github.fault = lambda method, _path: lost if method == "POST" else None
        stage.push(after=commit)
        github.fault = None
        stage.push(after=commit)
        (deployment,) = github.deployments("octo/site")
        assert [one["Deployment"] for one in sent(stage)] == ["", str(deployment.id)]

    def test_refused_token_is_logged_once_and_not_used_for_the_next_push(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        no = Fault(403, b'{"message": "Resource not accessible by personal access token"}')
        github.fault = lambda _method, _path: no
        for _ in range(3):
            stage.push(after=commit)
        (line,) = missing_deployments(stage)
        assert "Deployments: write" in line["reason"]
        assert "not accessible" in line["reason"]
        assert len(github.requests) == 1


class TestSendFails:
    def refuse(self, stage: Stage) -> None:
        def reply(_operation: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401
            to = arguments.get("Parameters", {}).get("Target")
            return aws_error("AccessDeniedException") if to == ["web"] else None

        stage.wire.reply = reply

    def test_new_deployment_gets_the_state_error_and_the_failure_is_logged(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        self.refuse(stage)
        assert stage.push(after=commit).status == 502
        (deployment,) = github.deployments("octo/site")
        (status,) = deployment.statuses
        assert status.state == "error"
        assert status.description.startswith("not sent to any host: AWS refused")
        (line,) = stage.log.lines("command")
        assert (line["outcome"], line["level"]) == ("failed", "error")
        assert (line["target"], line["delivery"]) == ("web", GUID)
        (line,) = stage.log.lines("delivery")
        assert (line["outcome"], line["level"]) == ("failed", "error")

    def test_deployments_of_an_earlier_send_keep_their_state(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        stage.store(NAMES.targets(SITE), [target_json("web"), target_json("api")])
        stage.push(after=commit)
        self.refuse(stage)
        assert stage.push(after=commit).status == 502
        states = {one.environment: one.state for one in github.deployments("octo/site")}
        assert states == {"web": "pending", "api": "pending"}

    def test_silent_github_does_not_change_the_answer(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        self.refuse(stage)
        github.fault = lambda _method, path: SILENT if path.endswith("/statuses") else None
        began = time.monotonic()
        assert stage.push(after=commit).status == 502
        assert time.monotonic() - began < SENT_SECONDS


class TestLog:
    def test_delivery_and_its_command_have_one_line_each(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        stage.push(after=commit)
        (command,) = stage.commands()
        common = {"level": "info", "delivery": GUID, "repository": "octo/site", "commit": commit}
        sent_line, delivery_line = stage.log.lines()
        assert sent_line == common | {
            "about": "command",
            "outcome": "sent",
            "target": "web",
            "cause": "push",
            "command_id": command["CommandId"],
            "stage": "dev",
        }
        counted = {name: delivery_line.pop(name) for name in ("_aws", "Deliveries")}
        assert delivery_line == common | {
            "about": "delivery",
            "outcome": "accepted",
            "stage": "dev",
        }
        assert counted["Deliveries"] == 1
        (directive,) = counted["_aws"]["CloudWatchMetrics"]
        assert directive == {
            "Namespace": "Pulley",
            "Dimensions": [["stage", "outcome"]],
            "Metrics": [{"Name": "Deliveries", "Unit": "Count"}],
        }

    def test_each_delivery_is_counted_once_under_its_outcome(
        self, stage: Stage, github: GitHubServer, commit: str
    ) -> None:
        stage.push(after=commit)
        stage.push(ref="refs/heads/other")
        stage.push(after="HEAD")
        stage.deliver({}, secret="guessed")
        stage.store(NAMES.document, "{")
        stage.push(after=commit)
        lines = stage.log.lines("delivery")
        outcomes = ["accepted", "ignored", "refused", "refused", "failed"]
        assert [line["outcome"] for line in lines] == outcomes
        assert [line["Deliveries"] for line in lines] == [1] * 5
        assert [line["delivery"] for line in lines] == [GUID] * 5

    def test_hostile_delivery_header_stays_in_one_line(self, stage: Stage) -> None:
        odd = '\'x"\n{"about": "delivery", "outcome": "accepted"}\n\u2028\ud800' + "y" * 1000
        headers = {"Content-Type": JSON, "X-GitHub-Delivery": odd}
        assert stage.call(rest_event(headers, "{}")).status in {400, 401}
        (line,) = stage.log.lines()
        assert line["outcome"] == "refused"
        assert len(str(stage.log)) < 1000
