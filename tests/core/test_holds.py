"""Holds: when a commit is held, what ends the hold, and which commit is good instead."""

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


def good_commit(*runs: Run) -> CommitSha | None:
    """The good commit that new hosts get instead of the held commit."""
    hold = find_hold(runs, (), B, None)
    assert hold
    return hold.good


class TestFindHold:
    def test_commit_that_was_never_sent_is_not_held(self) -> None:
        assert kind_of(run(A, on(1, "Terminated"))) == ""

    def test_commit_that_failed_without_a_stop_is_not_held(self) -> None:
        assert kind_of(run(B, failed(1, B), ran(2, B), status="Failed")) == ""

    def test_stopped_commit_is_held(self) -> None:
        assert kind_of(stopped(at=1)) == STOPPED

    def test_cancelled_commit_is_held(self) -> None:
        assert kind_of(run(B, ran(1, B), status="Cancelled")) == CANCELLED

    def test_commit_that_is_still_cancelling_is_held(self) -> None:
        assert kind_of(run(B, on(1, "Cancelling"), status="Cancelling")) == CANCELLED

    @pytest.mark.parametrize("cause", ["push", "manual", "rollback"])
    def test_newer_push_or_roll_out_by_a_person_ends_the_hold(self, cause: str) -> None:
        newer = run(B, ran(1, B), at=2, cause=cause)
        assert kind_of(newer, stopped(at=1)) == ""
        old = Hold(B, STOPPED, stopped(at=1).roll_out.issued)
        assert kind_of(newer, stored=old) == ""

    def test_command_of_a_round_does_not_end_the_hold(self) -> None:
        late = reconciled(B, ran(3, B), at=2)
        assert kind_of(late, stopped(at=1)) == STOPPED
        assert kind_of(late, stored=Hold(B, STOPPED, stopped(at=1).roll_out.issued)) == STOPPED

    def test_stopped_roll_out_of_a_round_holds_the_commit(self) -> None:
        assert kind_of(stopped(at=5, cause="reconcile")) == STOPPED

    def test_stopped_repair_holds_the_commit_only_if_few_hosts_run_it(self) -> None:
        everywhere = run(B, ran(1, B), ran(2, B), ran(3, B))
        assert kind_of(everywhere, stopped(at=5, cause="reconcile")) == ""
        one_of_three = [run(A, ran(2, A), ran(3, A)), run(B, ran(1, B), at=1)]
        assert kind_of(*one_of_three, stopped(at=5, cause="reconcile")) == STOPPED

    def test_cancelled_repair_holds_the_commit_as_stopped(self) -> None:
        repair = reconciled(B, on(1, "Cancelled"), at=5)
        cancelled = replace(repair, command=replace(repair.command, details="Cancelled"))
        assert kind_of(run(A, ran(1, A)), cancelled) == STOPPED

    def test_commit_that_most_hosts_ran_before_its_cancelled_redelivery_is_not_held(self) -> None:
        everywhere = run(B, ran(1, B), ran(2, B))
        assert kind_of(everywhere, run(B, ran(1, B), at=5, status="Cancelled")) == ""

    def test_good_commit_is_what_most_hosts_ran_before(self) -> None:
        before = [run(C, ran(1, C), at=0), run(A, ran(2, A), ran(3, A), at=1)]
        hold = find_hold([*before, stopped(at=5)], (), B, None)
        assert hold == Hold(B, STOPPED, stopped(at=5).roll_out.issued, good=A)
        assert str(hold) == "the roll-out of bbbbbbb was stopped by its failures"

    def test_good_commit_is_from_before_the_roll_out_that_a_round_continued(self) -> None:
        before = [run(A, ran(1, A), ran(2, A)), run(C, ran(3, C), at=1)]
        push, repair = run(B, ran(1, B), at=2), stopped(at=5, cause="reconcile")
        assert good_commit(*before, push, repair) == A

    def test_no_commit_is_good_before_a_roll_out_without_a_time(self) -> None:
        sent = run(B, ran(1, B)).command
        push = Run(replace(sent, roll_out=replace(sent.roll_out, issued=0)), (ran(1, B),))
        before = run(A, ran(1, A), ran(2, A), at=1)
        assert good_commit(push, before, stopped(at=5, cause="reconcile")) is None

    def test_held_commit_is_never_the_good_commit(self) -> None:
        there = [run(B, ran(1, B), ran(2, B), at=at) for at in (0, 1)]
        newer = run(C, ran(1, C), ran(2, C), at=2)
        assert good_commit(*there, newer, stopped(at=5, cause="reconcile")) is None

    def test_good_commit_is_from_before_a_roll_out_that_a_round_began(self) -> None:
        assert good_commit(run(A, ran(1, A)), stopped(at=5, cause="reconcile")) == A

    def test_first_stop_of_a_roll_out_gives_the_kind_of_the_hold(self) -> None:
        cancelled = run(B, on(1, "Cancelled"), at=1, status="Cancelled")
        assert kind_of(cancelled, stopped(at=2, cause="reconcile")) == CANCELLED

    def test_stopped_roll_out_does_not_end_its_own_stored_hold(self) -> None:
        stored = Hold(B, STOPPED, stopped(at=1).roll_out.issued, good=A)
        assert find_hold([stopped(at=1)], (), B, stored) == stored

    def test_redelivery_of_another_commit_does_not_end_a_stored_hold(self) -> None:
        assert kind_of(run(A, ran(1, A), at=9), stored=Hold(B, STOPPED, 5, good=A)) == STOPPED

    def test_stored_hold_outlasts_the_history(self) -> None:
        stored = Hold(B, CANCELLED, 5, good=A)
        assert find_hold([], (), B, stored) == stored
        assert find_hold([], (), A, stored) is None
        assert str(stored) == "the roll-out of bbbbbbb was cancelled"


class TestMostRun:
    def test_newest_commit_counts_if_two_have_the_same_number_of_hosts(self) -> None:
        runs = [run(A, ran(1, A), at=0), run(C, ran(2, C), at=1)]
        assert most_run(runs, B, before=2**62) == C

    @pytest.mark.parametrize("other", [A, C])
    def test_requested_commit_counts_if_two_have_the_same_number_of_hosts(
        self, other: CommitSha
    ) -> None:
        one = run(B, ran(1, B), said(2, "updated", other), at=1)
        for invocations in (one.invocations, one.invocations[::-1]):
            known = replace(one, invocations=invocations)
            assert most_run([known], CommitSha("d" * 40), before=2**62) == B

    def test_order_of_hosts_does_not_decide_between_two_unrequested_commits(self) -> None:
        one = run(B, said(1, "updated", A), said(2, "updated", C), at=1)
        for invocations in (one.invocations, one.invocations[::-1]):
            known = replace(one, invocations=invocations)
            assert most_run([known], B, before=2**62) == C

    def test_held_commit_counts_only_with_more_hosts_than_any_other(self) -> None:
        runs = [run(A, ran(1, A), at=0), run(B, ran(2, B), at=1)]
        assert most_run(runs, B, before=2**62) == A

    def test_killed_run_does_not_hide_the_host_s_earlier_commit(self) -> None:
        killed = replace(on(1, "Cancelled"), ended=minutes(5))
        runs = [run(A, ran(1, A), at=0), run(B, killed, at=1)]
        assert most_run(runs, B, before=2**62) == A

    def test_host_counts_once_by_its_newest_result(self) -> None:
        runs = [run(A, ran(1, A), at=0), run(C, ran(1, C), at=1), run(A, ran(2, A), at=2)]
        runs.append(run(A, said(3, "unchanged", A), at=3))
        assert most_run(runs, B, before=2**62) == A

    def test_hosts_without_results_give_no_commit(self) -> None:
        assert most_run([run(A, on(1, "Undeliverable"))], B, before=2**62) is None


class TestRoundState:
    def test_written_state_is_read_back(self) -> None:
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
    def test_state_in_an_old_or_invalid_format_has_no_holds(
        self, text: str, state: RoundState
    ) -> None:
        assert parse_round_state(text) == state

    def test_only_the_newest_holds_are_stored_if_there_are_too_many(self) -> None:
        holds = {
            f"{'t' * 47}-{number}": Hold(B, CANCELLED, 10**12 + number, A) for number in range(30)
        }
        text = write_round_state(RoundState("w" * 50, holds))
        assert len(text) <= 4096
        kept = parse_round_state(text).holds
        assert len(kept) == MAX_STORED
        assert min(one.issued for one in kept.values()) == 10**12 + 30 - MAX_STORED
