"""The Auto Scaling groups whose instances are hosts of a target, and their lifecycle hooks.

Source: Amazon EC2 Auto Scaling API Reference, "PutLifecycleHook", "CreateOrUpdateTags".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.core.errors import UnavailableError
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.launches import ABANDON_ANSWER, GROUP_TAG, hook_name
from chalicelib.core.targets import STAGE_TAG, Target
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
# Rounds ask for more time while a command is under way. They come every 15 minutes.
WAIT_SECONDS = 1800


@dataclass(frozen=True)
class Group:
    """A group. `tag` is its tag `pulley`, "" without one; `hook` is our hook in it, {} without.

    `has_hosts`: some of the stage's hosts are in it. `tags_hosts`: its instances get that tag, from
    the group or by its launch template.
    """

    name: str
    tag: str
    hook: Mapping[str, Any]
    has_hosts: bool = False
    tags_hosts: bool = False

    def missing(self, stage: str) -> Sequence[str]:
        """What it lacks, in words, so that its instances are held until they have their commit."""
        words = []
        if self.tag != stage:
            words.append(f"the tag {STAGE_TAG} = {stage}, by which the functions may answer")
        elif not self.tags_hosts:
            words.append(f"to pass its tag {STAGE_TAG} on to its instances")
        if not self.hook:
            words.append(f"the lifecycle hook {hook_name(stage)}")
        else:
            words += _differences(self.hook)
        return words


@dataclass(frozen=True)
class Groups:
    """Reads and changes groups, for one stage. Raises RefusedError and UnavailableError."""

    client: "AutoScalingClient"
    stage: str

    def of(self, target: Target, fleet: Fleet) -> Sequence[Group]:
        """The groups that launch hosts of this target, or have launched one."""
        names = {host.tags.get(GROUP_TAG) for host in fleet.of(target)}
        with calling("reading the Auto Scaling groups"):
            pages = self.client.get_paginator("describe_auto_scaling_groups").paginate()
            found = [
                (one["AutoScalingGroupName"], _tags(one))
                for page in pages
                for one in page["AutoScalingGroups"]
            ]
        return [
            self._group(name, tags, has_hosts=name in names)
            for name, tags in sorted(found)
            if name in names or _launches(tags, target, self.stage)
        ]

    def check(self, groups: Iterable[Group]) -> None:
        """Raise UnavailableError if one of them belongs to another stage."""
        others = [one for one in groups if one.tag not in {"", self.stage}]
        if others:
            named = ", ".join(f"{one.name} (stage {one.tag})" for one in others)
            raise UnavailableError(
                f"these Auto Scaling groups belong to another stage: {named}. An instance cannot "
                f"have two values of the tag {STAGE_TAG}"
            )

    def prepare(self, group: Group) -> None:
        """Give a group its tag and its hook, as far as they are missing or have other settings."""
        with calling(f"changing the Auto Scaling group {group.name}"):
            if group.tag != self.stage or not group.tags_hosts:
                self.client.create_or_update_tags(
                    Tags=[
                        {
                            "ResourceId": group.name,
                            "ResourceType": "auto-scaling-group",
                            "Key": STAGE_TAG,
                            "Value": self.stage,
                            "PropagateAtLaunch": True,
                        }
                    ]
                )
            if not group.hook or _differences(group.hook):
                self.client.put_lifecycle_hook(
                    AutoScalingGroupName=group.name,
                    LifecycleHookName=hook_name(self.stage),
                    LifecycleTransition=LAUNCHING,
                    HeartbeatTimeout=max(WAIT_SECONDS, group.hook.get("HeartbeatTimeout", 0)),
                    DefaultResult=ABANDON_ANSWER,
                )

    def _group(self, name: str, tags: Mapping[str, tuple[str, bool]], *, has_hosts: bool) -> Group:
        with calling(f"reading the lifecycle hooks of {name}"):
            found = self.client.describe_lifecycle_hooks(AutoScalingGroupName=name)
            hook = hook_name(self.stage)
            ours = (one for one in found["LifecycleHooks"] if one["LifecycleHookName"] == hook)
            tag, is_passed_on = tags.get(STAGE_TAG, ("", False))
            tags_hosts = is_passed_on or has_hosts
            return Group(name, tag, next(ours, {}), has_hosts, tags_hosts)


def _tags(group: Mapping[str, Any]) -> Mapping[str, tuple[str, bool]]:
    """A group's tags: each value, and whether instances get it."""
    return {
        one["Key"]: (one.get("Value", ""), one.get("PropagateAtLaunch", False))
        for one in group.get("Tags", [])
    }


def _launches(tags: Mapping[str, tuple[str, bool]], target: Target, stage: str) -> bool:
    """Whether the tags that instances get make them hosts of the target."""
    passed_on = {key: value for key, (value, is_passed_on) in tags.items() if is_passed_on}
    new = Host("i-00000000", "", {STAGE_TAG: stage} | passed_on)
    is_by_tags = bool(target.instances.tags)
    return is_by_tags and Fleet([new], stage).has(target, new.instance_id)


def _differences(hook: Mapping[str, Any]) -> Sequence[str]:
    wanted = {"LifecycleTransition": LAUNCHING, "DefaultResult": ABANDON_ANSWER}
    words = [
        f"{name} = {value} in its hook, not {hook.get(name)}"
        for name, value in wanted.items()
        if hook.get(name) != value
    ]
    if hook.get("HeartbeatTimeout", 0) < WAIT_SECONDS:
        words.append(f"a HeartbeatTimeout of at least {WAIT_SECONDS} s in its hook")
    return words
