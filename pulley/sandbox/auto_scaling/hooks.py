"""The lifecycle hooks of Auto Scaling groups: moto's lack the metadata, and invent a role.

Source: Amazon EC2 Auto Scaling API Reference, "PutLifecycleHook", "DeleteLifecycleHook",
"DescribeLifecycleHooks" and "LifecycleHook".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pulley.sandbox.query import invalid

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
_TRANSITIONS = (LAUNCHING, "autoscaling:EC2_INSTANCE_TERMINATING")
CONTINUE, ABANDON = "CONTINUE", "ABANDON"
_NAME = re.compile(r"[A-Za-z0-9\-_/]+")
_SHORTEST, _LONGEST = 30, 7200  # seconds
_LONGEST_WAIT = 172_800  # seconds: 48 hours
_MOST_TIMEOUTS = 100  # an instance may wait for so many time-outs
_MOST_HOOKS = 50  # in a group
# The parameters of PutLifecycleHook that change a field.
_FIELDS = {
    "LifecycleTransition": "transition",
    "HeartbeatTimeout": "seconds",
    "DefaultResult": "default",
    "NotificationMetadata": "metadata",
    "NotificationTargetARN": "target",
    "RoleARN": "role",
}


@dataclass(frozen=True)
class LifecycleHook:
    """A hook of a group. `seconds` is its time-out, after which `default` is the result."""

    group: str
    name: str
    transition: str = ""
    seconds: int = 3600
    default: str = ABANDON
    metadata: str = ""
    target: str = ""
    role: str = ""

    @property
    def longest_seconds(self) -> int:
        """How long an instance may wait, with all its heartbeats."""
        return min(_LONGEST_WAIT, _MOST_TIMEOUTS * self.seconds)

    def described(self) -> dict[str, object]:
        """The hook as DescribeLifecycleHooks shows it."""
        optional = {
            parameter: getattr(self, field)
            for parameter, field in _FIELDS.items()
            if getattr(self, field)
        }
        return {
            "LifecycleHookName": self.name,
            "AutoScalingGroupName": self.group,
            "GlobalTimeout": self.longest_seconds,
            **optional,
        }


class Hooks:
    """The hooks of all groups, by group and name, in the order in which they were made."""

    def __init__(self) -> None:
        """Without hooks."""
        self._all: dict[tuple[str, str], LifecycleHook] = {}

    def put(self, group: str, given: Mapping[str, Any]) -> None:
        """Make a hook, or change what is given of an existing one. Raises ApiError."""
        hook = self.checked(group, given)
        self._all[group, hook.name] = hook

    def checked(self, group: str, given: Mapping[str, Any]) -> LifecycleHook:
        """The hook that `put` would store. Raises ApiError."""
        name = given["LifecycleHookName"]
        if not _NAME.fullmatch(name):
            raise invalid(f"LifecycleHookName does not fit the pattern {_NAME.pattern}")
        old = self._all.get((group, name), LifecycleHook(group, name))
        changed = {field: given[key] for key, field in _FIELDS.items() if key in given}
        hook = replace(old, **changed)
        if hook.transition not in _TRANSITIONS:
            raise invalid(f"LifecycleTransition must be one of {', '.join(_TRANSITIONS)}")
        if not _SHORTEST <= hook.seconds <= _LONGEST:
            raise invalid(f"HeartbeatTimeout must be from {_SHORTEST} to {_LONGEST} seconds")
        check_result(hook.default)
        others = [one for one in self.of(group) if one.name != name]
        if len(others) >= _MOST_HOOKS:
            raise invalid(f"a group may have {_MOST_HOOKS} lifecycle hooks")
        return hook

    def delete(self, group: str, name: str) -> None:
        """Delete a hook. Raises ApiError."""
        if (group, name) not in self._all:
            raise invalid(f"No Lifecycle Hook found with name {name} in group {group}")
        del self._all[group, name]

    def keep(self, exists: Callable[[str], bool]) -> None:
        """Delete the hooks of groups that are no more."""
        self._all = {key: hook for key, hook in self._all.items() if exists(hook.group)}

    def of(self, group: str) -> list[LifecycleHook]:
        """The hooks of a group."""
        return [one for one in self._all.values() if one.group == group]

    def launching(self, group: str) -> list[LifecycleHook]:
        """The hooks for which an instance of the group waits when it is launched."""
        return [one for one in self.of(group) if one.transition == LAUNCHING]


def check_result(result: str) -> None:
    """Raise ApiError for a result that is none."""
    if result not in {CONTINUE, ABANDON}:
        raise invalid(f"the result of a lifecycle action is {CONTINUE} or {ABANDON}")
