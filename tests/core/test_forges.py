"""Deliveries of Gitea and Forgejo are those of GitHub but for their forms; others are named."""

import json
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.gates import Gates
from chalicelib.core.refs import CommitSha
from chalicelib.core.unverified import MAX_PARSED_UNVERIFIED, claimed_repository, read_claim
from chalicelib.core.webhook import (
    FORM,
    JSON,
    Delivery,
    DeliveryError,
    PushEvent,
    SignatureError,
    check_envelope,
    parse_delivery,
    parse_payload,
    verify_signature,
    without_form,
)
from tests.fakes import COMMIT, GUID, SECRET, SITE, push_json, sign
from tests.forges import gitea_headers, gitea_json, gitea_push, gitea_user, in_form

BODY = gitea_json(gitea_push())
LARGE = {"commits": [{"id": COMMIT, "message": "x" * 1000, "author": {"name": "Mona"}}] * 300}
both = pytest.mark.parametrize("forgejo", [False, True], ids=["Gitea", "Forgejo"])


def sent(payload: bytes, content_type: str = JSON, *, forgejo: bool = False) -> Delivery:
    headers = gitea_headers(payload, content_type=content_type, forgejo=forgejo)
    named = {name.lower(): value for name, value in headers.items()}
    return Delivery.from_http(named, in_form(payload) if content_type == FORM else payload)


def verify(delivery: Delivery) -> None:
    verify_signature(delivery, secrets=[SECRET.encode()], allow_sha1=False)


class TestPush:
    @both
    @pytest.mark.parametrize("content_type", [JSON, FORM])
    def test_push_is_verified_and_parsed(self, content_type: str, *, forgejo: bool) -> None:
        delivery = without_form(sent(BODY, content_type, forgejo=forgejo))
        check_envelope(delivery, allow_sha1=False)
        verify(delivery)
        event = parse_delivery(delivery, parse_payload(delivery))
        assert event == PushEvent(SITE, "refs/heads/main", CommitSha(COMMIT), None, "mona")
        assert delivery.id == GUID

    def test_sha1_signature_is_left_aside_beside_sha256(self) -> None:
        delivery = sent(BODY)
        assert delivery.signature_1
        verify_signature(delivery, secrets=[SECRET.encode()], allow_sha1=True)
        wrong = Delivery(**vars(delivery) | {"signature_256": f"sha256={'0' * 64}"})
        with pytest.raises(SignatureError, match="does not match"):
            verify_signature(wrong, secrets=[SECRET.encode()], allow_sha1=True)

    @pytest.mark.parametrize("pusher", [None, [], {}, {"login": 1}, {"name": 1, "login": "mona"}])
    def test_pusher_without_a_login_is_nobody(self, pusher: object) -> None:
        assert parse_payload(Delivery(gitea_json(gitea_push(pusher=pusher)))).pusher == ""


class TestClaimedRepository:
    @pytest.mark.parametrize("full_name", ["", "Octo & Partners", "evil/site", "octo/site", "ä/b"])
    def test_display_name_of_the_owner_is_never_the_claim(self, full_name: str) -> None:
        owner = gitea_user(full_name=full_name)
        body = gitea_json(gitea_push(owner=owner, **LARGE))
        assert len(body) > MAX_PARSED_UNVERIFIED
        assert read_claim(Delivery(body)) == (SITE, None)
        assert parse_payload(Delivery(body)).repository == SITE

    @pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (",\n      ", " : ")])
    def test_layout_of_the_json_does_not_matter(self, separators: tuple[str, str]) -> None:
        owner = gitea_user(full_name="evil/site")
        body = json.dumps(gitea_push(owner=owner), separators=separators).encode()
        assert claimed_repository(Delivery(body)) == SITE

    def test_large_form_is_searched_as_the_json_in_it(self) -> None:
        body = gitea_json(gitea_push(owner=gitea_user(full_name="evil/site"), **LARGE))
        assert read_claim(without_form(sent(body, FORM))) == (SITE, None)


class TestWithoutForm:
    @given(st.binary())
    def test_any_payload_comes_out_of_its_form_as_it_was_signed(self, payload: bytes) -> None:
        delivery = without_form(sent(payload, FORM))
        assert (delivery.body, delivery.content_type) == (payload, JSON)
        verify(delivery)

    @pytest.mark.parametrize("delivery", [sent(BODY), Delivery(in_form(BODY), content_type=FORM)])
    def test_json_and_a_form_of_github_stay_as_they_are(self, delivery: Delivery) -> None:
        assert without_form(delivery) == delivery

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"payload",
            b"{}",
            b"Payload=%7B%7D",
            b"x=1&payload=%7B%7D",
            b"payload=%7B%7D&x=1",
            b"payload=%7B%7D&payload=%7B%7D",
            b"payload=%7B%7D;x=1",
            b"payload=%7",
            b"payload=%",
            b"payload=%7g",
            b"payload=%%37",
            b"payload=\\x7b\\x7d",
            b"payload=\\",
            b"payload={}",
            b"payload=%7B\n%7D",
            b"payload=\xff",
            b"payload=%u007b",
        ],
    )
    def test_form_that_gitea_does_not_write_is_refused(self, body: bytes) -> None:
        delivery = Delivery(body, content_type=FORM, signature_256=sign(body), signs_payload=True)
        with pytest.raises(SignatureError, match="the field payload alone"):
            without_form(delivery)

    @given(st.binary())
    def test_any_form_is_turned_into_json_or_refused(self, body: bytes) -> None:
        for form in (body, b"payload=" + body):
            try:
                delivery = without_form(Delivery(form, content_type=FORM, signs_payload=True))
            except SignatureError:
                continue
            value = form.removeprefix(b"payload=").replace(b"+", b" ")
            assert delivery.body == unquote_to_bytes(value)


class TestTwoMeanings:
    """Headers are not signed, so an attacker with a signed delivery may send it in another way."""

    GITHUBS = json.dumps(push_json()).encode()

    def parsed(self, delivery: Delivery) -> Mapping[str, object] | type[DeliveryError]:
        """What is acted on, or the error."""
        try:
            delivery = without_form(delivery)
            verify(delivery)
            return parse_payload(delivery).fields
        except DeliveryError as error:
            return type(error)

    def test_form_of_github_is_not_verified_by_its_payload(self) -> None:
        form = in_form(self.GITHUBS)
        signed = sign(self.GITHUBS)
        delivery = Delivery(form, content_type=FORM, signature_256=signed)
        assert self.parsed(delivery) is SignatureError

    def test_form_of_gitea_is_not_verified_by_its_raw_body(self) -> None:
        form = in_form(self.GITHUBS)
        signed = sign(form)
        assert self.parsed(Delivery(form, FORM, signature_256=signed)) == push_json()
        delivery = Delivery(form, FORM, signature_256=signed, signs_payload=True)
        assert self.parsed(delivery) is SignatureError

    def test_signed_form_of_github_in_a_form_of_gitea_is_no_json(self) -> None:
        form = in_form(self.GITHUBS)
        delivery = Delivery(in_form(form), FORM, signature_256=sign(form), signs_payload=True)
        assert self.parsed(delivery) is DeliveryError

    def test_signed_json_in_a_form_of_gitea_is_the_same_json(self) -> None:
        signed = sign(self.GITHUBS)
        delivery = Delivery(in_form(self.GITHUBS), FORM, signature_256=signed, signs_payload=True)
        assert self.parsed(delivery) == push_json()

    @pytest.mark.parametrize("signs_payload", [False, True])
    @pytest.mark.parametrize(
        "body",
        [
            # Text of a commit in signed JSON that would be a payload if the JSON were a form.
            json.dumps({"a": f"=&{in_form(b'{}').decode()}&b="}).encode(),
            json.dumps({"a=": 1, "&payload": "=%7B%7D"}).encode(),
            b'{"x":"=1&payload=%7B%7D"}',
            b" payload=%7B%7D",
        ],
    )
    def test_signed_json_sent_as_a_form_is_refused(
        self, body: bytes, *, signs_payload: bool
    ) -> None:
        signed = sign(body)
        delivery = Delivery(body, FORM, signature_256=signed, signs_payload=signs_payload)
        assert self.parsed(delivery) in {SignatureError, DeliveryError}

    @given(st.dictionaries(st.text(), st.text(), max_size=3), st.integers(0, 2), st.binary())
    def test_signed_bytes_have_one_meaning_with_any_headers(
        self, fields: dict[str, str], forms: int, other: bytes
    ) -> None:
        signed = json.dumps(fields).encode()
        for _ in range(forms):
            signed = in_form(signed)
        bodies = (
            signed,
            in_form(signed),
            unquote_to_bytes(signed.removeprefix(b"payload=")),
            other,
        )
        found = [
            self.parsed(Delivery(body, kind, signature_256=sign(signed), signs_payload=is_giteas))
            for body in bodies
            for kind in (JSON, FORM)
            for is_giteas in (False, True)
        ]
        meanings = [one for one in found if not isinstance(one, type)]
        assert all(one == fields for one in meanings)
        assert bool(meanings) == (forms < 2)


class TestOtherForges:
    @pytest.mark.parametrize(
        ("headers", "forge"),
        [
            ({"x-gitlab-event": "Push Hook", "x-gitlab-token": SECRET}, "GitLab"),
            ({"x-event-key": "repo:push", "user-agent": "Bitbucket-Webhooks/2.0"}, "Bitbucket"),
            ({"x-event-key": "repo:push", "x-hub-signature": f"sha256={'0' * 64}"}, "Bitbucket"),
            ({"x-gogs-event": "push", "x-gogs-signature": "0" * 64}, "Gogs"),
        ],
    )
    @pytest.mark.parametrize("allow_sha1", [False, True])
    def test_delivery_of_another_forge_is_refused_with_its_name(
        self, headers: dict[str, str], forge: str, *, allow_sha1: bool
    ) -> None:
        delivery = Delivery.from_http(headers, BODY)
        words = (
            f"this is a delivery of {forge}, and Pulley takes those of GitHub, Gitea and Forgejo"
        )
        with pytest.raises(SignatureError, match=f"X-Hub-Signature-256 is missing: {words}$"):
            check_envelope(delivery, allow_sha1=allow_sha1)
        with pytest.raises(DeliveryError, match=f"X-GitHub-Event: missing or malformed: {words}$"):
            parse_delivery(delivery, parse_payload(Delivery(b"{}")))

    @both
    def test_headers_of_gogs_that_gitea_sends_do_not_count(self, *, forgejo: bool) -> None:
        assert sent(BODY, forgejo=forgejo).foreign == ""

    def test_github_without_a_secret_is_told_to_set_it(self) -> None:
        with pytest.raises(SignatureError, match=r"is missing: set a secret on the webhook$"):
            check_envelope(Delivery.from_http({"x-github-event": "push"}, BODY), allow_sha1=False)


class TestGatesOnGitHubAlone:
    @pytest.mark.parametrize(
        ("gates", "keys"),
        [
            (Gates(), ()),
            (Gates(after=("staging",), soak="10m"), ()),
            (Gates(trigger="manual"), ()),
            (Gates(checks=("test",)), ("checks",)),
            (Gates(trigger="deployment"), ("trigger",)),
            (Gates(checks=("test",), trigger="deployment"), ("checks", "trigger")),
        ],
    )
    def test_gates_that_need_deployments_are_named(
        self, gates: Gates, keys: tuple[str, ...]
    ) -> None:
        assert gates.on_github_alone == keys
