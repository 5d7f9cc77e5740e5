"""Which events may have made a request, and in which environment."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.deployment_events import DEPLOYMENT_EVENTS, asked_environment

OURS = {"stage": "dev", "target": "web", "delivery": ""}


def made(payload: object = "", **changes: object) -> dict[str, Any]:
    """The payload of a `deployment` event."""
    deployment = {"id": 1, "environment": "production", "payload": payload} | changes
    return {"action": "created", "deployment": deployment, "workflow_run": None}


def said(state: object, **changes: object) -> dict[str, Any]:
    """The payload of a `deployment_status` event of a workflow."""
    return made() | {"deployment_status": {"state": state}, "workflow_run": {"id": 5}} | changes


class TestDeployment:
    @pytest.mark.parametrize(
        "payload",
        ["", "by hand", '"x"', {}, None, [], 7, {"stage": "blue"}, {"stage": 1, "target": 2}],
    )
    def test_deployment_of_somebody_else_names_its_environment(self, payload: object) -> None:
        assert asked_environment("deployment", made(payload)) == "production"

    @pytest.mark.parametrize("payload", [OURS, json.dumps(OURS), OURS | {"stage": "prod"}])
    def test_deployment_of_pulley_names_none(self, payload: object) -> None:
        assert asked_environment("deployment", made(payload)) is None

    @pytest.mark.parametrize("environment", [None, 7, ["production"], {}])
    def test_environment_that_is_no_text_is_none(self, environment: object) -> None:
        assert asked_environment("deployment", made(environment=environment)) is None

    @pytest.mark.parametrize("payload", [{}, {"deployment": None}, {"deployment": "production"}])
    def test_event_without_a_deployment_names_none(self, payload: dict[str, object]) -> None:
        assert asked_environment("deployment", payload) is None


class TestStatus:
    @pytest.mark.parametrize("state", ["queued", "pending", "in_progress"])
    def test_workflow_that_goes_on_names_the_environment(self, state: str) -> None:
        assert asked_environment("deployment_status", said(state)) == "production"

    @pytest.mark.parametrize(
        "state", ["waiting", "success", "failure", "error", "inactive", "", None, 7, ["queued"]]
    )
    def test_other_states_name_none(self, state: object) -> None:
        assert asked_environment("deployment_status", said(state)) is None

    @pytest.mark.parametrize("run", [None, "x", 5])
    def test_status_that_no_workflow_posted_names_none(self, run: object) -> None:
        found = asked_environment("deployment_status", said("queued", workflow_run=run))
        assert found is None

    @pytest.mark.parametrize("status", [None, "queued", []])
    def test_malformed_status_names_none(self, status: object) -> None:
        payload = said("queued", deployment_status=status)
        assert asked_environment("deployment_status", payload) is None

    def test_status_of_pulleys_own_deployment_names_none(self) -> None:
        own = made(OURS)["deployment"]
        assert asked_environment("deployment_status", said("queued", deployment=own)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


class TestAnyPayload:
    @given(
        event=st.sampled_from(DEPLOYMENT_EVENTS),
        payload=st.fixed_dictionaries(
            {},
            optional={
                "deployment": JSON
                | st.fixed_dictionaries({}, optional={"payload": JSON, "environment": JSON}),
                "deployment_status": JSON | st.fixed_dictionaries({"state": JSON}),
                "workflow_run": JSON,
            },
        ),
    )
    def test_any_payload_gives_a_name_or_none(self, event: str, payload: dict[str, object]) -> None:
        assert isinstance(asked_environment(event, payload), str | None)
