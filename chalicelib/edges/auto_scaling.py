"""EC2 Auto Scaling: which instances wait for their launch to be completed, and the answer.

Source: Amazon EC2 Auto Scaling API Reference, "DescribeAutoScalingInstances",
"CompleteLifecycleAction" and "RecordLifecycleActionHeartbeat"; User Guide, "Amazon EC2 Auto Scaling
instance lifecycle".
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from chalicelib.core.launches import hook_name
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

    from chalicelib.core.launches import Launch

IDS_A_CALL = 50
# An instance may have been `Pending` for a moment when its event comes. Those of a warm pool wait
# there first, and again when they leave it.
_WAITING = frozenset({"Pending", "Pending:Wait", "Warmed:Pending", "Warmed:Pending:Wait"})
_NOBODY_WAITS = "ValidationError"  # "No active Lifecycle Action found", or no such group or hook


class HeldLaunches:
    """For a round: the launches that our hooks hold. Raises RefusedError and UnavailableError."""

    def __init__(self, client: "AutoScalingClient", stage: str) -> None:
        self._client = client
        self._hook = hook_name(stage)

    def waiting(self, instance_ids: Sequence[str]) -> Mapping[str, str]:
        """The group of each instance that is being launched, by its id."""
        found: dict[str, str] = {}
        for start in range(0, len(instance_ids), IDS_A_CALL):
            ids = list(instance_ids[start : start + IDS_A_CALL])
            with calling("reading which instances are being launched"):
                answer = self._client.describe_auto_scaling_instances(InstanceIds=ids)
                found |= {
                    one["InstanceId"]: one["AutoScalingGroupName"]
                    for one in answer["AutoScalingInstances"]
                    if one["LifecycleState"] in _WAITING
                }
        return found

    def complete(self, launch: "Launch", result: str) -> bool:
        """Answer CONTINUE or ABANDON. False if nobody waits for it (any more)."""
        with calling("completing a launch"):
            try:
                self._client.complete_lifecycle_action(
                    LifecycleHookName=self._hook,
                    AutoScalingGroupName=launch.group,
                    InstanceId=launch.instance,
                    LifecycleActionResult=result,
                )
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != _NOBODY_WAITS:
                    raise
                return False
            return True

    def ask_for_time(self, launch: "Launch") -> None:
        """Let the hook's time-out begin again, if somebody waits still."""
        with calling("asking for time to launch"):
            try:
                self._client.record_lifecycle_action_heartbeat(
                    LifecycleHookName=self._hook,
                    AutoScalingGroupName=launch.group,
                    InstanceId=launch.instance,
                )
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != _NOBODY_WAITS:
                    raise


class HeldLaunch:
    """For the watch of one launch. Raises RefusedError and UnavailableError."""

    def __init__(self, client: "AutoScalingClient") -> None:
        self._client = client

    def is_waiting(self, launch: "Launch") -> bool:
        """Whether the instance is still being launched."""
        with calling("reading whether an instance is being launched"):
            found = self._client.describe_auto_scaling_instances(InstanceIds=[launch.instance])
            states = [one["LifecycleState"] for one in found["AutoScalingInstances"]]
            return any(one in _WAITING for one in states)
