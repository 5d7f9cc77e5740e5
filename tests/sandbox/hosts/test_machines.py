"""Hosts with something unusual, as Systems Manager and a script on them see them."""

import json
import os
from collections.abc import Iterator

import pytest

from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.hosts.users import AS_ROOT, OWNER
from pulley.sandbox.sandbox import Sandbox

LOOK = ["git --version", "git -C / rev-parse 2>&1 | head -n 1", "df -P /", "id -un"]


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
                            "inputs": {"runCommand": LOOK},
                        }
                    ],
                }
            ),
            DocumentType="Command",
        )
        yield opened


@pytest.fixture
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox. Hosts that a test adds are terminated after it."""
    yield shared
    for machine in shared.machines[1:]:
        shared.terminate_machine(machine)


def look(sandbox: Sandbox, machine: Machine) -> str:
    """The output of the script on the machine."""
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
    """Systems Manager's record of each host, by computer name."""
    listed = sandbox.account.ssm.describe_instance_information()["InstanceInformationList"]
    return {one["ComputerName"]: dict(one) for one in listed}


class TestAgent:
    def test_each_host_is_listed_with_its_agent_version_platform_and_ping_status(
        self, sandbox: Sandbox
    ) -> None:
        old = sandbox.add_machine("old", agent_version="3.1.1927.0")
        old.host.sleep()
        listed_hosts = information(sandbox)
        assert listed_hosts["web-1"]["AgentVersion"] == sandbox.machines[0].host.agent_version
        assert listed_hosts["web-1"]["PingStatus"] == "Online"
        assert listed_hosts["old"]["AgentVersion"] == "3.1.1927.0"
        assert listed_hosts["old"]["PingStatus"] == "ConnectionLost"
        assert {one["PlatformType"] for one in listed_hosts.values()} == {"Linux"}

    def test_terminated_host_is_not_listed_and_its_name_can_be_used_again(
        self, sandbox: Sandbox
    ) -> None:
        for _ in range(2):
            machine = sandbox.add_machine("gone")
            sandbox.terminate_machine(machine)
            assert not machine.checkout.exists()
        assert set(information(sandbox)) == {"web-1"}
        assert [one.name for one in sandbox.machines] == ["web-1"]


class TestTags:
    def test_given_tags_replace_the_default_tags(self, sandbox: Sandbox) -> None:
        machine = sandbox.add_machine("untagged", tags={"role": "web"})
        answer = sandbox.account.ec2.describe_instances(InstanceIds=[machine.host.instance_id])
        tags = answer["Reservations"][0]["Instances"][0]["Tags"]
        assert {one["Key"]: one["Value"] for one in tags} == {"role": "web", "Name": "untagged"}


class TestDisk:
    def test_host_without_a_checkout_has_only_its_parent_folder(self, sandbox: Sandbox) -> None:
        machine = sandbox.add_machine("bare", has_checkout=False)
        assert not machine.checkout.exists()
        assert machine.checkout.parent.is_dir()
        assert "git version" in look(sandbox, machine)

    def test_checkout_may_have_another_remote(self, sandbox: Sandbox) -> None:
        remote = "https://github.com/octo/other.git"
        machine = sandbox.add_machine("lost", remote=remote)
        assert machine.git("remote", "get-url", "origin") == remote
        assert machine.head() == sandbox.developer.head.commit.hexsha

    @pytest.mark.skipif(not AS_ROOT, reason="only root can make a checkout of root")
    def test_checkout_of_root_belongs_to_root(self, sandbox: Sandbox) -> None:
        machine = sandbox.add_machine("rooted", is_root_s=True)
        owners = {(one.stat().st_uid) for one in [machine.checkout, machine.checkout / ".git/HEAD"]}
        assert owners == {0}
        assert machine.head() == sandbox.developer.head.commit.hexsha
        assert sandbox.machines[0].checkout.stat().st_uid == OWNER.pw_uid

    @pytest.mark.skipif(AS_ROOT, reason="root may do this")
    def test_checkout_of_root_is_refused_unless_root_runs_the_sandbox(
        self, sandbox: Sandbox
    ) -> None:
        with pytest.raises(ValueError, match="only root"):
            sandbox.add_machine("rooted", is_root_s=True)


class TestPrograms:
    def test_aged_git_reports_an_old_version_and_works(self, sandbox: Sandbox) -> None:
        machine = sandbox.add_machine("aged")
        machine.age_git("2.17.1")
        seen = look(sandbox, machine).splitlines()
        assert seen[0] == "git version 2.17.1"
        assert seen[1].startswith("fatal")
        machine.remove_program("git")
        assert "2.17.1" not in look(sandbox, machine)

    def test_filled_disk_reports_no_free_space(self, sandbox: Sandbox) -> None:
        machine = sandbox.add_machine("full")
        assert " 100% " not in look(sandbox, machine) or os.statvfs("/").f_bavail == 0
        machine.fill_disk()
        _, available, capacity, _ = look(sandbox, machine).splitlines()[3].rsplit(maxsplit=3)
        assert (available, capacity) == ("0", "100%")

    def test_other_hosts_keep_their_programs(self, sandbox: Sandbox) -> None:
        sandbox.add_machine("aged").age_git("2.17.1")
        assert "2.17.1" not in look(sandbox, sandbox.machines[0])
