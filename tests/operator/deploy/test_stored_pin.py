"""Pins as they are written: reading one gives the same pin."""

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
    def test_written_pin_is_parsed_as_the_same_pin(
        self, state: str, reason: str, until: datetime | None, by: str, at: datetime | None
    ) -> None:
        commit = CommitSha(SHA) if state == "pinned" else None
        pin = Pin(state, commit, reason, until, by, at)
        assert parse_pin(write_pin(pin)) == pin

    def test_stored_pin_has_every_key_of_the_contract(self) -> None:
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
    def test_pins_of_different_people_and_times_are_the_same(self) -> None:
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
    def test_pins_with_another_state_commit_reason_or_end_differ(self, other: Pin) -> None:
        assert not is_same(Pin("pinned", CommitSha(SHA), "x"), other)
