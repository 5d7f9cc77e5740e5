"""Where hosts are by their own word, and since when."""

from collections.abc import Iterator
from datetime import timedelta

from chalicelib.core.history import Invocation, Look, Run
from chalicelib.core.observations import AT, FAILED
from pulley.operator.status.last_seen import Whereabouts, find_heads, find_whereabouts
from tests.flows.runs import OLD, START, check_of, command_of, line_of, on, rolled_back, running

ONE, TWO = "i-00000000000000001", "i-00000000000000002"
A, B = "a" * 40, "b" * 40
FIRST, SECOND, THIRD = (START + timedelta(hours=hours) for hours in (1, 2, 3))


def run(commit: str, *invocations: Invocation) -> Run:
    command = command_of(commit)
    assert command.roll_out
    return Run(command, invocations)


def where(*newest_first: Run, ids: tuple[str, ...] = (ONE,)) -> dict[str, Whereabouts]:
    return dict(find_whereabouts(ids, newest_first))


class TestFindWhereabouts:
    def test_host_is_where_it_says_since_it_was_updated(self) -> None:
        found = where(run(B, on(1, line_of(B), ended=SECOND)), run(A, on(1, line_of(A))))[ONE]
        assert (found.commit, found.since, found.last.kind) == (B, SECOND, AT)

    def test_host_that_was_there_already_is_so_since_the_run_that_updated_it(self) -> None:
        again = on(1, line_of(B, outcome="unchanged"), ended=THIRD)
        found = where(run(B, again), run(B, on(1, line_of(B), ended=SECOND)), run(A))[ONE]
        assert (found.since, found.last.ended) == (SECOND, THIRD)

    def test_host_whose_update_is_forgotten_is_there_since_the_oldest_run_known(self) -> None:
        seen = [on(1, line_of(B, outcome="unchanged"), ended=at) for at in (THIRD, SECOND)]
        assert where(*[run(B, one) for one in seen])[ONE].since == SECOND

    def test_host_that_was_elsewhere_in_between_is_there_since_it_came_back(self) -> None:
        runs = [
            run(B, on(1, line_of(B, outcome="unchanged"), ended=THIRD)),
            run(A, on(1, line_of(A, outcome="unchanged"), ended=SECOND)),
            run(B, on(1, line_of(B), ended=FIRST)),
        ]
        assert where(*runs)[ONE].since == THIRD

    def test_host_that_was_rolled_back_is_where_it_went_back_to(self) -> None:
        found = where(run(B, on(1, rolled_back(B), details="Failed", ended=SECOND)))[ONE]
        assert (found.commit, found.last.kind, found.asked) == (OLD, FAILED, B[:7])

    def test_host_that_is_running_or_was_not_reached_is_where_it_was(self) -> None:
        before = run(A, on(1, line_of(A), ended=FIRST), on(2, line_of(A), ended=FIRST))
        newer = run(B, running(1), on(2, details="DeliveryTimedOut"))
        found = where(newer, before, ids=(ONE, TWO))
        assert [found[one].commit for one in (ONE, TWO)] == [A, A]

    def test_host_that_was_killed_has_no_place_that_is_known(self) -> None:
        killed = on(1, "half a line", details="Cancelled", ended=SECOND)
        found = where(run(B, killed), run(A, on(1, line_of(A))))[ONE]
        assert found.commit == ""

    def test_commit_that_is_none_is_not_believed(self) -> None:
        lying = line_of(B, outcome="conflict", after="\x1b[31m", step="rebase")
        assert where(run(B, on(1, lying, details="Failed")))[ONE].commit == ""

    def test_host_that_never_began_a_run_is_nowhere(self) -> None:
        assert where(run(B, on(2, line_of(B)))) == {}

    def test_no_more_is_read_than_is_needed(self) -> None:
        read = []

        def runs() -> Iterator[Run]:
            for commit in (B, A):
                read.append(commit)
                yield run(commit, on(1, line_of(commit)))

        find_whereabouts((ONE,), runs())
        find_whereabouts((), runs())
        assert read == [B]


class TestFindHeads:
    def test_check_that_ended_last_counts_whichever_was_asked_for_first(self) -> None:
        ended = [START + timedelta(minutes=minutes) for minutes in (15, 12)]
        first = Look(check_of(1), (on(1, line_of(after=A), ended=ended[0]),))
        second = Look(check_of(2), (on(1, line_of(after=B), ended=ended[1]),))
        for looks in ([first, second], [second, first]):
            assert find_heads(looks) == {ONE: A}

    def test_host_that_has_not_answered_yet_hides_no_answer(self) -> None:
        looks = [Look(check_of(1), (on(1, line_of(after=A)),)), Look(check_of(2), (running(1),))]
        assert find_heads(looks) == {ONE: A}
