"""POST /github, called as API Gateway calls it: every answer of the design's table, and no 500."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

import boto3
import botocore.session
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from chalicelib import wiring
from chalicelib.core.refs import Repository
from chalicelib.edges.parameters import BUDGET
from chalicelib.flows.receive import PING
from tests.app.stage import FORM, JSON, URL, Answer, Stage, github_headers, rest_event
from tests.fakes import (
    COMMIT,
    GUID,
    NAMES,
    SITE,
    Reply,
    aws_error,
    push_json,
    sign,
    target_json,
    targets_text,
)

OTHER = Repository("octo", "other")


class TestAccepted202:
    def test_push_is_sent_and_the_answer_says_what_was(self, stage: Stage) -> None:
        answer = stage.push()
        (command,) = stage.commands()
        assert answer == Answer(
            202,
            {
                "delivery": GUID,
                "commit": COMMIT,
                "deployments": [{"target": "web", "command_id": command["CommandId"]}],
                "skipped": [],
            },
        )
        assert command["DocumentName"] == "pulley-dev-pull"
        assert command["Parameters"]["Commit"] == [COMMIT]
        assert command["Parameters"]["Delivery"] == [GUID]

    def test_document_has_every_parameter_that_is_sent(self, stage: Stage) -> None:
        stage.push()
        described = stage.ssm.describe_document(Name="pulley-dev-pull")["Document"]
        (command,) = stage.commands()
        assert {parameter["Name"] for parameter in described["Parameters"]} == set(
            command["Parameters"]
        )

    def test_held_target_is_skipped_with_its_reason(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), [target_json("web"), target_json("api")])
        stage.store(NAMES.pin("web"), {"state": "frozen", "reason": "the fair"})
        answer = stage.push()
        assert answer.status == 202
        assert [deployment["target"] for deployment in answer.body["deployments"]] == ["api"]
        assert answer.body["skipped"] == [{"target": "web", "reason": "frozen: the fair"}]
        assert stage.sent_to() == ["api"]

    def test_document_s_pin_is_in_the_call(self, stage: Stage) -> None:
        stage.store(NAMES.document, {"version": "3", "hash": "a" * 64})
        assert stage.push().status == 202
        (arguments,) = stage.wire.arguments_of("SendCommand")
        assert (arguments["DocumentVersion"], arguments["DocumentHash"]) == ("3", "a" * 64)

    @pytest.mark.parametrize("change", [str.lower, str.upper, str.swapcase])
    def test_case_of_a_header_does_not_matter(
        self, stage: Stage, change: Callable[[str], str]
    ) -> None:
        body = json.dumps(push_json()).encode()
        headers = {change(name): value for name, value in github_headers(body).items()}
        assert stage.post(body, headers).status == 202

    def test_body_in_base64_is_what_it_stands_for(self, stage: Stage) -> None:
        body = json.dumps(push_json()).encode()
        text = base64.b64encode(body).decode()
        event = rest_event(github_headers(body), text, is_base64=True)
        assert stage.call(event).status == 202

    @pytest.mark.parametrize("content_type", [FORM, FORM + "; charset=utf-8", FORM.title()])
    def test_form_is_taken_as_json_is(self, stage: Stage, content_type: str) -> None:
        body = b"payload=" + quote_plus(json.dumps(push_json())).encode()
        headers = github_headers(body) | {"Content-Type": content_type}
        assert stage.post(body, headers).status == 202

    def test_without_a_content_type_json_is_assumed(self, stage: Stage) -> None:
        body = json.dumps(push_json()).encode()
        headers = github_headers(body)
        del headers["Content-Type"]
        assert stage.post(body, headers).status == 202

    def test_text_beyond_ascii_is_signed_as_its_bytes(self, stage: Stage) -> None:
        payload = push_json(pusher={"name": "Möna 🚀"})
        body = json.dumps(payload, ensure_ascii=False).encode()
        assert stage.deliver(body).status == 202

    @pytest.mark.parametrize("secret", ["new", "old"])
    def test_each_of_several_secrets_opens(self, stage: Stage, secret: str) -> None:
        stage.store(NAMES.webhook_secret, "new-secret-of-the-hook\nold-secret-of-the-hook\n")
        answer = stage.deliver(push_json(), secret=f"{secret}-secret-of-the-hook")
        assert answer.status == 202

    def test_own_secret_opens_its_repository(self, stage: Stage) -> None:
        stage.store(NAMES.repository_webhook_secret(SITE), "secret-of-this-repository")
        answer = stage.deliver(push_json(), secret="secret-of-this-repository")
        assert answer.status == 202

    def test_secret_rotated_in_a_warm_lambda_opens_at_once(self, stage: Stage) -> None:
        stage.push()
        stage.store(NAMES.webhook_secret, "secret-after-rotation")
        assert stage.deliver(push_json(), secret="secret-after-rotation").status == 202

    def test_redelivery_after_the_targets_were_mended_is_sent_at_once(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), "{")
        assert stage.push().status == 503
        stage.store(NAMES.targets(SITE), targets_text())
        assert stage.push().status == 202

    def test_targets_stored_after_the_ping_are_sent_to_at_once(self, stage: Stage) -> None:
        stage.remove(NAMES.targets(SITE))
        assert stage.deliver(push_json(), event="ping").status == 200
        stage.store(NAMES.targets(SITE), targets_text())
        assert stage.push().status == 202

    def test_strangers_cannot_keep_a_known_repository_out(self, stage: Stage) -> None:
        statuses = set()
        for number in range(3 * BUDGET):
            made_up = push_json(repository={"full_name": f"stranger/made-up-{number}"})
            statuses.add(stage.deliver(made_up, secret="guessed").status)
        assert 503 in statuses
        assert stage.push().status == 202

    def test_redelivery_is_sent_again(self, stage: Stage) -> None:
        assert [stage.push().status, stage.push().status] == [202, 202]
        assert stage.sent_to() == ["web", "web"]

    def test_sha1_is_taken_where_the_stage_opted_in(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = json.dumps(push_json()).encode()
        headers = github_headers(body)
        del headers["X-Hub-Signature-256"]
        headers["X-Hub-Signature"] = sign(body, algorithm="sha1")
        assert stage.post(body, headers).status == 401
        monkeypatch.setenv("PULLEY_ALLOW_SHA1", "1")
        wiring._receiver.cache_clear()
        assert stage.post(body, headers).status == 202

    def test_push_in_a_warm_lambda_makes_two_calls_to_aws(self, stage: Stage) -> None:
        stage.push()
        assert stage.wire.operations == ["GetParameters", "GetParameters", "SendCommand"]
        stage.wire.attempts.clear()
        stage.push()
        assert stage.wire.operations == ["GetParameters", "SendCommand"]


class TestIgnored200:
    @pytest.mark.parametrize(
        ("event", "changes", "reason"),
        [
            (
                "ping",
                {},
                f"{PING}; signed with the newest secret of dev/webhook-secret",
            ),
            ("release", {}, "release events are not acted on, only push is"),
            ("push", {"deleted": True, "after": "0" * 40}, "'refs/heads/main' was deleted"),
            (
                "push",
                {"ref": "refs/heads/other"},
                "no target of octo/site follows 'refs/heads/other'",
            ),
            (
                "push",
                {"ref": "refs/heads/$(touch x);'ä\n"},
                'no target of octo/site follows "refs/heads/$(touch x);\'\\xe4\\n"',
            ),
            (
                "push",
                {"ref": "refs/heads/\ud800"},
                "no target of octo/site follows 'refs/heads/\\ud800'",
            ),
            ("push", {"ref": "refs/tags/main"}, "no target of octo/site follows 'refs/tags/main'"),
            (
                "push",
                {"repository": {"full_name": "octo/unknown"}},
                "no target of octo/unknown follows 'refs/heads/main'",
            ),
        ],
    )
    def test_nothing_to_do_is_told_in_words_and_nothing_is_sent(
        self, stage: Stage, event: str, changes: dict[str, object], reason: str
    ) -> None:
        answer = stage.deliver(push_json(**changes), event=event)
        newest = {"parameter": "dev/webhook-secret", "position": 0}
        secret = {"secret": newest} if event == "ping" else {}
        assert answer == Answer(200, {"delivery": GUID, "ignored": reason, **secret})
        assert stage.commands() == []

    @pytest.mark.parametrize(
        ("pin", "reason"),
        [
            ({"state": "frozen", "reason": "the fair"}, "web: frozen: the fair"),
            ({"state": "pinned", "commit": "a" * 40}, "web: pinned at aaaaaaa"),
        ],
    )
    def test_pinned_or_frozen_is_told_and_nothing_is_sent(
        self, stage: Stage, pin: dict[str, object], reason: str
    ) -> None:
        stage.store(NAMES.pin("web"), pin)
        assert stage.push() == Answer(200, {"delivery": GUID, "ignored": reason})
        assert stage.commands() == []

    def test_expired_pin_holds_nothing(self, stage: Stage) -> None:
        stage.store(NAMES.pin("web"), {"state": "frozen", "until": "2020-01-31T12:00:00Z"})
        assert stage.push().status == 202


class TestRefused400:
    @pytest.mark.parametrize(
        ("body", "error"),
        [
            (b"", "the body is not JSON: Expecting value at line 1 column 1"),
            (b"{", "the body is not JSON: "),
            (b"[]", "the JSON must be an object"),
            (b'{"a": "\xff"}', "the body is not UTF-8"),
            (b'{"a": "\xed\xa0\x80"}', "the body is not UTF-8"),
            (b'{"a": 1, "a": 2}', "the JSON has a key twice in one object"),
            (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "the JSON nests too deeply"),
            (b"[" * 10_000 + b"]" * 10_000, "the JSON nests too deeply"),
            (b'{"a": ' + b"9" * 1_000_000 + b"}", "the JSON has a number with too many digits"),
            (b"{}", "ref: must be a full ref, like refs/heads/main; repository.full_name: must be"),
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_body_unlike_any_of_github_s_is_refused(
        self, stage: Stage, body: bytes, error: str
    ) -> None:
        answer = stage.deliver(body)
        assert answer.status == 400
        assert answer.body["error"].startswith(error)

    @pytest.mark.parametrize(
        "changes",
        [
            {"ref": "main"},
            {"after": "HEAD"},
            {"repository": {"full_name": "octo/../secret"}},
            {"repository": None},
            {"ref": None, "after": None, "repository": None},
        ],
    )
    def test_fields_missing_or_malformed_are_each_told(
        self, stage: Stage, changes: dict[str, object]
    ) -> None:
        answer = stage.push(**changes)
        assert answer.status == 400
        for name in changes:
            assert f"{name}:" in answer.body["error"].replace("repository.full_name", "repository")

    @pytest.mark.parametrize("event", ["", "p" * 1_000_000, "Push!"], ids=["none", "long", "odd"])
    def test_no_event_header_is_refused(self, stage: Stage, event: str) -> None:
        answer = stage.deliver(push_json(), event=event)
        assert answer == Answer(400, {"error": "X-GitHub-Event: missing or malformed"})

    def test_delivery_header_that_is_no_guid_is_refused_and_not_repeated(
        self, stage: Stage
    ) -> None:
        body = json.dumps(push_json()).encode()
        headers = github_headers(body) | {"X-GitHub-Delivery": "$(id)" * 200_000}
        answer = stage.post(body, headers)
        assert answer == Answer(400, {"error": "X-GitHub-Delivery: malformed"})

    @pytest.mark.parametrize(
        "event",
        [
            rest_event(github_headers(b""), "not base64!", is_base64=True),
            rest_event(github_headers(b""), "ä", is_base64=True),
            rest_event(github_headers(b""), "\ud800"),
        ],
        ids=["bad base64", "text for base64", "lone surrogate"],
    )
    def test_body_that_cannot_be_decoded_is_refused(
        self, stage: Stage, event: dict[str, Any]
    ) -> None:
        answer = stage.call(event)
        assert answer == Answer(400, {"error": "the request's body cannot be decoded"})
        assert stage.wire.attempts == []

    def test_form_without_a_payload_is_refused(self, stage: Stage) -> None:
        headers = github_headers(b"a=b") | {"Content-Type": FORM}
        assert stage.post(b"a=b", headers).status == 400


class TestUnverified401:
    @pytest.mark.parametrize(
        "signature",
        [
            None,
            "",
            "sha256=",
            "sha256=" + "0" * 64,
            sign(json.dumps(push_json()).encode(), "guessed"),
            sign(json.dumps(push_json()).encode()).removeprefix("sha256="),
            sign(json.dumps(push_json()).encode()).upper(),
            "sha256=" + "ä" * 64,
            "a" * 1_000_000,
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_signature_missing_malformed_or_wrong_is_refused(
        self, stage: Stage, signature: str | None
    ) -> None:
        body = json.dumps(push_json()).encode()
        headers = github_headers(body)
        del headers["X-Hub-Signature-256"]
        if signature is not None:
            headers["X-Hub-Signature-256"] = signature
        answer = stage.post(body, headers)
        assert answer.status == 401
        assert set(answer.body) == {"error"}
        assert stage.commands() == []

    def test_body_changed_on_the_way_is_refused(self, stage: Stage) -> None:
        body = json.dumps(push_json()).encode()
        changed = body.replace(b"refs/heads/main", b"refs/heads/evil")
        assert stage.post(changed, github_headers(body)).status == 401

    def test_no_body_is_refused(self, stage: Stage) -> None:
        assert stage.call(rest_event({"Content-Type": JSON}, None)).status == 401

    def test_nobody_without_a_secret_learns_that_a_body_cannot_be_read(self, stage: Stage) -> None:
        answer = stage.deliver(b"{", secret="guessed")
        assert answer.status == 401
        assert "JSON" not in answer.body["error"]

    def test_default_secret_does_not_open_a_repository_with_its_own(self, stage: Stage) -> None:
        stage.store(NAMES.repository_webhook_secret(SITE), "secret-of-this-repository")
        assert stage.push().status == 401

    def test_secret_of_another_repository_opens_nothing_else(self, stage: Stage) -> None:
        stage.store(NAMES.repository_webhook_secret(OTHER), "secret-of-the-other")
        assert stage.deliver(push_json(), secret="secret-of-the-other").status == 401

    def test_unsigned_request_costs_no_call_to_aws(self, stage: Stage) -> None:
        body = json.dumps(push_json()).encode()
        stage.post(body, {"Content-Type": JSON, "X-GitHub-Event": "push"})
        assert stage.wire.attempts == []


class TestRefused413And415:
    def test_body_over_the_limit_is_refused(self, stage: Stage) -> None:
        body = json.dumps(push_json(more="x" * 5_800_000)).encode()
        answer = stage.deliver(body)
        assert answer == Answer(413, {"error": "the body is larger than 5800000 bytes"})

    def test_body_just_below_the_limit_is_taken(self, stage: Stage) -> None:
        short = len(json.dumps(push_json(more="")))
        body = json.dumps(push_json(more="x" * (5_800_000 - short))).encode()
        assert len(body) == 5_800_000
        assert stage.deliver(body).status == 202

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/octet-stream", "", "*/*", "multipart/form-data"]
    )
    def test_another_content_type_is_refused_in_pulley_s_words(
        self, stage: Stage, content_type: str
    ) -> None:
        body = json.dumps(push_json()).encode()
        answer = stage.post(body, github_headers(body) | {"Content-Type": content_type})
        assert answer == Answer(
            415,
            {"error": f"the content type must be {JSON} or {FORM}"},
        )


class TestUnavailable503:
    @pytest.mark.parametrize("stored", [None, "\n", "  \n "])
    def test_no_secret_is_told_and_the_log_names_the_parameter(
        self, stage: Stage, stored: str | None
    ) -> None:
        stage.remove(NAMES.webhook_secret)
        if stored:
            stage.store(NAMES.webhook_secret, stored)
        answer = stage.push()
        assert answer == Answer(503, {"error": "no webhook secret is stored"})
        assert NAMES.webhook_secret in stage.log.words()

    def test_empty_secret_opens_nothing(self, stage: Stage) -> None:
        stage.store(NAMES.repository_webhook_secret(SITE), "\n")
        answer = stage.deliver(push_json(), secret="")
        assert answer == Answer(503, {"error": "no webhook secret is stored"})
        assert NAMES.repository_webhook_secret(SITE) in stage.log.words()

    def test_targets_that_do_not_parse_are_told_and_the_log_has_each_problem(
        self, stage: Stage
    ) -> None:
        stage.store(NAMES.targets(SITE), [target_json(checkout="srv", timeout=1), 7])
        answer = stage.push()
        assert answer == Answer(503, {"error": "the repository's stored targets are not valid"})
        for path in ("targets.web.checkout: ", "targets.web.timeout: ", "targets[1]: "):
            assert path in stage.log.words()
        assert stage.commands() == []

    def test_targets_that_do_not_parse_do_not_stop_another_repository(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), "{")
        stage.store(NAMES.targets(OTHER), [target_json("api", repository="octo/other")])
        assert stage.push().status == 503
        assert stage.push(repository={"full_name": "octo/other"}).status == 202
        assert stage.sent_to() == ["api"]

    def test_unreadable_pin_is_told_and_the_other_target_goes_on(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), [target_json("web"), target_json("api")])
        stage.store(NAMES.pin("web"), "{")
        answer = stage.push()
        assert answer.status == 503
        assert answer.body["error"] == "web: the target's stored pin is not valid"
        assert [deployment["target"] for deployment in answer.body["deployments"]] == ["api"]
        assert "the parameter pins/web is not valid" in stage.log.words()

    def test_unreadable_pin_of_the_document_sends_nothing(self, stage: Stage) -> None:
        stage.store(NAMES.document, "{")
        answer = stage.push()
        assert answer == Answer(503, {"error": "the document's stored pin is not valid"})
        assert stage.commands() == []

    @pytest.mark.parametrize("value", [None, "", "de v", "../prod", "x" * 31])
    def test_stage_that_is_not_set_up_is_told(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, value: str | None
    ) -> None:
        if value is None:
            monkeypatch.delenv("PULLEY_STAGE")
        else:
            monkeypatch.setenv("PULLEY_STAGE", value)
        assert stage.push() == Answer(503, {"error": "this stage is not set up"})
        assert "PULLEY_STAGE must be letters" in stage.log.words()

    def test_no_region_is_told(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.delenv("AWS_REGION", raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        boto3.setup_default_session(botocore_session=botocore.session.get_session())
        answer = stage.push()
        assert answer.status == 503
        assert "there is no region" in stage.log.words()

    def test_thousand_made_up_repositories_are_503_and_the_known_one_goes_on(
        self, stage: Stage
    ) -> None:
        stage.push()
        stage.wire.attempts.clear()
        statuses = [
            stage.deliver(
                push_json(repository={"full_name": f"stranger/{number}"}), secret="guessed"
            ).status
            for number in range(200)
        ]
        assert set(statuses) == {401, 503}
        reads = stage.wire.operations.count("GetParameters")
        assert statuses.count(503) > statuses.count(401) == reads
        assert set(stage.wire.operations) == {"GetParameters", "DescribeParameters"}
        assert stage.push().status == 202


class TestAwsFails:
    BUSY: Mapping[str, Reply] = {
        "throttled": aws_error("ThrottlingException"),
        "broken": aws_error("InternalServerError", 500),
        "timing out": ReadTimeoutError(endpoint_url=URL),
        "out of reach": EndpointConnectionError(endpoint_url=URL),
        "without credentials": NoCredentialsError(),
    }

    def fail(self, stage: Stage, operation: str, reply: Reply) -> None:
        stage.wire.reply = lambda name, _arguments: reply if name == operation else None

    @pytest.mark.parametrize("reply", BUSY.values(), ids=BUSY.keys())
    @pytest.mark.parametrize("operation", ["GetParameters", "SendCommand"])
    def test_busy_aws_is_a_503(self, stage: Stage, operation: str, reply: Reply) -> None:
        self.fail(stage, operation, reply)
        answer = stage.push()
        assert answer.status == 503
        assert "AWS " in answer.body["error"]

    @pytest.mark.parametrize("operation", ["GetParameters", "SendCommand"])
    def test_aws_that_refuses_is_a_502_and_its_words_are_in_the_log_alone(
        self, stage: Stage, operation: str
    ) -> None:
        words = "not authorized on arn:aws:ssm:eu-central-1:123456789012:parameter/x"
        self.fail(stage, operation, aws_error("AccessDeniedException", message=words))
        answer = stage.push()
        assert answer.status == 502
        assert "AccessDeniedException" in answer.body["error"]
        assert "arn:aws" not in json.dumps(answer.body)
        assert words in stage.log.words()

    def test_throttled_once_is_not_even_noticed(self, stage: Stage) -> None:
        replies = iter([aws_error("ThrottlingException"), None, None, None])
        stage.wire.reply = lambda _name, _arguments: next(replies)
        assert stage.push().status == 202
        assert stage.wire.operations == ["GetParameters"] * 3 + ["SendCommand"]

    @pytest.mark.parametrize(
        ("code", "status"), [("AccessDeniedException", 502), ("ThrottlingException", 503)]
    )
    def test_one_target_s_failure_is_told_with_what_was_sent(
        self, stage: Stage, code: str, status: int
    ) -> None:
        names = ["web", "api", "worker"]
        stage.store(NAMES.targets(SITE), [target_json(name) for name in names])
        stage.store(NAMES.pin("worker"), {"state": "frozen"})

        def reply(_operation: str, arguments: Mapping[str, Any]) -> Reply:
            to_web = arguments.get("Parameters", {}).get("Target") == ["web"]
            return aws_error(code) if to_web else None

        stage.wire.reply = reply
        answer = stage.push()
        assert answer.status == status
        assert answer.body["error"].startswith("web: AWS ")
        assert (answer.body["delivery"], answer.body["commit"]) == (GUID, COMMIT)
        assert [deployment["target"] for deployment in answer.body["deployments"]] == ["api"]
        assert answer.body["skipped"] == [{"target": "worker", "reason": "frozen"}]

    def test_refused_and_busy_together_are_a_502(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), [target_json("web"), target_json("api")])

        def reply(_operation: str, arguments: Mapping[str, Any]) -> Reply:
            target = arguments.get("Parameters", {}).get("Target")
            refused = {"web": "ThrottlingException", "api": "AccessDeniedException"}
            return aws_error(refused[target[0]]) if target else None

        stage.wire.reply = reply
        answer = stage.push()
        assert answer.status == 502
        assert "web: AWS is too busy" in answer.body["error"]
        assert "api: AWS refused" in answer.body["error"]
        assert answer.body["deployments"] == []

    def test_no_time_left_is_a_503(self, stage: Stage) -> None:
        _, deadline = wiring._receiver()

        def reply(_operation: str, _arguments: Mapping[str, Any]) -> Reply:
            deadline.restart(0)
            return aws_error("ThrottlingException")

        stage.wire.reply = reply
        assert stage.push() == Answer(503, {"error": "AWS did not answer in time"})

    def test_next_delivery_has_time_of_its_own(self, stage: Stage) -> None:
        _, deadline = wiring._receiver()
        deadline.restart(0)
        assert stage.push().status == 202

    def test_redelivery_works_once_aws_does(self, stage: Stage) -> None:
        self.fail(stage, "GetParameters", aws_error("ThrottlingException"))
        assert stage.push().status == 503
        stage.wire.reply = None
        assert stage.push().status == 202
