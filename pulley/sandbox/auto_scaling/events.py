"""The events of launches and of instances' states, as AWS's documentation shows them.

Source: Amazon EC2 Auto Scaling User Guide, "Amazon EC2 Auto Scaling event reference"; Amazon EC2
User Guide, "State change events for Amazon EC2 instances".
"""

from collections.abc import Mapping

from pulley.sandbox.auto_scaling.actions import LifecycleAction
from pulley.sandbox.event_bus import EventBus

# The states that an instance passes on its way.
_WAYS: Mapping[str, tuple[str, ...]] = {
    "running": ("pending", "running"),
    "stopped": ("stopping", "stopped"),
    "terminated": ("shutting-down", "terminated"),
}


class LaunchEvents:
    """Publishes on the account's bus."""

    def __init__(self, bus: EventBus) -> None:
        """Publish on this bus."""
        self._bus = bus

    def publish_launch(self, action: LifecycleAction, group_arn: str) -> None:
        """An instance waits for a hook."""
        hook = action.hook
        detail = {
            "LifecycleActionToken": action.token,
            "AutoScalingGroupName": hook.group,
            "LifecycleHookName": hook.name,
            "EC2InstanceId": action.instance_id,
            "LifecycleTransition": hook.transition,
            "Origin": action.way.origin,
            "Destination": action.way.destination,
        }
        if hook.metadata:
            detail["NotificationMetadata"] = hook.metadata
        self._bus.publish(
            "aws.autoscaling",
            "EC2 Instance-launch Lifecycle Action",
            detail,
            resources=[group_arn],
        )

    def publish_state(self, instance_id: str, state: str) -> None:
        """An instance has come to a state of EC2's, by the states before it."""
        arn = f"arn:aws:ec2:{self._bus.region}:{self._bus.account}:instance/{instance_id}"
        for each in _WAYS.get(state, (state,)):
            self._bus.publish(
                "aws.ec2",
                "EC2 Instance State-change Notification",
                {"instance-id": instance_id, "state": each},
                resources=[arn],
            )
