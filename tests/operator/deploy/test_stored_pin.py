"""Pins as they are written: what is read again is what was meant."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.pins import STATES, Pin, parse_pin
from chalicelib.core.refs import CommitSha
from pulley.operator.deploy.stored_pin import as_stored, is_same, write_pin

SHA = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"
NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)

_times = st.none() | st.datetimes(timezones=st.just(UTC))
_lines = st.text().map(lambda text: " ".join(text.split()))


class TestWritePin:
    @given(st.sampled_from(STATES), _lines, _times, _lines, _times)
    def test_what_is_written_is_read_as_it_was(
        self, state: str, reason: str, until: datetime | None, by: str, at: datetime | None
    ) -> None:
        commit = CommitSha(SHA) if state == "pinned" else None
        pin = Pin(state, commit, reason, until, by, at)
        assert parse_pin(write_pin(pin)) == pin

    def test_every_key_of_the_contract_is_there(self) -> None:
        elsewhere = NOON.astimezone(timezone(timedelta(hours=9)))
        pin = Pin("pinned", CommitSha(SHA), "the release", elsewhere, "mona", NOON)
        assert as_stored(pin) == {
            "state": "pinned",
            "commit": SHA,
            "reason": "the release",
            "by": "mona",
            "at": "2030-01-31T12:00:00Z",
            "until": "2030-01-31T12:00:00Z",
        }
        assert as_stored(Pin("none"))["commit"] is None


class TestIsSame:
    def test_whoever_put_it_there_it_is_the_same(self) -> None:
        assert is_same(Pin("frozen", reason="x", by="mona", at=NOON), Pin("frozen", reason="x"))

    @pytest.mark.parametrize(
        "other",
        [
            Pin("none", CommitSha(SHA), "x"),
            Pin("pinned", CommitSha("a" * 40), "x"),
            Pin("pinned", CommitSha(SHA), "y"),
            Pin("pinned", CommitSha(SHA), "x", NOON),
        ],
    )
    def test_another_state_commit_reason_or_end_is_another(self, other: Pin) -> None:
        assert not is_same(Pin("pinned", CommitSha(SHA), "x"), other)
