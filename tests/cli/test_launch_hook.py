"""`pulley targets launch-hook`, against groups of the sandbox."""

from collections.abc import Iterator
from typing import Any

import pytest

from pulley.sandbox.sandbox import TAGS, Sandbox
from tests.cli.conftest import Pulley, json_of

COMMAND = ("targets", "launch-hook")
FLEET = ("web", "--group", "fleet")


@pytest.fixture
def group(sandbox: Sandbox) -> Iterator[str]:
    """A group without instances, whose instances would be hosts of the target web."""
    sandbox.make_group("fleet", tags={"role": TAGS["role"]})
    yield "fleet"
    client: Any = sandbox.account.client("autoscaling")
    client.delete_auto_scaling_group(AutoScalingGroupName="fleet", ForceDelete=True)
    sandbox.account.ec2.delete_launch_template(LaunchTemplateName="fleet")


def hooks(sandbox: Sandbox) -> list[dict[str, Any]]:
    client: Any = sandbox.account.client("autoscaling")
    found: list[dict[str, Any]] = client.describe_lifecycle_hooks(AutoScalingGroupName="fleet")[
        "LifecycleHooks"
    ]
    return found


@pytest.mark.usefixtures("group")
class TestLaunchHook:
    def test_plan_says_what_the_group_lacks_and_changes_nothing(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        done = pulley(*COMMAND, *FLEET, "--dry-run")
        assert done.exit_code == 0
        assert "fleet: lacks the tag pulley = dev" in done.stdout
        assert "the lifecycle hook pulley-dev" in done.stdout
        assert hooks(sandbox) == []

    def test_without_yes_nothing_is_changed(self, sandbox: Sandbox, pulley: Pulley) -> None:
        assert pulley(*COMMAND, *FLEET).exit_code == 4
        assert hooks(sandbox) == []

    def test_group_gets_its_hook_once(self, sandbox: Sandbox, pulley: Pulley) -> None:
        done = pulley(*COMMAND, *FLEET, "--yes")
        assert (done.exit_code, "its instances wait until" in done.stdout) == (0, True)
        (hook,) = hooks(sandbox)
        assert (hook["LifecycleHookName"], hook["HeartbeatTimeout"]) == ("pulley-dev", 1800)
        done = pulley(*COMMAND, "web")
        assert (done.exit_code, done.stdout) == (0, "fleet: nothing to do\n")

    def test_group_that_may_be_somebody_else_s_is_left_alone_unless_it_is_named(
        self, sandbox: Sandbox, pulley: Pulley
    ) -> None:
        done = pulley(*COMMAND, "web", "--yes")
        assert (done.exit_code, "fleet: left alone, because it may be" in done.stdout) == (0, True)
        assert hooks(sandbox) == []

    def test_json_says_what_was_missing_and_changed(self, pulley: Pulley) -> None:
        (row,) = json_of(pulley(*COMMAND, *FLEET, "--dry-run", "--json"))["groups"]
        assert (row["group"], row["changed"], len(row["missing"])) == ("fleet", False, 2)
        (row,) = json_of(pulley(*COMMAND, *FLEET, "--yes", "--json"))["groups"]
        assert row["changed"] is True
        (row,) = json_of(pulley(*COMMAND, "web", "--json"))["groups"]
        assert (row["changed"], row["missing"]) == (False, [])


def test_target_without_a_group_says_what_a_group_needs(pulley: Pulley) -> None:
    done = pulley(*COMMAND, "web")
    assert done.exit_code == 1
    assert "no Auto Scaling group of eu-west-1 launches hosts of web" in done.stderr


def test_unknown_target_is_an_error(pulley: Pulley) -> None:
    done = pulley(*COMMAND, "wep")
    assert (done.exit_code, "did you mean web?" in done.stderr) == (1, True)
