"""Rounds of reconciling, end to end: the real app, real hosts, and what was lost on the way."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from chalicelib.core.stored import ParameterNames
from pulley.demo import _commands_of, _push
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox

NAMES = ParameterNames(STAGE)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1", "web-2"]) as opened:
        yield opened


def push_quietly(sandbox: Sandbox) -> None:
    """Push where no delivery comes of it."""
    with sandbox.upstream.losing_deliveries():
        subprocess.run(
            ["git", "push", "-q", "origin", "main"], cwd=sandbox.developer.working_dir, check=True
        )


def heads(sandbox: Sandbox) -> dict[str, str]:
    return {machine.name: machine.head() for machine in sandbox.machines}


def count_commands(sandbox: Sandbox) -> int:
    return len(sandbox.account.run_command.commands())


class TestRounds:
    def test_lost_delivery_sleeping_host_and_new_host_are_all_healed_by_one_round(
        self, sandbox: Sandbox
    ) -> None:
        sandbox.commit({"index.html": "one\n"}, "One")
        _push(sandbox.developer)
        sandbox.wait_until_quiet()
        sandbox.machines[1].host.sleep()
        commit = sandbox.commit({"index.html": "two\n"}, "Two")
        push_quietly(sandbox)
        sandbox.machines[1].host.wake()
        sandbox.add_machine("web-3")
        assert sandbox.reconcile()["sent"] == 1  # one command, to the three of them
        sandbox.wait_until_quiet()
        assert set(heads(sandbox).values()) == {commit}
        (healed,) = (one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit)
        assert healed.state == "success"

    def test_fleet_at_rest_is_left_alone(self, sandbox: Sandbox) -> None:
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        before = count_commands(sandbox)
        assert [sandbox.reconcile()["sent"] for _ in range(2)] == [0, 0]
        assert count_commands(sandbox) == before

    def test_event_that_never_came_is_made_up_for(self, sandbox: Sandbox) -> None:
        commit = sandbox.commit({"index.html": "unreported\n"}, "Unreported")
        sandbox.reporter.pattern = {"source": ["nobody"]}  # every event of it is lost
        try:
            (command,) = _commands_of(_push(sandbox.developer))
            sandbox.account.wait_until_ended(command)
            sandbox.wait_until_reported()
        finally:
            sandbox.reporter.pattern = {"source": ["aws.ssm"]}
        (unsettled,) = (one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit)
        assert unsettled.state == "pending"
        assert sandbox.reconcile()["sent"] == 0
        settled = sandbox.deployment(command)
        assert settled is not None
        assert settled.state == "success"

    def test_frozen_target_stays_and_goes_on_when_it_is_let_go(self, sandbox: Sandbox) -> None:
        before = heads(sandbox)
        pin(sandbox, {"state": "frozen", "reason": "a holiday"})
        commit = sandbox.commit({"index.html": "later\n"}, "Later")
        push_quietly(sandbox)
        assert sandbox.reconcile()["sent"] == 0
        assert heads(sandbox) == before
        pin(sandbox, {"state": "none"})
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert set(heads(sandbox).values()) == {commit}

    def test_pin_is_brought_about_and_left_again(self, sandbox: Sandbox) -> None:
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        tip = sandbox.developer.head.commit.hexsha
        earlier = sandbox.developer.commit("HEAD~1").hexsha
        pin(sandbox, {"state": "pinned", "commit": earlier})
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert set(heads(sandbox).values()) == {earlier}
        assert sandbox.reconcile()["sent"] == 0
        pin(sandbox, {"state": "none"})
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert set(heads(sandbox).values()) == {tip}
        assert sandbox.machines[0].git("symbolic-ref", "--short", "HEAD") == "main"

    def test_sleeping_host_is_not_taken_for_one_at_a_commit_that_it_had_once(
        self, sandbox: Sandbox
    ) -> None:
        old = sandbox.developer.head.commit.hexsha
        sandbox.commit({"index.html": "newer\n"}, "Newer")
        _push(sandbox.developer)
        sandbox.wait_until_quiet()
        machine = sandbox.machines[0]
        sandbox.account.ec2.stop_instances(InstanceIds=[machine.host.instance_id])
        try:
            sandbox.developer.git.reset("-q", "--hard", old)
            sandbox.developer.git.push("-q", "--force", "origin", "main")
            sandbox.wait_until_quiet()
            (back,) = (one for one in sandbox.github.deployments(FULL_NAME) if one.sha == old)
            assert back.state == "success"
            assert back.status is not None
            assert "1 offline, will catch up" in back.status.description
        finally:
            sandbox.account.ec2.start_instances(InstanceIds=[machine.host.instance_id])
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert set(heads(sandbox).values()) == {old}


def pin(sandbox: Sandbox, value: dict[str, str]) -> None:
    sandbox.account.ssm.put_parameter(
        Name=NAMES.pin("web"), Value=json.dumps(value), Type="String", Overwrite=True
    )
