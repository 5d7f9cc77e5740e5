"""Warm pools: instances wait when they enter the pool, and again when they leave it."""

from collections.abc import Mapping
from typing import Any

import pytest

from pulley.sandbox.auto_scaling.service import IN_SERVICE, WAITING
from tests.sandbox.auto_scaling.fleet import GROUP, Fleet

pytestmark = pytest.mark.timeout(60)

LONG = 7200
WARM_WAITING = "Warmed:Pending:Wait"


def put_pool(fleet: Fleet, size: int, **given: Any) -> list[str]:  # noqa: ANN401
    """Make the pool. Gives the ids of its instances."""
    fleet.client.put_warm_pool(
        AutoScalingGroupName=GROUP, MinSize=size, MaxGroupPreparedCapacity=0, **given
    )
    return [one["InstanceId"] for one in pool(fleet)["Instances"]]


def pool(fleet: Fleet) -> Mapping[str, Any]:
    return fleet.client.describe_warm_pool(AutoScalingGroupName=GROUP)


def ways(fleet: Fleet) -> list[tuple[str, str, str]]:
    return [(one["EC2InstanceId"], one["Origin"], one["Destination"]) for one in fleet.launches()]


class TestEnter:
    def test_instance_waits_and_is_shown_by_its_pool_and_not_by_its_group(
        self, fleet: Fleet
    ) -> None:
        fleet.put_hook(HeartbeatTimeout=LONG)
        (warm,) = put_pool(fleet, 1)
        assert pool(fleet)["WarmPoolConfiguration"]["PoolState"] == "Stopped"
        assert [one["LifecycleState"] for one in pool(fleet)["Instances"]] == [WARM_WAITING]
        assert fleet.states() == {warm: WARM_WAITING}
        (group,) = fleet.client.describe_auto_scaling_groups()["AutoScalingGroups"]
        assert group["Instances"] == []
        assert fleet.account.auto_scaling.members_of(GROUP) == []
        assert ways(fleet) == [(warm, "EC2", "WarmPool")]

    def test_continue_stops_it_in_the_pool(self, fleet: Fleet) -> None:
        fleet.put_hook(HeartbeatTimeout=LONG)
        (warm,) = put_pool(fleet, 1)
        fleet.complete("CONTINUE", InstanceId=warm)
        assert fleet.states() == {warm: "Warmed:Stopped"}
        assert fleet.ec2_state(warm) == "stopped"
        assert [one["state"] for one in fleet.details("aws.ec2")] == [
            *("pending", "running", "stopping", "stopped"),
        ]

    def test_pool_may_keep_it_running(self, fleet: Fleet) -> None:
        (warm,) = put_pool(fleet, 1, PoolState="Running")
        assert fleet.states() == {warm: "Warmed:Running"}
        assert fleet.ec2_state(warm) == "running"

    def test_abandoned_instance_is_replaced_in_the_pool(self, fleet: Fleet) -> None:
        fleet.put_hook(HeartbeatTimeout=LONG)
        (warm,) = put_pool(fleet, 1)
        fleet.complete("ABANDON", InstanceId=warm)
        ((new, state),) = fleet.states().items()
        assert (new != warm, state) == (True, WARM_WAITING)

    def test_pool_without_sizes_prepares_up_to_the_group_s_maximum(self, fleet: Fleet) -> None:
        fleet.client.update_auto_scaling_group(AutoScalingGroupName=GROUP, MaxSize=3)
        fleet.launch()
        fleet.client.put_warm_pool(AutoScalingGroupName=GROUP)
        assert len(pool(fleet)["Instances"]) == 2


class TestLeave:
    def test_scaling_out_takes_it_from_the_pool_and_it_waits_again(self, fleet: Fleet) -> None:
        fleet.put_hook(HeartbeatTimeout=LONG)
        (warm,) = put_pool(fleet, 1)
        fleet.complete("CONTINUE", InstanceId=warm)
        new = fleet.scale_to(1)
        assert fleet.account.auto_scaling.state_of(warm) == WAITING
        assert fleet.ec2_state(warm) == "running"
        # The pool is filled again.
        assert [fleet.states()[one] for one in new] == [WARM_WAITING]
        assert ways(fleet)[-1] == (warm, "WarmPool", "AutoScalingGroup")
        fleet.complete("CONTINUE", InstanceId=warm)
        assert fleet.states()[warm] == IN_SERVICE

    def test_instance_that_is_not_ready_stays_in_the_pool(self, fleet: Fleet) -> None:
        fleet.put_hook(HeartbeatTimeout=LONG)
        (warm,) = put_pool(fleet, 1)
        (new,) = fleet.scale_to(1)
        assert fleet.states() == {warm: WARM_WAITING, new: WAITING}

    def test_scaling_in_leaves_the_pool_alone(self, fleet: Fleet) -> None:
        (warm,) = put_pool(fleet, 1, PoolState="Running")
        fleet.scale_to(2)
        fleet.scale_to(0)
        assert len(pool(fleet)["Instances"]) == 1
        assert warm not in fleet.states()

    @pytest.mark.parametrize("what", ["pool", "group"])
    def test_deleted_pool_or_group_ends_its_instances(self, fleet: Fleet, what: str) -> None:
        fleet.put_hook(HeartbeatTimeout=LONG)
        (warm,) = put_pool(fleet, 1)
        if what == "pool":
            fleet.client.delete_warm_pool(AutoScalingGroupName=GROUP, ForceDelete=True)
        else:
            fleet.client.delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
        assert fleet.ec2_state(warm) == "terminated"
        assert fleet.states() == {}
