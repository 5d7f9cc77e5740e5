"""Which commit is the way back, from what hosts said of each."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import parse_target
from chalicelib.core.verdicts import Run
from chalicelib.core.wanted import Wanted
from pulley.operator.rolling_back import choose_way_back, commit_to_leave
from tests.fakes import target_json
from tests.flows.runs import START, command_of, line_of, on, rolled_back

A, B, C = (CommitSha(letter * 40) for letter in "abc")
TARGET = parse_target("web", target_json())
NOW = START + timedelta(hours=5)


def run(commit: CommitSha, number: int, *, failed: bool = False) -> Run:
    """The run of that number, on one host, which is at the commit after it or has failed."""
    command = command_of(commit.sha, number)
    assert command.roll_out
    output = rolled_back(commit.sha) if failed else line_of(commit.sha)
    return Run(command, command.roll_out, (on(1, output),))


def way_back(leave: CommitSha | None, *runs: Run) -> CommitSha:
    return choose_way_back(TARGET, leave, runs, now=NOW)


class TestChooseWayBack:
    def test_good_commit_before_the_one_that_runs(self) -> None:
        assert way_back(C, run(A, 1), run(B, 2), run(C, 3)) == B

    def test_commit_that_failed_is_left_out(self) -> None:
        assert way_back(C, run(A, 1), run(B, 2, failed=True), run(C, 3)) == A

    def test_one_that_has_failed_itself_is_left_for_the_one_before(self) -> None:
        assert way_back(B, run(A, 1), run(B, 2, failed=True)) == A

    def test_rolled_back_once_more_it_goes_further_and_never_forward_again(self) -> None:
        runs = [run(A, 1), run(B, 2), run(C, 3), run(B, 4)]
        assert way_back(B, *runs) == A
        with pytest.raises(UnavailableError, match="no good commit of web is known from before a"):
            way_back(A, *runs, run(A, 5))

    def test_commit_that_came_back_before_counts_as_good(self) -> None:
        assert way_back(C, run(A, 1), run(B, 2), run(A, 3), run(C, 4)) == A

    @pytest.mark.parametrize("runs", [[], [run(B, 1)], [run(A, 1, failed=True), run(B, 2)]])
    def test_none_that_is_known_is_said_with_what_to_do(self, runs: Sequence[Run]) -> None:
        with pytest.raises(UnavailableError, match="pulley pin web COMMIT"):
            way_back(B, *runs)

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
