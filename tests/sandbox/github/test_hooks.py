"""Webhooks through GitHub's API: records, refusals and deliveries."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from pulley.sandbox.github.server import GitHubServer, HookDelivery
from tests.sandbox.listener import Listener
from tests.sandbox.repository import Call

pytestmark = pytest.mark.timeout(30)

HOOKS = "/repos/octo/site/hooks"
ELSEWHERE = "https://x.example/api/github"  # no delivery ever leaves for it
AT = datetime(2030, 1, 1, 8, tzinfo=UTC)
STARS = "********"

Make = Callable[..., dict[str, Any]]
Patch = Callable[..., dict[str, Any]]


@pytest.fixture
def make(call: Call, github: GitHubServer) -> Make:
    """Create a webhook and wait for its ping. The keywords are the config's fields."""

    def create(body: dict[str, object] | None = None, **config: object) -> dict[str, Any]:
        answer = call("POST", HOOKS, {"config": {"url": ELSEWHERE, **config}, **(body or {})})
        assert answer.status == 201, answer.data
        github.hookshot.wait_until_idle()
        shown: dict[str, Any] = answer.json()
        return shown

    return create


@pytest.fixture
def patch(call: Call) -> Patch:
    """Change a webhook, or the resource below it."""

    def change(hook: dict[str, Any], body: object, below: str = "") -> dict[str, Any]:
        answer = call("PATCH", f"{HOOKS}/{hook['id']}{below}", body)
        assert answer.status == 200, answer.data
        shown: dict[str, Any] = answer.json()
        return shown

    return change


def refusal(call: Call, body: object, path: str = HOOKS, method: str = "POST") -> str:
    """The message of the one error of a 422."""
    answer = call(method, path, body)
    assert (answer.status, answer.json()["message"]) == (422, "Validation Failed")
    (error,) = answer.json()["errors"]
    assert (error["resource"], error["code"]) == ("Hook", "custom")
    message: str = error["message"]
    return message


class TestCreate:
    def test_answer_has_all_fields_of_a_webhook(self, github: GitHubServer, make: Make) -> None:
        shown = make({"events": ["push", "release"]}, content_type="json", secret="hush")
        url = f"{github.api_url}/repos/Octo/Site/hooks/{shown['id']}"
        assert shown.pop("created_at") == shown.pop("updated_at")
        assert shown == {
            "type": "Repository",
            "id": shown["id"],
            "name": "web",
            "active": True,
            "events": ["push", "release"],
            "config": {
                "url": ELSEWHERE,
                "content_type": "json",
                "insecure_ssl": "0",
                "secret": STARS,
            },
            "url": url,
            "test_url": f"{url}/test",
            "ping_url": f"{url}/pings",
            "deliveries_url": f"{url}/deliveries",
            "last_response": {"code": None, "status": "unused", "message": None},
        }

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({}, "Config must contain URL for webhooks"),
            ({"config": {"content_type": "json"}}, "Config must contain URL for webhooks"),
            ({"config": {"url": ""}}, "Config must contain URL for webhooks"),
            ({"config": {"url": "x.example/github"}}, "url is missing a scheme"),
            (
                {"config": {"url": ELSEWHERE, "content_type": "application/json"}},
                "Config content_type must be json or form",
            ),
            ({"config": {"url": ELSEWHERE}, "name": "email"}, "Hook name must be web"),
        ],
    )
    def test_invalid_webhook_is_422_and_is_not_created(
        self, github: GitHubServer, call: Call, body: object, message: str
    ) -> None:
        assert refusal(call, body) == message
        assert github.hooks("octo/site") == []

    @pytest.mark.parametrize(
        "body",
        [
            {"config": ELSEWHERE},
            {"config": {"url": ELSEWHERE}, "events": "push"},
            {"config": {"url": ELSEWHERE}, "events": [1]},
            {"config": {"url": ELSEWHERE}, "active": "yes"},
        ],
    )
    def test_field_of_another_type_is_422(self, call: Call, body: object) -> None:
        assert call("POST", HOOKS, body).status == 422

    def test_second_webhook_with_the_same_url_and_events_is_422(
        self, call: Call, make: Make
    ) -> None:
        make({"events": ["push", "release"]})
        body = {"config": {"url": ELSEWHERE, "secret": "x"}, "events": ["release", "push"]}
        assert refusal(call, body) == "Hook already exists on this repository"
        assert call("POST", HOOKS, body | {"events": ["push"]}).status == 201


class TestRead:
    def test_list_has_only_the_repository_s_webhooks(
        self, github: GitHubServer, call: Call, make: Make
    ) -> None:
        shown = make()
        github.add_hook("octo/other", ELSEWHERE)
        (listed,) = call("GET", HOOKS).json()
        assert listed["id"] == shown["id"]
        assert call("GET", f"{HOOKS}/{shown['id']}").json() == listed
        assert call("GET", f"{HOOKS}/{shown['id']}/config").json() == shown["config"]

    @pytest.mark.parametrize(
        ("method", "below"),
        [
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("GET", "/config"),
            ("PATCH", "/config"),
            ("POST", "/pings"),
            ("GET", "/deliveries"),
            ("GET", "/deliveries/1"),
            ("POST", "/deliveries/1/attempts"),
        ],
    )
    def test_webhook_of_another_repository_is_404(
        self, github: GitHubServer, call: Call, method: str, below: str
    ) -> None:
        other = github.add_hook("octo/other", ELSEWHERE)
        assert call(method, f"{HOOKS}/{other.id}{below}", {}).status == 404
        assert github.hooks("octo/other") == [other]


class TestChange:
    def test_named_config_is_replaced_with_its_secret_and_unnamed_config_stays(
        self, github: GitHubServer, make: Make, patch: Patch
    ) -> None:
        made = make(content_type="json", secret="hush")
        shown = patch(made, {"active": False, "events": ["release"]})
        assert (shown["active"], shown["events"]) == (False, ["release"])
        assert shown["config"] == made["config"]
        assert github.hooks("octo/site")[0].config.secret == "hush"
        shown = patch(made, {"config": {"url": ELSEWHERE}})
        assert shown["config"] == {"url": ELSEWHERE, "content_type": "form", "insecure_ssl": "0"}
        assert github.hooks("octo/site")[0].config.secret == ""

    def test_masked_secret_that_is_sent_back_becomes_the_secret(
        self, github: GitHubServer, make: Make, patch: Patch
    ) -> None:
        made = make(content_type="json", secret="hush")
        patch(made, {"config": made["config"]})
        assert github.hooks("octo/site")[0].config.secret == STARS

    def test_config_path_changes_only_the_named_fields(
        self, github: GitHubServer, make: Make, patch: Patch
    ) -> None:
        made = make(content_type="json", secret="hush")
        shown = patch(made, {"url": f"{ELSEWHERE}/2"}, "/config")
        assert shown == made["config"] | {"url": f"{ELSEWHERE}/2"}
        assert github.hooks("octo/site")[0].config.secret == "hush"
        patch(made, {"secret": "new"}, "/config")
        assert github.hooks("octo/site")[0].config.secret == "new"

    def test_change_to_the_url_and_events_of_another_webhook_is_422(
        self, call: Call, make: Make
    ) -> None:
        make()
        other = make(url=f"{ELSEWHERE}/2")
        path = f"{HOOKS}/{other['id']}"
        message = "Hook already exists on this repository"
        assert refusal(call, {"config": {"url": ELSEWHERE}}, path, "PATCH") == message
        assert refusal(call, {"url": ELSEWHERE}, f"{path}/config", "PATCH") == message
        assert call("PATCH", path, {"config": {"url": f"{ELSEWHERE}/2"}}).status == 200

    def test_deleted_webhook_is_404(self, github: GitHubServer, call: Call, make: Make) -> None:
        path = f"{HOOKS}/{make()['id']}"
        assert call("DELETE", path).status == 204
        assert call("GET", path).status == 404
        assert github.hooks("octo/site") == []


class TestPing:
    def test_new_webhook_gets_a_ping_and_its_answer_is_recorded(
        self, github: GitHubServer, call: Call, make: Make, listener: Listener
    ) -> None:
        made = make(url=listener.url, content_type="json", secret="hush")
        (ping,) = listener.posted
        assert ping.event == "ping"
        payload = json.loads(ping.body)
        assert payload["hook_id"] == made["id"]
        assert payload["hook"]["config"]["secret"] == STARS
        assert payload["repository"]["full_name"] == "Octo/Site"
        path = f"{HOOKS}/{made['id']}"
        last_response = call("GET", path).json()["last_response"]
        assert last_response == {"code": 202, "status": "active", "message": "OK"}
        listener.status = 503
        assert call("POST", f"{path}/pings").status == 204
        github.hookshot.wait_until_idle()
        assert listener.events == ["ping", "ping"]
        last_response = call("GET", path).json()["last_response"]
        assert (last_response["code"], last_response["message"]) == (
            503,
            "Invalid HTTP Response: 503",
        )
        assert last_response["status"] != "active"

    def test_inactive_webhook_gets_no_ping(self, make: Make, listener: Listener) -> None:
        make({"active": False}, url=listener.url)
        assert listener.posted == []


class TestDeliveries:
    def test_deliveries_are_listed_newest_first_in_pages(
        self, github: GitHubServer, call: Call
    ) -> None:
        hook = github.add_hook("octo/site", ELSEWHERE)
        path = f"{HOOKS}/{hook.id}/deliveries"
        assert call("GET", path).json() == []
        hook.deliveries += [
            HookDelivery("first", "push", AT, 502, "Bad Gateway"),
            HookDelivery("second", "ping", AT + timedelta(minutes=1)),
        ]
        newest, oldest = call("GET", path).json()
        assert (newest["guid"], newest["status"], newest["status_code"]) == ("second", "OK", 200)
        assert (oldest["event"], oldest["status_code"]) == ("push", 502)
        assert oldest["delivered_at"] == "2030-01-01T08:00:00Z"
        assert newest["id"] > oldest["id"]
        assert call("GET", path, per_page=1).json() == [newest]

    def test_delivery_has_its_request_and_its_answer_unchanged(
        self, call: Call, make: Make, listener: Listener
    ) -> None:
        listener.answer = b'{"ignored":  "ping"}'
        made = make(url=listener.url, content_type="json", secret="hush")
        path = f"{HOOKS}/{made['id']}/deliveries"
        (listed,) = call("GET", path).json()
        shown = call("GET", f"{path}/{listed['id']}").json()
        assert listed.items() <= shown.items()
        assert shown["url"] == listener.url
        (posted,) = listener.posted
        assert shown["guid"] == posted.headers["x-github-delivery"]
        assert shown["request"]["payload"] == json.loads(posted.body)
        sent = {name.lower(): value for name, value in shown["request"]["headers"].items()}
        assert sent.items() <= posted.headers.items()
        assert shown["response"]["payload"] == '{"ignored":  "ping"}'
        assert shown["response"]["headers"]["X-Answer"] == "yes"


class TestRedelivery:
    def test_redelivery_has_the_same_guid_and_payload_and_the_current_secret(
        self, github: GitHubServer, call: Call, make: Make, patch: Patch, listener: Listener
    ) -> None:
        made = make(url=listener.url, content_type="json", secret="old")
        path = f"{HOOKS}/{made['id']}/deliveries"
        (first,) = call("GET", path).json()
        patch(made, {"secret": "new"}, "/config")
        assert call("POST", f"{path}/{first['id']}/attempts").status == 202
        github.hookshot.wait_until_idle()
        before, again = listener.posted
        assert again.body == before.body
        assert again.event == "ping"
        assert again.headers["x-github-delivery"] == before.headers["x-github-delivery"]
        assert again.headers["x-hub-signature-256"] == signature(again.body, "new")
        newest, oldest = call("GET", path).json()
        assert (newest["redelivery"], oldest["redelivery"]) == (True, False)
        assert newest["guid"] == oldest["guid"]
        assert newest["id"] > oldest["id"]


@pytest.mark.parametrize("secret", ["hush", ""])
@pytest.mark.parametrize("content_type", ["json", "form"])
def test_body_is_signed_as_sent_if_the_webhook_has_a_secret(
    make: Make, listener: Listener, content_type: str, secret: str
) -> None:
    made = make(url=listener.url, content_type=content_type, secret=secret)
    (posted,) = listener.posted
    text = posted.body.decode()
    (payload,) = [text] if content_type == "json" else parse_qs(text)["payload"]
    assert json.loads(payload)["hook_id"] == made["id"]
    kinds = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
    assert posted.headers["content-type"] == kinds[content_type]
    signed = {name: one for name, one in posted.headers.items() if "signature" in name}
    assert signed == (
        {
            "x-hub-signature-256": signature(posted.body, secret),
            "x-hub-signature": signature(posted.body, secret, "sha1"),
        }
        if secret
        else {}
    )


def signature(body: bytes, secret: str, algorithm: str = "sha256") -> str:
    digest = hmac.new(secret.encode(), body, getattr(hashlib, algorithm)).hexdigest()
    return f"{algorithm}={digest}"
