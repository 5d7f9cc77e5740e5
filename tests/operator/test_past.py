"""A pin's versions as what was done, and by whom."""

from datetime import UTC, datetime

from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha
from pulley.operator.parameters import StoredValue
from pulley.operator.past import PinChange, pin_changes
from tests.fakes import COMMIT

AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
PINNED = f'{{"state": "pinned", "commit": "{COMMIT}", "reason": "why", "by": "mona"}}'


def change_of(value: str, by: str = "arn:aws:iam::123456789012:user/someone") -> PinChange:
    (change,) = pin_changes("web", [StoredValue("/pulley/dev/pins/web", value, 3, by, AT)])
    return change


class TestPinChanges:
    def test_it_is_what_was_stored_and_by_whom_aws_says(self) -> None:
        pin = Pin("pinned", CommitSha(COMMIT), "why", by="mona")
        assert change_of(PINNED) == PinChange(AT, "web", pin, "someone", 3)

    def test_role_s_session_is_who_it_was(self) -> None:
        arn = "arn:aws:sts::123456789012:assumed-role/operators/hubot"
        assert change_of(PINNED, arn).by == "hubot"

    def test_pin_s_own_word_counts_where_aws_has_none(self) -> None:
        assert [change_of(PINNED, by).by for by in ("", "N/A")] == ["mona", "mona"]

    def test_pin_that_cannot_be_read_is_told_too(self) -> None:
        change = change_of("{")
        assert (change.pin, change.by, change.at) == (None, "someone", AT)
        assert change.problem

    def test_version_without_a_time_has_no_place(self) -> None:
        assert pin_changes("web", [StoredValue("/pulley/dev/pins/web", PINNED, 1)]) == []
