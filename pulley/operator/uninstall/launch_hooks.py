"""Find the lifecycle hooks that `pulley targets launch-hook` has made, and delete them.

Source: Amazon EC2 Auto Scaling API Reference, "DeleteLifecycleHook": an instance that is being
launched meanwhile is abandoned.
"""

from functools import partial
from typing import TYPE_CHECKING

from chalicelib.core.launches import hook_name
from chalicelib.core.targets import STAGE_TAG
from chalicelib.edges.aws import calling
from pulley.operator.uninstall.clients import remove
from pulley.operator.uninstall.found import Found, Left, Removal

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

_HELD = frozenset({"Pending:Wait", "Warmed:Pending:Wait"})


def find_launch_hooks(client: "AutoScalingClient", stage: str) -> tuple[Found, tuple[str, ...]]:
    """The stage's hooks in all groups of the region; and in words, which instances these hold.

    Raises RefusedError and UnavailableError.
    """
    name = hook_name(stage)
    found, held = Found(), []
    with calling("reading the Auto Scaling groups"):
        pages = client.get_paginator("describe_auto_scaling_groups").paginate()
        groups = [one for page in pages for one in page["AutoScalingGroups"]]
    for group in groups:
        group_name = group["AutoScalingGroupName"]
        with calling(f"reading the lifecycle hooks of {group_name}"):
            hooks = client.describe_lifecycle_hooks(AutoScalingGroupName=group_name)
            has_hook = any(one["LifecycleHookName"] == name for one in hooks["LifecycleHooks"])
            waiting = [
                one["InstanceId"]
                for one in group.get("Instances", [])
                if one["LifecycleState"] in _HELD
            ]
            tags = {one["Key"]: one.get("Value", "") for one in group.get("Tags", [])}
        if has_hook:
            why = "new instances go into service without waiting for their commit"
            found += Found(
                (
                    Removal(
                        "launch hook",
                        f"{name} of {group_name}",
                        why,
                        stops_deploys=True,
                        remove=partial(_delete, client, group_name, name),
                    ),
                )
            )
            held += [f"{one} of {group_name} is being launched" for one in waiting]
        if tags.get(STAGE_TAG) == stage:
            found += Found(left=(_tag(group_name, stage),))
    return found, tuple(held)


def _tag(group: str, stage: str) -> Left:
    return Left(
        "tag",
        f"{STAGE_TAG} = {stage} of the Auto Scaling group {group}",
        "your template may have it, and it does nothing by itself",
        "aws autoscaling delete-tags --tags "
        f"ResourceId={group},ResourceType=auto-scaling-group,Key={STAGE_TAG}",
    )


def _delete(client: "AutoScalingClient", group: str, name: str) -> None:
    call = partial(client.delete_lifecycle_hook, AutoScalingGroupName=group, LifecycleHookName=name)
    # ValidationError: there is no such hook or group any more.
    remove(f"the launch hook of {group}", "ValidationError", call)
