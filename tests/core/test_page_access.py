"""Links and cookies: only the stage's page key makes one, and only for a while."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.page_access import (
    COOKIE_SECONDS,
    LINK_SECONDS,
    PageKey,
    Signed,
    cookie_name,
    cookies_in,
    is_cookie_of,
    is_link_of,
    make_cookie,
    make_link,
    read_signed,
)

NOW = datetime(2030, 1, 10, 12, 0, tzinfo=UTC)
COOKIE = cookie_name("prod")
KEY = PageKey("a key that nobody can guess", 3)
NONCE = "A" * 22


def link(now: datetime = NOW) -> str:
    return make_link(KEY, "prod", now=now, nonce=NONCE)


def parts_of(text: str, now: datetime = NOW, seconds: int = LINK_SECONDS) -> Signed:
    signed = read_signed(text, now=now, seconds=seconds)
    assert signed
    return signed


class TestLink:
    def test_link_of_the_key_lets_in_for_two_minutes(self) -> None:
        assert is_link_of(KEY, "prod", parts_of(link()))
        almost = NOW + timedelta(seconds=LINK_SECONDS - 1)
        assert is_link_of(KEY, "prod", parts_of(link(), almost))
        after = NOW + timedelta(seconds=LINK_SECONDS)
        assert read_signed(link(), now=after, seconds=LINK_SECONDS) is None

    @pytest.mark.parametrize(
        ("key", "stage"),
        [
            (PageKey("another key, as long as that", 3), "prod"),
            (PageKey(KEY.value, 4), "prod"),
            (KEY, "dev"),
        ],
    )
    def test_link_of_another_key_version_or_stage_lets_nobody_in(
        self, key: PageKey, stage: str
    ) -> None:
        assert not is_link_of(key, stage, parts_of(link()))

    @pytest.mark.parametrize(
        "change", [{"until": 1894276799}, {"nonce": "B" * 22}, {"version": 4}, {"signature": "x"}]
    )
    def test_changed_part_lets_nobody_in(self, change: dict[str, object]) -> None:
        changed = replace(parts_of(link()), **change)  # type: ignore[arg-type]
        assert not is_link_of(KEY, "prod", changed)
        assert not is_link_of(PageKey(KEY.value, 4), "prod", changed)

    def test_link_that_is_valid_for_too_long_was_not_made_here(self) -> None:
        assert read_signed(link(NOW + timedelta(days=1)), now=NOW, seconds=LINK_SECONDS) is None

    @pytest.mark.parametrize(
        "text", ["", "x", link()[:-1], f"{link()}x", link().replace(".", "-"), f"{link()}\n"]
    )
    def test_text_of_another_form_is_no_link(self, text: str) -> None:
        assert read_signed(text, now=NOW, seconds=LINK_SECONDS) is None

    def test_key_and_signature_are_not_shown(self) -> None:
        signed = parts_of(link())
        assert KEY.value not in repr(KEY)
        assert signed.signature not in repr(signed)

    @given(st.text())
    def test_any_other_text_is_no_link(self, text: str) -> None:
        signed = read_signed(text, now=NOW, seconds=LINK_SECONDS)
        assert signed is None or not is_link_of(KEY, "prod", signed)


class TestCookie:
    def test_cookie_lets_in_for_twelve_hours(self) -> None:
        cookie = make_cookie(KEY, "prod", now=NOW, nonce=NONCE)
        late = NOW + timedelta(hours=12) - timedelta(seconds=1)
        assert is_cookie_of(KEY, "prod", parts_of(cookie, late, COOKIE_SECONDS))
        assert read_signed(cookie, now=NOW + timedelta(hours=12), seconds=COOKIE_SECONDS) is None

    def test_link_is_no_cookie_and_cookie_is_no_link(self) -> None:
        cookie = make_cookie(KEY, "prod", now=NOW, nonce=NONCE)
        assert not is_link_of(KEY, "prod", parts_of(cookie, seconds=COOKIE_SECONDS))
        assert not is_cookie_of(KEY, "prod", parts_of(link()))

    @pytest.mark.parametrize(
        ("header", "values"),
        [
            ("", []),
            ("other=1", []),
            (f"{COOKIE}=one", ["one"]),
            (f"a=b; {COOKIE}=one;{COOKIE}=two; x", ["one", "two"]),
            (f"x{COOKIE}=one", []),
            (f"{COOKIE}2=one; {cookie_name('dev')}=one", []),
        ],
    )
    def test_cookies_of_our_name_are_found_in_a_header(
        self, header: str, values: list[str]
    ) -> None:
        assert list(cookies_in(header, "prod")) == values
