"""How a target stands that another one waits for. tests/core/test_gates_table.py has the gates."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.gates import Gates
from chalicelib.core.history import Invocation, Run
from chalicelib.core.plan import plan_target
from chalicelib.core.waiting import (
    CLOSED,
    OPEN,
    UNKNOWN,
    Forerunner,
    Gate,
    Waiting,
    checks_gate,
    forerunner_of,
    judge_gates,
    well_since,
)
from tests.core.test_plan import (
    NOW,
    WEB,
    A,
    B,
    C,
    facts_of,
    failed,
    host,
    minutes,
    ran,
    reconciled,
    run,
    said,
)
from tests.facts import invocation as on

ONE, TWO = (host(number).instance_id for number in (1, 2))
SOAKED = replace(WEB, gates=Gates(after=("staging",), soak="10m"))
STATES = (OPEN, CLOSED, UNKNOWN)


def since(*runs: Run, hosts: tuple[str, ...] = (ONE,)) -> datetime | None:
    return well_since(runs, B.sha, hosts)


class TestWaiting:
    def test_commit_without_gates_may_go_out(self) -> None:
        assert Waiting(B, ()).is_open

    @given(st.lists(st.sampled_from(STATES), min_size=1, max_size=5))
    def test_commit_may_go_out_only_if_each_gate_is_open(self, states: list[str]) -> None:
        gates = tuple(Gate("after", state, f"{n}") for n, state in enumerate(states))
        waiting = Waiting(B, gates)
        assert waiting.is_open == all(state == OPEN for state in states)
        assert (str(waiting) == "") == waiting.is_open

    def test_words_are_the_reasons_of_the_gates_that_are_not_open(self) -> None:
        gates = (Gate("a", CLOSED, "first"), Gate("b", OPEN, "second"), Gate("c", UNKNOWN, "third"))
        assert str(Waiting(B, gates)) == "first; third"


class TestJudgeGates:
    @pytest.mark.parametrize(("minute", "state"), [(9, CLOSED), (10, OPEN), (11, OPEN)])
    def test_soak_time_counts_to_the_second(self, minute: int, state: str) -> None:
        before = {"staging": Forerunner("staging", B.sha, minutes(0))}
        (gate,) = judge_gates(SOAKED, B, before, now=minutes(minute)).gates
        assert gate.state == state
        last = minutes(10) - timedelta(microseconds=1)
        assert not judge_gates(SOAKED, B, before, now=last).is_open

    def test_words_stay_the_same_until_the_soak_time_is_over(self) -> None:
        before = {"staging": Forerunner("staging", B.sha, minutes(0))}
        told = {str(judge_gates(SOAKED, B, before, now=minutes(now))) for now in range(10)}
        assert told == {"waits until staging has been well for 10 min, since 08:00 UTC"}

    def test_other_targets_do_not_count(self) -> None:
        before = {"canary": Forerunner("canary", B.sha, minutes(0))}
        assert judge_gates(SOAKED, B, before, now=NOW).gates == (
            Gate("after", CLOSED, "waits for staging: it could not be read"),
        )

    def test_gate_of_the_checks_is_left_to_github(self) -> None:
        target = replace(WEB, gates=Gates(checks=("test",)))
        assert judge_gates(target, B, {}, now=NOW) == Waiting(B, ())


class TestChecksGate:
    def test_each_state_has_a_reason(self) -> None:
        gates = Gates(checks=("test", "lint"))
        assert checks_gate(gates, OPEN) == Gate("checks", OPEN, "test, lint: green")
        assert checks_gate(gates, CLOSED) == Gate("checks", CLOSED, "waits for test, lint")
        assert checks_gate(gates, UNKNOWN, "GitHub") == Gate("checks", UNKNOWN, "waits for GitHub")


class TestForerunnerOf:
    @given(st.lists(st.sampled_from(("A", "B", "failed", "new", "away")), max_size=4))
    def test_target_is_well_only_if_all_online_hosts_run_one_commit(self, hosts: list[str]) -> None:
        commits, runs, known = {"A": A, "B": B}, [], []
        for number, stands in enumerate(hosts, start=1):
            known.append(host(number, is_online=stands != "away"))
            if stands in commits:
                runs.append(run(commits[stands], ran(number, commits[stands])))
            elif stands == "failed":
                runs.append(run(B, failed(number, B)))
        found = forerunner_of(plan_target(facts_of(*runs, hosts=known, head=B), now=NOW))
        online = {stands for stands in hosts if stands != "away"}
        expected = next((one.sha for name, one in commits.items() if online == {name}), "")
        assert found.commit == expected
        assert bool(found.why_not) != bool(expected)

    def test_reason_names_the_parked_host_first(self) -> None:
        parked = [run(B, ran(1, A), failed(2, B))]
        ends = (60, 180, 360, 600, 840)
        parked += [reconciled(B, failed(2, B), at=at, attempt=n) for n, at in enumerate(ends, 1)]
        facts = facts_of(*parked, hosts=[host(1), host(2), host(3)], head=B)
        stands = forerunner_of(plan_target(facts, now=minutes(900)))
        assert stands.why_not == "web-2: 5 attempts failed: rolled back"


class TestWellSince:
    def test_time_is_that_of_the_last_host(self) -> None:
        runs = run(B, ran(1, B)), reconciled(B, said(2, "updated", B, at=6), at=5)
        assert since(*runs, hosts=(ONE, TWO)) == minutes(6)
        assert since(*runs, hosts=(ONE,)) == minutes(0)

    def test_order_of_the_runs_does_not_matter(self) -> None:
        runs = [run(B, ran(1, B)), run(B, failed(1, B), at=5), run(B, ran(1, B), at=9)]
        assert since(*runs) == since(*reversed(runs)) == minutes(9)

    @pytest.mark.parametrize("hosts", [(), (ONE, TWO)])
    def test_time_is_unknown_without_hosts_or_for_a_host_without_a_run(
        self, hosts: tuple[str, ...]
    ) -> None:
        assert since(run(B, ran(1, B)), hosts=hosts) is None
        assert since(hosts=hosts) is None

    def test_host_that_is_not_asked_for_does_not_count(self) -> None:
        assert since(run(B, ran(1, B)), run(B, ran(2, B), at=5)) == minutes(0)

    def test_host_that_was_there_already_counts_from_its_first_run(self) -> None:
        runs = run(B, said(1, "unchanged", B), at=3), run(B, said(1, "unchanged", B), at=8)
        assert since(*runs) == minutes(3)

    def test_later_update_to_the_commit_counts_anew(self) -> None:
        """Somebody had moved the checkout, and the run brought it back."""
        assert since(run(B, ran(1, B)), run(B, ran(1, B), at=8)) == minutes(8)

    @pytest.mark.parametrize(
        "last",
        [
            failed(1, B, at=5),
            said(1, "updated", C, at=5),
            said(1, "superseded", C, at=5),
            on(1, "ExecutionTimedOut"),
            replace(on(1, "Cancelled"), ended=minutes(5)),
        ],
    )
    def test_run_that_did_not_end_at_the_commit_ends_the_time(self, last: Invocation) -> None:
        assert since(run(B, ran(1, B)), run(B, last, at=5)) is None
        again = run(B, said(1, "unchanged", B), at=9)
        assert since(run(B, ran(1, B)), run(B, last, at=5), again) == minutes(9)

    @pytest.mark.parametrize("details", ["InProgress", "Pending", "DeliveryTimedOut", "Terminated"])
    def test_run_that_did_not_begin_or_end_yet_changes_nothing(self, details: str) -> None:
        assert since(run(B, ran(1, B)), run(B, on(1, details), at=5)) == minutes(0)

    def test_wrong_clock_counts_within_the_command_s_time(self) -> None:
        for days, at in ((-400, 5), (400, 25)):
            wrong = replace(ran(1, B), ended=minutes(days * 24 * 60))
            assert since(run(B, wrong, at=5)) == minutes(at)
