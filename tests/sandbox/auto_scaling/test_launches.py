"""Launches with lifecycle hooks: who waits, until when, and what the answers do."""

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
import urllib3
from botocore.exceptions import ClientError

from pulley.sandbox.auto_scaling.service import IN_SERVICE, THROTTLED, WAITING
from tests.processes import HANG_SECONDS
from tests.sandbox.auto_scaling.fleet import GROUP, HOOK, Fleet
from tests.sandbox.signed import session, sign

pytestmark = pytest.mark.timeout(60)

LONG = 7200  # 72 s here: never in a test


@pytest.fixture
def waiting(fleet: Fleet) -> str:
    """An instance that waits for the hook."""
    fleet.put_hook(HeartbeatTimeout=LONG)
    return fleet.launch()


class TestWait:
    def test_group_without_a_hook_puts_an_instance_into_service_at_once(self, fleet: Fleet) -> None:
        instance_id = fleet.launch()
        assert fleet.states() == {instance_id: IN_SERVICE}
        assert fleet.launches() == []

    def test_instance_waits_for_the_hook_in_both_descriptions(
        self, fleet: Fleet, waiting: str
    ) -> None:
        assert fleet.states() == {waiting: WAITING}
        (group,) = fleet.client.describe_auto_scaling_groups()["AutoScalingGroups"]
        (member,) = group["Instances"]
        assert (member["InstanceId"], member["LifecycleState"]) == (waiting, WAITING)
        assert fleet.ec2_state(waiting) == "running"

    def test_waiting_instances_count_as_capacity(self, fleet: Fleet, waiting: str) -> None:
        assert fleet.scale_to(1) == []
        assert len(fleet.scale_to(3)) == 2
        assert len(fleet.states()) == 3
        assert waiting in fleet.states()

    def test_instances_from_before_the_hook_stay_in_service(self, fleet: Fleet) -> None:
        old = fleet.launch()
        fleet.put_hook(HeartbeatTimeout=LONG)
        new = fleet.launch()
        assert fleet.states() == {old: IN_SERVICE, new: WAITING}

    def test_hook_for_terminations_makes_no_launch_wait(self, fleet: Fleet) -> None:
        fleet.put_hook(transition="autoscaling:EC2_INSTANCE_TERMINATING")
        instance_id = fleet.launch()
        assert fleet.states() == {instance_id: IN_SERVICE}

    def test_first_instances_of_a_group_that_is_made_with_a_hook_wait(self, fleet: Fleet) -> None:
        hook = {
            "LifecycleHookName": HOOK,
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
        }
        fleet.make_group("other", size=2, LifecycleHookSpecificationList=[hook])
        assert set(fleet.states().values()) == {WAITING}
        assert [one["AutoScalingGroupName"] for one in fleet.launches()] == ["other"] * 2

    def test_waiting_instance_has_the_group_s_tags(self, fleet: Fleet, waiting: str) -> None:
        answer = fleet.account.ec2.describe_instances(InstanceIds=[waiting])
        tags = answer["Reservations"][0]["Instances"][0]["Tags"]
        found = {one["Key"]: one["Value"] for one in tags}
        assert found["role"] == "web"
        assert found["aws:autoscaling:groupName"] == GROUP

    def test_other_region_has_neither_the_group_nor_events(self, fleet: Fleet) -> None:
        elsewhere = session(fleet.account, "us-east-2").client(
            "autoscaling", endpoint_url=fleet.account.endpoint_url
        )
        assert elsewhere.describe_auto_scaling_groups()["AutoScalingGroups"] == []
        elsewhere.create_launch_configuration(
            LaunchConfigurationName="web", ImageId="ami-00000000", InstanceType="t3.micro"
        )
        elsewhere.create_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            MinSize=1,
            MaxSize=1,
            LaunchConfigurationName="web",
            AvailabilityZones=["us-east-2a"],
        )
        assert fleet.states() == {}
        assert fleet.details("aws.ec2") == []


class TestEvent:
    def test_event_has_the_fields_of_the_documentation(self, fleet: Fleet) -> None:
        fleet.put_hook(NotificationMetadata="more & <more>")
        instance_id = fleet.launch()
        fleet.account.wait_until_told()
        (event,) = (one for one in fleet.events if one["source"] == "aws.autoscaling")
        (group,) = fleet.client.describe_auto_scaling_groups()["AutoScalingGroups"]
        detail = dict(fleet.launches()[0])
        assert event["detail-type"] == "EC2 Instance-launch Lifecycle Action"
        assert event["resources"] == [group["AutoScalingGroupARN"]]
        assert len(detail.pop("LifecycleActionToken")) == 36
        assert detail == {
            "AutoScalingGroupName": GROUP,
            "LifecycleHookName": HOOK,
            "EC2InstanceId": instance_id,
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
            "NotificationMetadata": "more & <more>",
            "Origin": "EC2",
            "Destination": "AutoScalingGroup",
        }

    def test_hook_without_metadata_sends_none(self, fleet: Fleet, waiting: str) -> None:
        (detail,) = fleet.launches()
        assert detail["EC2InstanceId"] == waiting
        assert "NotificationMetadata" not in detail

    def test_ten_instances_at_once_have_an_event_each(self, fleet: Fleet) -> None:
        fleet.put_hook(HeartbeatTimeout=LONG)
        new = fleet.scale_to(10)
        assert [one["EC2InstanceId"] for one in fleet.launches()] == new
        assert len({one["LifecycleActionToken"] for one in fleet.launches()}) == 10


class TestComplete:
    def test_continue_puts_the_instance_into_service(self, fleet: Fleet, waiting: str) -> None:
        other = fleet.launch()
        fleet.complete("CONTINUE", InstanceId=waiting)
        assert fleet.states() == {waiting: IN_SERVICE, other: WAITING}

    def test_action_may_be_named_by_its_token(self, fleet: Fleet, waiting: str) -> None:
        fleet.complete("CONTINUE", LifecycleActionToken=fleet.launches()[0]["LifecycleActionToken"])
        assert fleet.states() == {waiting: IN_SERVICE}

    def test_abandoned_instance_is_terminated_and_replaced(
        self, fleet: Fleet, waiting: str
    ) -> None:
        served = fleet.launch()
        fleet.complete("CONTINUE", InstanceId=served)
        fleet.complete("ABANDON", InstanceId=waiting)
        assert fleet.ec2_state(waiting) == "terminated"
        new = fleet.wait_for_replacement(waiting)
        assert fleet.states() == {served: IN_SERVICE, new: WAITING}
        assert [one["EC2InstanceId"] for one in fleet.launches()] == [waiting, served, new]

    def test_abandoned_instance_is_not_replaced_while_launch_is_suspended(
        self, fleet: Fleet, waiting: str
    ) -> None:
        process = {"AutoScalingGroupName": GROUP, "ScalingProcesses": ["Launch"]}
        fleet.client.suspend_processes(**process)  # type: ignore[arg-type]
        fleet.complete("ABANDON", InstanceId=waiting)
        assert fleet.states() == {}
        fleet.client.resume_processes(**process)  # type: ignore[arg-type]
        assert list(fleet.states().values()) == [WAITING]

    @pytest.mark.parametrize(
        "call", [Fleet.beat, lambda *a, **k: Fleet.complete(a[0], "CONTINUE", **k)]
    )
    def test_action_that_nobody_waits_for_is_refused_in_aws_s_words(
        self, fleet: Fleet, waiting: str, call: Callable[..., None]
    ) -> None:
        token = fleet.launches()[0]["LifecycleActionToken"]
        fleet.complete("CONTINUE", InstanceId=waiting)
        for which, words in [
            ({"InstanceId": waiting}, f"instance ID {waiting}"),
            ({"InstanceId": "i-0123456789abcdef0"}, "instance ID i-0123456789abcdef0"),
            ({"LifecycleActionToken": token}, f"token {token}"),
        ]:
            with pytest.raises(ClientError) as caught:
                call(fleet, **which)
            assert caught.value.response["Error"]["Code"] == "ValidationError"
            message = caught.value.response["Error"]["Message"]
            assert message == f"No active Lifecycle Action found with {words}"

    def test_result_group_and_action_are_checked(self, fleet: Fleet, waiting: str) -> None:
        with pytest.raises(ClientError, match=r"ValidationError.*CONTINUE or ABANDON"):
            fleet.complete("MAYBE", InstanceId=waiting)
        with pytest.raises(ClientError, match=r"ValidationError.*must be given"):
            fleet.complete("CONTINUE")
        with pytest.raises(ClientError, match=r"ValidationError.*No active Lifecycle Action"):
            fleet.complete("CONTINUE", hook="other", InstanceId=waiting)
        with pytest.raises(ClientError, match=r"ValidationError.*'gone' not found"):
            fleet.client.complete_lifecycle_action(
                AutoScalingGroupName="gone",
                LifecycleHookName=HOOK,
                LifecycleActionResult="CONTINUE",
                InstanceId=waiting,
            )
        assert fleet.states() == {waiting: WAITING}


class TestTimeOut:
    def test_default_result_continue_puts_it_into_service(self, fleet: Fleet) -> None:
        fleet.put_hook(HeartbeatTimeout=30, DefaultResult="CONTINUE")
        instance_id = fleet.launch()
        fleet.wait_for(instance_id, IN_SERVICE)
        assert fleet.states() == {instance_id: IN_SERVICE}

    def test_default_result_abandon_replaces_it(self, fleet: Fleet) -> None:
        fleet.put_hook(HeartbeatTimeout=30)
        instance_id = fleet.launch()
        fleet.wait_for(instance_id, "")
        assert fleet.ec2_state(instance_id) == "terminated"
        assert len(fleet.launches()) >= 2

    def test_heartbeat_restarts_the_time_out(self, fleet: Fleet, waiting: str) -> None:
        (action,) = fleet.account.auto_scaling._actions.of(waiting)
        before = action.deadline
        fleet.beat(InstanceId=waiting)
        first = action.deadline
        fleet.beat(LifecycleActionToken=action.token)
        assert before < first < action.deadline < action.end
        assert fleet.states() == {waiting: WAITING}


class TestSeveralHooks:
    @pytest.fixture
    def both(self, fleet: Fleet) -> str:
        for name in (HOOK, "other"):
            fleet.put_hook(name, HeartbeatTimeout=LONG)
        return fleet.launch()

    def test_it_goes_into_service_after_the_last(self, fleet: Fleet, both: str) -> None:
        assert [one["LifecycleHookName"] for one in fleet.launches()] == [HOOK, "other"]
        fleet.complete("CONTINUE", InstanceId=both)
        assert fleet.states() == {both: WAITING}
        fleet.complete("CONTINUE", hook="other", InstanceId=both)
        assert fleet.states() == {both: IN_SERVICE}

    def test_one_abandon_ends_it(self, fleet: Fleet, both: str) -> None:
        fleet.complete("ABANDON", hook="other", InstanceId=both)
        assert both not in fleet.states()
        with pytest.raises(ClientError, match="No active Lifecycle Action"):
            fleet.complete("CONTINUE", InstanceId=both)
        assert list(fleet.states().values()) == [WAITING]

    def test_deleted_hook_abandons_those_that_wait_for_it(self, fleet: Fleet, both: str) -> None:
        fleet.client.delete_lifecycle_hook(AutoScalingGroupName=GROUP, LifecycleHookName="other")
        fleet.wait_for_replacement(both)
        assert [one["LifecycleHookName"] for one in fleet.launches()][2:] == [HOOK]


class TestGone:
    def test_terminated_instance_waits_no_more_and_is_replaced(
        self, fleet: Fleet, waiting: str
    ) -> None:
        fleet.account.ec2.terminate_instances(InstanceIds=[waiting])
        new = fleet.wait_for_replacement(waiting)
        with pytest.raises(ClientError, match=f"No active Lifecycle Action .* {waiting}"):
            fleet.complete("CONTINUE", InstanceId=waiting)
        fleet.complete("CONTINUE", InstanceId=new)
        assert fleet.states() == {new: IN_SERVICE}

    def test_scaled_in_instance_waits_no_more(self, fleet: Fleet, waiting: str) -> None:
        fleet.scale_to(0)
        assert fleet.states() == {}
        with pytest.raises(ClientError, match="No active Lifecycle Action"):
            fleet.beat(InstanceId=waiting)

    def test_deleted_group_has_no_hooks_when_it_comes_back(
        self, fleet: Fleet, waiting: str
    ) -> None:
        fleet.client.delete_auto_scaling_group(AutoScalingGroupName=GROUP, ForceDelete=True)
        assert fleet.account.auto_scaling.state_of(waiting) == ""
        fleet.make_group(size=1)
        assert list(fleet.states().values()) == [IN_SERVICE]


class TestTargetGroup:
    def test_waiting_instance_is_registered_only_when_it_is_in_service(self, fleet: Fleet) -> None:
        balancing = fleet.account.client("elbv2")
        vpc = fleet.account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        made = balancing.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=vpc)
        arn = made["TargetGroups"][0]["TargetGroupArn"]
        fleet.client.attach_load_balancer_target_groups(
            AutoScalingGroupName=GROUP, TargetGroupARNs=[arn]
        )
        fleet.put_hook(HeartbeatTimeout=LONG)

        def registered() -> set[str]:
            health = balancing.describe_target_health(TargetGroupArn=arn)
            return {one["Target"]["Id"] for one in health["TargetHealthDescriptions"]}

        first, second = fleet.scale_to(2)
        assert registered() == set()
        fleet.complete("CONTINUE", InstanceId=first)
        assert registered() == {first}
        fleet.complete("CONTINUE", InstanceId=second)
        assert registered() == {first, second}


class TestStates:
    def test_plain_instance_that_starts_stops_and_ends_has_an_event_for_each_state(
        self, fleet: Fleet
    ) -> None:
        ec2 = fleet.account.ec2
        answer = ec2.run_instances(ImageId="ami-00000000", MinCount=1, MaxCount=1)
        instance_id = answer["Instances"][0]["InstanceId"]
        ec2.stop_instances(InstanceIds=[instance_id])
        ec2.start_instances(InstanceIds=[instance_id])
        ec2.reboot_instances(InstanceIds=[instance_id])
        ec2.terminate_instances(InstanceIds=[instance_id])
        states = [(one["instance-id"], one["state"]) for one in fleet.details("aws.ec2")]
        assert states == [
            (instance_id, state)
            for state in (
                *("pending", "running", "stopping", "stopped", "pending", "running"),
                *("shutting-down", "terminated"),
            )
        ]

    def test_event_of_a_state_has_the_fields_of_the_documentation(self, fleet: Fleet) -> None:
        instance_id = fleet.launch()
        fleet.account.wait_until_told()
        event = fleet.events[-1]
        arn = f"arn:aws:ec2:eu-west-1:{fleet.account.id}:instance/{instance_id}"
        assert event["detail-type"] == "EC2 Instance State-change Notification"
        assert (event["source"], event["resources"]) == ("aws.ec2", [arn])
        assert event["detail"] == {"instance-id": instance_id, "state": "running"}

    def test_read_or_failed_call_sends_no_event(self, fleet: Fleet) -> None:
        fleet.account.ec2.describe_instances()
        with pytest.raises(ClientError, match="InvalidInstanceID"):
            fleet.account.ec2.terminate_instances(InstanceIds=["i-0123456789abcdef0"])
        assert fleet.details("aws.ec2") == []


class TestFault:
    def test_refused_action_is_an_error_of_aws(self, fleet: Fleet, waiting: str) -> None:
        action = "CompleteLifecycleAction"
        fleet.account.auto_scaling.fault = lambda one: THROTTLED if one == action else None
        with pytest.raises(ClientError, match=r"\(Throttling\).*Rate exceeded"):
            fleet.complete("CONTINUE", InstanceId=waiting)
        fleet.account.auto_scaling.fault = lambda _: None
        fleet.complete("CONTINUE", InstanceId=waiting)

    def test_unknown_action_and_a_number_that_is_none_are_refused(self, fleet: Fleet) -> None:
        for fields, code in [
            ({"Action": "MakeCoffee"}, "InvalidAction"),
            (
                {
                    "Action": "PutLifecycleHook",
                    "AutoScalingGroupName": GROUP,
                    "LifecycleHookName": HOOK,
                    "HeartbeatTimeout": "soon",
                },
                "ValidationError",
            ),
        ]:
            body = urlencode(fields)
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = urllib3.request(
                "POST",
                fleet.account.endpoint_url,
                body=body,
                headers=sign(fleet.account, "autoscaling", body, form),
                retries=False,
            )
            assert (answer.status, code in answer.data.decode()) == (400, True)

    def test_calls_are_kept_with_their_fields(self, fleet: Fleet, waiting: str) -> None:
        fleet.beat(InstanceId=waiting)
        call = fleet.account.auto_scaling.calls[-1]
        assert call.action == "RecordLifecycleActionHeartbeat"
        assert call.fields["InstanceId"] == waiting

    def test_exception_in_the_emulation_is_a_500_and_is_logged(
        self, fleet: Fleet, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_action: str) -> None:
            raise RuntimeError("planned")

        fleet.account.auto_scaling.fault = fail
        with pytest.raises(ClientError, match="InternalFailure"):
            fleet.states()
        assert "planned" in caplog.text


class TestWaitFor:
    def test_wait_for_raises_after_its_time_out(self, fleet: Fleet, waiting: str) -> None:
        with pytest.raises(TimeoutError, match=WAITING):
            fleet.account.auto_scaling.wait_for(waiting, IN_SERVICE, timeout=0.1)
        fleet.account.auto_scaling.wait_for(waiting, WAITING, timeout=HANG_SECONDS)
