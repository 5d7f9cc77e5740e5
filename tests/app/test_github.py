"""POST /github, called as API Gateway calls it: each status code of the design, and no 500.

tests/core/test_webhook.py and tests/flows/test_receive.py test which code a delivery gets,
tests/edges tests the failures of AWS.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import boto3
import botocore.session
import pytest

from chalicelib import wiring
from chalicelib.flows.receive import PING
from tests.app.stage import FORM, JSON, Answer, Stage, github_headers, rest_event
from tests.fakes import COMMIT, GUID, NAMES, SITE, Reply, aws_error, push_json, sign, target_json

BODY = json.dumps(push_json()).encode()
TEXT = BODY.decode()
IN_A_FORM = b"payload=" + quote_plus(BODY).encode()
BEYOND_ASCII = json.dumps(push_json(pusher={"name": "Möna 🚀"}), ensure_ascii=False).encode()


class TestAccepted202:
    def test_push_is_sent_and_the_answer_lists_the_commands(self, stage: Stage) -> None:
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
        described = stage.ssm.describe_document(Name="pulley-dev-pull")["Document"]
        names = {parameter["Name"] for parameter in described["Parameters"]}
        # Sent only to a target that has the key.
        of_a_key = {"Paths", "Clone", "Owner", "Drain", "BeforeRestart", "AfterHealthy", "Releases"}
        assert names - of_a_key == set(command["Parameters"])

    def test_frozen_target_is_skipped_and_the_answer_gives_the_reason(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), [target_json("web"), target_json("api")])
        stage.store(NAMES.pin("web"), {"state": "frozen", "reason": "the fair"})
        answer = stage.push()
        assert answer.status == 202
        assert [deployment["target"] for deployment in answer.body["deployments"]] == ["api"]
        assert answer.body["skipped"] == [{"target": "web", "reason": "frozen: the fair"}]
        assert stage.sent_to() == ["api"]

    @pytest.mark.parametrize(
        "event",
        [
            rest_event({name.lower(): one for name, one in github_headers(BODY).items()}, TEXT),
            rest_event({name.upper(): one for name, one in github_headers(BODY).items()}, TEXT),
            rest_event(github_headers(BODY), base64.b64encode(BODY).decode(), is_base64=True),
            rest_event(github_headers(IN_A_FORM) | {"Content-Type": FORM}, IN_A_FORM.decode()),
            rest_event(github_headers(BEYOND_ASCII), BEYOND_ASCII.decode()),
        ],
        ids=["lower case", "upper case", "base64", "form", "beyond ASCII"],
    )
    def test_header_case_base64_form_and_unicode_are_all_accepted(
        self, stage: Stage, event: dict[str, Any]
    ) -> None:
        assert stage.call(event).status == 202

    def test_request_without_a_content_type_is_read_as_json(self, stage: Stage) -> None:
        headers = github_headers(BODY)
        del headers["Content-Type"]
        assert stage.post(BODY, headers).status == 202

    def test_warm_lambda_uses_newly_stored_settings_at_once(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), "{")
        assert stage.push().status == 503
        stage.store(NAMES.targets(SITE), [target_json()])
        assert stage.push().status == 202
        stage.store(NAMES.webhook_secret, "secret-after-rotation")
        assert stage.deliver(push_json(), secret="secret-after-rotation").status == 202

    def test_sha1_is_accepted_only_if_the_stage_allows_it(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        headers = github_headers(BODY)
        del headers["X-Hub-Signature-256"]
        headers["X-Hub-Signature"] = sign(BODY, algorithm="sha1")
        assert stage.post(BODY, headers).status == 401
        monkeypatch.setenv("PULLEY_ALLOW_SHA1", "1")
        wiring._receiver.cache_clear()
        assert stage.post(BODY, headers).status == 202

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
            ("ping", {}, f"{PING}; signed with the newest secret of dev/webhook-secret"),
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
        ],
    )
    def test_ignored_delivery_is_answered_with_a_reason_and_sends_nothing(
        self, stage: Stage, event: str, changes: dict[str, object], reason: str
    ) -> None:
        answer = stage.deliver(push_json(**changes), event=event)
        newest = {"parameter": "dev/webhook-secret", "position": 0}
        secret = {"secret": newest} if event == "ping" else {}
        assert answer == Answer(200, {"delivery": GUID, "ignored": reason, **secret})
        assert stage.commands() == []

    def test_pinned_target_is_answered_with_the_pin_and_gets_no_command(self, stage: Stage) -> None:
        stage.store(NAMES.pin("web"), {"state": "pinned", "commit": "a" * 40})
        reason = "web: pinned at aaaaaaa"
        assert stage.push() == Answer(200, {"delivery": GUID, "ignored": reason})
        assert stage.commands() == []


class TestRefused400:
    def test_body_that_is_not_json_is_refused(self, stage: Stage) -> None:
        answer = stage.deliver(b"{")
        assert answer.status == 400
        assert answer.body["error"].startswith("the body is not JSON: ")

    def test_each_missing_or_malformed_field_is_named(self, stage: Stage) -> None:
        answer = stage.push(ref="main", after=None, repository={"full_name": "octo/../secret"})
        assert answer.status == 400
        for name in ("ref", "after", "repository.full_name"):
            assert f"{name}: " in answer.body["error"]

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("X-GitHub-Event", "", "X-GitHub-Event: missing or malformed"),
            ("X-GitHub-Event", "p" * 1_000_000, "X-GitHub-Event: missing or malformed"),
            ("X-GitHub-Delivery", "$(id)" * 200_000, "X-GitHub-Delivery: malformed"),
        ],
        ids=["no event", "long event", "no GUID"],
    )
    def test_malformed_header_is_refused_and_not_echoed(
        self, stage: Stage, name: str, value: str, error: str
    ) -> None:
        answer = stage.post(BODY, github_headers(BODY) | {name: value})
        assert answer == Answer(400, {"error": error})

    @pytest.mark.parametrize(
        "event",
        [
            rest_event(github_headers(b""), "not base64!", is_base64=True),
            rest_event(github_headers(b""), "ä", is_base64=True),
            rest_event(github_headers(b""), "\ud800"),
        ],
        ids=["bad base64", "text for base64", "lone surrogate"],
    )
    def test_undecodable_body_is_refused_before_any_call_to_aws(
        self, stage: Stage, event: dict[str, Any]
    ) -> None:
        answer = stage.call(event)
        assert answer == Answer(400, {"error": "the request's body cannot be decoded"})
        assert stage.wire.attempts == []


class TestUnverified401:
    @pytest.mark.parametrize("signature", [sign(BODY, "guessed"), "a" * 1_000_000], ids=len)
    def test_malformed_or_wrong_signature_is_refused(self, stage: Stage, signature: str) -> None:
        answer = stage.post(BODY, github_headers(BODY) | {"X-Hub-Signature-256": signature})
        assert answer.status == 401
        assert set(answer.body) == {"error"}
        assert stage.commands() == []

    @pytest.mark.parametrize("body", [TEXT, None])
    def test_unsigned_request_makes_no_call_to_aws(self, stage: Stage, body: str | None) -> None:
        event = rest_event({"Content-Type": JSON, "X-GitHub-Event": "push"}, body)
        assert stage.call(event).status == 401
        assert stage.wire.attempts == []


class TestRefused413And415:
    def test_body_over_the_limit_is_refused(self, stage: Stage) -> None:
        body = json.dumps(push_json(more="x" * 5_800_000)).encode()
        answer = stage.deliver(body)
        assert answer == Answer(413, {"error": "the body is larger than 5800000 bytes"})

    def test_other_content_type_is_refused_with_pulley_s_message(self, stage: Stage) -> None:
        answer = stage.post(BODY, github_headers(BODY) | {"Content-Type": "text/plain"})
        assert answer == Answer(415, {"error": f"the content type must be {JSON} or {FORM}"})


class TestUnavailable503:
    def test_missing_secret_is_a_503_and_the_log_names_the_parameter(self, stage: Stage) -> None:
        stage.remove(NAMES.webhook_secret)
        assert stage.push() == Answer(503, {"error": "no webhook secret is stored"})
        assert NAMES.webhook_secret in stage.log.words()

    def test_invalid_targets_are_a_503_and_the_log_lists_each_problem(self, stage: Stage) -> None:
        stage.store(NAMES.targets(SITE), [target_json(checkout="srv", timeout=1), 7])
        answer = stage.push()
        assert answer == Answer(503, {"error": "the repository's stored targets are not valid"})
        for path in ("targets.web.checkout: ", "targets.web.timeout: ", "targets[1]: "):
            assert path in stage.log.words()
        assert stage.commands() == []

    def test_invalid_document_pin_is_a_503_and_sends_nothing(self, stage: Stage) -> None:
        stage.store(NAMES.document, "{")
        answer = stage.push()
        assert answer == Answer(503, {"error": "the document's stored pin is not valid"})
        assert stage.commands() == []

    def test_stage_without_a_name_is_a_503_and_the_log_names_the_variable(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PULLEY_STAGE")
        assert stage.push() == Answer(503, {"error": "this stage is not set up"})
        assert "PULLEY_STAGE must be letters" in stage.log.words()

    def test_missing_region_is_a_503_and_the_log_says_so(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.delenv("AWS_REGION", raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        boto3.setup_default_session(botocore_session=botocore.session.get_session())
        answer = stage.push()
        assert answer.status == 503
        assert "there is no region" in stage.log.words()

    def test_many_made_up_repositories_get_503_and_the_known_repository_still_deploys(
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
    @pytest.mark.parametrize("operation", ["GetParameters", "SendCommand"])
    def test_throttled_call_is_a_503_and_a_later_redelivery_is_accepted(
        self, stage: Stage, operation: str
    ) -> None:
        busy = aws_error("ThrottlingException")
        stage.wire.reply = lambda name, _arguments: busy if name == operation else None
        answer = stage.push()
        assert answer.status == 503
        assert "AWS " in answer.body["error"]
        stage.wire.reply = None
        assert stage.push().status == 202

    @pytest.mark.parametrize("operation", ["GetParameters", "SendCommand"])
    def test_refused_call_is_a_502_and_only_the_log_has_the_message_of_aws(
        self, stage: Stage, operation: str
    ) -> None:
        words = "not authorized on arn:aws:ssm:eu-central-1:123456789012:parameter/x"
        refused = aws_error("AccessDeniedException", message=words)
        stage.wire.reply = lambda name, _arguments: refused if name == operation else None
        answer = stage.push()
        assert answer.status == 502
        assert "AccessDeniedException" in answer.body["error"]
        assert "arn:aws" not in json.dumps(answer.body)
        assert words in stage.log.words()

    def test_call_that_is_throttled_once_is_repeated_and_the_push_accepted(
        self, stage: Stage
    ) -> None:
        replies = iter([aws_error("ThrottlingException"), None, None, None])
        stage.wire.reply = lambda _name, _arguments: next(replies)
        assert stage.push().status == 202
        assert stage.wire.operations == ["GetParameters"] * 3 + ["SendCommand"]

    @pytest.mark.parametrize(
        ("codes", "status", "error"),
        [
            ({"web": "AccessDeniedException"}, 502, "web: AWS refused"),
            ({"web": "ThrottlingException"}, 503, "web: AWS is too busy"),
            (
                {"web": "ThrottlingException", "api": "AccessDeniedException"},
                502,
                "web: AWS is too busy",
            ),
        ],
        ids=["refused", "busy", "both"],
    )
    def test_answer_lists_failed_sent_and_skipped_targets(
        self, stage: Stage, codes: dict[str, str], status: int, error: str
    ) -> None:
        names = ["web", "api", "worker"]
        stage.store(NAMES.targets(SITE), [target_json(name) for name in names])
        stage.store(NAMES.pin("worker"), {"state": "frozen"})

        def reply(_operation: str, arguments: Mapping[str, Any]) -> Reply:
            (target,) = arguments.get("Parameters", {}).get("Target", [""])
            return aws_error(codes[target]) if target in codes else None

        stage.wire.reply = reply
        answer = stage.push()
        assert answer.status == status
        assert answer.body["error"].startswith(error)
        assert ("api: AWS refused" in answer.body["error"]) == ("api" in codes)
        assert (answer.body["delivery"], answer.body["commit"]) == (GUID, COMMIT)
        sent = [deployment["target"] for deployment in answer.body["deployments"]]
        assert sent == ([] if "api" in codes else ["api"])
        assert answer.body["skipped"] == [{"target": "worker", "reason": "frozen"}]

    def test_expired_deadline_is_a_503_and_the_next_delivery_gets_a_new_deadline(
        self, stage: Stage
    ) -> None:
        _, deadline = wiring._receiver()

        def reply(_operation: str, _arguments: Mapping[str, Any]) -> Reply:
            deadline.restart(0)
            return aws_error("ThrottlingException")

        stage.wire.reply = reply
        assert stage.push() == Answer(503, {"error": "AWS did not answer in time"})
        stage.wire.reply = None
        assert stage.push().status == 202
