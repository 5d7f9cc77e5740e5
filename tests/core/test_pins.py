"""Pins: what holds a target, until when, and which stored text is not a valid pin."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.pins import Pin, PinError, parse_pin
from chalicelib.core.refs import CommitSha

SHA = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"
NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


class TestParsePin:
    def test_whole_pin_is_read(self) -> None:
        stored = {
            "state": "pinned",
            "commit": SHA,
            "reason": "the release",
            "by": "arn:aws:iam::123456789012:user/mona",
            "at": "2030-01-30T12:00:00Z",
            "until": "2030-01-31T12:00:00Z",
        }
        assert parse_pin(json.dumps(stored)) == Pin(
            "pinned",
            CommitSha(SHA),
            reason="the release",
            until=NOON,
            by="arn:aws:iam::123456789012:user/mona",
            at=NOON - timedelta(days=1),
        )

    @pytest.mark.parametrize("state", ["none", "frozen"])
    def test_state_without_a_commit_is_enough_for_none_and_frozen(self, state: str) -> None:
        assert parse_pin(json.dumps({"state": state})) == Pin(state)

    def test_null_and_empty_fields_count_as_missing(self) -> None:
        stored = {"state": "frozen", "commit": "", "reason": None, "until": None}
        assert parse_pin(json.dumps(stored)) == Pin("frozen")

    def test_end_in_another_zone_is_the_same_instant_in_utc(self) -> None:
        pin = parse_pin('{"state": "frozen", "until": "2030-01-31T14:00:00+02:00"}')
        assert pin.until == NOON
        assert pin.until.tzinfo is UTC

    @pytest.mark.parametrize(
        ("stored", "reason"),
        [
            ({"state": "paused"}, "state must be one of none, pinned, frozen"),
            ({"state": ["none"]}, "state must be one of none, pinned, frozen"),
            ({"state": None}, "state must be one of none, pinned, frozen"),
            ({}, "must be JSON like {state, commit, until}"),
            ([], "must be JSON like {state, commit, until}"),
            ("frozen", "must be JSON like {state, commit, until}"),
            (None, "must be JSON like {state, commit, until}"),
            ({"state": "pinned"}, "a pinned target must have a commit"),
            ({"state": "pinned", "commit": SHA[:7]}, "must be a commit of 40 hex digits"),
            ({"state": "pinned", "commit": 7}, "must be JSON like"),
            ({"state": "frozen", "until": 1896091200}, "must be JSON like"),
            ({"state": "frozen", "until": "tomorrow"}, "must be JSON like"),
            ({"state": "frozen", "until": "2030-01-31"}, "until must have a time zone"),
            ({"state": "frozen", "until": "2030-01-31T12:00:00"}, "until must have a time zone"),
            ({"state": "frozen", "until": "9999-12-31T23:59:59-14:00"}, "must be JSON like"),
        ],
    )
    def test_invalid_pin_is_refused_with_the_reason(self, stored: object, reason: str) -> None:
        with pytest.raises(PinError) as caught:
            parse_pin(json.dumps(stored))
        assert reason in str(caught.value)

    @pytest.mark.parametrize("at", ["", "noon", 7, "2030-01-31", "9999-12-31T23:59:59-14:00"])
    def test_invalid_at_and_by_do_not_invalidate_the_pin(self, at: object) -> None:
        stored = {"state": "frozen", "at": at, "by": ["mona"]}
        assert parse_pin(json.dumps(stored)) == Pin("frozen", by="['mona']")

    @pytest.mark.parametrize("text", ["", "frozen", "{", "[" * 10_000, "9" * 5_000])
    def test_text_that_is_not_json_is_refused(self, text: str) -> None:
        with pytest.raises(PinError, match="must be JSON"):
            parse_pin(text)

    def test_reason_of_several_lines_becomes_one_line(self) -> None:
        pin = parse_pin(json.dumps({"state": "frozen", "reason": "the fair\r\n ERROR\u2028x "}))
        assert str(pin) == "frozen: the fair ERROR x"

    @given(
        st.fixed_dictionaries(
            {"state": st.sampled_from(["none", "pinned", "frozen"]) | st.text()},
            optional={
                "commit": st.just(SHA) | st.text() | st.integers(),
                "reason": st.text() | st.integers(),
                "until": st.datetimes(
                    timezones=st.just(timezone(timedelta(hours=-14)))
                    | st.just(timezone(timedelta(hours=14)))
                ).map(datetime.isoformat)
                | st.text(),
            },
        )
    )
    def test_any_stored_pin_is_refused_or_has_a_text(self, stored: dict[str, object]) -> None:
        try:
            pin = parse_pin(json.dumps(stored))
        except PinError:
            return
        assert str(pin).startswith(str(stored["state"]))


class TestPinIsTo:
    def test_pin_is_to_its_commit_and_to_no_other(self) -> None:
        pin = Pin("pinned", CommitSha(SHA))
        assert pin.is_to(CommitSha(SHA))
        assert not pin.is_to(CommitSha("a" * 40))

    def test_freeze_is_to_no_commit(self) -> None:
        assert not Pin("frozen", CommitSha(SHA)).is_to(CommitSha(SHA))


class TestPinHolds:
    @pytest.mark.parametrize("state", ["pinned", "frozen"])
    def test_pin_without_an_end_holds(self, state: str) -> None:
        assert Pin(state).holds(NOON)

    def test_removed_pin_does_not_hold(self) -> None:
        assert not Pin("none").holds(NOON)

    def test_removed_pin_with_an_end_does_not_hold(self) -> None:
        assert not Pin("none", until=NOON + timedelta(days=1)).holds(NOON)

    def test_pin_holds_before_its_end(self) -> None:
        assert Pin("frozen", until=NOON).holds(NOON - timedelta(microseconds=1))

    def test_pin_does_not_hold_from_its_end(self) -> None:
        assert not Pin("frozen", until=NOON).holds(NOON)

    def test_now_in_another_zone_is_compared_as_an_instant(self) -> None:
        elsewhere = NOON.astimezone(timezone(timedelta(hours=9)))
        assert not Pin("frozen", until=NOON).holds(elsewhere)


class TestPinStr:
    def test_text_has_all_known_fields(self) -> None:
        pin = Pin("pinned", CommitSha(SHA), reason="the release", until=NOON)
        assert str(pin) == "pinned at 4d5e6f7 until 2030-01-31 12:00 UTC: the release"

    def test_unknown_fields_are_left_out(self) -> None:
        assert str(Pin("frozen")) == "frozen"
