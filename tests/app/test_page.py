"""The hosted page through API Gateway's event: each call that it makes is allowed to the role."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import app
from chalicelib import wiring
from chalicelib.core.page_access import PageKey, cookie_name, make_cookie, make_link
from tests.app.run_command import RunCommand, Sent, rolled_back
from tests.app.stage import REGION, Stage, get_event
from tests.fakes import NAMES, SITE, STAGE, aws_error, target_json, targets_text

KEY = "the page key of the test, which is long"
NONCE = "N" * 22
COOKIE = cookie_name(STAGE)
HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
STRANGER = (404, HEADERS, '{"error": "not found"}')
PATHS = ("/", "/state.json", "/history.json", "/badge/web.svg")


def shown(answer: Any) -> tuple[int, Any, str]:  # noqa: ANN401 - JSON
    return answer["statusCode"], answer["headers"], answer["body"]


def link() -> str:
    return make_link(PageKey(KEY, 1), STAGE, now=datetime.now(UTC), nonce=NONCE)


def visitor() -> str:
    value = make_cookie(PageKey(KEY, 1), STAGE, now=datetime.now(UTC), nonce=NONCE)
    return f"{COOKIE}={value}"


@pytest.fixture
def keyed(stage: Stage, run_command: RunCommand) -> Stage:
    """A stage with a page key."""
    stage.store(NAMES.page_key, KEY)
    return stage


@pytest.mark.parametrize("path", PATHS)
def test_stage_without_a_page_key_has_no_page(stage: Stage, path: str) -> None:
    assert shown(stage.get(path)) == STRANGER
    assert shown(stage.get(path, cookie=visitor())) == STRANGER


def test_stage_that_is_not_set_up_has_no_page(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULLEY_GITHUB_API", "ftp://x")
    assert shown(stage.get("/")) == STRANGER
    assert stage.log.lines() == []  # each delivery and round logs the reason


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "x"])
def test_no_content_type_gets_another_answer(keyed: Stage, path: str, kind: str) -> None:
    event = get_event(path)
    event["headers"]["Content-Type"] = kind
    event["multiValueHeaders"]["Content-Type"] = [kind]
    assert shown(app.app(event, None)) == STRANGER


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cookie", ["", "x", f"{COOKIE}=", f"{COOKIE}=1.2.3.4", "\u20ac=\x00"])
def test_stranger_costs_no_call(keyed: Stage, path: str, cookie: str) -> None:
    before = len(keyed.wire.attempts)
    if path.startswith("/badge/"):
        path = "/badge/../x"
    assert shown(keyed.get(path, cookie=cookie)) == STRANGER
    calls = [operation for operation, _ in keyed.wire.attempts[before:]]
    assert calls == []


def test_link_lets_in_once_and_its_cookie_shows_page_state_and_past(
    keyed: Stage, pushed: Sent, commit: str
) -> None:
    status, headers, _ = shown(keyed.get("/", link=link()))
    assert status == 200
    assert shown(keyed.get("/", link=link())) == STRANGER
    cookie = headers["Set-Cookie"].partition(";")[0]
    status, headers, body = shown(keyed.get("/", cookie=cookie))
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'sha256-" in headers["Content-Security-Policy"]
    assert body.startswith("<!doctype html>")
    state = json.loads(keyed.get("/state.json", cookie=cookie)["body"])
    (target,) = state["targets"]
    assert (state["region"], target["well"]) == (REGION, True)
    assert [one["commit"] for one in target["hosts"]] == [commit]
    past = json.loads(keyed.get("/history.json", cookie=cookie, target="web")["body"])
    assert [one["command_id"] for one in past["entries"]] == [pushed.id]
    assert shown(keyed.get("/history.json", cookie=cookie, target="x")) == STRANGER
    # The notes of used links that are an hour old are deleted by the next visitor.
    names = [one["Name"] for one in keyed.ssm.describe_parameters()["Parameters"]]
    assert NAMES.used_link(NONCE) in names


def test_output_of_a_failed_host_is_read(
    keyed: Stage, pushed: Sent, run_command: RunCommand, commit: str
) -> None:
    pushed.hosts.clear()
    pushed.add_host(
        rolled_back(commit), status="Failed", instance_id=run_command.online[0], name="web-1"
    )
    pushed.end("Failed")
    run_command.fault["GetCommandInvocation"] = 200, {"StandardErrorContent": "it broke\n"}
    state = json.loads(keyed.get("/state.json", cookie=visitor())["body"])
    (host,) = state["targets"][0]["hosts"]
    assert (host["state"], host["output"]) == ("failed", "it broke")


def test_error_of_aws_is_told_to_a_visitor_without_its_detail(
    keyed: Stage, run_command: RunCommand
) -> None:
    run_command.fault["ListCommands"] = aws_error("AccessDeniedException", message="on arn:x")
    answer = keyed.get("/state.json", cookie=visitor())
    assert answer["statusCode"] == 503
    assert "on arn:x" not in answer["body"]
    assert "on arn:x" in keyed.log.words()


def test_badge_is_for_everybody_if_the_target_asks_for_one(keyed: Stage, pushed: Sent) -> None:
    assert shown(keyed.get("/badge/web.svg")) == STRANGER
    keyed.store(NAMES.targets(SITE), targets_text(target_json(badge=True)))
    wiring._hosted_page.cache_clear()  # a minute later
    status, headers, body = shown(keyed.get("/badge/web.svg"))
    assert (status, headers["Content-Type"]) == (200, "image/svg+xml")
    assert f"web · {pushed.arguments['Parameters']['Commit'][0][:7]} · 1/1" in body
    before = len(keyed.wire.attempts)
    keyed.get("/badge/web.svg")
    assert len(keyed.wire.attempts) == before


def test_old_notes_of_used_links_are_deleted(keyed: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed.ssm.put_parameter(Name=NAMES.used_link("M" * 22), Value="used", Type="String")
    monkeypatch.setattr("chalicelib.edges.page_keys.FORGOTTEN", timedelta(seconds=-60))
    assert keyed.get("/", link=link())["statusCode"] == 200
    names = [one["Name"] for one in keyed.ssm.describe_parameters()["Parameters"]]
    assert not [one for one in names if one.startswith(NAMES.used_links)]
