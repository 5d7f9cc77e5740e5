"""Lifecycle actions: for which hooks an instance waits, and until when. No threads, no AWS."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulley.sandbox.auto_scaling.hooks import LifecycleHook
from pulley.sandbox.query import invalid
from pulley.sandbox.run_command.send_request import ApiError


@dataclass(frozen=True)
class Way:
    """From where an instance comes, and where it goes, in the words of the events."""

    origin: str
    destination: str


INTO_GROUP = Way("EC2", "AutoScalingGroup")
INTO_POOL = Way("EC2", "WarmPool")
OUT_OF_POOL = Way("WarmPool", "AutoScalingGroup")


@dataclass
class LifecycleAction:
    """An instance that waits for one hook, until `deadline`, or with heartbeats until `end`.

    Both are of the monotonic clock, in seconds.
    """

    token: str
    hook: LifecycleHook
    instance_id: str
    way: Way
    deadline: float
    end: float


class Actions:
    """The actions that nobody has completed. Not thread-safe: AutoScaling has the lock."""

    def __init__(self, *, second: float) -> None:
        """`second` is how long a second of a hook takes here."""
        self._second = second
        self._waiting: list[LifecycleAction] = []

    def begin(self, hook: LifecycleHook, instance_id: str, way: Way, now: float) -> LifecycleAction:
        """Let an instance wait for a hook."""
        action = LifecycleAction(
            token=str(uuid.uuid4()),
            hook=hook,
            instance_id=instance_id,
            way=way,
            deadline=now + hook.seconds * self._second,
            end=now + hook.longest_seconds * self._second,
        )
        self._waiting.append(action)
        return action

    def find(self, asked: Mapping[str, Any]) -> LifecycleAction:
        """The action that a request means, by its token or its instance. Raises ApiError."""
        token, instance_id = asked.get("LifecycleActionToken"), asked.get("InstanceId")
        if not token and not instance_id:
            raise invalid("either LifecycleActionToken or InstanceId must be given")
        for action in self._waiting:
            if (action.hook.group, action.hook.name) == (
                asked["AutoScalingGroupName"],
                asked["LifecycleHookName"],
            ) and (action.token == token if token else action.instance_id == instance_id):
                return action
        raise _not_active(token, instance_id)

    def record_heartbeat(self, action: LifecycleAction, now: float) -> None:
        """Restart the time-out of an action."""
        action.deadline = now + action.hook.seconds * self._second

    def end(self, action: LifecycleAction) -> None:
        """Forget one action."""
        self._waiting.remove(action)

    def end_all(self, instance_id: str) -> None:
        """Forget all actions of an instance."""
        self._waiting = [one for one in self._waiting if one.instance_id != instance_id]

    def of(self, instance_id: str) -> list[LifecycleAction]:
        """The actions that an instance waits for."""
        return [one for one in self._waiting if one.instance_id == instance_id]

    def for_hook(self, group: str, name: str) -> list[LifecycleAction]:
        """The actions that wait for a hook."""
        return [one for one in self._waiting if (one.hook.group, one.hook.name) == (group, name)]

    def instances(self) -> list[str]:
        """The ids of the instances that wait."""
        return list(dict.fromkeys(one.instance_id for one in self._waiting))

    def next_deadline(self) -> float | None:
        """When the next action times out; None if nothing waits."""
        return min((min(one.deadline, one.end) for one in self._waiting), default=None)

    def timed_out(self, now: float) -> LifecycleAction | None:
        """An action whose time is over."""
        over = (one for one in self._waiting if min(one.deadline, one.end) <= now)
        return next(over, None)


def _not_active(token: str | None, instance_id: str | None) -> ApiError:
    words = f"token {token}" if token else f"instance ID {instance_id}"
    return invalid(f"No active Lifecycle Action found with {words}")
