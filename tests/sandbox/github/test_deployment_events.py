"""The deliveries of deployments and their statuses, to a webhook that listens."""

import json
from typing import Any

import pytest

from pulley.sandbox.github.server import GitHubServer
from tests.sandbox.github.shapes import (
    DEPLOYMENT_EVENT,
    DEPLOYMENT_STATUS_EVENT,
    check_shape,
)
from tests.sandbox.listener import Listener
from tests.sandbox.repository import Call, Commits

pytestmark = pytest.mark.timeout(30)

PATH = "/repos/octo/site/deployments"
EVENTS = ("deployment", "deployment_status")


@pytest.fixture
def hooked(github: GitHubServer, listener: Listener) -> Listener:
    """The listener, as a webhook that wants both events."""
    github.add_hook("octo/site", listener.url, events=EVENTS)
    return listener


def submit(github: GitHubServer, call: Call, path: str, **fields: object) -> dict[str, Any]:
    answer = call("POST", f"{PATH}{path}", fields)
    assert answer.status == 201, answer.data
    github.hookshot.wait_until_idle()
    shown: dict[str, Any] = answer.json()
    return shown


def create(github: GitHubServer, call: Call, **fields: object) -> dict[str, Any]:
    return submit(github, call, "", ref="main", auto_merge=False, required_contexts=[], **fields)


def payloads(listener: Listener) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in listener.posted]


class TestDeployment:
    @pytest.mark.parametrize(
        "payload", ["", "by hand", {"stage": "dev", "target": "web"}], ids=["none", "text", "ours"]
    )
    def test_created_deployment_is_delivered_with_its_payload_also_pulleys_own(
        self,
        hooked: Listener,
        github: GitHubServer,
        call: Call,
        commits: Commits,
        payload: object,
    ) -> None:
        made = create(github, call, payload=payload, environment="production")
        (told,) = payloads(hooked)
        assert hooked.events == ["deployment"]
        check_shape(told, DEPLOYMENT_EVENT)
        assert told["action"] == "created"
        assert told["deployment"] == made
        assert told["deployment"]["payload"] == payload
        assert told["deployment"]["sha"] == commits["second"]
        assert (told["workflow"], told["workflow_run"]) == (None, None)

    def test_refused_deployment_is_not_delivered(
        self, hooked: Listener, github: GitHubServer, call: Call
    ) -> None:
        assert call("POST", PATH, {"ref": "nowhere"}).status == 422
        github.hookshot.wait_until_idle()
        assert hooked.posted == []

    def test_webhook_that_wants_pushes_gets_none(
        self, listener: Listener, github: GitHubServer, call: Call
    ) -> None:
        github.add_hook("octo/site", listener.url, events=["push"])
        create(github, call)
        assert listener.posted == []


class TestStatus:
    @pytest.mark.parametrize("state", ["queued", "in_progress", "success", "failure"])
    def test_created_status_is_delivered_with_its_deployment(
        self, hooked: Listener, github: GitHubServer, call: Call, state: str
    ) -> None:
        deployment = create(github, call)
        made = submit(github, call, f"/{deployment['id']}/statuses", state=state)
        told = payloads(hooked)[1]
        assert hooked.events == ["deployment", "deployment_status"]
        check_shape(told, DEPLOYMENT_STATUS_EVENT)
        assert told["deployment_status"] == made
        assert told["deployment"]["id"] == deployment["id"]
        assert told["workflow_run"] is None

    def test_inactive_is_not_delivered(
        self, hooked: Listener, github: GitHubServer, call: Call
    ) -> None:
        deployment = create(github, call)
        submit(github, call, f"/{deployment['id']}/statuses", state="inactive")
        assert hooked.events == ["deployment"]
