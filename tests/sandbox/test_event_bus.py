"""The bus of an account: who gets which event, and the patterns of rules."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pulley.sandbox.event_bus import Event, EventBus, matches

pytestmark = pytest.mark.timeout(30)

# The shape of the pattern for launches: each kind of event lacks a field of the other.
LAUNCHES = {
    "source": ["aws.autoscaling", "aws.ec2"],
    "detail-type": [
        "EC2 Instance-launch Lifecycle Action",
        "EC2 Instance State-change Notification",
    ],
    "detail": {
        "LifecycleHookName": ["pulley-dev", {"exists": False}],
        "state": ["running", {"exists": False}],
    },
}
ACTION, STATE = LAUNCHES["detail-type"]


@pytest.fixture
def bus() -> Iterator[EventBus]:
    opened = EventBus(account="123456789012", region="eu-west-1")
    yield opened
    opened.close()


def event(
    source: str = "aws.ssm",
    kind: str = "EC2 Command Status-change Notification",
    **detail: object,
) -> dict[str, object]:
    return {"source": source, "detail-type": kind, "detail": detail, "region": "eu-west-1"}


class TestPublish:
    def test_event_has_the_fields_of_eventbridge(self, bus: EventBus) -> None:
        events: list[Event] = []
        bus.subscribe(events.append, {})
        at = datetime(2026, 11, 21, 8, 7, 6, 999, tzinfo=UTC)
        bus.publish("aws.ec2", "Some Notification", {"state": "running"}, resources=["arn"], at=at)
        bus.wait_until_delivered()
        (published,) = events
        assert published.pop("id")
        assert published == {
            "version": "0",
            "detail-type": "Some Notification",
            "source": "aws.ec2",
            "account": "123456789012",
            "time": "2026-11-21T08:07:06Z",
            "region": "eu-west-1",
            "resources": ["arn"],
            "detail": {"state": "running"},
        }


class TestSubscribe:
    def test_subscriber_gets_what_its_pattern_matches_in_order(self, bus: EventBus) -> None:
        events: list[object] = []
        bus.subscribe(lambda one: events.append(one["detail"]), {"source": ["aws.ec2"]})
        for number in range(3):
            bus.publish("aws.ec2", "Some Notification", {"number": number})
            bus.publish("aws.ssm", "Some Notification", {"number": number})
        bus.wait_until_delivered()
        assert events == [{"number": number} for number in range(3)]

    def test_later_subscriber_does_not_get_an_event_that_is_still_queued(
        self, bus: EventBus
    ) -> None:
        gate = threading.Event()
        bus.subscribe(lambda _: gate.wait(30), {})
        events: list[Event] = []
        bus.publish("aws.ec2", "Some Notification", {})
        bus.publish("aws.ec2", "Some Notification", {})
        bus.subscribe(events.append, {})
        gate.set()
        bus.wait_until_delivered()
        assert events == []


class TestMatches:
    @pytest.mark.parametrize(
        ("pattern", "fits"),
        [
            ({}, True),
            ({"source": ["aws.ssm"]}, True),
            ({"source": ["aws.ec2", "aws.ssm"]}, True),
            ({"source": ["aws.ec2"]}, False),
            ({"detail": {"document-name": ["Pulley-dev"], "do": [{"exists": False}]}}, False),
            ({"detail": {"document-name": [{"prefix": "Pulley-"}]}}, True),
            ({"detail": {"status": ["Success"]}}, False),
            ({"detail": {"status": [{"exists": False}]}}, True),
            ({"detail": {"status": ["Success", {"exists": False}]}}, True),
            ({"detail": {"do": ["Success", {"exists": False}]}}, False),
            ({"detail": {"do": [{"exists": True}]}}, True),
        ],
    )
    def test_rule_matches_as_eventbridge_does(
        self, pattern: dict[str, object], *, fits: bool
    ) -> None:
        given = event(**{"document-name": "Pulley-dev", "do": "greet"})
        assert matches(pattern, given) is fits

    @pytest.mark.parametrize(
        ("given", "fits"),
        [
            (event("aws.autoscaling", ACTION, LifecycleHookName="pulley-dev"), True),
            (event("aws.autoscaling", ACTION, LifecycleHookName="pulley-prod"), False),
            (event("aws.autoscaling", ACTION, LifecycleHookName="somebody-s"), False),
            (event("aws.ec2", STATE, state="running"), True),
            (event("aws.ec2", STATE, state="pending"), False),
            (event("aws.ec2", STATE, state="terminated"), False),
            (event("aws.ssm", STATE, state="running"), False),
            (event("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action"), False),
        ],
    )
    def test_pattern_of_launches_matches_our_hook_and_running_instances(
        self, given: dict[str, object], *, fits: bool
    ) -> None:
        assert matches(LAUNCHES, given) is fits
