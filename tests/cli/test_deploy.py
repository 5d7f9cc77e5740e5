"""plan, deploy and cancel against a sandbox: real git, real scripts, the schedule's own rounds."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.run_command.commands import EmulatedCommand
from pulley.sandbox.run_command.statuses import IN_PROGRESS
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox
from tests.cli.conftest import Pulley, json_of
from tests.processes import HANG_SECONDS, running

NAMES = ParameterNames(STAGE)
TARGETS = NAMES.targets(Repository.parse(FULL_NAME))
PULLEY = str(Path(sys.executable).with_name("pulley"))
WAITS = "while [ ! -e {gate} ]; do sleep 0.05; done\n"


@pytest.fixture(autouse=True)
def outside(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Standing in no clone; what a test sent has ended when it is over, and nothing is pinned."""
    monkeypatch.chdir(tmp_path)
    yield
    sandbox.wait_until_quiet()
    pin(sandbox, state="none")


@pytest.fixture
def in_clone(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox.developer.working_dir)


def pin(sandbox: Sandbox, **value: str) -> None:
    sandbox.account.ssm.put_parameter(
        Name=NAMES.pin("web"), Value=json.dumps(value), Type="String", Overwrite=True
    )


def push_quietly(sandbox: Sandbox, content: str, **files: str) -> str:
    """Push where no delivery comes of it."""
    commit = sandbox.commit({"index.html": f"{content}\n"} | files, content)
    with sandbox.upstream.losing_deliveries():
        sandbox.developer.git.push("-q", "origin", "main")
    return commit


@contextmanager
def stored(sandbox: Sandbox, *targets: dict[str, object], token: bool = True) -> Iterator[None]:
    """These targets, in place of the sandbox's one; without a token where that is said."""
    ssm = sandbox.account.ssm
    kept = ssm.get_parameter(Name=TARGETS)["Parameter"]["Value"]
    value = json.dumps(targets) if targets else kept
    ssm.put_parameter(Name=TARGETS, Value=value, Type="String", Overwrite=True)
    if not token:
        ssm.delete_parameter(Name=NAMES.github_token)
    try:
        yield
    finally:
        ssm.put_parameter(Name=TARGETS, Value=kept, Type="String", Overwrite=True)
        if not token:
            ssm.put_parameter(
                Name=NAMES.github_token, Value=sandbox.token, Type="SecureString", Overwrite=True
            )


@contextmanager
def asleep(sandbox: Sandbox, number: int) -> Iterator[None]:
    host = sandbox.machines[number].host
    host.sleep()
    try:
        yield
    finally:
        host.wake()


@contextmanager
def slow(sandbox: Sandbox, why: str) -> Iterator[None]:
    """Push what keeps each host busy until the end of the context."""
    gate = sandbox.directory / f"gate-{why}"
    before = (Path(sandbox.developer.working_dir) / "deploy/after-pull").read_text()
    text = before + WAITS.format(gate=gate)
    push_quietly(sandbox, why, **{"deploy/after-pull": text})
    try:
        yield
    finally:
        gate.touch()
        sandbox.wait_until_quiet()
        push_quietly(sandbox, f"after {why}", **{"deploy/after-pull": before})


def heads(sandbox: Sandbox) -> set[str]:
    return {machine.head() for machine in sandbox.machines}


def count_commands(sandbox: Sandbox) -> int:
    return len(sandbox.account.run_command.commands())


def running_command(sandbox: Sandbox, hosts: int = 2) -> EmulatedCommand:
    """The newest, once so many hosts run it."""
    run_command = sandbox.account.run_command
    newest = run_command.commands()[0]
    return run_command.wait_for(
        newest.id, lambda one: one.count(IN_PROGRESS) == hosts, timeout=HANG_SECONDS
    )


def plan_of(pulley: Pulley, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    (target,) = json_of(pulley("plan", "--json", *arguments))["targets"]
    return target


class TestPlan:
    def test_it_is_what_the_next_round_does(self, sandbox: Sandbox, pulley: Pulley) -> None:
        pulley("deploy")
        commit = push_quietly(sandbox, "planned")
        with asleep(sandbox, 1):
            planned = plan_of(pulley, "web")
            assert sandbox.reconcile()["sent"] == 1
        assert (planned["wanted"]["commit"], planned["tip_from"]) == (commit, "GitHub")
        told = {one["host"]: (one["action"], one["reason"]) for one in planned["hosts"]}
        assert told["web-1"][0] == "send"
        assert told["web-2"] == ("wait", "it is offline")
        command = sandbox.account.run_command.commands()[0]
        to_send = {one["instance_id"] for one in planned["hosts"] if one["action"] == "send"}
        assert {one.instance_id for one in command.invocations} == to_send
        sandbox.wait_until_quiet()
        assert [one["action"] for one in plan_of(pulley)["hosts"]] == ["nothing", "send"]

    def test_it_is_a_table_and_sends_nothing(self, sandbox: Sandbox, pulley: Pulley) -> None:
        before = count_commands(sandbox)
        commit = push_quietly(sandbox, "a table")[:7]
        done = pulley("plan")
        assert done.exit_code == 0
        assert "web: octo/site, branch main" in done.stdout
        assert f"wanted: {commit} (it is the branch's tip, by GitHub)" in done.stdout
        (line,) = [line for line in done.stdout.splitlines() if "web-1" in line]
        assert f"{commit}  send (rebase): " in line
        assert count_commands(sandbox) == before

    def test_without_a_token_the_tip_is_asked_with_the_operator_s_own_git(
        self, sandbox: Sandbox, pulley: Pulley, in_clone: None
    ) -> None:
        commit = push_quietly(sandbox, "own git")
        with stored(sandbox, token=False):
            planned, done = plan_of(pulley), pulley("plan")
        assert (planned["tip"], planned["tip_from"]) == (commit, "your own git")
        assert "by your own git" in done.stdout
        assert "The schedule has no token for GitHub" in done.stdout

    def test_without_a_token_and_elsewhere_it_is_the_newest_that_was_asked_for(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        pulley("deploy")
        push_quietly(sandbox, "nobody knows")
        with stored(sandbox, token=False):
            planned = plan_of(pulley)
        assert planned["tip"] is None
        assert planned["wanted"]["reason"] == "it is the newest that was asked for"

    def test_operator_s_token_is_used_where_none_is_stored_and_never_shown(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        commit = push_quietly(sandbox, "own token")
        with stored(sandbox, token=False):
            done = pulley("plan", "--json", environ={"GITHUB_TOKEN": sandbox.token})
            bad = pulley("plan", environ={"GH_TOKEN": "not-a-token"})
        assert json_of(done)["targets"][0]["tip"] == commit
        assert sandbox.token not in done.output
        assert bad.stderr.startswith("Warning: octo/site: ")
        assert "not-a-token" not in bad.output

    def test_frozen_and_pinned_are_told_with_the_reason(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        pin(sandbox, state="frozen", reason="a holiday")
        frozen = pulley("plan").stdout
        assert "wanted: frozen: a holiday" in frozen
        assert "wait: frozen: a holiday" in frozen
        commit = sandbox.developer.commit("HEAD~1").hexsha
        pin(sandbox, state="pinned", commit=commit, reason="the release")
        pinned = pulley("plan").stdout
        assert f"wanted: {commit[:7]} (it is pinned)" in pinned
        assert f"pin: pinned at {commit[:7]}: the release" in pinned

    def test_target_without_hosts_is_told_the_tags_that_were_looked_for(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        nobody = {**sandbox.target, "instances": {"tags": {"role": "nobody"}}}
        with stored(sandbox, nobody):
            done = pulley("plan", "web")
        assert done.exit_code == 0
        assert "No host: no instance has the tags pulley=dev, role=nobody" in done.stdout

    def test_targets_that_are_not_valid_are_warned_of(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with stored(sandbox, {**sandbox.target, "checkout": "srv"}):
            done, named = pulley("plan"), pulley("plan", "web")
        assert done.exit_code == 0
        assert "Warning: not a valid target: octo/site: targets.web.checkout" in done.stderr
        assert named.exit_code == 1

    def test_pin_that_cannot_be_read_fails_its_target_alone(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        other = {**sandbox.target, "name": "api", "environment": "api"}
        pin(sandbox, state="paused")
        with stored(sandbox, dict(sandbox.target), other):
            done = pulley("plan", "--json")
        assert done.exit_code == 1
        assert [one["target"] for one in json_of(done)["targets"]] == ["api"]
        assert "Error: web: the target's stored pin is not valid" in done.stderr


class TestDeploy:
    def test_it_brings_every_host_to_the_tip_by_the_operator_s_name(
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

    def test_document_s_pin_goes_with_it(self, sandbox: Sandbox, pulley: Pulley) -> None:
        kept = sandbox.account.ssm.get_parameter(Name=NAMES.document)["Parameter"]["Value"]
        forged = json.dumps(json.loads(kept) | {"hash": "0" * 64})
        for value, code in ((forged, 1), ("{", 1), (kept, 0)):
            sandbox.account.ssm.put_parameter(
                Name=NAMES.document, Value=value, Type="String", Overwrite=True
            )
            done = pulley("deploy")
            assert done.exit_code == code, done.output
            assert ("Error: web: not sent: " in done.stderr) == bool(code)

    def test_tip_may_be_named_in_the_clone_and_another_commit_is_refused(
        self, sandbox: Sandbox, pulley: Pulley, in_clone: None
    ) -> None:
        commit = push_quietly(sandbox, "named")
        before = count_commands(sandbox)
        refused = pulley("deploy", "--commit", "HEAD~1")
        assert refused.exit_code == 1
        assert "pulley pin web" in refused.stderr
        assert "pulley rollback web" in refused.stderr
        assert count_commands(sandbox) == before
        assert pulley("deploy", "--commit", commit[:9]).exit_code == 0
        assert heads(sandbox) == {commit}

    def test_what_names_no_commit_here_is_a_wrong_command_line(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        done = pulley("deploy", "--commit", sandbox.developer.head.commit.hexsha[:7])
        assert done.exit_code == 2
        assert "stand in a clone of octo/site" in done.stderr

    def test_pinned_target_gets_its_pin_and_a_frozen_one_nothing(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        old, tip = heads(sandbox).pop(), push_quietly(sandbox, "kept out")
        pin(sandbox, state="pinned", commit=old, reason="the release")
        assert pulley("deploy").exit_code == 0
        assert heads(sandbox) == {old}
        command = sandbox.account.run_command.commands()[0]
        assert command.request.parameters["Update"] == ("exact",)
        refused = pulley("deploy", "--commit", tip)
        assert refused.exit_code == 1
        pin(sandbox, state="frozen", reason="a holiday")
        frozen = pulley("deploy", "web")
        assert frozen.exit_code == 1
        assert "web is frozen: a holiday" in frozen.stderr
        assert "pulley unpin web" in frozen.stderr
        assert sandbox.account.run_command.commands()[0].id == command.id

    def test_host_that_failed_is_shown_with_its_log_and_the_exit_code_is_3(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        pulley("deploy")
        machine = sandbox.machines[1]
        machine.commit("index.html", "mine\n", "In the way")
        commit = push_quietly(sandbox, "in conflict")
        try:
            done = pulley("deploy")
        finally:
            machine.git("reset", "-q", "--hard", "HEAD~1")
        assert done.exit_code == 3
        assert f"web-1: at {commit[:7]}: updated" in done.stdout
        assert "web-2: failed: conflict in index.html" in done.stdout
        assert "    CONFLICT (content): Merge conflict in index.html" in done.stdout
        assert f"web: 1 of 2 hosts at {commit[:7]}, 1 failed; web-2: conflict" in done.stdout
        assert "pulley logs web --command-id " in done.stderr

    def test_host_that_is_asleep_is_not_waited_for_and_is_no_failure(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        commit = push_quietly(sandbox, "one sleeps")
        with asleep(sandbox, 1):
            done = pulley("deploy")
        assert done.exit_code == 0, done.output
        assert "to 2 hosts, of which 1 offline" in done.stderr
        assert f"1 of 2 hosts at {commit[:7]}: web-1; 1 offline, will catch up" in done.stdout

    def test_no_host_at_all_is_not_well_and_what_to_check_is_told(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        nobody = {**sandbox.target, "instances": {"tags": {"role": "nobody"}}}
        before = count_commands(sandbox)
        with stored(sandbox, nobody):
            done = pulley("deploy", "web", "--json")
        assert done.exit_code == 3
        assert count_commands(sandbox) == before
        assert (
            "web: not sent: No host: no instance has the tags pulley=dev, role=nob" in done.stderr
        )
        (told,) = json_of(done)["targets"]
        assert (told["command_id"], told["problem"][:8]) == (None, "No host:")

    def test_without_hosts_a_roll_back_is_pinned_and_sent_nowhere(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        push_quietly(sandbox, "to be rolled back")
        pulley("deploy")
        nobody = {**sandbox.target, "instances": {"tags": {"role": "nobody"}}}
        before = count_commands(sandbox)
        with stored(sandbox, nobody):
            done = pulley("rollback", "web", "--yes")
        assert done.exit_code == 3, done.output
        assert "web: not sent: No host: " in done.stderr
        assert count_commands(sandbox) == before

    def test_for_a_program_it_is_one_document(self, sandbox: Sandbox, pulley: Pulley) -> None:
        commit = push_quietly(sandbox, "a document")
        document = json_of(pulley("deploy", "web", "--json"))
        (target,) = document["targets"]
        assert document["by"]
        assert (target["commit"], target["everywhere"]) == (commit, True)
        assert {one["host"]: (one["kind"], one["commit"]) for one in target["hosts"]} == {
            "web-1": ("at", commit),
            "web-2": ("at", commit),
        }

    def test_without_waiting_it_tells_how_to_follow(self, sandbox: Sandbox, pulley: Pulley) -> None:
        done = pulley("deploy", "--no-wait")
        assert done.exit_code == 0
        command = sandbox.account.run_command.commands()[0]
        assert done.stdout == f"web: sent, command {command.id}\n"
        assert f"pulley logs web --command-id {command.id}" in done.stderr

    def test_several_targets_are_those_that_follow_the_branch_and_take_a_yes(
        self, sandbox: Sandbox, pulley: Pulley, in_clone: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A host each: of two runs in one checkout, the later command may come first.
        one, other = ({"ids": [machine.host.instance_id]} for machine in sandbox.machines[:2])
        web = {**sandbox.target, "instances": one}
        api = {**sandbox.target, "name": "api", "environment": "api", "instances": other}
        job = {**sandbox.target, "name": "job", "environment": "job", "branch": "next"}
        before = count_commands(sandbox)
        with stored(sandbox, web, api, job):
            asked = pulley("deploy")
            assert (asked.exit_code, count_commands(sandbox)) == (4, before)
            done = pulley("deploy", "--yes", "--json")
            monkeypatch.chdir("/")
            unclear = pulley("deploy", "--yes")
        assert done.exit_code == 0, done.output
        assert [one["target"] for one in json_of(done)["targets"]] == ["api", "web"]
        assert unclear.exit_code == 2
        assert "there is api, job, web" in unclear.stderr

    def test_unknown_target_is_told_the_names(self, pulley: Pulley) -> None:
        done = pulley("deploy", "nobody")
        assert done.exit_code == 1
        assert done.stderr == "Error: there is no target nobody; there is web\n"


class TestUnderWay:
    def test_hosts_are_said_to_run_and_the_next_deploy_that_it_waits(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        with slow(sandbox, "under-way"):
            pulley("deploy", "--no-wait")
            command = running_command(sandbox)
            short = sandbox.developer.head.commit.hexsha[:7]
            status, again = pulley("status", "web"), pulley("deploy", "--no-wait")
        (line,) = [one for one in status.stdout.splitlines() if one.startswith("web-1 ")]
        assert "  running  " in line
        assert f"running: {short}, manual by " in line
        assert f"A command is under way ({command.id[:8]}, {short}, manual by " in again.stderr


class TestInterrupted:
    def test_host_that_waits_for_its_turn_is_not_said_to_run(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        one_by_one = dict(sandbox.target) | {"max_concurrency": "1"}
        with stored(sandbox, one_by_one), slow(sandbox, "in-turn"):
            assert pulley("deploy", "--no-wait").exit_code == 0
            running_command(sandbox, 1)
            (target,) = json_of(pulley("status", "--json"))["targets"]
            told = pulley("status").stdout
        assert sorted(one["place"] for one in target["hosts"]) == ["running", "waiting"]
        kinds = [one["kind"] for one in target["newest"]["hosts"]]
        assert sorted(kinds) == ["running", "waiting"]
        assert told.count("waiting for its turn: ") == 1

    def test_following_ends_and_the_deploy_goes_on(self, sandbox: Sandbox) -> None:
        with (
            slow(sandbox, "interrupted"),
            running(
                [PULLEY, "deploy", "web"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env=sandbox.environ,
            ) as process,
        ):
            assert process.stderr
            assert any("web: sent, command " in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=HANG_SECONDS)
            assert process.returncode == 130, told
            assert "pulley status web shows it, pulley cancel web stops it." in told
            assert "Traceback" not in told
            (command, *_) = sandbox.account.run_command.commands()
            assert command.status.name == "InProgress"
            commit = sandbox.developer.head.commit.hexsha
        assert sandbox.account.run_command.commands()[0].status.name == "Success"
        assert heads(sandbox) == {commit}


class TestCancel:
    def test_what_is_under_way_is_stopped_and_its_commit_held_until_a_deploy(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        assert pulley("deploy").exit_code == 0
        (good,) = heads(sandbox)
        with slow(sandbox, "cancelled"):
            pulley("deploy", "--no-wait")
            command = running_command(sandbox)
            asked = pulley("cancel", "web")
            assert (asked.exit_code, asked.stdout) == (4, "")
            assert f"is under way to 2 hosts, command {command.id}" in asked.stderr
            assert not sandbox.account.run_command.commands()[0].cancel_requested
            done = pulley("cancel", "--yes", "--json")
            assert done.exit_code == 0
            commit = sandbox.developer.head.commit.hexsha
            assert json_of(done)["cancelled"] == [
                {"target": "web", "command_id": command.id, "commit": commit}
            ]
            assert json_of(done)["held"] == [{"target": "web", "commit": commit}]
            entries = json_of(pulley("history", "web", "--limit", "3", "--json"))["entries"]
            told = [one for one in entries if one["command_id"] == command.id]
            assert [(one["kind"], one["commit"]) for one in told] == [
                ("cancel", commit),
                ("command", commit),
            ]
            assert (told[0]["hosts"], told[0]["begun"]) == (2, 2)
            assert told[0]["at"] >= told[1]["at"]
            (row,) = [one for one in pulley("history").stdout.splitlines() if "  cancel  " in one]
            assert row.endswith("cancelled on 2 hosts, while it ran on 2 of them")
            (back,) = json_of(done)["sent_back"]
            assert (back["commit"], len(back["instance_ids"])) == (good, 2)
            sandbox.wait_until_quiet()
            assert heads(sandbox) == {good}
            logs = pulley("logs", "web", "--command-id", command.id)
            assert "cancelled while it ran" in logs.stdout
            assert sandbox.reconcile()["sent"] == 0
            planned = pulley("plan").stdout
            assert f"held: the roll-out of {commit[:7]} was cancelled" in planned
            (sandbox.directory / "gate-cancelled").touch()
            again = pulley("deploy")
            assert again.exit_code == 0, again.output
        assert heads(sandbox) == {commit}

    def test_commit_that_is_held_is_named_though_the_way_back_was_cancelled(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        gate = sandbox.directory / "gate-good"
        with slow(sandbox, "good"):
            gate.touch()
            assert pulley("deploy").exit_code == 0
            (good,) = heads(sandbox)
            gate.unlink()
            with slow(sandbox, "bad"):
                bad = sandbox.developer.head.commit.hexsha
                pulley("deploy", "--no-wait")
                running_command(sandbox)
                first = pulley("cancel", "web", "--yes")
                assert f"web: hosts that had not begun stay as they are. {bad[:7]} is held" in (
                    first.stdout
                )
                running_command(sandbox)
                done = pulley("cancel", "web", "--yes")
                assert f"web: cancelled {good[:7]}" in done.stdout
                assert f"{bad[:7]} is held" in done.stdout
                assert f"{good[:7]} is held" not in done.stdout
                assert f"go back to {good[:7]}" in done.stderr
                gate.touch()
                sandbox.wait_until_quiet()
                assert heads(sandbox) == {good}
        assert pulley("deploy").exit_code == 0

    def test_recheck_that_was_cancelled_holds_nothing(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        gate = sandbox.directory / "gate-well"
        with slow(sandbox, "well"):
            gate.touch()
            assert pulley("deploy").exit_code == 0
            (commit,) = heads(sandbox)
            gate.unlink()
            sandbox.machines[0].git("reset", "-q", "--hard", "HEAD~1")
            assert pulley("status", "--live").exit_code == 3
            assert sandbox.reconcile()["sent"] == 1
            running_command(sandbox, 1)
            done = pulley("cancel", "web", "--yes", "--json")
            assert (json_of(done)["held"], json_of(done)["sent_back"]) == ([], [])
            gate.touch()
            assert sandbox.reconcile()["sent"] == 1
            sandbox.wait_until_quiet()
            assert heads(sandbox) == {commit}

    def test_hosts_are_left_as_they_are_for_who_wants_to_look_and_go_back_afterwards(
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

    def test_what_ended_while_it_was_asked_is_not_said_to_be_cancelled(
        self, sandbox: Sandbox, pulley: Pulley, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def take_your_time(*_: object, **__: object) -> None:
            (sandbox.directory / "gate-late").touch()
            sandbox.wait_until_quiet()

        with slow(sandbox, "late"):
            pulley("deploy", "--no-wait")
            (command, *_) = sandbox.account.run_command.commands()
            monkeypatch.setattr("pulley.cli.cancel.confirm", take_your_time)
            done = pulley("cancel", "web", "--json")
        assert done.exit_code == 1
        assert json_of(done)["cancelled"] == []
        words = f"web: command {command.id} had ended already (Success), and was not cancelled"
        assert words in done.stderr

    def test_nothing_under_way_is_said_and_is_no_failure(self, pulley: Pulley) -> None:
        done = pulley("cancel")
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == "Nothing is under way to web.\n"
