"""Short methods for a group of an account, called as anybody calls AWS: by boto3, over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulley.sandbox.account import Account
from pulley.sandbox.auto_scaling.service import WAITING
from pulley.sandbox.event_bus import Event
from tests.processes import HANG_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

GROUP, HOOK = "web", "pulley-dev"
LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"


@dataclass
class Fleet:
    """The group `web`, empty at first. `events` are all that the account sent."""

    account: Account
    client: "AutoScalingClient"
    events: list[Event] = field(default_factory=list)

    def make_group(self, name: str = GROUP, *, size: int = 0, **more: Any) -> None:  # noqa: ANN401
        self.client.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=20,
            DesiredCapacity=size,
            LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"},
            AvailabilityZones=["eu-west-1a"],
            Tags=[{"Key": "role", "Value": "web", "PropagateAtLaunch": True}],
            **more,
        )

    def put_hook(self, name: str = HOOK, **given: Any) -> None:  # noqa: ANN401
        self.client.put_lifecycle_hook(
            AutoScalingGroupName=given.pop("group", GROUP),
            LifecycleHookName=name,
            LifecycleTransition=given.pop("transition", LAUNCHING),
            **given,
        )

    def scale_to(self, size: int, group: str = GROUP) -> list[str]:
        """Set the desired capacity. Gives the ids of the new instances."""
        before = self.states()
        self.client.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=size)
        return [one for one in self.states() if one not in before]

    def launch(self) -> str:
        """Launch one more instance, which waits if there is a hook."""
        (new,) = self.scale_to(len(self.states()) + 1)
        return new

    def states(self) -> dict[str, str]:
        """The lifecycle state of each instance."""
        listed = self.client.describe_auto_scaling_instances()["AutoScalingInstances"]
        return {one["InstanceId"]: one["LifecycleState"] for one in listed}

    def complete(self, result: str, hook: str = HOOK, **which: str) -> None:
        self.client.complete_lifecycle_action(
            AutoScalingGroupName=GROUP,
            LifecycleHookName=hook,
            LifecycleActionResult=result,
            **which,
        )

    def beat(self, hook: str = HOOK, **which: str) -> None:
        self.client.record_lifecycle_action_heartbeat(
            AutoScalingGroupName=GROUP,
            LifecycleHookName=hook,
            **which,
        )

    def wait_for(self, instance_id: str, state: str) -> None:
        self.account.auto_scaling.wait_for(instance_id, state, timeout=HANG_SECONDS)

    def wait_for_replacement(self, instance_id: str) -> str:
        """Wait until an instance is gone. Gives the id of the only one that waits."""
        self.wait_for(instance_id, "")
        (new,) = (one for one, state in self.states().items() if state == WAITING)
        assert new != instance_id
        return new

    def launches(self) -> list[Mapping[str, Any]]:
        """The details of all events of launches, in order."""
        return self.details("aws.autoscaling")

    def details(self, source: str) -> list[Mapping[str, Any]]:
        """The details of all events of a service, in order."""
        self.account.wait_until_told()
        found: list[Any] = [one["detail"] for one in self.events if one["source"] == source]
        return found

    def ec2_state(self, instance_id: str) -> str:
        answer = self.account.ec2.describe_instances(InstanceIds=[instance_id])
        return answer["Reservations"][0]["Instances"][0]["State"]["Name"]
