"""Comments of commands that releases before 2026-11-29 sent."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.old_comments import parse_comment


def pushed_at(comment: str) -> datetime | None:
    return parse_comment(comment)[0]


def attempt(comment: str) -> int:
    return parse_comment(comment)[1]


def by(comment: str) -> str:
    return parse_comment(comment)[2]


class TestParseBy:
    def test_login_is_read(self) -> None:
        assert by("push by octo-bot[bot]: octo/site 4d5e6f7 to web") == "octo-bot[bot]"
        comment = "push at 2030-01-01T08:00:07Z by mona: octo/site 4d5e6f7 to web"
        assert by(comment) == "mona"

    @pytest.mark.parametrize(
        "comment",
        ["", "push: octo/site 4d5e6f7 to web", "push by : x", "by mona: x", "push by mona"],
    )
    def test_comment_without_a_login_gives_an_empty_login(self, comment: str) -> None:
        assert by(comment) == ""


class TestParsePushedAt:
    TIME = datetime(2030, 1, 1, 8, 0, 7, tzinfo=UTC)

    def test_time_is_read_in_utc(self) -> None:
        comment = "push at 2030-01-01T08:00:07Z: octo/site 4d5e6f7 to web"
        assert pushed_at(comment) == self.TIME

    @pytest.mark.parametrize(
        "comment",
        [
            "",
            "push: octo/site 4d5e6f7 to web",
            "manual: octo/site 4d5e6f7 to web",
            "reconcile at 2030-01-01T08:00:07Z: octo/site 4d5e6f7 to web",
            "a push at 2030-01-01T08:00:07Z: octo/site 4d5e6f7 to web",
            "push at 2030-01-01T08:00:07Z",
            "push at 2030-01-01T08:00:07+01:00: octo/site 4d5e6f7 to web",
            "push at 2030-01-01T08:00Z: octo/site 4d5e6f7 to web",
            "push at yesterday: octo/site 4d5e6f7 to web",
            "push at 2030-02-31T08:00:07Z: octo/site 4d5e6f7 to web",
            "push at 2030-01-01T24:00:07Z: octo/site 4d5e6f7 to web",
            "push at 2030-01-01T08:00:61Z: octo/site 4d5e6f7 to web",
            "push at 0000-01-01T08:00:07Z: octo/site 4d5e6f7 to web",
            "push at ٢٠٣٠-01-01T08:00:07Z: octo/site 4d5e6f7 to web",
        ],
    )
    def test_comment_without_a_valid_time_gives_none(self, comment: str) -> None:
        assert pushed_at(comment) is None

    @given(st.text() | st.from_regex(r"push at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: "))
    def test_any_comment_is_parsed_without_an_error(self, comment: str) -> None:
        time = pushed_at(comment)
        assert time is None or f"push at {time:%Y-%m-%dT%H:%M:%SZ}".split("-")[0] in comment


class TestParseAttempt:
    def test_attempt_is_read(self) -> None:
        assert attempt("reconcile, attempt 3: octo/site 4d5e6f7 to web") == 3

    @pytest.mark.parametrize(
        "comment",
        [
            "",
            "reconcile: octo/site 4d5e6f7 to web",
            "push, attempt 3: octo/site 4d5e6f7 to web",
            "a reconcile, attempt 3: octo/site 4d5e6f7 to web",
            "reconcile, attempt 0: octo/site 4d5e6f7 to web",
            "reconcile, attempt 33: octo/site 4d5e6f7 to web",
            "reconcile, attempt -3: octo/site 4d5e6f7 to web",
            "reconcile, attempt : octo/site 4d5e6f7 to web",
            "reconcile, attempt ٣: octo/site 4d5e6f7 to web",
            "reconcile, attempt 3",
            "push at 2030-01-01T08:00:07Z: octo/site 4d5e6f7 to web",
        ],
    )
    def test_comment_without_a_valid_attempt_gives_zero(self, comment: str) -> None:
        assert attempt(comment) == 0

    @given(st.text() | st.from_regex("reconcile, attempt .: "))
    def test_any_comment_is_parsed_without_an_error(self, comment: str) -> None:
        assert 0 <= attempt(comment) <= 9
