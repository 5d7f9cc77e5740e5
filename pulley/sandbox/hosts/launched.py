"""Machines for the instances that Auto Scaling groups launch: each boots, and is deleted again.

EC2's events say when. So it does not matter who scaled the group, or why an instance was replaced.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pulley.sandbox.account import Account
from pulley.sandbox.event_bus import Event
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.hosts.machines import Machines

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client

BOOT_SECONDS = 0.3
_GROUP_TAG = "aws:autoscaling:groupName"
_STARTS_AND_ENDS = {
    "source": ["aws.ec2"],
    "detail-type": ["EC2 Instance State-change Notification"],
    "detail": {"state": ["running", "terminated"]},
}
_LOG = logging.getLogger(__name__)


class LaunchedMachines:
    """Gives each instance of a group its machine, `boot_seconds` after it started.

    Before that it has no agent. Its name is its tag `Name`, or else its id.
    """

    def __init__(
        self, account: Account, machines: Machines, *, boot_seconds: float = BOOT_SECONDS
    ) -> None:
        """Without groups. Add the machines to `machines`."""
        self.boot_seconds = boot_seconds
        self._account, self._machines = account, machines
        self._client: AutoScalingClient = account.client("autoscaling")
        self._ec2: EC2Client = account.client("ec2")  # for the thread of the events
        self._with_checkout: set[str] = set()
        self._changed = threading.Condition()
        self._booting: dict[str, threading.Timer] = {}
        self._booted: dict[str, Machine] = {}
        self._closed = False
        account.subscribe(self._note, _STARTS_AND_ENDS)

    def make_group(  # noqa: PLR0913 - each is a fact of its own
        self,
        name: str,
        *,
        tags: Mapping[str, str],
        size: int = 0,
        hooks: Mapping[str, int] = {},
        has_checkout: bool = False,
        target_groups: Sequence[str] = (),
    ) -> list[str]:
        """Make a group whose instances get these tags. Returns the ids of its first instances.

        `hooks` has the seconds of each launch hook's time-out, by name; their default is ABANDON.
        `target_groups` has ARNs.
        """
        self._ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"ImageId": "ami-00000000", "InstanceType": "t3.micro"},
        )
        if has_checkout:
            self._with_checkout.add(name)
        specified: Any = [
            {
                "LifecycleHookName": hook,
                "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
                "HeartbeatTimeout": seconds,
            }
            for hook, seconds in hooks.items()
        ]
        self._client.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=100,
            DesiredCapacity=size,
            LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
            AvailabilityZones=[f"{self._account.region}a"],
            Tags=[
                {"Key": key, "Value": value, "PropagateAtLaunch": True}
                for key, value in tags.items()
            ],
            LifecycleHookSpecificationList=specified,
            TargetGroupARNs=target_groups,
        )
        return self._account.auto_scaling.members_of(name)

    def scale_out(self, name: str, *, by: int = 1) -> list[str]:
        """Raise a group's desired capacity. Returns the ids of the new instances."""
        before = self._account.auto_scaling.members_of(name)
        (group,) = self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
            "AutoScalingGroups"
        ]
        self._client.set_desired_capacity(
            AutoScalingGroupName=name, DesiredCapacity=group["DesiredCapacity"] + by
        )
        return [one for one in self._account.auto_scaling.members_of(name) if one not in before]

    def wait_for(self, instance_id: str, *, timeout: float = 600) -> Machine:
        """Return the machine of an instance when it has booted. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: instance_id in self._booted, timeout):
                raise TimeoutError(f"{instance_id} has no machine yet")
            return self._booted[instance_id]

    def close(self) -> None:
        """Boot no more machines, and wait for those that are booting."""
        with self._changed:
            self._closed = True
            booting = [*self._booting.values()]
        for timer in booting:
            timer.cancel()
            timer.join()

    def _note(self, event: Event) -> None:
        """An instance started or was terminated."""
        detail: Any = event["detail"]
        instance_id = str(detail["instance-id"])
        if self._closed:  # an account sends events at its end, too
            return
        if detail["state"] == "running":
            tags = self._tags_of(instance_id)
            if _GROUP_TAG in tags:
                self._start(instance_id, tags)
        else:
            self._end(instance_id)

    def _start(self, instance_id: str, tags: Mapping[str, str]) -> None:
        with self._changed:
            known = instance_id in self._booted or instance_id in self._booting
            if known or self._closed:
                return
            timer = threading.Timer(self.boot_seconds, self._boot, (instance_id, tags))
            timer.daemon = True
            self._booting[instance_id] = timer
            timer.start()

    def _boot(self, instance_id: str, tags: Mapping[str, str]) -> None:
        try:
            machine = self._machines.adopt(
                instance_id,
                tags.get("Name", instance_id),
                has_checkout=tags[_GROUP_TAG] in self._with_checkout,
            )
        except Exception:
            _LOG.exception("%s could not boot", instance_id)
            raise
        with self._changed:
            is_gone = self._booting.pop(instance_id, None) is None
            if not is_gone:
                self._booted[instance_id] = machine
            self._changed.notify_all()
        if is_gone:  # terminated meanwhile
            self._machines.remove(machine)

    def _end(self, instance_id: str) -> None:
        with self._changed:
            timer = self._booting.pop(instance_id, None)
            machine = self._booted.pop(instance_id, None)
        if timer:
            timer.cancel()
        if machine:
            self._machines.remove(machine)

    def _tags_of(self, instance_id: str) -> dict[str, str]:
        (reservation,) = self._ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        tags = reservation["Instances"][0].get("Tags", [])
        return {one["Key"]: one["Value"] for one in tags}
