"""Which commit each host has by its own results, and since when."""

from collections.abc import Iterator
from datetime import timedelta

from chalicelib.core.history import Invocation, Look, Run
from chalicelib.core.observations import AT, FAILED
from chalicelib.status.last_seen import Whereabouts, find_heads, find_whereabouts
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
    def test_updated_host_has_its_commit_since_the_end_of_the_update(self) -> None:
        found = where(run(B, on(1, line_of(B), ended=SECOND)), run(A, on(1, line_of(A))))[ONE]
        assert (found.commit, found.since, found.last.kind) == (B, SECOND, AT)

    def test_unchanged_host_has_its_commit_since_the_run_that_updated_it(self) -> None:
        again = on(1, line_of(B, outcome="unchanged"), ended=THIRD)
        found = where(run(B, again), run(B, on(1, line_of(B), ended=SECOND)), run(A))[ONE]
        assert (found.since, found.last.ended) == (SECOND, THIRD)

    def test_host_without_a_known_update_has_its_commit_since_the_oldest_known_run(self) -> None:
        seen = [on(1, line_of(B, outcome="unchanged"), ended=at) for at in (THIRD, SECOND)]
        assert where(*[run(B, one) for one in seen])[ONE].since == SECOND

    def test_host_that_had_another_commit_in_between_has_it_since_its_return(self) -> None:
        runs = [
            run(B, on(1, line_of(B, outcome="unchanged"), ended=THIRD)),
            run(A, on(1, line_of(A, outcome="unchanged"), ended=SECOND)),
            run(B, on(1, line_of(B), ended=FIRST)),
        ]
        assert where(*runs)[ONE].since == THIRD

    def test_rolled_back_host_has_the_older_commit(self) -> None:
        found = where(run(B, on(1, rolled_back(B), details="Failed", ended=SECOND)))[ONE]
        assert (found.commit, found.last.kind, found.asked) == (OLD, FAILED, B[:7])

    def test_running_or_unreached_host_keeps_its_last_known_commit(self) -> None:
        before = run(A, on(1, line_of(A), ended=FIRST), on(2, line_of(A), ended=FIRST))
        newer = run(B, running(1), on(2, details="DeliveryTimedOut"))
        found = where(newer, before, ids=(ONE, TWO))
        assert [found[one].commit for one in (ONE, TWO)] == [A, A]

    def test_host_with_a_killed_run_has_no_known_commit(self) -> None:
        killed = on(1, "half a line", details="Cancelled", ended=SECOND)
        found = where(run(B, killed), run(A, on(1, line_of(A))))[ONE]
        assert found.commit == ""

    def test_malformed_commit_in_a_result_is_ignored(self) -> None:
        lying = line_of(B, outcome="conflict", after="\x1b[31m", step="rebase")
        assert where(run(B, on(1, lying, details="Failed")))[ONE].commit == ""

    def test_host_without_a_run_is_left_out(self) -> None:
        assert where(run(B, on(2, line_of(B)))) == {}

    def test_only_as_many_runs_as_needed_are_read(self) -> None:
        read = []

        def runs() -> Iterator[Run]:
            for commit in (B, A):
                read.append(commit)
                yield run(commit, on(1, line_of(commit)))

        find_whereabouts((ONE,), runs())
        find_whereabouts((), runs())
        assert read == [B]


class TestFindHeads:
    def test_check_that_ended_last_counts_in_any_order_of_requests(self) -> None:
        ended = [START + timedelta(minutes=minutes) for minutes in (15, 12)]
        first = Look(check_of(1), (on(1, line_of(after=A), ended=ended[0]),))
        second = Look(check_of(2), (on(1, line_of(after=B), ended=ended[1]),))
        for looks in ([first, second], [second, first]):
            assert find_heads(looks) == {ONE: A}

    def test_check_without_an_answer_does_not_hide_an_older_answer(self) -> None:
        looks = [Look(check_of(1), (on(1, line_of(after=A)),)), Look(check_of(2), (running(1),))]
        assert find_heads(looks) == {ONE: A}
