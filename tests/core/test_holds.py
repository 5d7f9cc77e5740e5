"""Holds: what stops a commit, what lifts that, and what is good instead."""

from dataclasses import replace

import pytest

from chalicelib.core.history import Run
from chalicelib.core.holds import (
    CANCELLED,
    MAX_STORED,
    STOPPED,
    Hold,
    RoundState,
    find_hold,
    most_run,
    parse_round_state,
    write_round_state,
)
from chalicelib.core.refs import CommitSha
from tests.core.test_plan import A, B, C, failed, minutes, ran, reconciled, run, said
from tests.facts import invocation as on


def stopped(*, at: int, cause: str = "push") -> Run:
    return run(B, failed(1, B), on(2, "Terminated"), at=at, cause=cause, status="Failed")


def kind_of(*runs: Run, stored: Hold | None = None) -> str:
    hold = find_hold(runs, (), B, stored)
    return hold.kind if hold else ""


def good_of(*runs: Run) -> CommitSha | None:
    """What is good instead of the commit, which is held."""
    hold = find_hold(runs, (), B, None)
    assert hold
    return hold.good


class TestFindHold:
    def test_commit_that_nobody_was_sent_is_free(self) -> None:
        assert kind_of(run(A, on(1, "Terminated"))) == ""

    def test_commit_that_failed_where_it_went_is_free(self) -> None:
        assert kind_of(run(B, failed(1, B), ran(2, B), status="Failed")) == ""

    def test_commit_that_was_stopped_is_held(self) -> None:
        assert kind_of(stopped(at=1)) == STOPPED

    def test_commit_that_was_cancelled_is_held(self) -> None:
        assert kind_of(run(B, ran(1, B), status="Cancelled")) == CANCELLED

    def test_commit_whose_cancelling_a_host_never_reports_is_held(self) -> None:
        assert kind_of(run(B, on(1, "Cancelling"), status="Cancelling")) == CANCELLED

    @pytest.mark.parametrize("cause", ["push", "manual", "rollback"])
    def test_newer_roll_out_by_whoever_may_lifts_it(self, cause: str) -> None:
        newer = run(B, ran(1, B), at=2, cause=cause)
        assert kind_of(newer, stopped(at=1)) == ""
        old = Hold(B, STOPPED, stopped(at=1).roll_out.issued)
        assert kind_of(newer, stored=old) == ""

    def test_what_reconciling_sent_in_the_meantime_does_not_lift_it(self) -> None:
        late = reconciled(B, ran(3, B), at=2)
        assert kind_of(late, stopped(at=1)) == STOPPED
        assert kind_of(late, stored=Hold(B, STOPPED, stopped(at=1).roll_out.issued)) == STOPPED

    def test_what_reconciling_began_can_be_stopped_too(self) -> None:
        assert kind_of(stopped(at=5, cause="reconcile")) == STOPPED

    def test_failure_of_a_repair_holds_nothing_where_most_hosts_run_the_commit(self) -> None:
        everywhere = run(B, ran(1, B), ran(2, B), ran(3, B))
        assert kind_of(everywhere, stopped(at=5, cause="reconcile")) == ""
        one_of_three = [run(A, ran(2, A), ran(3, A)), run(B, ran(1, B), at=1)]
        assert kind_of(*one_of_three, stopped(at=5, cause="reconcile")) == STOPPED

    def test_repair_that_somebody_cancelled_is_no_cancelled_roll_out(self) -> None:
        repair = reconciled(B, on(1, "Cancelled"), at=5)
        cancelled = replace(repair, command=replace(repair.command, details="Cancelled"))
        assert kind_of(run(A, ran(1, A)), cancelled) == STOPPED

    def test_commit_that_most_hosts_ran_before_a_redelivery_of_it_is_not_held(self) -> None:
        everywhere = run(B, ran(1, B), ran(2, B))
        assert kind_of(everywhere, run(B, ran(1, B), at=5, status="Cancelled")) == ""

    def test_good_is_what_most_hosts_ran_before(self) -> None:
        before = [run(C, ran(1, C), at=0), run(A, ran(2, A), ran(3, A), at=1)]
        hold = find_hold([*before, stopped(at=5)], (), B, None)
        assert hold == Hold(B, STOPPED, stopped(at=5).roll_out.issued, good=A)
        assert str(hold) == "the roll-out of bbbbbbb was stopped by its failures"

    def test_good_is_what_they_ran_before_the_roll_out_that_reconciling_went_on_with(self) -> None:
        before = [run(A, ran(1, A), ran(2, A)), run(C, ran(3, C), at=1)]
        push, repair = run(B, ran(1, B), at=2), stopped(at=5, cause="reconcile")
        assert good_of(*before, push, repair) == A

    def test_nothing_is_good_before_a_roll_out_of_which_no_time_is_known(self) -> None:
        sent = run(B, ran(1, B)).command
        push = Run(replace(sent, roll_out=replace(sent.roll_out, issued=0)), (ran(1, B),))
        before = run(A, ran(1, A), ran(2, A), at=1)
        assert good_of(push, before, stopped(at=5, cause="reconcile")) is None

    def test_held_commit_is_never_the_good_one(self) -> None:
        there = [run(B, ran(1, B), ran(2, B), at=at) for at in (0, 1)]
        newer = run(C, ran(1, C), ran(2, C), at=2)
        assert good_of(*there, newer, stopped(at=5, cause="reconcile")) is None

    def test_good_is_what_they_ran_before_a_roll_out_that_reconciling_began(self) -> None:
        assert good_of(run(A, ran(1, A)), stopped(at=5, cause="reconcile")) == A

    def test_first_to_stop_a_roll_out_says_why_it_is_held(self) -> None:
        cancelled = run(B, on(1, "Cancelled"), at=1, status="Cancelled")
        assert kind_of(cancelled, stopped(at=2, cause="reconcile")) == CANCELLED

    def test_stopped_roll_out_itself_does_not_lift_what_is_stored_of_it(self) -> None:
        stored = Hold(B, STOPPED, stopped(at=1).roll_out.issued, good=A)
        assert find_hold([stopped(at=1)], (), B, stored) == stored

    def test_another_commit_s_redelivery_does_not_lift_what_is_stored(self) -> None:
        assert kind_of(run(A, ran(1, A), at=9), stored=Hold(B, STOPPED, 5, good=A)) == STOPPED

    def test_stored_hold_lasts_when_systems_manager_has_forgotten(self) -> None:
        stored = Hold(B, CANCELLED, 5, good=A)
        assert find_hold([], (), B, stored) == stored
        assert find_hold([], (), A, stored) is None
        assert str(stored) == "the roll-out of bbbbbbb was cancelled"


class TestMostRun:
    def test_newest_of_two_that_as_many_run_counts(self) -> None:
        runs = [run(A, ran(1, A), at=0), run(C, ran(2, C), at=1)]
        assert most_run(runs, B, before=2**62) == C

    @pytest.mark.parametrize("other", [A, C])
    def test_of_equals_in_one_run_the_one_that_it_asked_for_counts(self, other: CommitSha) -> None:
        one = run(B, ran(1, B), said(2, "updated", other), at=1)
        for invocations in (one.invocations, one.invocations[::-1]):
            known = replace(one, invocations=invocations)
            assert most_run([known], CommitSha("d" * 40), before=2**62) == B

    def test_of_equals_that_nobody_asked_for_it_is_always_the_same_one(self) -> None:
        one = run(B, said(1, "updated", A), said(2, "updated", C), at=1)
        for invocations in (one.invocations, one.invocations[::-1]):
            known = replace(one, invocations=invocations)
            assert most_run([known], B, before=2**62) == C

    def test_held_commit_must_have_more_than_any_other(self) -> None:
        runs = [run(A, ran(1, A), at=0), run(B, ran(2, B), at=1)]
        assert most_run(runs, B, before=2**62) == A

    def test_killed_run_does_not_hide_what_the_host_ran_before(self) -> None:
        killed = replace(on(1, "Cancelled"), ended=minutes(5))
        runs = [run(A, ran(1, A), at=0), run(B, killed, at=1)]
        assert most_run(runs, B, before=2**62) == A

    def test_host_counts_once_by_what_it_said_last(self) -> None:
        runs = [run(A, ran(1, A), at=0), run(C, ran(1, C), at=1), run(A, ran(2, A), at=2)]
        runs.append(run(A, said(3, "unchanged", A), at=3))
        assert most_run(runs, B, before=2**62) == A

    def test_nothing_is_known_of_a_fleet_that_said_nothing(self) -> None:
        assert most_run([run(A, on(1, "Undeliverable"))], B, before=2**62) is None


class TestRoundState:
    def test_what_is_written_is_read(self) -> None:
        state = RoundState("web", {"web": Hold(B, CANCELLED, 5, A), "job": Hold(C, STOPPED, 6)})
        assert parse_round_state(write_round_state(state)) == state

    @pytest.mark.parametrize(
        ("text", "state"),
        [
            ("web", RoundState("web")),
            ("-", RoundState()),
            ("", RoundState()),
            ("[]", RoundState()),
            ("3", RoundState()),
            ('{"after": 3, "holds": []}', RoundState()),
            (
                (
                    f'{{"holds": {{"web": {{"commit": "{"b" * 40}", '
                    '"kind": "x", "issued": Infinity}}}'
                ),
                RoundState(),
            ),
            ('{"after": "web", "holds": {"web": 3, "job": {"commit": "x"}}}', RoundState("web")),
        ],
    )
    def test_what_an_older_release_or_nobody_wrote_holds_nothing(
        self, text: str, state: RoundState
    ) -> None:
        assert parse_round_state(text) == state

    def test_newest_are_kept_where_there_are_more_than_a_parameter_holds(self) -> None:
        holds = {
            f"{'t' * 47}-{number}": Hold(B, CANCELLED, 10**12 + number, A) for number in range(30)
        }
        text = write_round_state(RoundState("w" * 50, holds))
        assert len(text) <= 4096
        kept = parse_round_state(text).holds
        assert len(kept) == MAX_STORED
        assert min(one.issued for one in kept.values()) == 10**12 + 30 - MAX_STORED
