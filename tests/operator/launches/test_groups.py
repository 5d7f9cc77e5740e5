"""The groups that launch hosts of a target, in moto's Auto Scaling."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.core.errors import UnavailableError
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.targets import Target, parse_target
from pulley.operator.doctor.launches import check_launches
from pulley.operator.doctor.row import PASS, WARN
from pulley.operator.launches.groups import LAUNCHING, WAIT_SECONDS, Groups
from tests.fakes import STAGE, target_json

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

ROLE = {"role": "web"}
WEB = parse_target("web", target_json(instances={"tags": ROLE}))
NOBODY = Fleet([], STAGE)


class World:
    def __init__(self) -> None:
        session = boto3.Session("testing", "testing", region_name="eu-west-1")
        self.client: AutoScalingClient = session.client("autoscaling")
        ec2 = session.client("ec2")
        self.client.create_launch_configuration(
            LaunchConfigurationName="plain", ImageId="ami-00000000", InstanceType="t3.micro"
        )
        (zone, *_) = ec2.describe_availability_zones()["AvailabilityZones"]
        self._zone = zone["ZoneName"]
        self.groups = Groups(self.client, STAGE)

    def add(self, name: str, tags: Mapping[str, str], *, passed_on: bool = True) -> None:
        self.client.create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchConfigurationName="plain",
            MinSize=0,
            MaxSize=3,
            AvailabilityZones=[self._zone],
            Tags=[
                {
                    "ResourceId": name,
                    "ResourceType": "auto-scaling-group",
                    "Key": key,
                    "Value": value,
                    "PropagateAtLaunch": passed_on,
                }
                for key, value in tags.items()
            ],
        )

    def put_hook(self, name: str = f"pulley-{STAGE}", **changes: Any) -> None:  # noqa: ANN401
        settings: Any = {
            "LifecycleTransition": LAUNCHING,
            "HeartbeatTimeout": WAIT_SECONDS,
            "DefaultResult": "ABANDON",
        }
        self.client.put_lifecycle_hook(
            AutoScalingGroupName="web", LifecycleHookName=name, **settings | changes
        )

    def hooks(self) -> Sequence[Mapping[str, Any]]:
        answer = self.client.describe_lifecycle_hooks(AutoScalingGroupName="web")
        return answer["LifecycleHooks"]

    def names(self, target: Target = WEB, fleet: Fleet = NOBODY) -> list[str]:
        return [one.name for one in self.groups.of(target, fleet)]

    def missing(self) -> str:
        (group,) = self.groups.of(WEB, NOBODY)
        return "; ".join(group.missing(STAGE))


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


class TestOf:
    def test_group_whose_instances_get_the_target_s_tags_launches_its_hosts(
        self, world: World
    ) -> None:
        world.add("web", ROLE)
        world.add("api", {"role": "api"})
        world.add("silent", ROLE, passed_on=False)
        world.add("other-stage", ROLE | {"pulley": "other"})
        assert world.names() == ["web"]

    def test_group_of_a_host_counts_whatever_its_tags_are(self, world: World) -> None:
        world.add("by-template", {})
        tags = {"pulley": STAGE, **ROLE, "aws:autoscaling:groupName": "by-template"}
        assert world.names(fleet=Fleet([Host("i-00000001", "web-1", tags)], STAGE)) == [
            "by-template"
        ]

    def test_target_by_ids_has_only_the_groups_of_its_hosts(self, world: World) -> None:
        world.add("web", ROLE)
        by_ids = parse_target("web", target_json(instances={"ids": ["i-00000001"]}))
        assert world.names(by_ids) == []

    def test_many_groups_are_read_page_by_page(self, world: World) -> None:
        for number in range(120):
            world.add(f"web-{number:03}", ROLE)
        assert len(world.names()) == 120


class TestPrepare:
    def test_group_gets_the_tag_and_the_hook_and_lacks_nothing(self, world: World) -> None:
        world.add("web", ROLE)
        assert "the tag pulley = dev" in world.missing()
        assert "the lifecycle hook pulley-dev" in world.missing()
        (group,) = world.groups.of(WEB, NOBODY)
        world.groups.prepare(group)
        assert world.missing() == ""
        (stored,) = world.client.describe_auto_scaling_groups()["AutoScalingGroups"]
        tags = {one["Key"]: one["PropagateAtLaunch"] for one in stored["Tags"]}
        assert tags["pulley"] is True
        (hook,) = world.client.describe_lifecycle_hooks(AutoScalingGroupName="web")[
            "LifecycleHooks"
        ]
        assert (hook["DefaultResult"], hook["HeartbeatTimeout"]) == ("ABANDON", WAIT_SECONDS)

    def test_hook_of_somebody_else_is_left_alone(self, world: World) -> None:
        world.add("web", ROLE | {"pulley": STAGE})
        world.put_hook("others", DefaultResult="CONTINUE")
        (group,) = world.groups.of(WEB, NOBODY)
        world.groups.prepare(group)
        assert {one["LifecycleHookName"]: one["DefaultResult"] for one in world.hooks()} == {
            "others": "CONTINUE",
            "pulley-dev": "ABANDON",
        }

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"DefaultResult": "CONTINUE"}, "DefaultResult = ABANDON in its hook, not CONTINUE"),
            (
                {"LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"},
                "LifecycleTransition = autoscaling:EC2_INSTANCE_LAUNCHING in its hook",
            ),
            ({"HeartbeatTimeout": 60}, "a HeartbeatTimeout of at least 1800 s"),
        ],
    )
    def test_hook_with_other_settings_is_changed(
        self, world: World, changes: dict[str, Any], words: str
    ) -> None:
        world.add("web", ROLE | {"pulley": STAGE})
        world.put_hook(**changes)
        assert words in world.missing()
        (group,) = world.groups.of(WEB, NOBODY)
        world.groups.prepare(group)
        assert world.missing() == ""

    def test_longer_time_is_kept_whatever_else_is_changed(self, world: World) -> None:
        world.add("web", ROLE)
        world.put_hook(HeartbeatTimeout=7200, DefaultResult="CONTINUE")
        (group,) = world.groups.of(WEB, NOBODY)
        world.groups.prepare(group)
        assert world.missing() == ""
        (hook,) = world.hooks()
        assert hook["HeartbeatTimeout"] == 7200

    def test_tag_that_is_not_passed_on_is_passed_on(self, world: World) -> None:
        world.add("web", ROLE)
        world.client.create_or_update_tags(
            Tags=[
                {
                    "ResourceId": "web",
                    "ResourceType": "auto-scaling-group",
                    "Key": "pulley",
                    "Value": STAGE,
                    "PropagateAtLaunch": False,
                }
            ]
        )
        world.put_hook()
        assert world.missing() == "to pass its tag pulley on to its instances"
        (group,) = world.groups.of(WEB, NOBODY)
        world.groups.prepare(group)
        assert world.missing() == ""

    def test_tag_of_a_launch_template_counts_if_a_host_has_it(self, world: World) -> None:
        world.add("web", {"pulley": STAGE}, passed_on=False)
        world.put_hook()
        tags = {"pulley": STAGE, **ROLE, "aws:autoscaling:groupName": "web"}
        fleet = Fleet([Host("i-00000001", "web-1", tags)], STAGE)
        (group,) = world.groups.of(WEB, fleet)
        assert group.missing(STAGE) == []

    def test_group_of_another_stage_is_refused(self, world: World) -> None:
        world.add("web", {"pulley": "other"})
        tags = {"pulley": STAGE, **ROLE, "aws:autoscaling:groupName": "web"}
        fleet = Fleet([Host("i-00000001", "web-1", tags)], STAGE)
        (group,) = world.groups.of(WEB, fleet)
        with pytest.raises(UnavailableError, match=r"web \(stage other\)"):
            world.groups.check([group])


class TestDoctor:
    def test_group_without_a_hook_is_a_warning_and_one_with_it_passes(self, world: World) -> None:
        world.add("web", ROLE)
        twice = [WEB, parse_target("again", target_json("again", instances={"tags": ROLE}))]
        (row,) = check_launches(world.groups, twice, NOBODY)
        assert (row.outcome, row.what) == (WARN, "Auto Scaling group web")
        assert "a new host is in service before it has its commit" in row.words
        assert row.mend == "pulley targets launch-hook web"
        (group,) = world.groups.of(WEB, NOBODY)
        world.groups.prepare(group)
        (row,) = check_launches(world.groups, twice, NOBODY)
        assert row.outcome == PASS
