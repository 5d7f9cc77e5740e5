"""Auto Scaling: who waits, and the answer. The emulation in the sandbox has the whole way."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.stub import Stubber

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.core.launches import Launch
from chalicelib.core.refs import InstanceId
from chalicelib.edges.auto_scaling import IDS_A_CALL, HeldLaunch, HeldLaunches
from tests.edges.clients import new_auto_scaling
from tests.fakes import STAGE

ID = InstanceId("i-0123456789abcdef0")
LAUNCH = Launch(ID, "web")
HOOK = {"LifecycleHookName": "pulley-dev", "AutoScalingGroupName": "web", "InstanceId": ID}
NOBODY = "No active Lifecycle Action found with instance ID i-0123456789abcdef0"


@dataclass
class Aws:
    launches: HeldLaunches
    launch: HeldLaunch
    stub: Stubber


@pytest.fixture
def aws() -> Iterator[Aws]:
    client = new_auto_scaling()
    with Stubber(client) as stub:
        yield Aws(HeldLaunches(client, STAGE), HeldLaunch(client), stub)
        stub.assert_no_pending_responses()


def shown(id_: str, state: str) -> dict[str, Any]:
    return {
        "InstanceId": id_,
        "AutoScalingGroupName": "web",
        "AvailabilityZone": "eu-central-1a",
        "LifecycleState": state,
        "HealthStatus": "HEALTHY",
        "ProtectedFromScaleIn": False,
    }


class TestWaiting:
    def test_only_instances_that_are_being_launched_wait(self, aws: Aws) -> None:
        states = ("Pending", "Pending:Wait", "Warmed:Pending:Wait", "Pending:Proceed", "InService")
        ids = [f"i-{number:017x}" for number, _ in enumerate(states)]
        rows = [shown(id_, state) for id_, state in zip(ids, states, strict=True)]
        aws.stub.add_response(
            "describe_auto_scaling_instances", {"AutoScalingInstances": rows}, {"InstanceIds": ids}
        )
        assert aws.launches.waiting(ids) == dict.fromkeys(ids[:3], "web")

    def test_many_are_asked_for_fifty_at_a_time(self, aws: Aws) -> None:
        ids = [f"i-{number:017x}" for number in range(IDS_A_CALL + 1)]
        for part in (ids[:IDS_A_CALL], ids[IDS_A_CALL:]):
            rows = [shown(one, "Pending:Wait") for one in part]
            aws.stub.add_response(
                "describe_auto_scaling_instances",
                {"AutoScalingInstances": rows},
                {"InstanceIds": part},
            )
        assert len(aws.launches.waiting(ids)) == IDS_A_CALL + 1

    def test_refusal_is_an_error(self, aws: Aws) -> None:
        aws.stub.add_client_error("describe_auto_scaling_instances", "AccessDenied")
        with pytest.raises(RefusedError, match="reading which instances are being launched"):
            aws.launches.waiting([ID])


class TestComplete:
    @pytest.mark.parametrize("result", ["CONTINUE", "ABANDON"])
    def test_answer_names_our_hook_the_group_and_the_instance(self, aws: Aws, result: str) -> None:
        wanted = {**HOOK, "LifecycleActionResult": result}
        aws.stub.add_response("complete_lifecycle_action", {}, wanted)
        assert aws.launches.complete(LAUNCH, result)

    def test_action_that_is_gone_is_no_error(self, aws: Aws) -> None:
        aws.stub.add_client_error("complete_lifecycle_action", "ValidationError", NOBODY)
        assert not aws.launches.complete(LAUNCH, "CONTINUE")

    @pytest.mark.parametrize(
        ("code", "kind"), [("AccessDenied", RefusedError), ("Throttling", UnavailableError)]
    )
    def test_other_failure_is_an_error(
        self, aws: Aws, code: str, kind: type[RefusedError | UnavailableError]
    ) -> None:
        aws.stub.add_client_error("complete_lifecycle_action", code)
        with pytest.raises(kind, match="completing a launch"):
            aws.launches.complete(LAUNCH, "CONTINUE")


class TestIsWaiting:
    @pytest.mark.parametrize(
        ("rows", "is_waiting"),
        [
            ([shown(ID, "Pending:Wait")], True),
            ([shown(ID, "Pending")], True),
            ([shown(ID, "InService")], False),
            ([shown(ID, "Terminating:Wait")], False),
            ([], False),
        ],
    )
    def test_state_of_the_instance_decides(
        self, aws: Aws, rows: list[dict[str, Any]], *, is_waiting: bool
    ) -> None:
        wanted = {"InstanceIds": [ID]}
        answer = {"AutoScalingInstances": rows}
        aws.stub.add_response("describe_auto_scaling_instances", answer, wanted)
        assert aws.launch.is_waiting(LAUNCH) == is_waiting


class TestAskForTime:
    def test_time_is_asked_for_our_hook_and_an_action_that_is_gone_is_no_error(
        self, aws: Aws
    ) -> None:
        aws.stub.add_response("record_lifecycle_action_heartbeat", {}, HOOK)
        aws.launches.ask_for_time(LAUNCH)
        aws.stub.add_client_error("record_lifecycle_action_heartbeat", "ValidationError", NOBODY)
        aws.launches.ask_for_time(LAUNCH)

    def test_refusal_is_an_error(self, aws: Aws) -> None:
        aws.stub.add_client_error("record_lifecycle_action_heartbeat", "AccessDenied")
        with pytest.raises(RefusedError, match="asking for time"):
            aws.launches.ask_for_time(LAUNCH)
