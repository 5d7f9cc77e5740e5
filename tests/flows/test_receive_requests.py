"""A `deployment` event wakes the round if a target may wait for it, and sends nothing itself."""

import json
from typing import Any

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.core.webhook import Delivery, SignatureError
from chalicelib.flows.receive import Accepted, Ignored
from tests.fakes import NAMES, SITE, delivery_of, push_json, target_json, targets_text
from tests.flows.test_receive import House

OURS = {"stage": "dev", "target": "web", "delivery": ""}


def event(environment: object = "web", payload: object = "", **changes: object) -> dict[str, Any]:
    """The payload of a `deployment` event."""
    deployment = {"id": 1, "environment": environment, "payload": payload}
    return push_json() | {"action": "created", "deployment": deployment} | changes


def status_event(state: str, *, of_workflow: bool = True) -> dict[str, Any]:
    run = {"id": 5} if of_workflow else None
    return event(deployment_status={"state": state}, workflow_run=run)


@pytest.fixture
def house() -> House:
    """The target web has the trigger, api has not."""
    house = House()
    triggered = target_json("web", trigger="deployment")
    house.parameters.values[NAMES.targets(SITE)] = json.dumps([triggered, target_json("api")])
    return house


def receive(house: House, payload: object, name: str = "deployment") -> str:
    """The answer to an event, which sends nothing."""
    outcome = house.receive(delivery_of(payload, event=name))
    assert isinstance(outcome, Ignored)
    assert house.commands.sent == []
    return outcome.reason


class TestDeployment:
    @pytest.mark.parametrize("environment", ["web", "WEB", "Web"])
    def test_request_in_the_targets_environment_wakes_the_round(
        self, house: House, environment: str
    ) -> None:
        words = "deployment: a round looks whether it opens a gate of web"
        assert receive(house, event(environment)) == words
        assert house.waker.woken == [SITE]

    @pytest.mark.parametrize("payload", ["by hand", {}, None, [1], {"stage": "blue"}])
    def test_payload_of_somebody_else_may_be_anything(self, house: House, payload: object) -> None:
        receive(house, event(payload=payload))
        assert house.waker.woken == [SITE]

    @pytest.mark.parametrize("payload", [OURS, json.dumps(OURS)], ids=["object", "text"])
    def test_deployment_of_pulley_wakes_nothing(self, house: House, payload: object) -> None:
        words = "deployment: nobody asks for a deployment by it"
        assert receive(house, event(payload=payload)) == words
        assert house.waker.woken == []

    @pytest.mark.parametrize("environment", ["api", "staging", "web ", ""])
    def test_environment_of_no_target_with_the_trigger_wakes_nothing(
        self, house: House, environment: str
    ) -> None:
        reason = receive(house, event(environment))
        assert reason == f"deployment: no target waits for a deployment to '{environment}'"
        assert house.waker.woken == []

    def test_malformed_event_wakes_nothing(self, house: House) -> None:
        for payload in (event(None), event() | {"deployment": None}):
            assert receive(house, payload) == "deployment: nobody asks for a deployment by it"
        assert house.waker.woken == []

    def test_event_of_no_repository_wakes_nothing(self, house: House) -> None:
        payload = {name: one for name, one in event().items() if name != "repository"}
        assert receive(house, payload) == "deployment events are not acted on"
        assert house.waker.woken == []

    def test_event_that_is_not_signed_wakes_nothing(self, house: House) -> None:
        forged = delivery_of(event(), event="deployment", secret="another")
        with pytest.raises(SignatureError):
            house.receive(forged)
        assert house.waker.woken == []

    def test_round_that_cannot_be_woken_does_not_fail_the_delivery(self, house: House) -> None:
        house.waker.error = UnavailableError("Lambda throttles")
        receive(house, event())
        assert ("round", "not_woken") in house.journal.lines

    def test_targets_that_are_not_valid_are_an_error(self, house: House) -> None:
        house.parameters.values[NAMES.targets(SITE)] = targets_text({"name": "web"})
        with pytest.raises(UnavailableError):
            house.receive(delivery_of(event(), event="deployment"))


class TestDeploymentStatus:
    @pytest.mark.parametrize("state", ["queued", "in_progress"])
    def test_approval_of_a_workflow_wakes_the_round(self, house: House, state: str) -> None:
        words = "deployment_status: a round looks whether it opens a gate of web"
        assert receive(house, status_event(state), "deployment_status") == words
        assert house.waker.woken == [SITE]

    @pytest.mark.parametrize("state", ["waiting", "success", "inactive"])
    def test_other_states_wake_nothing(self, house: House, state: str) -> None:
        receive(house, status_event(state), "deployment_status")
        assert house.waker.woken == []

    def test_status_that_pulley_posted_wakes_nothing(self, house: House) -> None:
        receive(house, status_event("queued", of_workflow=False), "deployment_status")
        assert house.waker.woken == []


class TestPush:
    def push(self, house: House) -> Ignored | Accepted:
        return house.receive(delivery_of(push_json()))

    def test_push_is_answered_with_what_the_target_waits_for_and_wakes_nothing(
        self, house: House
    ) -> None:
        house.parameters.values[NAMES.targets(SITE)] = targets_text(
            target_json(trigger="deployment", window="Fri 09:00-17:00 UTC")
        )
        outcome = self.push(house)
        assert isinstance(outcome, Ignored)
        assert outcome.reason == (
            "web: it waits for a GitHub deployment of its environment, Fri 09:00-17:00 UTC"
        )
        assert house.waker.woken == []
        assert house.commands.sent == []

    def test_other_targets_of_the_branch_get_the_push(self, house: House) -> None:
        outcome = self.push(house)
        assert isinstance(outcome, Accepted)
        assert [one.target for one in house.commands.sent] == ["api"]
        words = "it waits for a GitHub deployment of its environment"
        assert outcome.skipped == (("web", words),)
        assert house.waker.woken == []

    def test_target_with_another_gate_is_woken_for(self, house: House) -> None:
        house.parameters.values[NAMES.targets(SITE)] = targets_text(
            target_json(trigger="deployment"), target_json("api", after=["web"])
        )
        self.push(house)
        assert house.waker.woken == [SITE]


def test_unsigned_body_of_a_deployment_is_not_read(house: House) -> None:
    with pytest.raises(SignatureError):
        house.receive(Delivery(b"{}", event="deployment"))
