"""Which commit a roll back chooses, from the hosts' results."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import Run
from chalicelib.core.hosts import Host
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import parse_target
from chalicelib.core.wanted import Wanted
from pulley.operator.deploy.rollback import PassedOver, WayBack, choose_way_back, commit_to_leave
from tests.fakes import target_json
from tests.flows.runs import START, command_of, line_of, on, rolled_back

A, B, C, D = (CommitSha(letter * 40) for letter in "abcd")
TARGET = parse_target("web", target_json())
NOW = START + timedelta(hours=5)
HOSTS = [Host(f"i-{number:017x}", f"web-{number}", is_online=number == 1) for number in (1, 2)]


def run(commit: CommitSha, number: int, *, failed: bool = False, cause: str = "push") -> Run:
    """A run with this number on one host: it ends at the commit, or fails."""
    command = command_of(commit.sha, number)
    assert command.roll_out
    output = rolled_back(commit.sha) if failed else line_of(commit.sha)
    return Run(replace(command, roll_out=replace(command.roll_out, cause=cause)), (on(1, output),))


def with_second(one: Run, details: str, output: str = "") -> Run:
    """The run, whose second host is web-2."""
    status = "InProgress" if details in {"Pending", "InProgress"} else one.command.status
    command = replace(one.command, target_count=2, status=status)
    return Run(command, (*one.invocations, on(2, output, details)))


def way(leave: CommitSha | None, *runs: Run) -> WayBack:
    # Within the ten minutes in which Systems Manager tries to reach a host.
    last = max((one.command.requested for one in runs), default=NOW)
    return choose_way_back(TARGET, leave, runs, HOSTS, now=last + timedelta(minutes=1))


def way_back(leave: CommitSha | None, *runs: Run) -> CommitSha:
    return way(leave, *runs).commit


class TestChooseWayBack:
    def test_rollback_chooses_the_good_commit_before_the_current(self) -> None:
        assert way(C, run(A, 1), run(B, 2), run(C, 3)) == WayBack(B)

    def test_failed_commit_is_passed_over_with_the_reason(self) -> None:
        words = "0 of 1 host at bbbbbbb, 1 failed; web-1: rolled back to aaaaaaa: "
        words += "health check: answered 500"
        assert way(C, run(A, 1), run(B, 2, failed=True), run(C, 3)) == WayBack(
            A, (PassedOver(B, words),)
        )

    def test_current_commit_that_failed_is_left_for_the_commit_before_it(self) -> None:
        assert way_back(B, run(A, 1), run(B, 2, failed=True)) == A

    def test_second_rollback_goes_further_back_and_never_forward(self) -> None:
        runs = [run(A, 1), run(B, 2), run(C, 3), run(B, 4, cause="rollback")]
        assert way(B, *runs) == WayBack(A, (PassedOver(C, "an earlier roll back left it"),))
        with pytest.raises(UnavailableError, match="no good commit of web is known from before a"):
            way_back(A, *runs, run(A, 5, cause="rollback"))

    def test_commit_that_was_sent_a_second_time_counts_as_good(self) -> None:
        assert way_back(C, run(A, 1), run(B, 2), run(A, 3), run(C, 4)) == A

    def test_after_a_pin_to_an_older_commit_the_commit_before_the_pin_is_chosen(self) -> None:
        runs = [run(A, 1), run(B, 2), run(A, 3, cause="rollback"), run(C, 4)]
        pinned = [*runs, run(B, 5, cause="manual")]
        assert way(B, *pinned) == WayBack(C)
        # The last roll back left B, although B was sent again after the first roll back.
        again = [*pinned, run(C, 6, cause="rollback")]
        assert way(C, *again) == WayBack(A, (PassedOver(B, "an earlier roll back left it"),))

    def test_after_a_forced_push_to_an_older_commit_the_commit_before_the_push_is_chosen(
        self,
    ) -> None:
        assert way(B, run(A, 1), run(B, 2), run(C, 3), run(D, 4), run(B, 5)) == WayBack(D)

    def test_rolled_back_commit_is_good_again_after_it_is_sent_again(self) -> None:
        runs = [run(A, 1), run(B, 2), run(A, 3, cause="rollback"), run(B, 4), run(C, 5)]
        assert way_back(C, *runs) == B

    def test_commit_that_a_round_sent_before_the_rollback_stays_good(
        self,
    ) -> None:
        runs = [run(A, 1), run(B, 2), run(A, 3, cause="reconcile")]
        back = run(A, 4, cause="rollback")
        assert way(C, *runs, back, run(C, 5)).commit == A

    @pytest.mark.parametrize("details", ["Pending", "Delayed", "DeliveryTimedOut"])
    def test_offline_host_does_not_make_a_commit_bad(self, details: str) -> None:
        whole = with_second(run(A, 1), "Success", line_of(A.sha))
        later = [with_second(run(one, number), details) for one, number in ((B, 2), (C, 3))]
        assert way(C, whole, *later) == WayBack(B)
        assert way(C, *later) == WayBack(B)

    def test_commit_that_still_runs_on_a_host_is_passed_over(self) -> None:
        runs = [run(A, 1), with_second(run(B, 2), "InProgress"), run(C, 3)]
        assert way(C, *runs) == WayBack(A, (PassedOver(B, "deploying bbbbbbb to 2 hosts"),))

    @pytest.mark.parametrize("runs", [[], [run(B, 1)], [run(A, 1, failed=True), run(B, 2)]])
    def test_without_a_known_good_commit_the_error_suggests_a_pin(
        self, runs: Sequence[Run]
    ) -> None:
        with pytest.raises(UnavailableError, match="pulley pin web COMMIT"):
            way_back(B, *runs)

    def test_without_a_known_good_commit_the_error_lists_the_passed_over_commits(self) -> None:
        with pytest.raises(
            UnavailableError, match=r"\. aaaaaaa: 0 of 1 host at aaaaaaa, 1 failed; w"
        ):
            way_back(B, run(A, 1, failed=True), run(B, 2))

    def test_target_without_commands_is_an_error(self) -> None:
        with pytest.raises(UnavailableError, match="nothing was sent to web"):
            way_back(None)


class TestCommitToLeave:
    SENT = tuple(one.roll_out for one in (run(A, 1), run(B, 2), run(A, 3)))

    def test_wanted_commit_is_left_if_it_was_sent(self) -> None:
        assert commit_to_leave(Wanted(B, "rebase", ""), self.SENT) == B

    def test_newest_sent_commit_is_left_if_the_tip_was_not_sent(self) -> None:
        assert commit_to_leave(Wanted(C, "rebase", ""), self.SENT) == A

    def test_newest_sent_commit_is_left_if_no_commit_is_wanted(self) -> None:
        assert commit_to_leave(None, self.SENT) == A
        assert commit_to_leave(None, []) is None
