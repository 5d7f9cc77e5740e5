"""Launches: which events count, and what Auto Scaling is answered for an instance."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.core.attempts import FailedAttempt
from chalicelib.core.holds import Hold
from chalicelib.core.hosts import Host
from chalicelib.core.launches import (
    LAUNCH_ACTION,
    STATE_CHANGE,
    Launch,
    LaunchAnswer,
    NotLaunched,
    answer_launch,
    hook_name,
    parse_launch,
)
from chalicelib.core.plan import NOTHING, PARKED, SEND, WAIT, HostPlan, TargetPlan
from chalicelib.core.refs import CommitSha, InstanceId
from chalicelib.core.targets import parse_target
from chalicelib.core.wanted import Wanted
from tests.fakes import COMMIT, target_json

ID = InstanceId("i-0123456789abcdef0")
NOW = datetime(2030, 1, 1, 8, tzinfo=UTC)
WANTED = Wanted(CommitSha(COMMIT), "rebase", "it is the branch's tip")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def held(**changes: object) -> dict[str, Any]:
    """The event of a lifecycle action, as the user guide of Auto Scaling shows it."""
    return {
        "version": "0",
        "id": "12345678-1234-1234-1234-123456789012",
        "detail-type": "EC2 Instance-launch Lifecycle Action",
        "source": "aws.autoscaling",
        "account": "123456789012",
        "time": "2030-01-01T08:00:00Z",
        "region": "eu-west-1",
        "resources": ["auto-scaling-group-arn"],
        "detail": {
            "LifecycleActionToken": "87654321-4321-4321-4321-210987654321",
            "AutoScalingGroupName": "web",
            "LifecycleHookName": "pulley-prod",
            "EC2InstanceId": str(ID),
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
            "NotificationMetadata": "",
            "Origin": "EC2",
            "Destination": "AutoScalingGroup",
        }
        | changes,
    }


def started(**changes: object) -> dict[str, Any]:
    """The event of an instance that started, as the user guide of EC2 shows it."""
    detail = {"instance-id": str(ID), "state": "running"} | changes
    return {"source": "aws.ec2", "detail-type": STATE_CHANGE, "detail": detail}


class TestParseLaunch:
    def test_lifecycle_action_names_instance_and_group(self) -> None:
        assert parse_launch(held(), "prod") == Launch(ID, "web")

    def test_instance_that_starts_has_no_group(self) -> None:
        assert parse_launch(started(), "prod") == Launch(ID)

    @pytest.mark.parametrize(
        ("event", "reason"),
        [
            (held(LifecycleHookName="others"), "'others' is not ours"),
            (held(LifecycleHookName="pulley-dev"), "'pulley-dev' is not ours"),
            (held(LifecycleHookName=["pulley-prod"]), "the lifecycle hook"),
            (held(AutoScalingGroupName=""), "no Auto Scaling group"),
            (held(AutoScalingGroupName=None), "no Auto Scaling group"),
            (held(EC2InstanceId="web-1"), "no instance but 'web-1'"),
            (held(EC2InstanceId=None), "no instance but"),
            (held() | {"detail": None}, "not a launch"),
            (held() | {"source": "aws.ec2"}, "not a launch"),
            (started() | {"source": "aws.autoscaling"}, "not a launch"),
            (started(state="stopped"), "the instance is 'stopped'"),
            (started(**{"instance-id": 7}), "no instance but"),
            (None, "not a launch but"),
        ],
    )
    def test_other_event_is_ignored_with_a_reason(self, event: object, reason: str) -> None:
        found = parse_launch(event, "prod")
        assert isinstance(found, NotLaunched)
        assert reason in found.reason

    @given(ANYTHING)
    def test_event_of_any_shape_is_ignored(self, event: object) -> None:
        assert isinstance(parse_launch(event, "prod"), NotLaunched)
        assert isinstance(parse_launch(held() | {"detail": event}, "prod"), NotLaunched)
        assert isinstance(parse_launch(started() | {"detail": event}, "prod"), NotLaunched)

    def test_pattern_of_the_rule_has_the_same_names(self) -> None:
        pattern: Any = wiring.launch_events("prod")
        assert pattern["detail-type"] == [LAUNCH_ACTION, STATE_CHANGE]
        assert pattern["detail"]["LifecycleHookName"][0] == hook_name("prod")


def plans(
    action: str = WAIT,
    target: str = "web",
    *,
    held: str = "",
    launch: str = "abandon",
    **of: Any,  # noqa: ANN401
) -> tuple[TargetPlan, HostPlan]:
    """A target's plan, and that of its host. `wanted` None: the target wants nothing."""
    wanted = of.pop("wanted", WANTED)
    one = parse_target(target, target_json(target, launch=launch))
    hold = Hold(CommitSha(COMMIT), "stopped", 1) if held else None
    host = HostPlan(Host(ID, "web-1"), "", action, of.pop("reason", "why"), wanted=wanted, **of)
    if held:
        host = replace(host, wanted=None)
    return TargetPlan(one, wanted, held, (host,), hold), host


def failed(**changes: Any) -> FailedAttempt:  # noqa: ANN401
    return replace(FailedAttempt(1, "step failed: restart", NOW), **changes)


THERE = plans(NOTHING, is_there=True)
STEP_FAILED = plans(failed=failed())


class TestAnswerLaunch:
    @pytest.mark.parametrize(
        ("known", "result", "reason"),
        [
            ([THERE], "CONTINUE", "it has what its targets want"),
            ([], "CONTINUE", "no target has it"),
            # Nothing is known of what it should have: that is no reason to serve.
            ([plans(wanted=None, reason="frozen")], "", "web: frozen"),
            ([THERE, plans(target="api", wanted=None, reason="no commit is known")], "", "api: no"),
            # A command is under way on it, though it was seen at the commit.
            ([plans(is_there=True, is_busy=True, reason="a command")], "", "web: a command"),
            ([plans(SEND, is_there=True, reason="last seen")], "", "web: last seen"),
            ([plans(SEND, reason="nothing is known of it")], "", "web: nothing is known of it"),
            ([plans(reason="it is offline")], "", "web: it is offline"),
            ([THERE, plans(SEND, "api")], "", "api: why"),
            ([STEP_FAILED], "ABANDON", "web: step failed: restart"),
            ([plans(PARKED, failed=failed(attempts=5))], "ABANDON", "web: step failed: restart"),
            # Another attempt, or another commit, is on its way.
            ([plans(SEND, failed=failed())], "", "web: why"),
            # GitHub is away, or user data still runs: that may pass before the hook's time is over.
            ([plans(failed=failed(touched_nothing=True))], "", "web: why"),
            ([plans(held="the roll-out was stopped")], "ABANDON", "web: the roll-out was stopped"),
            ([THERE, plans(target="api", failed=failed())], "ABANDON", "api: step failed: restart"),
            ([plans(SEND, "api"), STEP_FAILED], "ABANDON", "web: step failed: restart"),
        ],
    )
    def test_answer_follows_from_the_plans_of_all_targets(
        self, known: list[tuple[TargetPlan, HostPlan]], result: str, reason: str
    ) -> None:
        answer = answer_launch(known)
        assert answer.result == result
        assert answer.reason.startswith(reason)
        assert answer.has_failed == (result == "ABANDON")

    @pytest.mark.parametrize(
        ("known", "is_under_way"),
        [
            (plans(SEND), True),
            (plans(is_busy=True), True),
            (plans(reason="it is offline"), False),
            # Runs that touch nothing, again and again, must not keep it for ever.
            (plans(SEND, failed=failed(touched_nothing=True)), False),
            (plans(failed=failed(touched_nothing=True)), False),
        ],
    )
    def test_command_under_way_needs_time(
        self, known: tuple[TargetPlan, HostPlan], *, is_under_way: bool
    ) -> None:
        answer = answer_launch([known])
        assert (answer.result, answer.is_under_way) == ("", is_under_way)

    def test_target_may_say_that_a_failed_instance_serves_all_the_same(self) -> None:
        lenient = plans(launch="continue", failed=failed())
        said = "web: step failed: restart"
        assert answer_launch([lenient]) == LaunchAnswer("CONTINUE", said, has_failed=True)
        assert answer_launch([lenient, plans(SEND, "api")]).result == ""
        assert answer_launch([lenient, plans(target="api", failed=failed())]).result == "ABANDON"
