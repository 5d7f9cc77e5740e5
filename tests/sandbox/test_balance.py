"""Machines behind a load balancer, end to end: a restart costs requests, unless it is drained."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from pulley.sandbox.auto_scaling.service import IN_SERVICE
from pulley.sandbox.hosts.aws import find_python
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.hosts.users import run_as_owner
from pulley.sandbox.load_balancing.balancer import Balancer
from pulley.sandbox.load_balancing.service import DENIED
from pulley.sandbox.load_balancing.traffic import traffic
from pulley.sandbox.sandbox import Sandbox
from tests.processes import HANG_SECONDS

RATE = 50  # requests a second
HEALTH = "TargetHealthDescriptions[].[Target.Id,TargetHealth.State,TargetHealth.Reason]"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1", "web-2", "web-3"], empty=True, restart_seconds=0.5) as opened:
        for machine in opened.machines:
            build(machine)
        yield opened


@pytest.fixture(scope="module")
def behind(sandbox: Sandbox) -> Balancer:
    return sandbox.balance(deregistration_delay=2)


@pytest.fixture
def balancer(sandbox: Sandbox, behind: Balancer) -> Balancer:
    """All machines are healthy."""
    client: Any = sandbox.account.client("elbv2")
    ids = [one.host.instance_id for one in sandbox.machines]
    client.register_targets(TargetGroupArn=behind.arn, Targets=[{"Id": one} for one in ids])
    for one in ids:
        behind.wait_for(one, "healthy", timeout=HANG_SECONDS)
    return behind


def build(machine: Machine) -> None:
    machine.write("build/index.html", f"{machine.name}\n")
    machine.write("build/health", "ok\n")


def restart(machine: Machine) -> None:
    """Restart the unit, and wait until the host itself calls its site healthy."""
    program = machine.host.root / "bin/systemctl"
    subprocess.run([program, "reload-or-restart", "--", "site.service"], check=True)
    while True:
        try:
            urllib.request.urlopen(f"{machine.site.url}health", timeout=HANG_SECONDS).close()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return


def aws(sandbox: Sandbox, machine: Machine, verb: str, arn: str, *more: str) -> str:
    """Run the AWS command line on the host, as the checkout's owner."""
    command = [str(machine.host.root / "bin/aws"), "elbv2", verb, "--region", "eu-west-1"]
    options = ["--target-group-arn", arn, "--output", "text", *more]
    return run_as_owner([*command, *options], cwd=machine.checkout)


class TestRestart:
    def test_restart_in_traffic_loses_requests(self, sandbox: Sandbox, balancer: Balancer) -> None:
        with traffic(balancer.url, RATE) as seen:
            seen.wait_for_more(RATE // 2, timeout=HANG_SECONDS)
            before = seen.failed
            for machine in sandbox.machines:
                restart(machine)
        assert before == 0
        assert 0 < seen.share_failed < 1
        assert {one.status for one in seen.failures} == {502}
        ids = {one.host.instance_id for one in sandbox.machines}
        assert {one.instance_id for one in seen.answers} == ids

    def test_drained_restart_loses_none(self, sandbox: Sandbox, balancer: Balancer) -> None:
        client: Any = sandbox.account.client("elbv2")
        with traffic(balancer.url, RATE) as seen:
            for machine in sandbox.machines:
                instance_id = machine.host.instance_id
                targets = [{"Id": instance_id, "Port": machine.site.port}]
                client.deregister_targets(TargetGroupArn=balancer.arn, Targets=targets)
                balancer.wait_for(instance_id, "unused", timeout=HANG_SECONDS)
                restart(machine)
                client.register_targets(TargetGroupArn=balancer.arn, Targets=targets)
                balancer.wait_for(instance_id, "healthy", timeout=HANG_SECONDS)
        assert seen.failures == []
        assert seen.total >= RATE

    def test_killed_site_of_a_drained_host_loses_none(
        self, sandbox: Sandbox, balancer: Balancer
    ) -> None:
        first, *_ = sandbox.machines
        client: Any = sandbox.account.client("elbv2")
        targets = [{"Id": first.host.instance_id}]
        with traffic(balancer.url, RATE) as seen:
            client.deregister_targets(TargetGroupArn=balancer.arn, Targets=targets)
            balancer.wait_for(first.host.instance_id, "unused", timeout=HANG_SECONDS)
            first.site.stop()
            seen.wait_for_more(RATE, timeout=HANG_SECONDS)
        first.site.start()
        assert seen.failures == []


@pytest.mark.skipif(not find_python(), reason="the hosts' owner cannot run our command line")
class TestAws:
    def test_real_command_line_takes_the_host_out_and_puts_it_back(
        self, sandbox: Sandbox, balancer: Balancer
    ) -> None:
        first, *_ = sandbox.machines
        instance_id, arn = first.host.instance_id, balancer.arn
        target = f"Id={instance_id},Port={first.site.port}"
        assert aws(sandbox, first, "deregister-targets", arn, "--targets", target) == ""
        state = balancer.states().get(instance_id)
        assert state in {"draining", None}  # it is slow
        balancer.wait_for(instance_id, "unused", timeout=HANG_SECONDS)
        asked = ["--targets", target, "--query", HEALTH]
        answer = aws(sandbox, first, "describe-target-health", arn, *asked)
        assert answer.split() == [instance_id, "unused", "Target.NotRegistered"]
        aws(sandbox, first, "register-targets", arn, "--targets", target)
        balancer.wait_for(instance_id, "healthy", timeout=HANG_SECONDS)

    def test_refusal_of_aws_reaches_stderr(self, sandbox: Sandbox, balancer: Balancer) -> None:
        first, *_ = sandbox.machines
        sandbox.account.load_balancing.fault = lambda _: DENIED
        try:
            with pytest.raises(subprocess.CalledProcessError, match="255") as raised:
                aws(sandbox, first, "describe-target-health", balancer.arn)
        finally:
            sandbox.account.load_balancing.fault = lambda _: None
        assert "(AccessDenied) when calling the DescribeTargetHealth" in raised.value.stderr

    def test_stand_ins_refuse_and_hang(self, sandbox: Sandbox, balancer: Balancer) -> None:
        machine = sandbox.machines[1]
        machine.refuse_aws()
        with pytest.raises(subprocess.CalledProcessError, match="254") as raised:
            aws(sandbox, machine, "deregister-targets", balancer.arn)
        assert "(AccessDenied) when calling the DeregisterTargets" in raised.value.stderr
        machine.hang_aws()
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run([machine.host.root / "bin/aws"], check=False, timeout=0.2)
        machine.install_aws(sandbox.account.environ)

    def test_host_does_not_know_the_region(self, sandbox: Sandbox) -> None:
        first, *_ = sandbox.machines
        with pytest.raises(subprocess.CalledProcessError) as raised:
            run_as_owner(
                [str(first.host.root / "bin/aws"), "elbv2", "describe-load-balancers"],
                cwd=first.checkout,
            )
        assert "specify a region" in raised.value.stderr

    def test_host_may_lack_it(self, sandbox: Sandbox) -> None:
        bare = sandbox.add_machine("bare", has_aws=False)
        assert not (bare.host.root / "bin/aws").exists()
        sandbox.terminate_machine(bare)


class TestGroup:
    def test_launched_instance_takes_requests_in_service_and_drains_when_it_leaves(
        self, sandbox: Sandbox, balancer: Balancer
    ) -> None:
        (new,) = sandbox.make_group(
            "scaled", size=1, has_checkout=True, target_groups=[balancer.arn]
        )
        sandbox.account.auto_scaling.wait_for(new, IN_SERVICE, timeout=HANG_SECONDS)
        assert new in balancer.states()
        build(sandbox.launched.wait_for(new, timeout=HANG_SECONDS))
        balancer.wait_for(new, "healthy", timeout=HANG_SECONDS)
        with traffic(balancer.url, RATE) as seen:
            seen.wait_for_more(8, timeout=HANG_SECONDS)
        assert new in {one.instance_id for one in seen.answers}
        # The group does not put back what somebody else took out.
        client: Any = sandbox.account.client("elbv2")
        client.deregister_targets(TargetGroupArn=balancer.arn, Targets=[{"Id": new}])
        balancer.wait_for(new, "unused", timeout=HANG_SECONDS)
        (second,) = sandbox.scale_out("scaled")
        assert new not in balancer.states()
        assert second in balancer.states()
        scaling: Any = sandbox.account.client("autoscaling")
        scaling.set_desired_capacity(AutoScalingGroupName="scaled", DesiredCapacity=0)
        balancer.wait_for(second, "unused", timeout=HANG_SECONDS)
