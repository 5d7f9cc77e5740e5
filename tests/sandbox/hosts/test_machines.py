"""Hosts that are not like the others, as Systems Manager and a script on them see them."""

import json
import os
from collections.abc import Iterator

import pytest

from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.hosts.users import AS_ROOT, OWNER
from pulley.sandbox.sandbox import Sandbox

WHAT_IT_SEES = ["git --version", "git -C / rev-parse 2>&1 | head -n 1", "df -P /", "id -un"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(["web-1"], empty=True) as opened:
        opened.account.ssm.create_document(
            Name="look",
            Content=json.dumps(
                {
                    "schemaVersion": "2.2",
                    "mainSteps": [
                        {
                            "action": "aws:runShellScript",
                            "name": "look",
                            "inputs": {"runCommand": WHAT_IT_SEES},
                        }
                    ],
                }
            ),
            DocumentType="Command",
        )
        yield opened


@pytest.fixture
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox; what a test adds is gone after it."""
    yield shared
    for machine in shared.machines[1:]:
        shared.terminate_machine(machine)


def look(sandbox: Sandbox, machine: Machine) -> str:
    """What a script on the machine sees."""
    sent = sandbox.account.ssm.send_command(
        DocumentName="look", InstanceIds=[machine.host.instance_id]
    )
    command_id = sent["Command"]["CommandId"]
    sandbox.account.wait_until_ended(command_id)
    shown = sandbox.account.ssm.get_command_invocation(
        CommandId=command_id, InstanceId=machine.host.instance_id
    )
    return shown["StandardOutputContent"]


def information(sandbox: Sandbox) -> dict[str, dict[str, object]]:
    """What Systems Manager says of each, by its computer's name."""
    listed = sandbox.account.ssm.describe_instance_information()["InstanceInformationList"]
    return {one["ComputerName"]: dict(one) for one in listed}


class TestAgent:
    def test_each_says_its_version_its_platform_and_whether_it_answers(
        self, sandbox: Sandbox
    ) -> None:
        old = sandbox.add_machine("old", agent_version="3.1.1927.0")
        old.host.sleep()
        told = information(sandbox)
        assert told["web-1"]["AgentVersion"] == sandbox.machines[0].host.agent_version
        assert told["web-1"]["PingStatus"] == "Online"
        assert told["old"]["AgentVersion"] == "3.1.1927.0"
        assert told["old"]["PingStatus"] == "ConnectionLost"
        assert {one["PlatformType"] for one in told.values()} == {"Linux"}

    def test_terminated_one_is_not_there_and_its_name_is_free(self, sandbox: Sandbox) -> None:
        for _ in range(2):
            machine = sandbox.add_machine("gone")
            sandbox.terminate_machine(machine)
            assert not machine.checkout.exists()
        assert set(information(sandbox)) == {"web-1"}
        assert [one.name for one in sandbox.machines] == ["web-1"]


class TestTags:
    def test_other_tags_are_all_that_it_has(self, sandbox: Sandbox) -> None:
        machine = sandbox.add_machine("untagged", tags={"role": "web"})
        answer = sandbox.account.ec2.describe_instances(InstanceIds=[machine.host.instance_id])
        tags = answer["Reservations"][0]["Instances"][0]["Tags"]
        assert {one["Key"]: one["Value"] for one in tags} == {"role": "web", "Name": "untagged"}


class TestDisk:
    def test_one_without_a_checkout_has_none(self, sandbox: Sandbox) -> None:
        machine = sandbox.add_machine("bare", has_checkout=False)
        assert not machine.checkout.exists()
        assert machine.checkout.parent.is_dir()
        assert "git version" in look(sandbox, machine)

    def test_checkout_says_another_remote(self, sandbox: Sandbox) -> None:
        remote = "https://github.com/octo/other.git"
        machine = sandbox.add_machine("lost", remote=remote)
        assert machine.git("remote", "get-url", "origin") == remote
        assert machine.head() == sandbox.developer.head.commit.hexsha

    @pytest.mark.skipif(not AS_ROOT, reason="only root can make a checkout that is root's")
    def test_checkout_of_root_is_root_s(self, sandbox: Sandbox) -> None:
        machine = sandbox.add_machine("rooted", is_root_s=True)
        owners = {(one.stat().st_uid) for one in [machine.checkout, machine.checkout / ".git/HEAD"]}
        assert owners == {0}
        assert machine.head() == sandbox.developer.head.commit.hexsha
        assert sandbox.machines[0].checkout.stat().st_uid == OWNER.pw_uid

    @pytest.mark.skipif(AS_ROOT, reason="root can")
    def test_checkout_of_root_is_refused_for_others(self, sandbox: Sandbox) -> None:
        with pytest.raises(ValueError, match="only root"):
            sandbox.add_machine("rooted", is_root_s=True)


class TestPrograms:
    def test_git_says_an_old_version_and_works(self, sandbox: Sandbox) -> None:
        machine = sandbox.add_machine("aged")
        machine.age_git("2.17.1")
        seen = look(sandbox, machine).splitlines()
        assert seen[0] == "git version 2.17.1"
        assert seen[1].startswith("fatal")
        machine.remove_program("git")
        assert "2.17.1" not in look(sandbox, machine)

    def test_disk_says_that_it_is_full(self, sandbox: Sandbox) -> None:
        machine = sandbox.add_machine("full")
        assert " 100% " not in look(sandbox, machine) or os.statvfs("/").f_bavail == 0
        machine.fill_disk()
        _, available, capacity, _ = look(sandbox, machine).splitlines()[3].rsplit(maxsplit=3)
        assert (available, capacity) == ("0", "100%")

    def test_others_are_as_they_were(self, sandbox: Sandbox) -> None:
        sandbox.add_machine("aged").age_git("2.17.1")
        assert "2.17.1" not in look(sandbox, sandbox.machines[0])
