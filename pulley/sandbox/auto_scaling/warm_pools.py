"""Warm pools: moto keeps a pool's settings, and launches nothing for it.

An instance of a pool is a member of moto's group. Its lifecycle state begins with `Warmed`, so moto
does not count it as capacity. It is protected from scale-in, so moto does not remove it.

Source: Amazon EC2 Auto Scaling User Guide, "Using lifecycle hooks with a warm pool"; API Reference,
"PutWarmPool".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pulley.sandbox.moto_state import MotoState

_WARMED = "Warmed:"
_ENTERING = "Warmed:Pending"
_IN_SERVICE = "InService"


def is_warm(state: str) -> bool:
    """Whether an instance with this lifecycle state is in a warm pool."""
    return state.startswith(_WARMED)


class WarmPools(MotoState):
    """The pools of one account in one Region. Not thread-safe: see AutoScaling."""

    def fill(self, name: str) -> None:
        """Launch what a group's pool lacks, if it has a pool."""
        group = self._auto_scaling.autoscaling_groups[name]
        if group.warm_pool is None:
            return
        prepared = group.warm_pool.max_group_prepared_capacity
        limit = group.max_size if prepared is None or prepared < 0 else prepared
        wanted = max(group.warm_pool.min_size, limit - group.desired_capacity)
        missing = wanted - len(_members(group))
        if missing <= 0:
            return
        before = [*group.instance_states]
        group.replace_autoscaling_group_instances(missing, group.get_propagated_tags())
        for member in group.instance_states:
            if member not in before:
                member.lifecycle_state = _ENTERING
                member.protected_from_scale_in = True

    def settle(self, instance_id: str) -> None:
        """Keep an instance that was launched into its pool, stopped or running."""
        for group in self._auto_scaling.autoscaling_groups.values():
            for member in _members(group):
                if member.instance_id == instance_id:
                    state = group.warm_pool.pool_state if group.warm_pool else "Stopped"
                    member.lifecycle_state = _WARMED + state
                    if state != "Running":
                        self._ec2.stop_instances([instance_id])

    def take(self, name: str, capacity: int) -> list[str]:
        """Move instances from the pool into a group of this new capacity. Returns their ids."""
        group = self._auto_scaling.autoscaling_groups[name]
        ready = [one for one in _members(group) if one.lifecycle_state != _ENTERING]
        taken = ready[: max(0, capacity - len(group.active_instances()))]
        for member in taken:
            member.lifecycle_state = _IN_SERVICE
            member.protected_from_scale_in = group.new_instances_protected_from_scale_in
            self._ec2.start_instances([member.instance_id])
        return [one.instance_id for one in taken]

    def empty(self, name: str) -> None:
        """Terminate the instances of a pool that is deleted."""
        group = self._auto_scaling.autoscaling_groups[name]
        for member in _members(group):
            group.instance_states.remove(member)
            self._ec2.terminate_instances([member.instance_id])

    def members_of(self, name: str) -> list[str]:
        """The ids of a pool's instances."""
        return [one.instance_id for one in _members(self._auto_scaling.autoscaling_groups[name])]

    def described(self, name: str) -> dict[str, object]:
        """A pool as DescribeWarmPool shows it."""
        group = self._auto_scaling.autoscaling_groups[name]
        members = [
            {
                "InstanceId": one.instance_id,
                "InstanceType": one.instance_type,
                "AvailabilityZone": one.availability_zone,
                "LifecycleState": one.lifecycle_state,
                "HealthStatus": one.health_status,
                "LaunchTemplate": one.launch_template,
            }
            for one in _members(group)
        ]
        if group.warm_pool is None:
            return {"Instances": members}
        configuration = {
            "MaxGroupPreparedCapacity": group.warm_pool.max_group_prepared_capacity,
            "MinSize": group.warm_pool.min_size,
            "PoolState": group.warm_pool.pool_state,
            "InstanceReusePolicy": group.warm_pool.instance_reuse_policy,
        }
        return {"WarmPoolConfiguration": configuration, "Instances": members}

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide the pools' instances within the block, as DescribeAutoScalingGroups does."""
        groups = [*self._auto_scaling.autoscaling_groups.values()]
        before = [group.instance_states for group in groups]
        for group, members in zip(groups, before, strict=True):
            group.instance_states = [one for one in members if not is_warm(one.lifecycle_state)]
        try:
            yield
        finally:
            for group, members in zip(groups, before, strict=True):
                group.instance_states = members


def _members(group: Any) -> list[Any]:  # noqa: ANN401 - classes of moto's
    return [one for one in group.instance_states if is_warm(one.lifecycle_state)]
