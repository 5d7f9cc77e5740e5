"""Doctor's rows about a host that is not at its wanted commit, and the fixes that help."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from chalicelib.core.history import Command, Invocation
from chalicelib.core.results import Found
from chalicelib.core.targets import parse_target
from pulley.operator.doctor.checkout_state import Place, check_hold, check_place, place_of
from pulley.operator.doctor.row import FAIL, WARN, Row
from tests.fakes import COMMIT, target_json
from tests.flows.runs import OLD, command_of, line_of, on, running
from tests.status.test_overview import view

WEB = parse_target("web", target_json(instances={"tags": {"role": "web"}}))
FOUND = Found(
    would_update=False, owner="deploy", git="2.40.1", free_mib=81_000, lfs=False, deployed=OLD
)
HELD = "the roll-out of 4d5e6f7 was stopped by its failures"
BAD = Place(wanted=COMMIT, failed="rolled back: health check", has_bad_commit=True)
ROLLED_BACK = line_of(outcome="rolled_back", after=OLD, step="after_pull", detail="exit code 1")
UNTOUCHED = line_of(outcome="no_checkout", after=None, upstream=None)
Sent = tuple[Command, Sequence[Invocation]]


def row(place: Place, found: Found = FOUND) -> Row:
    (only,) = check_place("host web-1", WEB, found, "aaaaaaa", place)
    return only


def place(*sent: Sent) -> Place:
    standing = view(*sent).standing(WEB)
    return place_of(standing, standing.hosts[0])


class TestCheckPlace:
    @pytest.mark.parametrize(
        ("where", "helps", "is_of_no_use"),
        [
            (Place(wanted=COMMIT), ["pulley deploy web"], ["next round"]),
            (Place(wanted=COMMIT, is_next=True), ["next round", "pulley deploy web"], []),
            (
                BAD,
                ["pulley logs web", "fix the commit and push", "pulley rollback web"],
                ["next round"],
            ),
            (
                replace(BAD, is_next=True),
                ["fix the commit and push", "pulley rollback web", "fix it there"],
                ["next round"],
            ),
            (
                replace(BAD, is_pinned=True),
                ["pulley unpin web", "pulley rollback web"],
                ["push", "next round"],
            ),
            (
                replace(BAD, has_bad_commit=False),
                ["pulley logs web", "on the host, then pulley deploy web"],
                ["push", "rollback", "next round"],
            ),
        ],
    )
    def test_fix_for_a_host_that_is_behind_names_only_actions_that_help(
        self, where: Place, helps: list[str], is_of_no_use: list[str]
    ) -> None:
        found = row(where)
        assert found.outcome == FAIL
        assert all(words in found.mend for words in helps), found.mend
        assert not [words for words in is_of_no_use if words in found.mend]

    def test_parked_commit_is_shown_with_the_reason_of_its_failure(self) -> None:
        assert row(replace(BAD, is_parked=True)).words == (
            "it is at aaaaaaa, and 4d5e6f7 is wanted, which failed there: "
            "rolled back: health check. The schedule does not try it again"
        )

    @pytest.mark.parametrize("name", ["begun", "marker", "moving", "index.lock", "rebase-merge"])
    @pytest.mark.parametrize(
        ("where", "fix"),
        [
            (Place(wanted=COMMIT, is_there=True), "pulley deploy web brings it there"),
            (Place(wanted=COMMIT, held=HELD), "pulley rollback web"),
            (Place(is_frozen=True), "pulley unpin web, then pulley deploy web"),
            (Place(wanted=OLD, held=HELD, is_next=True), "next round"),
        ],
    )
    def test_checkout_of_a_killed_run_fails_also_under_a_hold_or_freeze(
        self, name: str, where: Place, fix: str
    ) -> None:
        found = row(where, replace(FOUND, unfinished=name))
        assert found.outcome == FAIL
        is_git_s = "-" in name or "." in name
        assert found.mend.startswith("if nobody is at work there: ") == is_git_s
        assert fix in found.mend

    def test_checkout_of_a_killed_first_run_is_shown_as_never_deployed(self) -> None:
        found = row(Place(), replace(FOUND, unfinished="begun", deployed=""))
        assert found.words == (
            "it is at aaaaaaa, whose steps began and did not end; none was done before"
        )

    def test_person_s_unfinished_merge_is_left_to_the_person(self) -> None:
        found = row(Place(wanted=COMMIT, is_there=True), replace(FOUND, unfinished="MERGE_HEAD"))
        assert "git status says" in found.mend

    def test_fix_for_drift_under_a_hold_is_a_rollback_and_not_the_next_round(self) -> None:
        found = row(Place(wanted=COMMIT, held=HELD), replace(FOUND, drift="head"))
        assert "next round" not in found.mend
        assert "pulley rollback web" in found.mend

    def test_host_with_a_running_command_gets_only_a_warning(self) -> None:
        found = row(replace(BAD, is_running=True), replace(FOUND, unfinished="begun"))
        assert (found.outcome, found.is_well) == (WARN, True)
        assert "pulley status web" in found.mend

    @pytest.mark.parametrize(
        "where", [Place(), Place(wanted=COMMIT, is_there=True), Place(wanted=COMMIT, held=HELD)]
    )
    def test_host_that_needs_no_action_has_no_row(self, where: Place) -> None:
        assert list(check_place("host web-1", WEB, FOUND, "aaaaaaa", where)) == []


class TestPlaceOf:
    @pytest.mark.parametrize(
        ("invocation", "has_failed", "has_bad_commit"),
        [
            (on(1, line_of()), False, False),
            (on(1, ROLLED_BACK, "Failed"), True, True),
            (on(1, line_of(outcome="conflict", after=OLD), "Failed"), True, True),
            (on(1, UNTOUCHED, "Failed"), True, False),
        ],
    )
    def test_failure_of_the_wanted_commit_on_the_host_is_found(
        self, invocation: Invocation, *, has_failed: bool, has_bad_commit: bool
    ) -> None:
        found = place((command_of(), [invocation]))
        assert (bool(found.failed), found.has_bad_commit) == (has_failed, has_bad_commit)

    def test_failure_of_another_commit_does_not_count(self) -> None:
        failed = command_of(OLD, 1, status="Failed"), [on(1, line_of(OLD, outcome="broken"))]
        found = place(failed, (command_of(COMMIT, 2), [on(2, line_of())]))
        assert (found.wanted, found.failed) == (COMMIT, "")

    def test_host_that_runs_a_command_is_under_way(self) -> None:
        assert place((command_of(status="InProgress"), [running(1)])).is_running


class TestCheckHold:
    def test_held_commit_is_a_warning_with_the_next_steps(self) -> None:
        stopped = [on(1, ROLLED_BACK, "Failed"), on(2, details="Terminated")]
        before = command_of(OLD, 1, count=2), [on(1, line_of(OLD)), on(2, line_of(OLD))]
        held = view(before, (command_of(COMMIT, 2, status="Failed", count=2), stopped))
        (found,) = check_hold(held.standing(WEB))
        assert (found.what, found.outcome, found.words) == ("target web: roll-out", WARN, HELD)
        assert "fix the commit and push" in found.mend
        assert "pulley rollback web" in found.mend

    def test_cancelled_commit_is_not_called_bad(self) -> None:
        before = command_of(OLD, 1), [on(1, line_of(OLD))]
        cancelled = command_of(COMMIT, 2, status="Cancelled"), [on(1, details="Cancelled")]
        (found,) = check_hold(view(before, cancelled).standing(WEB))
        assert found.words == "the roll-out of 4d5e6f7 was cancelled"
        assert found.mend == "push a newer commit; or pulley deploy web sends this one again"

    def test_target_without_a_hold_has_no_row(self) -> None:
        assert list(check_hold(view((command_of(), [on(1, line_of())])).standing(WEB))) == []
