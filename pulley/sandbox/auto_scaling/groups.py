"""moto's Auto Scaling groups: their instances, and what moto does not do with them by itself.

moto puts an instance into service at once, and counts only those that are in service as capacity.
So moto's own state of a waiting instance stays InService: `showing` changes it for one answer.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pulley.sandbox.moto_state import MotoState
from pulley.sandbox.query import invalid

IN_SERVICE = "InService"
_GONE = frozenset({"shutting-down", "terminated"})


class Groups(MotoState):
    """The groups and instances of one account in one Region. Not thread-safe: see AutoScaling."""

    def instance_states(self) -> dict[str, str]:
        """EC2's state of each instance, by id."""
        return {
            one.id: one.state
            for reservation in self._ec2.reservations.values()
            for one in reservation.instances
        }

    def members(self) -> dict[str, str]:
        """The group of each instance that is in one, by id."""
        return {
            member.instance_id: group.name
            for group in self._auto_scaling.autoscaling_groups.values()
            for member in group.instance_states
        }

    def check(self, group: str) -> None:
        """Raise ApiError if there is no such group."""
        if not self.exists(group):
            raise invalid(f"AutoScalingGroup name not found - AutoScalingGroup '{group}' not found")

    def exists(self, group: str) -> bool:
        """Whether there is such a group."""
        return group in self._auto_scaling.autoscaling_groups

    def arn(self, group: str) -> str:
        """The ARN of a group."""
        return str(self._auto_scaling.autoscaling_groups[group].arn)

    def state_of(self, instance_id: str) -> str:
        """The lifecycle state that moto has; "" for an instance in no group."""
        member = self._member(instance_id)
        return str(member.lifecycle_state) if member else ""

    @contextmanager
    def showing(self, states: Mapping[str, str]) -> Iterator[None]:
        """Let moto show these lifecycle states, by instance id, within the block."""
        shown = {key: member for key in states if (member := self._member(key))}
        before = {key: member.lifecycle_state for key, member in shown.items()}
        for key, member in shown.items():
            member.lifecycle_state = states[key]
        try:
            yield
        finally:
            for key, member in shown.items():
                member.lifecycle_state = before[key]

    def terminate(self, instance_id: str) -> None:
        """Terminate an instance, and take it out of its group. `fill` replaces it."""
        for group in self._auto_scaling.autoscaling_groups.values():
            group.instance_states = [
                one for one in group.instance_states if one.instance_id != instance_id
            ]
        if self.instance_states().get(instance_id) not in _GONE:
            self._ec2.terminate_instances([instance_id])

    def fill(self, group: str) -> None:
        """Launch what a group lacks, unless its process Launch is suspended."""
        found = self._auto_scaling.autoscaling_groups[group]
        if "Launch" not in {one["ProcessName"] for one in found.suspended_processes}:
            self._auto_scaling.set_desired_capacity(group, found.desired_capacity)

    def attached(self) -> set[tuple[str, str]]:
        """A target group's ARN and an instance's id for each that should be registered there.

        moto's state of an instance that waits is InService, too.
        """
        return {
            (arn, member.instance_id)
            for group in self._auto_scaling.autoscaling_groups.values()
            for member in group.instance_states
            if member.lifecycle_state == IN_SERVICE
            for arn in group.target_group_arns
        }

    def _member(self, instance_id: str) -> Any:  # noqa: ANN401 - a class of moto's
        """The record of an instance in a group; None if it is in none."""
        for group in self._auto_scaling.autoscaling_groups.values():
            for one in group.instance_states:
                if one.instance_id == instance_id:
                    return one
        return None
