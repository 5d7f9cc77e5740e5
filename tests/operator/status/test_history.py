"""A target's history: pin changes with their authors, cancels, and commands by id."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import Invocation, Run
from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.core.targets import parse_target
from pulley.operator.aws.commands import Addressee, commands_to
from pulley.operator.aws.parameters import StoredValue
from pulley.operator.stage.stage import StoredTargets
from pulley.operator.status.history import (
    Cancel,
    PinChange,
    cancel_of,
    find_addressees,
    find_by_id,
    pin_changes,
)
from tests.fakes import COMMIT, SITE, target_json
from tests.flows.runs import START, command_of, id_of, line_of, on

AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
PINNED = f'{{"state": "pinned", "commit": "{COMMIT}", "reason": "why", "by": "mona"}}'


SOMEONE = "arn:aws:iam::123456789012:user/someone"


def change_of(value: str, by: str = SOMEONE) -> PinChange:
    (change,) = pin_changes("web", [StoredValue("/pulley/dev/pins/web", value, 3, by, AT)])
    return change


class TestPinChanges:
    def test_change_has_the_stored_pin_and_the_author_that_aws_names(self) -> None:
        pin = Pin("pinned", CommitSha(COMMIT), "why", by="mona")
        assert change_of(PINNED) == PinChange(AT, "web", pin, "someone", 3, arn=SOMEONE)

    def test_author_with_a_role_is_the_name_of_its_session(self) -> None:
        arn = "arn:aws:sts::123456789012:assumed-role/operators/hubot"
        assert change_of(PINNED, arn).by == "hubot"

    def test_author_in_the_pin_counts_if_aws_names_none(self) -> None:
        assert [change_of(PINNED, by).by for by in ("", "N/A")] == ["mona", "mona"]

    def test_unreadable_pin_is_listed_with_its_problem(self) -> None:
        change = change_of("{")
        assert (change.pin, change.by, change.at) == (None, "someone", AT)
        assert change.problem

    def test_version_without_a_time_is_left_out(self) -> None:
        assert pin_changes("web", [StoredValue("/pulley/dev/pins/web", PINNED, 1)]) == []


class TestCancelOf:
    BEFORE = on(2, details="Cancelled")

    def cancel(self, *invocations: Invocation) -> Cancel:
        command = command_of(count=len(invocations), status="Cancelled")
        return cancel_of(Run(command, invocations))

    def test_cancel_has_the_time_when_the_first_script_was_ended(self) -> None:
        ran = [
            replace(on(number, details="Cancelled"), ended=START + timedelta(minutes=number))
            for number in (4, 3)
        ]
        found = self.cancel(*ran, self.BEFORE, on(1, line_of()))
        assert (found.at, found.hosts, found.begun) == (START + timedelta(minutes=3), 3, 2)

    def test_cancel_before_any_script_began_has_no_time(self) -> None:
        found = self.cancel(self.BEFORE, on(1, line_of()))
        assert (found.at, found.hosts, found.begun) == (None, 1, 0)


WEB = parse_target("web", target_json())


class TestFindAddressees:
    STORED = StoredTargets((WEB,), (), {})
    SENT = (
        command_of(number=1, target="canary"),
        command_of(number=2, repository=Repository("octo", "before")),
        command_of(number=3),
        command_of(number=4, target="canary"),
    )

    def test_name_selects_the_stored_target_and_not_an_older_target_of_that_name(self) -> None:
        assert find_addressees(self.STORED, self.SENT, "web") == (WEB,)

    def test_removed_target_is_found_by_its_commands(self) -> None:
        assert find_addressees(self.STORED, self.SENT, "canary") == (Addressee("canary", SITE),)

    def test_without_a_name_all_targets_are_selected(self) -> None:
        found = find_addressees(self.STORED, self.SENT, None)
        assert found == (WEB, Addressee("canary", SITE))

    def test_unknown_name_is_refused_with_the_existing_names(self) -> None:
        with pytest.raises(UnavailableError, match="no target job; there is web"):
            find_addressees(self.STORED, self.SENT, "job")


class TestFindById:
    SENT = commands_to(WEB, [command_of(number=number) for number in (1, 2, 0x11)])

    def test_first_digits_select_a_command_if_no_other_id_has_them(self) -> None:
        assert find_by_id(self.SENT, id_of(2), "web").id == id_of(2)
        assert find_by_id(self.SENT, id_of(0x11)[:35], "web").id == id_of(0x11)

    def test_digits_of_several_commands_are_refused_with_their_ids(self) -> None:
        with pytest.raises(UnavailableError, match=f"{id_of(1)}, {id_of(2)}"):
            find_by_id(self.SENT, id_of(1)[:8], "web")

    def test_unknown_id_is_refused_with_a_hint_to_the_history(self) -> None:
        with pytest.raises(UnavailableError, match="pulley history web has their ids"):
            find_by_id(self.SENT, id_of(3), "web")
