"""The states of targets: by health checks, by the instance, by who uses the group."""

import time

import pytest
from botocore.exceptions import ClientError

from pulley.sandbox.load_balancing.service import DENIED, THROTTLED
from pulley.sandbox.run_command.send_request import ApiError
from tests.processes import HANG_SECONDS
from tests.sandbox.load_balancing.farm import LONG, Farm

NOT_REGISTERED = (
    "unused",
    "Target.NotRegistered",
    "Target is not registered to the target group",
)
NOT_IN_USE = (
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)
IS_DRAINING = (
    "draining",
    "Target.DeregistrationInProgress",
    "Target deregistration is in progress",
)


class TestRegistration:
    def test_registered_target_is_healthy_after_one_check(self, farm: Farm) -> None:
        first, second = farm.sites
        farm.register(first)
        farm.wait_for("healthy", first)
        assert farm.health() == {first: ("healthy", "", "")}
        assert farm.health(first, second) == {first: ("healthy", "", ""), second: NOT_REGISTERED}

    def test_target_is_initial_until_its_first_check_has_passed(self, farm: Farm) -> None:
        first, _ = farm.sites
        farm.sites[first].pause = HANG_SECONDS
        farm.register(first)
        state, reason, words = farm.health()[first]
        assert (state, reason) == ("initial", "Elb.RegistrationInProgress")
        assert words == "Target registration is in progress"
        farm.sites[first].pause = 0
        farm.sites[first].restart(0)
        farm.wait_for("healthy", first)

    def test_target_has_its_port_and_that_of_its_checks(self, farm: Farm) -> None:
        first, second = farm.sites
        port = farm.sites[first].port
        targets = [{"Id": first}, {"Id": second, "Port": 1}]
        farm.client.register_targets(TargetGroupArn=farm.arn, Targets=targets)
        answer = farm.client.describe_target_health(TargetGroupArn=farm.arn)
        shown = [
            (one["Target"], one["HealthCheckPort"]) for one in answer["TargetHealthDescriptions"]
        ]
        assert shown == [
            ({"Id": first, "Port": port}, str(port)),
            ({"Id": second, "Port": 1}, "1"),
        ]
        farm.deregister(second)  # without its port this is another target
        assert farm.balancer.states()[second] != "draining"
        farm.client.deregister_targets(TargetGroupArn=farm.arn, Targets=targets)
        assert set(farm.balancer.states().values()) == {"draining"}

    def test_instance_that_does_not_run_is_an_invalid_target(self, farm: Farm) -> None:
        first, second = farm.sites
        farm.account.ec2.stop_instances(InstanceIds=[second])
        for one in (second, "i-0123456789abcdef0"):
            with pytest.raises(ClientError, match=rf"\(InvalidTarget\).*not in a running.*'{one}'"):
                farm.register(first, one)
        assert farm.health() == {}

    def test_unknown_group_and_an_arn_of_another_region_are_refused(self, farm: Farm) -> None:
        first, _ = farm.sites
        unknown = farm.arn[:-16] + "0123456789abcdef"
        with pytest.raises(ClientError, match=r"\(TargetGroupNotFound\)"):
            farm.register(first, arn=unknown)
        with pytest.raises(ClientError, match=r"\(TargetGroupNotFound\)"):
            farm.health(arn=unknown)
        with pytest.raises(ClientError, match=r"\(ValidationError\).*not a valid target group ARN"):
            farm.health(arn=farm.arn.replace("eu-west-1", "us-east-1"))
        with pytest.raises(ClientError, match=r"\(ValidationError\).*not a valid target group ARN"):
            farm.health(arn="web")

    def test_target_that_is_registered_twice_stays_healthy(self, farm: Farm) -> None:
        first, second = farm.bring_up()
        farm.register(first)
        assert {*farm.balancer.states().values()} == {"healthy"}
        assert [*farm.balancer.states()] == [first, second]


class TestHealth:
    def test_wrong_code_makes_it_unhealthy_and_the_right_one_healthy_again(
        self, farm: Farm
    ) -> None:
        first, second = farm.bring_up()
        (farm.folder / "web-1/health").unlink()
        farm.wait_for("unhealthy", first)
        assert farm.health(first)[first] == (
            "unhealthy",
            "Target.ResponseCodeMismatch",
            "Health checks failed with these codes: [404]",
        )
        assert {farm.get()[2] for _ in range(4)} == {second}
        farm.put("web-1", "health", "ok\n")
        farm.wait_for("healthy", first)

    def test_site_that_is_down_fails_its_checks(self, farm: Farm) -> None:
        first, _ = farm.bring_up()
        farm.sites[first].stop()
        farm.wait_for("unhealthy", first)
        failed = ("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
        assert farm.health(first)[first] == failed
        farm.sites[first].start()
        farm.wait_for("healthy", first)

    def test_site_that_never_was_up_becomes_unhealthy(self, farm: Farm) -> None:
        first, _ = farm.sites
        farm.sites[first].stop()
        farm.register(first)
        farm.wait_for("unhealthy", first)

    def test_codes_may_be_ranges(self, farm: Farm) -> None:
        first, _ = farm.sites
        (farm.folder / "web-1/health").unlink()
        farm.client.modify_target_group(
            TargetGroupArn=farm.arn, Matcher={"HttpCode": "200,400-404"}
        )
        farm.register(first)
        farm.wait_for("healthy", first)

    def test_silent_site_times_out(self, farm: Farm) -> None:
        first, _ = farm.sites
        farm.client.modify_target_group(TargetGroupArn=farm.arn, HealthCheckTimeoutSeconds=2)
        farm.sites[first].pause = HANG_SECONDS
        farm.register(first)
        farm.wait_for("unhealthy", first)
        assert farm.health()[first] == ("unhealthy", "Target.Timeout", "Request timed out")


class TestUnused:
    def test_group_that_no_listener_uses_checks_nothing_and_drains_nothing(
        self, farm: Farm
    ) -> None:
        first, _ = farm.sites
        arn = farm.make_group("spare", farm.sites[first].port)
        farm.register(first, arn=arn)
        assert farm.health(arn=arn) == {first: NOT_IN_USE}
        farm.client.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": first}])
        assert farm.health(arn=arn) == {}
        assert farm.health(first, arn=arn) == {first: NOT_REGISTERED}

    def test_stopped_instance_is_unused_and_comes_back_when_it_runs(self, farm: Farm) -> None:
        first, second = farm.bring_up()
        farm.account.ec2.stop_instances(InstanceIds=[first])
        assert farm.health(first)[first] == (
            "unused",
            "Target.InvalidState",
            "Target is in the stopped state",
        )
        assert {farm.get()[2] for _ in range(4)} == {second}
        farm.account.ec2.start_instances(InstanceIds=[first])
        farm.wait_for("healthy", first)

    def test_terminated_instance_is_deregistered(self, farm: Farm) -> None:
        first, second = farm.bring_up()
        farm.delay(LONG)
        farm.account.ec2.terminate_instances(InstanceIds=[first])
        farm.wait_for("draining", first)
        farm.delay(0)
        farm.account.ec2.terminate_instances(InstanceIds=[second])
        while second in farm.balancer.states():
            time.sleep(0.01)
        assert farm.health() == {first: IS_DRAINING}


class TestDraining:
    def test_target_drains_until_its_delay_is_over_even_without_requests(self, farm: Farm) -> None:
        first, second = farm.bring_up()
        farm.delay(LONG)
        farm.deregister(first)
        assert farm.health() == {first: IS_DRAINING, second: ("healthy", "", "")}
        farm.delay(10)
        farm.deregister(second)
        farm.wait_for("unused", second)
        assert farm.health(second) == {second: NOT_REGISTERED}
        assert farm.health() == {first: IS_DRAINING}

    def test_without_a_delay_it_is_out_at_once(self, farm: Farm) -> None:
        first, _ = farm.bring_up()
        farm.delay(0)
        farm.deregister(first)
        assert farm.health(first) == {first: NOT_REGISTERED}

    def test_draining_target_that_is_registered_again_is_checked_anew(self, farm: Farm) -> None:
        first, _ = farm.bring_up()
        farm.delay(LONG)
        farm.deregister(first)
        assert farm.health(first) == {first: IS_DRAINING}
        farm.register(first)
        farm.wait_for("healthy", first)

    def test_target_that_is_not_registered_is_no_error(self, farm: Farm) -> None:
        farm.deregister(*farm.sites)
        assert farm.health() == {}


class TestFault:
    @pytest.mark.parametrize(
        ("fault", "code"), [(THROTTLED, "Throttling"), (DENIED, "AccessDenied")]
    )
    def test_refused_action_is_an_error_of_aws(
        self, farm: Farm, fault: ApiError, code: str
    ) -> None:
        balancing = farm.account.load_balancing
        balancing.fault = lambda action: fault if action == "DeregisterTargets" else None
        first, _ = farm.bring_up()
        with pytest.raises(ClientError, match=rf"\({code}\)"):
            farm.deregister(first)
        assert farm.health(first) == {first: ("healthy", "", "")}
        balancing.fault = lambda _: None
        farm.deregister(first)
        assert farm.balancer.states()[first] == "draining"

    def test_calls_are_kept_with_their_fields(self, farm: Farm) -> None:
        first, _ = farm.sites
        farm.register(first)
        call = farm.account.load_balancing.calls[-1]
        assert call.action == "RegisterTargets"
        assert call.fields["Targets.member.1.Id"] == first
        assert call.fields["TargetGroupArn"] == farm.arn

    def test_exception_in_the_emulation_is_a_500_and_is_logged(
        self, farm: Farm, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_action: str) -> None:
            raise RuntimeError("planned")

        farm.account.load_balancing.fault = fail
        with pytest.raises(ClientError, match="InternalFailure"):
            farm.health()
        assert "planned" in caplog.text


class TestWaitFor:
    def test_wait_for_raises_after_its_time_out(self, farm: Farm) -> None:
        first, _ = farm.sites
        with pytest.raises(TimeoutError, match="unused"):
            farm.balancer.wait_for(first, "healthy", timeout=0.1)
