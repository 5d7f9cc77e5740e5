"""A delivery: its signature and its payload. The official test vector is GitHub's own."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_from_bytes, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.refs import CommitSha
from chalicelib.core.webhook import (
    FORM,
    JSON,
    MAX_BODY_BYTES,
    ContentTypeError,
    DeletionEvent,
    Delivery,
    DeliveryError,
    OtherEvent,
    Payload,
    PingEvent,
    PushEvent,
    SignatureError,
    TooLargeError,
    check_envelope,
    parse_delivery,
    parse_payload,
    verify_signature,
)
from tests.fakes import COMMIT, GUID, SECRET, SITE, push_json, sign

# GitHub: "Validating webhook deliveries", "Testing the webhook payload validation".
OFFICIAL_SECRET = b"It's a Secret to Everybody"
OFFICIAL_BODY = b"Hello, World!"
OFFICIAL_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
# HMAC-SHA1 of the same, by `openssl dgst -sha1 -hmac`.
OFFICIAL_SIGNATURE_1 = "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
JSON_OBJECTS = st.dictionaries(st.text(), JSON_VALUES, max_size=4)


def form_of(payload: bytes) -> bytes:
    return b"payload=" + quote_plus(payload).encode()


class TestDeliveryFromHttp:
    HEADERS = {  # noqa: RUF012 - read only
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": GUID,
        "x-hub-signature-256": "sha256=ab",
        "x-hub-signature": "sha1=cd",
    }
    DELIVERY = Delivery(
        body=b"{}",
        content_type=JSON,
        event="push",
        id=GUID,
        signature_256="sha256=ab",
        signature_1="sha1=cd",
    )

    def test_headers_are_read(self) -> None:
        assert Delivery.from_http(self.HEADERS, b"{}") == self.DELIVERY

    def test_missing_headers_are_empty_and_json_is_assumed(self) -> None:
        assert Delivery.from_http({}, b"x") == Delivery(body=b"x", content_type=JSON)

    @pytest.mark.parametrize(
        "value", ["application/json; charset=utf-8", " Application/JSON ", "application/json;"]
    )
    def test_content_type_loses_its_parameters(self, value: str) -> None:
        assert Delivery.from_http({"content-type": value}, b"").content_type == JSON


class TestCheckEnvelope:
    @pytest.mark.parametrize("content_type", [JSON, FORM])
    def test_both_content_types_of_github_pass(self, content_type: str) -> None:
        delivery = Delivery(b"{}", content_type=content_type, signature_256=sign(b"{}"))
        check_envelope(delivery, allow_sha1=False)

    @pytest.mark.parametrize("content_type", ["", "text/plain", "application/jsonp", "*/*"])
    def test_another_content_type_is_refused(self, content_type: str) -> None:
        with pytest.raises(ContentTypeError, match="must be application/json or"):
            check_envelope(Delivery(b"{}", content_type=content_type), allow_sha1=False)

    def test_largest_body_passes(self) -> None:
        body = b" " * MAX_BODY_BYTES
        check_envelope(Delivery(body, signature_256=sign(body)), allow_sha1=False)

    def test_body_beyond_the_limit_is_refused(self) -> None:
        body = b" " * (MAX_BODY_BYTES + 1)
        with pytest.raises(TooLargeError, match="larger than 5800000 bytes"):
            check_envelope(Delivery(body, signature_256=sign(body)), allow_sha1=False)

    def test_missing_signature_is_refused(self) -> None:
        with pytest.raises(SignatureError, match="X-Hub-Signature-256 is missing"):
            check_envelope(Delivery(b"{}"), allow_sha1=False)


class TestVerifySignature:
    def verify(self, signature: str, *secrets: bytes, allow_sha1: bool = False) -> None:
        is_sha1 = signature.startswith("sha1=")
        delivery = Delivery(
            OFFICIAL_BODY,
            signature_1=signature if is_sha1 else "",
            signature_256="" if is_sha1 else signature,
        )
        verify_signature(delivery, secrets=secrets, allow_sha1=allow_sha1)

    def test_github_s_official_vector_verifies(self) -> None:
        self.verify(OFFICIAL_SIGNATURE, OFFICIAL_SECRET)

    def test_signature_of_another_secret_is_refused(self) -> None:
        with pytest.raises(SignatureError, match="does not match"):
            self.verify(OFFICIAL_SIGNATURE, b"another")

    @pytest.mark.parametrize(
        "secrets",
        [(b"new", OFFICIAL_SECRET, b"old"), (OFFICIAL_SECRET, b"old"), (b"new", OFFICIAL_SECRET)],
    )
    def test_any_of_several_secrets_verifies(self, secrets: tuple[bytes, ...]) -> None:
        self.verify(OFFICIAL_SIGNATURE, *secrets)

    def test_no_secret_verifies_nothing(self) -> None:
        with pytest.raises(SignatureError, match="does not match"):
            self.verify(OFFICIAL_SIGNATURE)

    def test_empty_secret_verifies_nothing_not_even_its_own_signature(self) -> None:
        with pytest.raises(SignatureError, match="does not match"):
            self.verify(sign(OFFICIAL_BODY, secret=""), b"")

    @pytest.mark.parametrize(
        "signature",
        [
            OFFICIAL_SIGNATURE.removeprefix("sha256="),
            OFFICIAL_SIGNATURE.upper(),
            OFFICIAL_SIGNATURE.replace("757107ea", "757107EA"),
            OFFICIAL_SIGNATURE[:-1],
            OFFICIAL_SIGNATURE + "0",
            OFFICIAL_SIGNATURE + "\n",
            " " + OFFICIAL_SIGNATURE,
            OFFICIAL_SIGNATURE.replace("sha256=", "sha512="),
            "sha256=",
            "sha256=" + "ä" * 64,
            "sha256=" + "٤" * 64,
        ],
    )
    def test_malformed_signature_is_refused(self, signature: str) -> None:
        with pytest.raises(SignatureError, match="must be sha256= and 64 hex digits"):
            self.verify(signature, OFFICIAL_SECRET)

    def test_sha1_alone_is_refused(self) -> None:
        with pytest.raises(SignatureError, match="X-Hub-Signature-256 is missing"):
            self.verify(OFFICIAL_SIGNATURE_1, OFFICIAL_SECRET)

    def test_sha1_verifies_if_it_is_allowed(self) -> None:
        self.verify(OFFICIAL_SIGNATURE_1, OFFICIAL_SECRET, allow_sha1=True)

    def test_wrong_sha1_is_refused_even_if_sha1_is_allowed(self) -> None:
        with pytest.raises(SignatureError, match="does not match"):
            self.verify(OFFICIAL_SIGNATURE_1, b"another", allow_sha1=True)

    @pytest.mark.parametrize("signature", ["", "sha1=", OFFICIAL_SIGNATURE_1 + "0"])
    def test_malformed_sha1_is_refused_even_if_sha1_is_allowed(self, signature: str) -> None:
        with pytest.raises(SignatureError, match="is missing"):
            verify_signature(
                Delivery(OFFICIAL_BODY, signature_1=signature),
                secrets=[OFFICIAL_SECRET],
                allow_sha1=True,
            )

    def test_right_sha1_does_not_replace_a_wrong_sha256(self) -> None:
        delivery = Delivery(
            OFFICIAL_BODY, signature_256=sign(b"other"), signature_1=OFFICIAL_SIGNATURE_1
        )
        with pytest.raises(SignatureError, match="does not match"):
            verify_signature(delivery, secrets=[OFFICIAL_SECRET], allow_sha1=True)

    def test_error_does_not_reveal_the_right_signature(self) -> None:
        with pytest.raises(SignatureError) as caught:
            self.verify("sha256=" + "0" * 64, OFFICIAL_SECRET)
        assert OFFICIAL_SIGNATURE.removeprefix("sha256=") not in str(caught.value)
        assert "757107ea" not in caught.value.detail

    @given(st.binary(), st.binary(), st.text(min_size=1, alphabet="abc"))
    def test_signature_verifies_only_its_own_body(
        self, body: bytes, other: bytes, secret: str
    ) -> None:
        delivery = Delivery(other, signature_256=sign(body, secret))
        try:
            verify_signature(delivery, secrets=[secret.encode()], allow_sha1=False)
        except SignatureError:
            assert body != other
        else:
            assert body == other


class TestVerifySignatureAmongSeveral:
    @pytest.mark.parametrize(("secret", "place"), [("new", 0), ("old", 1), ("oldest", 3)])
    def test_index_of_the_signing_secret_is_returned(self, secret: str, place: int) -> None:
        secrets = [b"new", b"old", b"", b"oldest"]
        body = b"{}"
        delivery = Delivery(body, signature_256=sign(body, secret))
        assert verify_signature(delivery, secrets=secrets, allow_sha1=False) == place


class TestParsePayload:
    def test_object_is_read(self) -> None:
        assert parse_payload(Delivery(b'{"a": [1]}')) == Payload({"a": [1]})

    def test_payload_field_of_a_form_is_read(self) -> None:
        delivery = Delivery(form_of(b'{"a": "1 + 1 = 2 & \xc3\xa4"}'), content_type=FORM)
        assert parse_payload(delivery) == Payload({"a": "1 + 1 = 2 & ä"})

    @pytest.mark.parametrize("body", [b"", b"{", b"Hello, World!", b"{}{}", b"\xef\xbb\xbf{}"])
    def test_body_that_is_not_json_is_refused_with_line_and_column(self, body: bytes) -> None:
        with pytest.raises(DeliveryError, match=r"the body is not JSON: .* at line 1 column \d"):
            parse_payload(Delivery(body))

    @pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1"])
    def test_json_that_is_not_an_object_is_refused(self, body: bytes) -> None:
        with pytest.raises(DeliveryError, match="the JSON must be an object"):
            parse_payload(Delivery(body))

    @pytest.mark.parametrize(
        "body",
        [
            b'{"a": "\xff"}',
            '{"a": "\ud800"}'.encode("utf-8", "surrogatepass"),
            '{"a": 1}'.encode("utf-16"),
            '{"a": 1}'.encode("utf-32-le") + b"\xff",
        ],
    )
    def test_body_that_is_not_utf_8_is_refused(self, body: bytes) -> None:
        with pytest.raises(DeliveryError, match="the body is not UTF-8"):
            parse_payload(Delivery(body))

    @pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}")])
    def test_json_nested_ten_thousand_deep_is_refused(self, left: str, right: str) -> None:
        body = '{"a":' + left * 10_000 + "1" + right * 10_000 + "}"
        with pytest.raises(DeliveryError, match="the JSON nests too deeply"):
            parse_payload(Delivery(body.encode()))

    def test_number_of_a_million_digits_is_refused(self) -> None:
        with pytest.raises(DeliveryError, match="a number with too many digits"):
            parse_payload(Delivery(b'{"a": ' + b"9" * 1_000_000 + b"}"))

    @pytest.mark.parametrize(
        "body",
        [
            b'{"after": 1, "after": 2}',
            b'{"repository": {"full_name": "octo/site", "full_name": "octo/other"}}',
        ],
    )
    def test_key_twice_in_one_object_is_refused(self, body: bytes) -> None:
        with pytest.raises(DeliveryError, match="a key twice in one object"):
            parse_payload(Delivery(body))

    def test_same_key_in_two_objects_is_accepted(self) -> None:
        payload = parse_payload(Delivery(b'{"a": {"b": 1}, "c": {"b": 2}}'))
        assert payload.fields == {"a": {"b": 1}, "c": {"b": 2}}

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b"payload=&payload=%7B%7D",
            b"other=%7B%7D",
            b"payload=%7B%7D&payload=%7B%7D",
            b"payload=%FF",
            b"payload=\xc3\xa4",
            b"&".join(b"a%d=1" % number for number in range(11)) + b"&payload=%7B%7D",
        ],
    )
    def test_form_without_exactly_one_payload_is_refused(self, body: bytes) -> None:
        with pytest.raises(DeliveryError, match="the form must have one field named payload"):
            parse_payload(Delivery(body, content_type=FORM))

    @given(JSON_OBJECTS, st.sampled_from([{}, {"indent": 2}, {"ensure_ascii": False}]))
    def test_the_verified_bytes_are_the_parsed_bytes(
        self, fields: dict[str, object], style: dict[str, Any]
    ) -> None:
        body = json.dumps(fields, **style).encode("utf-8", "replace")
        for signed in (
            Delivery(body, signature_256=sign(body)),
            Delivery(form_of(body), content_type=FORM, signature_256=sign(form_of(body))),
        ):
            verify_signature(signed, secrets=[SECRET.encode()], allow_sha1=False)
            assert parse_payload(signed).fields == json.loads(body)

    @given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
    def test_any_body_is_parsed_or_raises_a_delivery_error(self, body: bytes) -> None:
        for delivery in (Delivery(body), Delivery(body, content_type=FORM)):
            self.parse_or_refuse(delivery)

    @given(st.binary())
    def test_any_form_is_parsed_or_raises_a_delivery_error(self, payload: bytes) -> None:
        body = b"payload=" + quote_from_bytes(payload).encode()
        self.parse_or_refuse(Delivery(body, content_type=FORM))

    @given(st.text('{}[]",:0123456789.eE+-\\u \ntrfalsn').map(str.encode))
    def test_any_near_json_is_parsed_or_raises_a_delivery_error(self, body: bytes) -> None:
        self.parse_or_refuse(Delivery(body))

    def parse_or_refuse(self, delivery: Delivery) -> None:
        try:
            parsed: object = parse_payload(delivery).fields
        except DeliveryError as error:
            parsed = str(error)
        assert isinstance(parsed, dict) or parsed


class TestPayloadRepository:
    def test_full_name_is_parsed(self) -> None:
        assert Payload({"repository": {"full_name": "Octo/Site"}}).repository == SITE

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"repository": None},
            {"repository": "octo/site"},
            {"repository": {}},
            {"repository": {"full_name": None}},
            {"repository": {"full_name": ["octo/site"]}},
            {"repository": {"full_name": "octo/../../site"}},
            {"repository": {"full_name": "octo/site/../../webhook-secret"}},
        ],
    )
    def test_invalid_or_missing_repository_is_none(self, fields: dict[str, object]) -> None:
        assert Payload(fields).repository is None


class TestPayloadPushedAt:
    def pushed_at(self, value: object) -> datetime | None:
        return Payload({"repository": {"full_name": "octo/site", "pushed_at": value}}).pushed_at

    def test_epoch_seconds_of_a_push_are_read(self) -> None:
        assert self.pushed_at(1_893_484_807) == datetime(2030, 1, 1, 8, 0, 7, tzinfo=UTC)

    def test_time_is_in_utc(self) -> None:
        time = self.pushed_at(1)
        assert time
        assert time.utcoffset() == timedelta(0)

    @pytest.mark.parametrize("seconds", [1, 32_503_679_999])
    def test_seconds_at_the_limits_are_read(self, seconds: int) -> None:
        time = self.pushed_at(seconds)
        assert time
        assert time.timestamp() == seconds

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "2030-01-01T08:00:07Z",  # as other events have it
            "1893484807",
            1_893_484_807.5,
            float("nan"),
            True,
            0,
            -1,
            32_503_680_000,
            1_893_484_807_000,
            10**4000,
            [1_893_484_807],
        ],
    )
    def test_invalid_time_is_none(self, value: object) -> None:
        assert self.pushed_at(value) is None

    @pytest.mark.parametrize(
        "fields", [{}, {"repository": None}, {"repository": [1]}, {"repository": {}}]
    )
    def test_missing_time_is_none(self, fields: dict[str, object]) -> None:
        assert Payload(fields).pushed_at is None


class TestParseDelivery:
    def parse(
        self, payload: dict[str, object], event: str = "push", guid: str = GUID
    ) -> PushEvent | DeletionEvent | PingEvent | OtherEvent:
        return parse_delivery(Delivery(b"", event=event, id=guid), Payload(payload))

    def test_push_to_a_branch_is_a_push_event(self) -> None:
        assert self.parse(push_json()) == PushEvent(
            SITE, "refs/heads/main", CommitSha(COMMIT), by="mona"
        )

    def test_push_event_has_the_time_of_the_push(self) -> None:
        repository = {"full_name": "octo/site", "pushed_at": 1_893_484_807}
        event = self.parse(push_json(repository=repository))
        assert isinstance(event, PushEvent)
        assert event.pushed_at == datetime(2030, 1, 1, 8, 0, 7, tzinfo=UTC)

    @pytest.mark.parametrize("pushed_at", ["2030-01-01T08:00:07Z", None, 10**20, []])
    def test_push_with_an_invalid_time_is_a_push_without_a_time(self, pushed_at: object) -> None:
        repository = {"full_name": "octo/site", "pushed_at": pushed_at}
        event = self.parse(push_json(repository=repository))
        assert event == PushEvent(SITE, "refs/heads/main", CommitSha(COMMIT), None, "mona")

    @pytest.mark.parametrize("pusher", [None, [], "mona", {}, {"name": None}, {"name": 1}])
    def test_push_without_a_readable_pusher_is_a_push(self, pusher: object) -> None:
        event = self.parse(push_json(pusher=pusher))
        assert event == PushEvent(SITE, "refs/heads/main", CommitSha(COMMIT))

    def test_push_of_a_tag_is_a_push_event(self) -> None:
        event = self.parse(push_json(ref="refs/tags/v1"))
        assert event == PushEvent(SITE, "refs/tags/v1", CommitSha(COMMIT), by="mona")

    def test_push_with_only_the_required_fields_is_a_push_event(self) -> None:
        payload: dict[str, object] = {
            "ref": "refs/heads/main",
            "after": COMMIT,
            "repository": {"full_name": "octo/site"},
        }
        assert self.parse(payload) == PushEvent(SITE, "refs/heads/main", CommitSha(COMMIT))

    @pytest.mark.parametrize(
        "ref", ["refs/heads/--upload-pack=x", "refs/heads/$(id)", "refs/heads/ä'\n", "refs/x"]
    )
    def test_push_to_an_oddly_named_ref_is_a_push_event(self, ref: str) -> None:
        assert self.parse(push_json(ref=ref)) == PushEvent(SITE, ref, CommitSha(COMMIT), by="mona")

    @pytest.mark.parametrize(
        "changes",
        [{"deleted": True, "after": "0" * 40}, {"after": "0" * 40}, {"deleted": True}],
    )
    def test_push_of_a_deleted_branch_is_a_deletion(self, changes: dict[str, object]) -> None:
        assert self.parse(push_json(**changes)) == DeletionEvent("refs/heads/main")

    def test_ping_is_a_ping_even_if_it_has_the_fields_of_a_push(self) -> None:
        assert self.parse(push_json(), event="ping") == PingEvent()

    def test_ping_without_a_repository_is_a_ping(self) -> None:
        assert self.parse({"zen": "Keep it logically awesome."}, event="ping") == PingEvent()

    @pytest.mark.parametrize("event", ["pull_request", "projects_v2_item"])
    def test_another_event_keeps_its_name(self, event: str) -> None:
        assert self.parse({}, event=event) == OtherEvent(event)

    @pytest.mark.parametrize("guid", ["", "f" * 64])
    def test_delivery_with_an_empty_or_long_guid_is_accepted(self, guid: str) -> None:
        assert self.parse({}, event="ping", guid=guid) == PingEvent()

    @pytest.mark.parametrize("event", ["", "Push", "push\n", "push ping", "p" * 65, "pu\x00sh"])
    def test_missing_or_malformed_event_is_refused(self, event: str) -> None:
        with pytest.raises(DeliveryError, match=r"^X-GitHub-Event: missing or malformed$"):
            self.parse(push_json(), event=event)

    @pytest.mark.parametrize("guid", ["f" * 65, "a b", "a\n", "$(id)", "'"])
    def test_malformed_guid_is_refused(self, guid: str) -> None:
        with pytest.raises(DeliveryError, match=r"^X-GitHub-Delivery: malformed$"):
            self.parse(push_json(), guid=guid)

    def test_both_malformed_headers_are_reported_together(self) -> None:
        with pytest.raises(DeliveryError) as caught:
            self.parse(push_json(), event="", guid="'")
        assert str(caught.value) == (
            "X-GitHub-Event: missing or malformed; X-GitHub-Delivery: malformed"
        )

    @pytest.mark.parametrize("ref", [None, 1, "", "main", "heads/main"])
    def test_push_without_a_full_ref_is_refused(self, ref: object) -> None:
        with pytest.raises(DeliveryError, match=r"^ref: must be a full ref, like refs/heads/main$"):
            self.parse(push_json(ref=ref))

    @pytest.mark.parametrize("after", [None, 1, "", "main", COMMIT[:7], [COMMIT], COMMIT + "\n"])
    def test_push_without_a_commit_is_refused(self, after: object) -> None:
        with pytest.raises(DeliveryError, match=r"^after: must be a commit of 40 hex digits"):
            self.parse(push_json(after=after))

    @pytest.mark.parametrize("deleted", [False, None, 1, "true"])
    def test_push_without_deleted_true_is_not_a_deletion(self, deleted: object) -> None:
        assert isinstance(self.parse(push_json(deleted=deleted)), PushEvent)

    def test_push_without_a_repository_is_refused(self) -> None:
        with pytest.raises(DeliveryError, match=r"^repository\.full_name: must be owner/repo"):
            self.parse(push_json(repository=None))

    def test_all_missing_fields_are_reported_together(self) -> None:
        with pytest.raises(DeliveryError) as caught:
            self.parse({})
        assert [problem.partition(":")[0] for problem in str(caught.value).split("; ")] == [
            "ref",
            "repository.full_name",
            "after",
        ]

    @given(st.sampled_from(["push", "ping", "fork", ""]), JSON_OBJECTS)
    def test_any_payload_is_parsed_or_raises_a_delivery_error(
        self, event: str, fields: dict[str, object]
    ) -> None:
        parsed: object
        try:
            parsed = self.parse(fields, event=event)
        except DeliveryError as error:
            parsed = str(error)
        expected = {"ping": PingEvent(), "fork": OtherEvent("fork")}
        assert parsed == expected[event] if event in expected else isinstance(parsed, str)
