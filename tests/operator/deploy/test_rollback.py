"""Which commit is the way back, from what hosts said of each."""

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
    """The run of that number, on one host, which is at the commit after it or has failed."""
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
    def test_good_commit_before_the_one_that_runs(self) -> None:
        assert way(C, run(A, 1), run(B, 2), run(C, 3)) == WayBack(B)

    def test_commit_that_failed_is_passed_over_and_it_is_said_why(self) -> None:
        words = "0 of 1 host at bbbbbbb, 1 failed; web-1: rolled back to aaaaaaa: "
        words += "health check: answered 500"
        assert way(C, run(A, 1), run(B, 2, failed=True), run(C, 3)) == WayBack(
            A, (PassedOver(B, words),)
        )

    def test_one_that_has_failed_itself_is_left_for_the_one_before(self) -> None:
        assert way_back(B, run(A, 1), run(B, 2, failed=True)) == A

    def test_rolled_back_once_more_it_goes_further_and_never_forward_again(self) -> None:
        runs = [run(A, 1), run(B, 2), run(C, 3), run(B, 4, cause="rollback")]
        assert way(B, *runs) == WayBack(A, (PassedOver(C, "it was rolled back from"),))
        with pytest.raises(UnavailableError, match="no good commit of web is known from before a"):
            way_back(A, *runs, run(A, 5, cause="rollback"))

    def test_commit_that_came_back_before_counts_as_good(self) -> None:
        assert way_back(C, run(A, 1), run(B, 2), run(A, 3), run(C, 4)) == A

    def test_what_ran_just_before_a_pin_to_an_older_commit_is_gone_back_to(self) -> None:
        runs = [run(A, 1), run(B, 2), run(A, 3, cause="rollback"), run(C, 4)]
        pinned = [*runs, run(B, 5, cause="manual")]
        assert way(B, *pinned) == WayBack(C)
        # B was left by that, though it has been sent since the roll back that left it first.
        again = [*pinned, run(C, 6, cause="rollback")]
        assert way(C, *again) == WayBack(A, (PassedOver(B, "it was rolled back from"),))

    def test_what_ran_before_a_forced_push_to_an_older_commit_is_gone_back_to(self) -> None:
        assert way(B, run(A, 1), run(B, 2), run(C, 3), run(D, 4), run(B, 5)) == WayBack(D)

    def test_commit_that_a_roll_back_left_is_good_again_once_it_is_sent_again(self) -> None:
        runs = [run(A, 1), run(B, 2), run(A, 3, cause="rollback"), run(B, 4), run(C, 5)]
        assert way_back(C, *runs) == B

    def test_commit_that_the_schedule_sent_to_a_new_host_meanwhile_was_not_rolled_back_from(
        self,
    ) -> None:
        runs = [run(A, 1), run(B, 2), run(A, 3, cause="reconcile")]
        back = run(A, 4, cause="rollback")
        assert way(C, *runs, back, run(C, 5)).commit == A

    @pytest.mark.parametrize("details", ["Pending", "Delayed", "DeliveryTimedOut"])
    def test_host_that_is_asleep_says_nothing_of_a_commit(self, details: str) -> None:
        whole = with_second(run(A, 1), "Success", line_of(A.sha))
        later = [with_second(run(one, number), details) for one, number in ((B, 2), (C, 3))]
        assert way(C, whole, *later) == WayBack(B)
        assert way(C, *later) == WayBack(B)

    def test_host_that_has_not_ended_yet_does(self) -> None:
        runs = [run(A, 1), with_second(run(B, 2), "InProgress"), run(C, 3)]
        assert way(C, *runs) == WayBack(A, (PassedOver(B, "deploying bbbbbbb to 2 hosts"),))

    @pytest.mark.parametrize("runs", [[], [run(B, 1)], [run(A, 1, failed=True), run(B, 2)]])
    def test_none_that_is_known_is_said_with_what_to_do(self, runs: Sequence[Run]) -> None:
        with pytest.raises(UnavailableError, match="pulley pin web COMMIT"):
            way_back(B, *runs)

    def test_where_none_is_known_it_is_said_what_was_passed_over(self) -> None:
        with pytest.raises(
            UnavailableError, match=r"\. aaaaaaa: 0 of 1 host at aaaaaaa, 1 failed; w"
        ):
            way_back(B, run(A, 1, failed=True), run(B, 2))

    def test_nothing_sent_at_all_is_said(self) -> None:
        with pytest.raises(UnavailableError, match="nothing was sent to web"):
            way_back(None)


class TestCommitToLeave:
    SENT = tuple(one.roll_out for one in (run(A, 1), run(B, 2), run(A, 3)))

    def test_wanted_commit_is_left_where_it_was_sent(self) -> None:
        assert commit_to_leave(Wanted(B, "rebase", ""), self.SENT) == B

    def test_tip_that_was_not_sent_yet_is_not_what_runs(self) -> None:
        assert commit_to_leave(Wanted(C, "rebase", ""), self.SENT) == A

    def test_where_nothing_is_wanted_it_is_what_was_sent_last(self) -> None:
        assert commit_to_leave(None, self.SENT) == A
        assert commit_to_leave(None, []) is None
