"""Machines of Auto Scaling groups: when they boot, what they have, and when they are gone."""

from collections.abc import Iterator

import pytest

from pulley.sandbox.auto_scaling.service import IN_SERVICE, WAITING
from pulley.sandbox.hosts.launched import BOOT_SECONDS, LaunchedMachines
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.sandbox import TAGS, Sandbox
from tests.processes import HANG_SECONDS

NEVER = 3600.0  # seconds


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1"], empty=True) as opened:
        opened.make_group("plain")
        opened.make_group("hooked", hook_seconds=7200)
        opened.make_group("cloned", has_checkout=True, tags={"Name": "clone", "role": "web"})
        yield opened


@pytest.fixture(autouse=True)
def scaled_in(sandbox: Sandbox) -> Iterator[None]:
    """Terminate the groups' instances after each test."""
    yield
    sandbox.launched.boot_seconds = BOOT_SECONDS
    client = sandbox.account.client("autoscaling")
    for name in ("plain", "hooked", "cloned"):
        client.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=0)
    sandbox.account.wait_until_told()


def boot(sandbox: Sandbox, group: str) -> Machine:
    (instance_id,) = sandbox.scale_out(group)
    return sandbox.launched.wait_for(instance_id, timeout=HANG_SECONDS)


def managed(sandbox: Sandbox) -> set[str]:
    listed = sandbox.account.ssm.describe_instance_information()["InstanceInformationList"]
    return {one["InstanceId"] for one in listed}


class TestBoot:
    def test_machine_has_an_agent_and_a_disk_without_a_checkout(self, sandbox: Sandbox) -> None:
        machine = boot(sandbox, "plain")
        assert machine in sandbox.machines
        assert machine.name == machine.host.instance_id
        assert machine.host.instance_id in managed(sandbox)
        assert machine.checkout.parent.is_dir()
        assert not machine.checkout.exists()

    def test_machine_has_the_tags_of_its_group(self, sandbox: Sandbox) -> None:
        machine = boot(sandbox, "plain")
        answer = sandbox.account.ec2.describe_instances(InstanceIds=[machine.host.instance_id])
        tags = answer["Reservations"][0]["Instances"][0]["Tags"]
        found = {one["Key"]: one["Value"] for one in tags if not one["Key"].startswith("aws:ec2")}
        assert found == {**TAGS, "aws:autoscaling:groupName": "plain"}

    def test_machine_may_have_a_checkout_and_a_name(self, sandbox: Sandbox) -> None:
        machine = boot(sandbox, "cloned")
        assert machine.name == "clone"
        assert machine.head() == sandbox.developer.head.commit.hexsha

    def test_machines_that_boot_at_once_have_disks_and_sites_of_their_own(
        self, sandbox: Sandbox
    ) -> None:
        new = sandbox.scale_out("plain", by=3)
        machines = [sandbox.launched.wait_for(one, timeout=HANG_SECONDS) for one in new]
        assert len({one.host.root for one in machines}) == 3
        assert len({one.site.address for one in machines}) == 3
        assert {one.site.port for one in machines} == {sandbox.machines[0].site.port}

    def test_instance_has_no_agent_before_it_has_booted(self, sandbox: Sandbox) -> None:
        sandbox.launched.boot_seconds = NEVER
        (instance_id,) = sandbox.scale_out("plain")
        sandbox.account.wait_until_told()
        assert instance_id not in managed(sandbox)
        with pytest.raises(TimeoutError, match=instance_id):
            sandbox.launched.wait_for(instance_id, timeout=0)

    def test_group_with_the_stage_s_hook_lets_its_instances_wait(self, sandbox: Sandbox) -> None:
        waiting = boot(sandbox, "hooked").host.instance_id
        assert sandbox.account.auto_scaling.state_of(waiting) == WAITING
        plain = boot(sandbox, "plain").host.instance_id
        assert sandbox.account.auto_scaling.state_of(plain) == IN_SERVICE

    def test_instance_of_no_group_gets_no_machine(self, sandbox: Sandbox) -> None:
        before = len(sandbox.machines)
        answer = sandbox.account.ec2.run_instances(ImageId="ami-00000000", MinCount=1, MaxCount=1)
        sandbox.account.wait_until_told()
        with pytest.raises(TimeoutError):
            sandbox.launched.wait_for(answer["Instances"][0]["InstanceId"], timeout=0)
        assert len(sandbox.machines) == before


class TestEnd:
    def test_terminated_instance_loses_its_machine_and_its_disk(self, sandbox: Sandbox) -> None:
        machine = boot(sandbox, "plain")
        sandbox.account.ec2.terminate_instances(InstanceIds=[machine.host.instance_id])
        sandbox.account.wait_until_told()
        assert machine not in sandbox.machines
        assert not machine.host.root.exists()
        assert machine.host.instance_id not in managed(sandbox)

    def test_its_replacement_gets_a_machine(self, sandbox: Sandbox) -> None:
        machine = boot(sandbox, "plain")
        sandbox.account.ec2.terminate_instances(InstanceIds=[machine.host.instance_id])
        (new,) = sandbox.account.auto_scaling.members_of("plain")
        assert sandbox.launched.wait_for(new, timeout=HANG_SECONDS) in sandbox.machines

    def test_instance_that_is_terminated_while_it_boots_gets_no_machine(
        self, sandbox: Sandbox
    ) -> None:
        sandbox.launched.boot_seconds = NEVER
        (instance_id,) = sandbox.scale_out("plain")
        sandbox.account.wait_until_told()
        sandbox.account.ec2.terminate_instances(InstanceIds=[instance_id])
        sandbox.account.wait_until_told()
        assert not sandbox.launched._booting.keys() & {instance_id}

    def test_terminate_machine_ends_a_machine_of_a_group_too(self, sandbox: Sandbox) -> None:
        machine = boot(sandbox, "plain")
        sandbox.terminate_machine(machine)
        sandbox.account.wait_until_told()
        assert machine not in sandbox.machines


class TestClose:
    def test_closing_does_not_wait_for_a_machine_that_boots(self, sandbox: Sandbox) -> None:
        launched = LaunchedMachines(sandbox.account, sandbox._machines, boot_seconds=NEVER)
        boot(sandbox, "plain")
        assert launched._booting
        launched.close()
        boot(sandbox, "plain")
        assert len(launched._booting) == 1
