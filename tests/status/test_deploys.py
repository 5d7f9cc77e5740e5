"""A deploy's own result, and how long it took."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.history import Command, Run
from chalicelib.status.deploys import deploy_facts, deploy_of, deploys_of
from tests.fakes import COMMIT
from tests.flows.runs import NOW, command_of, line_of, on, running

LATER = NOW + timedelta(hours=5)


def test_length_is_from_the_request_and_from_the_push_to_the_last_host() -> None:
    command = command_of(count=2, pushed_at=NOW - timedelta(seconds=90))
    hosts = on(1, line_of(), ended=NOW), on(2, line_of(), ended=NOW + timedelta(seconds=30))
    deploy = deploy_of(Run(command, hosts), now=LATER)
    assert deploy.ended == NOW + timedelta(seconds=30)
    assert (deploy.seconds, deploy.seconds_since_push) == (90, 120)
    assert deploy.status.state == "success"


def test_running_deploy_has_no_length() -> None:
    command = replace(command_of(count=2), status="InProgress", details="InProgress")
    deploy = deploy_of(Run(command, (on(1, line_of()), running(2))), now=NOW)
    facts = deploy_facts(deploy, "")
    assert (facts["ended"], facts["seconds"], facts["seconds_since_push"]) == (None, None, None)
    assert (facts["state"], facts["subject"]) == ("in_progress", None)


def test_deploy_that_no_host_ran_has_no_end() -> None:
    deploy = deploy_of(Run(command_of(count=0), ()), now=LATER)
    assert (deploy.ended, deploy.seconds) == (None, None)


class TestDeploysOf:
    def read(self, command: Command) -> Run:
        return Run(command, (on(1, line_of()),))

    def test_newest_come_first_and_only_those_are_read(self) -> None:
        sent = [command_of(number=number) for number in (2, 3, 1)]
        read: list[str] = []

        def note(command: Command) -> Run:
            read.append(command.id)
            return self.read(command)

        found = deploys_of(sent, note, limit=2, now=LATER)
        assert [one.command for one in found] == [sent[1], sent[0]]
        assert read == [sent[1].id, sent[0].id]
        assert found[0].target == "web"
        assert found[0].roll_out.commit.sha == COMMIT

    @pytest.mark.parametrize("attempt", [0, 1])
    def test_recheck_is_no_deploy_and_a_round_s_attempt_is(self, attempt: int) -> None:
        command = command_of(attempt=attempt)
        roll_out = replace(command.roll_out, cause="reconcile")
        found = deploys_of([replace(command, roll_out=roll_out)], self.read, limit=9, now=LATER)
        assert len(found) == attempt
