"""plan, deploy and cancel against a sandbox: real git, real scripts, the schedule's own rounds."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pulley.sandbox.run_command.commands import EmulatedCommand
from pulley.sandbox.run_command.statuses import IN_PROGRESS
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import NAMES, Pulley, asleep, heads, json_of, pin, push, stored, targets
from tests.processes import HANG_SECONDS

WAITS = "while [ ! -e {gate} ]; do sleep 0.05; done\n"
NOBODY = {"instances": {"tags": {"role": "nobody"}}}


@pytest.fixture(scope="module")
def sandbox(used: Sandbox) -> Sandbox:
    return used


@pytest.fixture(autouse=True)
def outside(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run outside any clone; afterwards wait for the commands to end, and remove the pin."""
    monkeypatch.chdir(tmp_path)
    yield
    sandbox.wait_until_quiet()
    pin(sandbox, state="none")


def push_quietly(sandbox: Sandbox, words: str, files: Mapping[str, str] = {}) -> str:
    return push(sandbox, words, files, is_quiet=True)


@contextmanager
def slow(sandbox: Sandbox, why: str) -> Iterator[Path]:
    """Push a step that keeps each host busy until the context ends or the gate file exists."""
    gate = sandbox.directory / f"gate-{why}"
    before = (Path(sandbox.developer.working_dir) / "deploy/after-pull").read_text()
    text = before + WAITS.format(gate=gate)
    push_quietly(sandbox, why, {"deploy/after-pull": text})
    try:
        yield gate
    finally:
        gate.touch()
        sandbox.wait_until_quiet()
        push_quietly(sandbox, f"after {why}", {"deploy/after-pull": before})


def count_commands(sandbox: Sandbox) -> int:
    return len(sandbox.account.run_command.commands())


def running_command(sandbox: Sandbox, hosts: int = 2) -> EmulatedCommand:
    """Wait until so many hosts run the newest command, and return it."""
    run_command = sandbox.account.run_command
    newest = run_command.commands()[0]
    return run_command.wait_for(
        newest.id, lambda one: one.count(IN_PROGRESS) == hosts, timeout=HANG_SECONDS
    )


def plan_of(pulley: Pulley, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    (target,) = json_of(pulley("plan", "--json", *arguments))["targets"]
    return target


class TestPlan:
    def test_plan_shows_what_the_next_round_does_and_sends_no_command(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        before, commit = count_commands(sandbox), push_quietly(sandbox, "planned")
        with asleep(sandbox):
            planned, table = plan_of(pulley, "web"), pulley("plan")
            assert count_commands(sandbox) == before
            assert sandbox.reconcile()["sent"] == 1
        assert (planned["wanted"]["commit"], planned["tip_from"]) == (commit, "GitHub")
        told = {one["host"]: (one["action"], one["reason"]) for one in planned["hosts"]}
        assert told["web-1"][0] == "send"
        assert told["web-2"] == ("wait", "it is offline")
        assert table.exit_code == 0
        assert "web: octo/site, branch main" in table.stdout
        assert f"wanted: {commit[:7]} (it is the branch's tip, by GitHub)" in table.stdout
        (line,) = [line for line in table.stdout.splitlines() if "web-1" in line]
        assert f"{commit[:7]}  send (rebase): " in line
        command = sandbox.account.run_command.commands()[0]
        to_send = {one["instance_id"] for one in planned["hosts"] if one["action"] == "send"}
        assert {one.instance_id for one in command.invocations} == to_send
        sandbox.wait_until_quiet()
        assert [one["action"] for one in plan_of(pulley)["hosts"]] == ["nothing", "send"]

    def test_without_a_stored_token_the_tip_is_read_with_the_operator_s_token_or_git(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pulley("deploy")
        commit = push_quietly(sandbox, "asked otherwise")
        with stored(sandbox, NAMES.github_token, None):
            elsewhere = plan_of(pulley)
            with_token = pulley("plan", "--json", environ={"GITHUB_TOKEN": sandbox.token})
            bad = pulley("plan", environ={"GH_TOKEN": "not-a-token"})
            monkeypatch.chdir(sandbox.developer.working_dir)
            in_clone, shown = plan_of(pulley), pulley("plan").stdout
        assert elsewhere["tip"] is None
        assert elsewhere["wanted"]["reason"] == "it is the newest that was asked for"
        assert json_of(with_token)["targets"][0]["tip"] == commit
        assert sandbox.token not in with_token.output
        assert bad.stderr.startswith("Warning: octo/site: ")
        assert "not-a-token" not in bad.output
        assert (in_clone["tip"], in_clone["tip_from"]) == (commit, "your own git")
        assert "by your own git" in shown
        assert "The schedule has no token for GitHub" in shown

    def test_pin_is_shown_with_its_reason(self, sandbox: Sandbox, pulley: Pulley) -> None:
        commit = sandbox.developer.head.commit.hexsha
        pin(sandbox, state="pinned", commit=commit, reason="the release")
        pinned = pulley("plan").stdout
        assert f"wanted: {commit[:7]} (it is pinned)" in pinned
        assert f"pin: pinned at {commit[:7]}: the release" in pinned

    def test_invalid_target_causes_a_warning(self, sandbox: Sandbox, pulley: Pulley) -> None:
        with targets(sandbox, {"checkout": "srv"}):
            done, named = pulley("plan"), pulley("plan", "web")
        assert done.exit_code == 0
        assert "Warning: not a valid target: octo/site: targets.web.checkout" in done.stderr
        assert named.exit_code == 1

    def test_invalid_stored_pin_fails_only_its_own_target(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        pin(sandbox, state="paused")
        with targets(sandbox, {}, {"name": "api", "environment": "api"}):
            done = pulley("plan", "--json")
        assert done.exit_code == 1
        assert [one["target"] for one in json_of(done)["targets"]] == ["api"]
        assert "Error: web: the target's stored pin is not valid" in done.stderr


class TestDeploy:
    def test_deploy_brings_every_host_to_the_tip_and_records_the_operator(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        commit = push_quietly(sandbox, "by hand")
        done = pulley("deploy")
        assert done.exit_code == 0, done.output
        short = commit[:7]
        assert done.stdout.splitlines()[-1] == f"web: 2 of 2 hosts at {short}: web-1, web-2"
        assert sorted(done.stdout.splitlines()[:2]) == [
            f"web-1: at {short}: updated",
            f"web-2: at {short}: updated",
        ]
        assert f"web: {short} (it is the branch's tip, by GitHub) to 2 hosts" in done.stderr
        assert heads(sandbox) == {commit}
        request = sandbox.account.run_command.commands()[0].request
        assert request.comment.startswith("manual by ")
        assert request.parameters["Cause"] == ("manual",)
        sandbox.wait_until_reported()
        (told,) = (one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit)
        assert told.state == "success"

    @pytest.mark.parametrize("change", [{"hash": "0" * 64}, {"version": "?"}])
    def test_command_with_a_wrong_document_pin_is_not_sent(
        self, sandbox: Sandbox, pulley: Pulley, change: dict[str, str]
    ) -> None:
        kept = sandbox.account.ssm.get_parameter(Name=NAMES.document)["Parameter"]["Value"]
        with stored(sandbox, NAMES.document, json.dumps(json.loads(kept) | change)):
            done = pulley("deploy")
        assert done.exit_code == 1, done.output
        assert "Error: web: not sent: " in done.stderr

    def test_commit_option_accepts_the_tip_in_a_clone_and_refuses_other_commits(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit, before = push_quietly(sandbox, "named"), count_commands(sandbox)
        elsewhere = pulley("deploy", "--commit", commit[:9])
        assert elsewhere.exit_code == 2
        assert "stand in a clone of octo/site" in elsewhere.stderr
        monkeypatch.chdir(sandbox.developer.working_dir)
        refused = pulley("deploy", "--commit", "HEAD~1")
        assert refused.exit_code == 1
        assert "pulley pin web" in refused.stderr
        assert "pulley rollback web" in refused.stderr
        assert count_commands(sandbox) == before
        assert pulley("deploy", "--commit", commit[:9]).exit_code == 0
        assert heads(sandbox) == {commit}

    def test_pinned_target_gets_its_commit_and_a_frozen_target_gets_no_command(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        old, tip = heads(sandbox).pop(), push_quietly(sandbox, "kept out")
        pin(sandbox, state="pinned", commit=old, reason="the release")
        assert pulley("deploy").exit_code == 0
        assert heads(sandbox) == {old}
        command = sandbox.account.run_command.commands()[0]
        assert command.request.parameters["Update"] == ("exact",)
        assert pulley("deploy", "--commit", tip).exit_code == 1
        pin(sandbox, state="frozen", reason="a holiday")
        frozen = pulley("deploy", "web")
        assert frozen.exit_code == 1
        assert "web is frozen: a holiday" in frozen.stderr
        assert "pulley unpin web" in frozen.stderr
        planned = pulley("plan").stdout
        assert "wanted: frozen: a holiday" in planned
        assert "wait: frozen: a holiday" in planned
        assert sandbox.account.run_command.commands()[0].id == command.id

    def test_deploy_does_not_wait_for_an_offline_host_and_succeeds(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        commit = sandbox.developer.head.commit.hexsha
        with asleep(sandbox):
            done = pulley("deploy", "--json")
        assert done.exit_code == 0, done.output
        assert "to 2 hosts, of which 1 offline" in done.stderr
        (told,) = json_of(done)["targets"]
        assert f"1 of 2 hosts at {commit[:7]}: web-1; 1 offline, will catch up" in told["outcome"]
        assert (told["commit"], told["everywhere"]) == (commit, True)
        (one, *_) = told["hosts"]
        assert (one["host"], one["kind"], one["commit"]) == ("web-1", "at", commit)

    def test_target_without_hosts_exits_with_3_and_the_tags_to_check_are_named(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        before = count_commands(sandbox)
        with targets(sandbox, NOBODY):
            planned, done = pulley("plan", "web"), pulley("deploy", "web", "--json")
        words = "No host: no instance has the tags pulley=dev, role=nobody"
        assert (planned.exit_code, words in planned.stdout) == (0, True)
        assert done.exit_code == 3
        assert f"web: not sent: {words}" in done.stderr
        (told,) = json_of(done)["targets"]
        assert (told["command_id"], told["problem"][:8]) == (None, "No host:")
        assert count_commands(sandbox) == before

    def test_deploy_without_a_name_takes_all_targets_of_the_branch_after_a_yes(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(sandbox.developer.working_dir)
        # One host for each target: of two runs in one checkout, the later may run first.
        one, other = ({"ids": [machine.host.instance_id]} for machine in sandbox.machines)
        api = {"name": "api", "environment": "api", "instances": other}
        job = {"name": "job", "environment": "job", "branch": "next"}
        before = count_commands(sandbox)
        with targets(sandbox, {"instances": one}, api, job):
            asked = pulley("deploy")
            assert (asked.exit_code, count_commands(sandbox)) == (4, before)
            done = pulley("deploy", "--yes", "--json")
            monkeypatch.chdir("/")
            unclear = pulley("deploy", "--yes")
        assert done.exit_code == 0, done.output
        assert [one["target"] for one in json_of(done)["targets"]] == ["api", "web"]
        assert unclear.exit_code == 2
        assert "there is api, job, web" in unclear.stderr


class TestUnderWay:
    def test_ctrl_c_stops_only_the_following_and_the_roll_out_continues_host_by_host(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def press_ctrl_c(*_: object, **__: object) -> None:
            running_command(sandbox, 1)
            raise KeyboardInterrupt

        with targets(sandbox, {"max_concurrency": "1"}), slow(sandbox, "under-way"):
            commit = sandbox.developer.head.commit.hexsha
            with monkeypatch.context() as patched:
                patched.setattr("pulley.cli.deploy.follow", press_ctrl_c)
                interrupted = pulley("deploy", "web")
            assert interrupted.exit_code == 130
            assert "web: sent, command " in interrupted.stderr
            assert "pulley status web shows it, pulley cancel web stops it." in interrupted.stderr
            command = running_command(sandbox, 1)
            (target,) = json_of(pulley("status", "--json"))["targets"]
            told, again = pulley("status", "web").stdout, pulley("deploy", "--no-wait")
        assert sorted(one["place"] for one in target["hosts"]) == ["running", "waiting"]
        kinds = [one["kind"] for one in target["newest"]["hosts"]]
        assert sorted(kinds) == ["running", "waiting"]
        what = f"{commit[:7]}, manual by "
        (line,) = [one for one in told.splitlines() if "  running  " in one]
        assert f"running: {what}" in line
        assert told.count("waiting for its turn: ") == 1
        assert f"A command is under way ({command.id[:8]}, {what}" in again.stderr
        next_id = sandbox.account.run_command.commands()[0].id
        assert (again.exit_code, again.stdout) == (0, f"web: sent, command {next_id}\n")
        assert f"pulley logs web --command-id {next_id}" in again.stderr
        assert heads(sandbox) == {commit}


class TestCancel:
    def test_cancelled_commit_is_held_until_a_deploy_and_hosts_go_back_after_a_second_cancel(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with slow(sandbox, "good") as good_gate:
            good_gate.touch()
            assert pulley("deploy").exit_code == 0
            (good,) = heads(sandbox)
            good_gate.unlink()
            with slow(sandbox, "bad") as bad_gate:
                bad = sandbox.developer.head.commit.hexsha
                pulley("deploy", "--no-wait")
                command = running_command(sandbox)
                asked = pulley("cancel", "web")
                assert (asked.exit_code, asked.stdout) == (4, "")
                assert f"is under way to 2 hosts, command {command.id}" in asked.stderr
                assert not sandbox.account.run_command.commands()[0].cancel_requested
                done = pulley("cancel", "--yes", "--json")
                assert done.exit_code == 0
                assert json_of(done)["cancelled"] == [
                    {"target": "web", "command_id": command.id, "commit": bad}
                ]
                assert json_of(done)["held"] == [{"target": "web", "commit": bad}]
                (back,) = json_of(done)["sent_back"]
                assert (back["commit"], len(back["instance_ids"])) == (good, 2)

                running_command(sandbox)
                again = pulley("cancel", "web", "--yes")  # while hosts go back
                assert f"web: cancelled {good[:7]}" in again.stdout
                assert "web: hosts that had not begun stay as they are. " in again.stdout
                assert f"{bad[:7]} is held" in again.stdout
                assert f"{good[:7]} is held" not in again.stdout
                assert f"go back to {good[:7]}" in again.stderr
                good_gate.touch()
                sandbox.wait_until_quiet()
                assert heads(sandbox) == {good}
                check_history(pulley, command.id, bad)
                logs = pulley("logs", "web", "--command-id", command.id)
                assert "cancelled while it ran" in logs.stdout
                assert sandbox.reconcile()["sent"] == 0
                held = f"held: the roll-out of {bad[:7]} was cancelled"
                assert held in pulley("plan").stdout
                bad_gate.touch()
                assert pulley("deploy").exit_code == 0
                assert heads(sandbox) == {bad}

    def test_leave_freezes_the_target_and_unpin_sends_its_hosts_back(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        assert pulley("deploy").exit_code == 0
        (good,) = heads(sandbox)
        with slow(sandbox, "left"):
            pulley("deploy", "--no-wait")
            running_command(sandbox)
            done = pulley("cancel", "web", "--leave", "--yes")
            assert done.exit_code == 0, done.output
            assert "web is frozen: nothing is sent to it until pulley unpin web." in done.stderr
            sandbox.wait_until_quiet()
            assert sandbox.reconcile()["sent"] == 0
            unpinned = pulley("unpin", "web")
            assert unpinned.exit_code == 0
            assert f"web: 2 hosts go back to {good[:7]}: the roll-out of " in unpinned.stderr
            assert "Its hosts are not sent to the branch's tip, since the" in unpinned.stdout
            assert sandbox.reconcile()["sent"] == 1
            sandbox.wait_until_quiet()
            assert heads(sandbox) == {good}

    def test_command_that_ended_during_the_question_is_not_reported_as_cancelled(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with slow(sandbox, "late") as gate:

            def take_your_time(*_: object, **__: object) -> None:
                gate.touch()
                sandbox.wait_until_quiet()

            pulley("deploy", "--no-wait")
            (command, *_) = sandbox.account.run_command.commands()
            monkeypatch.setattr("pulley.cli.cancel.confirm", take_your_time)
            done, nothing = pulley("cancel", "web", "--json"), pulley("cancel")
        assert done.exit_code == 1
        assert json_of(done)["cancelled"] == []
        words = f"web: command {command.id} had ended already (Success), and was not cancelled"
        assert words in done.stderr
        assert (nothing.exit_code, nothing.stdout) == (0, "")
        assert nothing.stderr == "Nothing is under way to web.\n"


def check_history(pulley: Pulley, command_id: str, commit: str) -> None:
    """The cancel has its own row, above the command's."""
    entries = json_of(pulley("history", "web", "--limit", "9", "--json"))["entries"]
    told = [one for one in entries if one.get("command_id") == command_id]
    assert [(one["kind"], one["commit"]) for one in told] == [
        ("cancel", commit),
        ("command", commit),
    ]
    assert (told[0]["hosts"], told[0]["begun"]) == (2, 2)
    assert told[0]["at"] >= told[1]["at"]
    rows = [one for one in pulley("history").stdout.splitlines() if "  cancel  " in one]
    assert rows[0].endswith("cancelled on 2 hosts, while it ran on 2 of them")
