"""The schedule's event as AWS sends it, through the function, to the hosts that are behind.

tests/flows/test_reconcile.py tests what a round does. tests/app/test_faults.py makes each call
fail.
"""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.test import Client

import app
from chalicelib import wiring
from chalicelib.core.errors import RefusedError, UnavailableError
from pulley.sandbox.github.server import GitHubServer, HookDelivery
from tests.app.conftest import AddHost
from tests.app.run_command import DOCUMENT, RunCommand, Sent, result_line
from tests.app.stage import REGION, Stage, forget_warm_clients
from tests.fakes import NAMES, SITE, aws_error, target_json, targets_text

# EventBridge User Guide, "Creating a rule that runs on a schedule".
EVENT = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2030-01-08T16:53:06Z",
    "region": REGION,
    "resources": ["arn:aws:events:eu-central-1:123456789012:rule/pulley-dev-reconcile_targets"],
    "detail": {},
}
QUIET = {"targets": 1, "hosts": 1, "behind": 0, "sent": 0, "parked": 0, "failed": 0}


def sent_by_rounds(run_command: RunCommand) -> list[tuple[str, tuple[str, ...]]]:
    """The commands that rounds sent: the commit and the instances, oldest first."""
    found = []
    for one in reversed(run_command.commands):
        (commit,), (cause,) = (one.arguments["Parameters"][name] for name in ("Commit", "Cause"))
        if cause == "reconcile":
            ((key, ids),) = ((to["Key"], to["Values"]) for to in one.arguments["Targets"])
            assert (key, one.arguments["DocumentName"]) == ("InstanceIds", DOCUMENT)
            found.append((commit, tuple(ids)))
    return found


def line_of(stage: Stage, outcome: str) -> dict[str, Any]:
    (line,) = (one for one in stage.log.lines("round") if one["outcome"] == outcome)
    return line


class TestRound:
    def test_stage_with_every_host_at_the_commit_gets_no_command(
        self, stage: Stage, run_command: RunCommand, pushed: Sent
    ) -> None:
        for _ in range(2):
            assert stage.reconcile(EVENT) == QUIET | {"is_whole": True}
        assert run_command.commands == [pushed]
        assert "PutParameter" not in stage.wire.operations
        line, _ = (one for one in stage.log.lines("round") if one["outcome"] == "whole")
        assert QUIET.items() <= line.items()
        assert (line["level"], line["Rounds"], line["HostsBehind"]) == ("info", 1, 0)

    def test_offline_and_new_hosts_get_the_pushed_commit(
        self,
        stage: Stage,
        run_command: RunCommand,
        commit: str,
        pushed: Sent,
        add_host: AddHost,
    ) -> None:
        late = add_host("web-2")
        pushed.add_host(status="TimedOut", details="DeliveryTimedOut", instance_id=late)
        new = add_host("web-3")
        add_host("web-4", is_awake=False)
        add_host("job-1", role="job")
        add_host("web-1", stage="prod")
        outcome = stage.reconcile(EVENT)
        assert (outcome["hosts"], outcome["behind"], outcome["sent"]) == (4, 2, 1)
        assert sent_by_rounds(run_command) == [(commit, (late, new))]
        assert run_command.commands[0].arguments["Comment"].startswith("reconcile, attempt 1: ")
        (line,) = (one for one in stage.log.lines("command") if one["cause"] == "reconcile")
        assert line["command_id"] == run_command.commands[0].id
        assert line["hosts"] == dict.fromkeys(("web-2", "web-3"), "nothing is known of it")

    def test_commit_of_a_lost_delivery_is_sent_from_the_branch_s_tip(
        self,
        stage: Stage,
        github: GitHubServer,
        run_command: RunCommand,
        commit: str,
        parent: str,
        add_host: AddHost,
    ) -> None:
        id_ = add_host("web-1")
        stage.push(after=parent)
        run_command.commands[0].add_host(result_line(parent), instance_id=id_)
        run_command.commands[0].end()
        assert stage.reconcile(EVENT)["sent"] == 1
        assert sent_by_rounds(run_command) == [(commit, (id_,))]

    def test_deployment_with_a_lost_last_event_gets_success_once(
        self, stage: Stage, github: GitHubServer, pushed: Sent
    ) -> None:
        for _ in range(2):
            forget_warm_clients()
            stage.reconcile(EVENT)
        (deployment,) = github.deployments("octo/site")
        assert [one.state for one in deployment.statuses] == ["success"]
        assert len([one for one in stage.log.lines("deployment") if "Deploys" in one]) == 1

    def test_chalice_s_test_client_runs_a_round_that_is_cut_short(
        self, stage: Stage, pushed: Sent
    ) -> None:
        with Client(app.app, stage_name="dev") as client:
            payload = client.lambda_.invoke("reconcile_targets", EVENT).payload
        # Its context has three seconds, too few to begin a target.
        assert json.loads(json.dumps(payload)) == dict.fromkeys(QUIET, 0) | {"is_whole": False}
        assert line_of(stage, "cut_short")["targets"] == 0

    def test_round_called_without_a_context_has_no_time_limit(
        self, stage: Stage, pushed: Sent
    ) -> None:
        assert app.reconcile_targets(EVENT, SimpleNamespace())["is_whole"] is True


class TestTime:
    def test_round_continues_after_the_target_where_the_last_round_stopped(
        self, stage: Stage, run_command: RunCommand, pushed: Sent, commit: str
    ) -> None:
        names = ("api", "job", "web")
        stage.store(NAMES.targets(SITE), targets_text(*map(target_json, names)))
        outcome = stage.reconcile(EVENT, [60_000, 60_000, 59_999, 59_999])
        assert (outcome["targets"], outcome["is_whole"]) == (2, False)
        assert line_of(stage, "cut_short")["targets"] == 2
        stored = stage.wire.arguments_of("PutParameter")[-1]["Value"]
        assert json.loads(stored) == {"after": "job", "holds": {}}
        assert stage.reconcile(EVENT)["is_whole"] is True
        assert [one["Name"] for one in stage.wire.arguments_of("PutParameter")[-2:]] == [
            NAMES.reconcile
        ] * 2


class TestGitHub:
    @pytest.fixture(autouse=True)
    def _ask_in_every_round(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every round asks GitHub for lost deliveries."""
        monkeypatch.setattr(wiring, "RECONCILE_MINUTES", 60)
        forget_warm_clients()

    def test_recent_lost_delivery_is_logged(
        self, stage: Stage, github: GitHubServer, pushed: Sent
    ) -> None:
        hook = github.add_hook("octo/site", "https://abcdef1234.example.com/dev/github")
        now = datetime.now(UTC)
        hook.deliveries += [
            HookDelivery("guid-old", "push", now - timedelta(hours=2), 502, "bad gateway"),
            HookDelivery("guid-lost", "push", now - timedelta(minutes=5), 0, "timed out"),
            HookDelivery("guid-taken", "push", now - timedelta(minutes=4)),
        ]
        stage.reconcile(EVENT)
        (line,) = (one for one in stage.log.lines("delivery") if one["outcome"] == "lost")
        assert (line["delivery"], line["repository"]) == ("guid-lost", "octo/site")
        assert (line["reason"], line["level"]) == ("push: 0 timed out", "warning")


class TestRoundFails:
    def test_refusal_of_aws_is_logged(
        self, stage: Stage, run_command: RunCommand, pushed: Sent
    ) -> None:
        run_command.fault["DescribeInstanceInformation"] = aws_error("AccessDeniedException")
        with pytest.raises(RefusedError, match="AWS"):
            stage.reconcile(EVENT)
        line = line_of(stage, "failed")
        assert (line["level"], "AccessDeniedException" in line["reason"]) == ("error", True)

    def test_invalid_github_api_is_logged(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PULLEY_GITHUB_API", "a b")
        with pytest.raises(UnavailableError, match="not set up"):
            stage.reconcile(EVENT)
        line = line_of(stage, "failed")
        assert (line["level"], "PULLEY_GITHUB_API" in line["reason"]) == ("error", True)
