"""From an unverified large body, only the repository's name is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.refs import Repository
from chalicelib.core.unverified import (
    MAX_PARSED_UNVERIFIED,
    MAX_TRIES,
    claimed_repository,
    read_claim,
)
from chalicelib.core.webhook import FORM, Delivery, DeliveryError, parse_payload
from tests.core.test_webhook import form_of
from tests.fakes import SITE, push_json


def claimed(body: bytes, content_type: str = "application/json") -> Repository | None:
    return claimed_repository(Delivery(body, content_type=content_type))


class TestClaimedRepository:
    @pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (",\n  ", " : ")])
    def test_name_in_a_push_is_found_in_every_json_layout(
        self, separators: tuple[str, str]
    ) -> None:
        body = json.dumps(push_json(), separators=separators).encode()
        assert claimed(body) == SITE
        assert claimed(form_of(body), FORM) == SITE

    def test_first_name_counts(self) -> None:
        body = b'{"repository": {"full_name": "Octo/Site"}, "fork": {"full_name": "other/site"}}'
        assert claimed(body) == SITE

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b'{"full_name": 1}',
            b'{"full_name": "octo"}',
            b'{"full_name": "octo/.."}',
            b'{"full_name": "oc to/site"}',
            b'{"full_name": "' + b"o" * 99 + b'/site"}',
            b"full_name: octo/site",
            b"\xff\xfe",
        ],
    )
    def test_body_without_a_valid_name_gives_none(self, body: bytes) -> None:
        assert claimed(body) is None
        assert claimed(form_of(body), FORM) is None

    @pytest.mark.parametrize("almost", [b'"full_name" : 1, ', b'"full_name":"' + b"a" * 65])
    def test_name_behind_too_many_near_matches_is_not_found(self, almost: bytes) -> None:
        body = b'"full_name": "octo/site"'
        assert claimed(almost * (MAX_TRIES - 1) + body) == SITE
        assert claimed(almost * MAX_TRIES + body) is None

    @given(st.text())
    def test_text_of_a_commit_message_is_never_taken_for_the_name(self, text: str) -> None:
        message = f'{text}"full_name": "evil/repository"{text}'
        payload = {"commits": [{"message": message}], "repository": {"full_name": "octo/site"}}
        body = json.dumps(payload).encode()
        assert claimed(body) == SITE == parse_payload(Delivery(body)).repository


class TestReadClaim:
    def test_only_a_large_body_is_left_unparsed(self) -> None:
        body = json.dumps(push_json()).encode()
        large = body.ljust(MAX_PARSED_UNVERIFIED)
        assert read_claim(Delivery(large)) == (SITE, parse_payload(Delivery(body)))
        assert read_claim(Delivery(large + b" ")) == (SITE, None)

    def test_small_body_that_is_no_payload_gives_the_reason_and_does_not_raise(self) -> None:
        repository, error = read_claim(Delivery(b"{"))
        assert repository is None
        assert isinstance(error, DeliveryError)
