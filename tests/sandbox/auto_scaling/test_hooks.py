"""PutLifecycleHook, DescribeLifecycleHooks and DeleteLifecycleHook."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.auto_scaling.fleet import GROUP, HOOK, LAUNCHING, Fleet

pytestmark = pytest.mark.timeout(60)


def hooks(fleet: Fleet, *names: str) -> list[Any]:
    asked: dict[str, Any] = {"LifecycleHookNames": names} if names else {}
    answer = fleet.client.describe_lifecycle_hooks(AutoScalingGroupName=GROUP, **asked)
    return list(answer["LifecycleHooks"])


class TestPut:
    def test_hook_has_the_defaults_of_aws_and_nothing_that_was_not_given(
        self, fleet: Fleet
    ) -> None:
        fleet.put_hook()
        assert hooks(fleet) == [
            {
                "LifecycleHookName": HOOK,
                "AutoScalingGroupName": GROUP,
                "LifecycleTransition": LAUNCHING,
                "HeartbeatTimeout": 3600,
                "GlobalTimeout": 172_800,
                "DefaultResult": "ABANDON",
            }
        ]

    def test_second_put_changes_only_what_it_gives(self, fleet: Fleet) -> None:
        fleet.put_hook(HeartbeatTimeout=60, NotificationMetadata="ours")
        fleet.client.put_lifecycle_hook(
            AutoScalingGroupName=GROUP, LifecycleHookName=HOOK, DefaultResult="CONTINUE"
        )
        (hook,) = hooks(fleet)
        assert hook["LifecycleTransition"] == LAUNCHING
        assert (hook["HeartbeatTimeout"], hook["GlobalTimeout"]) == (60, 6000)
        assert (hook["DefaultResult"], hook["NotificationMetadata"]) == ("CONTINUE", "ours")

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"HeartbeatTimeout": 29}, "30 to 7200"),
            ({"HeartbeatTimeout": 7201}, "30 to 7200"),
            ({"DefaultResult": "MAYBE"}, "CONTINUE or ABANDON"),
            ({"transition": "autoscaling:SOMETHING"}, "LifecycleTransition"),
            ({"name": "a name"}, "pattern"),
            ({"group": "gone"}, "'gone' not found"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, fleet: Fleet, given: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ClientError, match=rf"\(ValidationError\).*{words}"):
            fleet.put_hook(**given)
        assert hooks(fleet) == []

    def test_new_hook_needs_a_transition(self, fleet: Fleet) -> None:
        with pytest.raises(ClientError, match=r"\(ValidationError\).*LifecycleTransition"):
            fleet.client.put_lifecycle_hook(AutoScalingGroupName=GROUP, LifecycleHookName=HOOK)

    def test_group_is_not_made_with_a_hook_that_does_not_fit(self, fleet: Fleet) -> None:
        hook = {
            "LifecycleHookName": HOOK,
            "LifecycleTransition": LAUNCHING,
            "HeartbeatTimeout": 1,
        }
        with pytest.raises(ClientError, match="30 to 7200"):
            fleet.make_group("other", LifecycleHookSpecificationList=[hook])
        groups = fleet.client.describe_auto_scaling_groups()["AutoScalingGroups"]
        assert [one["AutoScalingGroupName"] for one in groups] == [GROUP]


class TestDescribe:
    def test_only_named_hooks_of_the_group_are_listed(self, fleet: Fleet) -> None:
        fleet.make_group("other")
        for name in ("one", "two"):
            fleet.put_hook(name)
        fleet.put_hook("elsewhere", group="other")
        assert [one["LifecycleHookName"] for one in hooks(fleet)] == ["one", "two"]
        assert [one["LifecycleHookName"] for one in hooks(fleet, "two", "three")] == ["two"]

    def test_unknown_group_is_refused(self, fleet: Fleet) -> None:
        with pytest.raises(ClientError, match="'gone' not found"):
            fleet.client.describe_lifecycle_hooks(AutoScalingGroupName="gone")


class TestDelete:
    def test_deleted_hook_is_gone_and_cannot_be_deleted_again(self, fleet: Fleet) -> None:
        fleet.put_hook()
        named = {"AutoScalingGroupName": GROUP, "LifecycleHookName": HOOK}
        fleet.client.delete_lifecycle_hook(**named)
        assert hooks(fleet) == []
        with pytest.raises(ClientError, match=r"\(ValidationError\).*No Lifecycle Hook found"):
            fleet.client.delete_lifecycle_hook(**named)
