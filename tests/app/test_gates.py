"""A target with gates: the events that wake a round, and the round that releases the commit.

tests/flows/test_release.py tests what a round decides.
"""

import json
from typing import Any

import pytest
import urllib3

from chalicelib.core.wake import WakeError, build_wake
from pulley.sandbox.github.server import GitHubServer
from tests.app.conftest import AddHost
from tests.app.run_command import RunCommand, Sent, result_line
from tests.app.stage import TOKEN, Answer, Stage
from tests.app.test_reconcile_event import EVENT
from tests.fakes import GUID, NAMES, SITE, aws_error, target_json, targets_text

WAKE = {
    "FunctionName": "pulley-dev-reconcile_targets",
    "InvocationType": "Event",
    "Payload": build_wake(SITE),
}
CHECK_RUN = {
    "action": "completed",
    "check_run": {
        "name": "test",
        "status": "completed",
        "conclusion": "success",
        "check_suite": {"head_branch": "main"},
    },
    "repository": {"full_name": "octo/site"},
}


@pytest.fixture
def stage(stage: Stage, run_command: RunCommand) -> Stage:
    """The stage whose target web waits for the check `test`."""
    stage.store(NAMES.targets(SITE), targets_text(target_json(checks=["test"])))
    return stage


def wakes(stage: Stage) -> list[Any]:
    return list(stage.wire.arguments_of("Invoke"))


def not_woken(stage: Stage) -> list[str]:
    return [one["reason"] for one in stage.log.lines("round") if one["outcome"] == "not_woken"]


class TestDelivery:
    def test_push_is_answered_with_what_the_target_waits_for_and_wakes_a_round(
        self, stage: Stage
    ) -> None:
        body = {"delivery": GUID, "ignored": "web: it waits for test"}
        assert stage.push() == Answer(200, body)
        assert wakes(stage) == [WAKE]
        assert stage.wire.arguments_of("SendCommand") == []

    def test_green_check_wakes_a_round(self, stage: Stage) -> None:
        answer = stage.deliver(CHECK_RUN, event="check_run")
        reason = "check_run: a round looks whether it opens a gate of web"
        assert answer == Answer(200, {"delivery": GUID, "ignored": reason})
        assert wakes(stage) == [WAKE]

    def test_forged_check_is_refused_and_wakes_no_round(self, stage: Stage) -> None:
        assert stage.deliver(CHECK_RUN, event="check_run", secret="guessed").status == 401
        assert wakes(stage) == []

    @pytest.mark.parametrize("code", ["AccessDeniedException", "TooManyRequestsException"])
    def test_call_that_aws_does_not_take_does_not_fail_the_delivery(
        self, stage: Stage, run_command: RunCommand, code: str
    ) -> None:
        run_command.fault["Invoke"] = aws_error(code)
        assert stage.push().status == 200
        assert stage.deliver(CHECK_RUN, event="check_run").status == 200
        assert [code in reason for reason in not_woken(stage)] == [True] * 2

    def test_push_for_both_kinds_of_targets_is_accepted(self, stage: Stage) -> None:
        plain, gated = target_json("staging"), target_json(after=["staging"])
        stage.store(NAMES.targets(SITE), targets_text(plain, gated))
        answer = stage.push()
        assert answer.status == 202
        assert answer.body["skipped"] == [{"target": "web", "reason": "it waits for staging"}]
        assert [one["target"] for one in answer.body["deployments"]] == ["staging"]
        assert wakes(stage) == [WAKE]


class TestWokenRound:
    def test_only_the_repository_of_the_wake_is_reconciled(
        self, stage: Stage, run_command: RunCommand, add_host: AddHost
    ) -> None:
        add_host("web-1")
        for name in ("octo/site", "octo/other"):
            target = target_json(name.partition("/")[2], repository=name)
            stage.store(f"/pulley/dev/repositories/{name}/targets", targets_text(target))
        outcome = stage.reconcile(build_wake(SITE))
        assert (outcome["targets"], outcome["is_whole"]) == (1, True)
        (line,) = (one for one in stage.log.lines("round") if one["outcome"] == "woken")
        assert (line["targets"], line["Rounds"]) == (1, 1)
        assert stage.reconcile(EVENT)["targets"] == 2

    @pytest.mark.parametrize(
        "detail", [None, {}, {"repository": 7}, {"repository": "octo/../site"}, "octo/site"]
    )
    def test_malformed_wake_raises_and_reconciles_nothing(
        self, stage: Stage, detail: object
    ) -> None:
        with pytest.raises(WakeError):
            stage.reconcile(build_wake(SITE) | {"detail": detail})
        (line,) = stage.log.lines("round")
        assert (line["outcome"], line["level"]) == ("failed", "error")
        assert "ListCommands" not in stage.wire.operations


class TestChain:
    """Checks, then staging, then production, with the sandbox's GitHub."""

    @pytest.fixture
    def stage(self, stage: Stage, github: GitHubServer) -> Stage:
        github.permissions["statuses"] = "write"  # for the CI server, which has the same token
        roles = {
            name: {"instances": {"tags": {"role": name}}, "checkout": f"/srv/{name}"}
            for name in ("staging", "production")
        }
        staging = target_json("staging", checks=["test"], **roles["staging"])
        production = target_json("production", after=["staging"], **roles["production"])
        stage.store(NAMES.targets(SITE), targets_text(staging, production))
        return stage

    @pytest.fixture
    def hosts(self, add_host: AddHost) -> dict[str, str]:
        return {name: add_host(f"{name}-1", role=name) for name in ("staging", "production")}

    def check(self, github: GitHubServer, commit: str, state: str) -> None:
        answer = urllib3.request(
            "POST",
            f"{github.api_url}/repos/octo/site/statuses/{commit}",
            body=json.dumps({"context": "test", "state": state}),
            headers={"Authorization": f"Bearer {TOKEN}", "User-Agent": "ci"},
        )
        assert answer.status == 201

    def carry_out(self, sent: Sent, host: str) -> None:
        commit, name = (sent.arguments["Parameters"][one][0] for one in ("Commit", "Target"))
        sent.add_host(result_line(commit, target=name), instance_id=host)
        sent.end()

    def states(self, github: GitHubServer) -> dict[str, list[str]]:
        return {
            one.environment: [status.state for status in one.statuses]
            for one in github.deployments("octo/site")
        }

    def test_commit_goes_to_staging_when_it_is_green_and_then_to_production(
        self,
        stage: Stage,
        github: GitHubServer,
        run_command: RunCommand,
        commit: str,
        hosts: dict[str, str],
    ) -> None:
        self.check(github, commit, "pending")
        stage.push(after=commit)
        assert stage.reconcile(build_wake(SITE))["sent"] == 0
        assert self.states(github) == {"production": ["queued"]}

        self.check(github, commit, "success")
        assert stage.reconcile(build_wake(SITE))["sent"] == 1
        (to_staging,) = run_command.commands
        parameters = {key: one for key, (one,) in to_staging.arguments["Parameters"].items()}
        assert (parameters["Target"], parameters["Commit"]) == ("staging", commit)
        assert (parameters["Update"], parameters["Cause"]) == ("rebase-to", "push")

        self.carry_out(to_staging, hosts["staging"])
        assert stage.report(to_staging.event())["state"] == "success"
        assert wakes(stage)[-1] == WAKE
        assert stage.reconcile(build_wake(SITE))["sent"] == 1
        to_production = run_command.commands[0]
        assert to_production.arguments["Parameters"]["Target"] == ["production"]

        self.carry_out(to_production, hosts["production"])
        assert stage.report(to_production.event())["state"] == "success"
        assert self.states(github) == {
            "staging": ["success"],
            "production": ["queued", "success"],
        }
        assert stage.reconcile(EVENT)["sent"] == 0
        assert len(run_command.commands) == 2

    def test_red_commit_goes_nowhere_however_often_events_come(
        self,
        stage: Stage,
        github: GitHubServer,
        run_command: RunCommand,
        commit: str,
        hosts: dict[str, str],
    ) -> None:
        self.check(github, commit, "failure")
        for _ in range(3):
            stage.push(after=commit)
            stage.deliver(CHECK_RUN, event="check_run")
            stage.reconcile(build_wake(SITE))
            stage.reconcile(EVENT)
        assert run_command.commands == []
        assert self.states(github) == {"production": ["queued"]}
        assert "waits for test: failure" in stage.log.words()

    def test_token_without_the_permission_keeps_the_gate_closed(
        self,
        stage: Stage,
        github: GitHubServer,
        run_command: RunCommand,
        commit: str,
        hosts: dict[str, str],
    ) -> None:
        self.check(github, commit, "success")
        github.permissions["deployments"] = "read"
        assert stage.reconcile(build_wake(SITE))["sent"] == 0
        assert run_command.commands == []
        assert "Deployments: write" in stage.log.words()
