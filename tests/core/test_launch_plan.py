"""The plan of hosts that Auto Scaling holds out of service until they have their commit."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.core.history import Run
from chalicelib.core.holds import Hold
from chalicelib.core.launch_plan import with_launches
from chalicelib.core.pins import Pin
from chalicelib.core.plan import NOTHING, SEND, WAIT, HostPlan, TargetPlan, plan_target
from tests.core.test_plan import FROZEN, NOW, A, B, C, facts_of, failed, host, ran, run, said
from tests.facts import invocation as answered

HOSTS = (host(1), host(2), host(3), host(4))
NEW = host(4).instance_id
BEFORE = run(A, ran(1, A), ran(2, A), ran(3, A))
PUSHED = run(C, *(failed(one, C, at=711) for one in (1, 2, 3)), at=710)
THERE = run(C, *(ran(one, C) for one in (1, 2, 3)), at=700)
TRIED = run(C, failed(4, C, at=713), at=712, cause="reconcile", attempt=1)


def planned(*runs: Run, pin: Pin | None = None, **facts: Any) -> TargetPlan:  # noqa: ANN401
    """The plan of four hosts, of which the fourth is being launched. The branch's tip is C."""
    known = facts_of(*runs, hosts=HOSTS, head=C, pin=pin)
    found = replace(known, **{"launching": frozenset({NEW})} | facts)
    return with_launches(plan_target(found, now=NOW), found, now=NOW)


def new_host(*runs: Run, **facts: Any) -> HostPlan:  # noqa: ANN401
    return planned(*runs, **facts).hosts[3]


def tried(*, at: int, **how: Any) -> Run:  # noqa: ANN401
    """A command of a round to the new host."""
    commit, result = how.pop("commit", C), how.pop("result")
    settings: dict[str, Any] = {"cause": "reconcile", "attempt": 1, **how}
    return run(commit, result, at=at, **settings)


def wanted_of(plan: HostPlan) -> object:
    return plan.wanted and plan.wanted.commit


class TestAtRest:
    def test_host_gets_the_tip_in_a_command_of_its_own_that_no_failure_stops(self) -> None:
        made = planned(THERE)
        (send,) = made.sends
        assert (send.instance_ids, send.wanted.commit, send.is_launch) == ((NEW,), C, True)
        request = send.request(stage="prod", issued=1, document_pin=None)
        assert request.max_errors == "100%"

    def test_hosts_in_service_get_commands_as_before_beside_it(self) -> None:
        made = planned(BEFORE)
        assert [(one.is_launch, len(one.instance_ids)) for one in made.sends] == [
            (True, 1),
            (False, 3),
        ]
        assert made.sends[1].request(stage="p", issued=1, document_pin=None).max_errors == "0"

    def test_it_does_not_wait_for_a_roll_out_of_others(self) -> None:
        others = run(
            C, *(answered(one, "InProgress") for one in (1, 2, 3)), at=715, status="InProgress"
        )
        made = planned(BEFORE, others)
        assert [one.action for one in made.hosts] == [WAIT, WAIT, WAIT, SEND]

    def test_it_waits_while_a_command_may_be_for_it(self) -> None:
        some = run(C, answered(1, "InProgress"), at=715, status="InProgress", count=4)
        made = new_host(BEFORE, some)
        assert (made.action, made.is_busy) == (WAIT, True)
        own = tried(at=715, result=answered(4, "InProgress"), status="InProgress")
        made = new_host(THERE, own)
        assert (made.action, made.is_busy) == (WAIT, True)

    def test_plan_without_launches_is_left_as_it_is(self) -> None:
        facts = facts_of(BEFORE, hosts=HOSTS, head=C)
        plan = plan_target(facts, now=NOW)
        assert with_launches(plan, facts, now=NOW) is plan


class TestFreeze:
    def test_host_gets_the_commit_that_most_others_run_and_they_get_nothing(self) -> None:
        made = planned(run(A, ran(1, A), ran(2, A), said(3, "updated", B)), pin=FROZEN)
        assert [one.action for one in made.hosts] == [WAIT, WAIT, WAIT, SEND]
        (send,) = made.sends
        assert (send.wanted.commit, send.wanted.update, send.attempt) == (A, "exact", 1)
        assert (made.wanted, made.held) == (None, "frozen")

    def test_it_is_there_when_it_has_that_commit(self) -> None:
        told = tried(at=60, commit=A, result=ran(4, A), update="exact")
        made = new_host(run(A, ran(1, A)), told, pin=FROZEN)
        assert (made.action, made.is_there) == (NOTHING, True)

    def test_it_goes_back_if_a_push_reached_it_before_the_freeze(self) -> None:
        made = new_host(run(A, ran(1, A), ran(2, A)), run(B, ran(4, B), at=60), pin=FROZEN)
        assert (made.action, wanted_of(made)) == (SEND, A)

    def test_fleet_that_has_no_host_gets_what_its_last_hosts_ran(self) -> None:
        gone = run(A, ran(7, A), ran(8, A))
        assert wanted_of(new_host(gone, run(B, failed(7, B, at=30), at=30), pin=FROZEN)) == A

    def test_fleet_that_never_had_a_host_gets_the_commit_that_was_sent_last(self) -> None:
        assert wanted_of(new_host(run(B, at=30), run(A), pin=FROZEN)) == B
        held = Hold(B, "stopped", 1, good=A)
        assert wanted_of(new_host(run(B, at=30), run(A), hold=held, pin=FROZEN)) == A
        unknown = replace(held, good=None)
        assert planned(run(B, at=30), hold=unknown, pin=FROZEN).sends == ()

    def test_without_a_known_commit_nothing_is_sent(self) -> None:
        made = planned(pin=FROZEN)
        assert (made.sends, {one.action for one in made.hosts}) == ((), {WAIT})


class TestFailure:
    def test_commit_is_tried_first_then_its_peers_commit(self) -> None:
        made = new_host(BEFORE, PUSHED)
        assert (made.action, wanted_of(made)) == (SEND, C)
        made = new_host(BEFORE, PUSHED, TRIED)
        assert (made.action, made.attempt, wanted_of(made)) == (SEND, 1, A)
        assert made.wanted
        assert made.wanted.update == "exact"

    def test_with_its_peers_commit_it_is_there_and_is_not_sent_the_other_again(self) -> None:
        back = tried(at=715, commit=A, result=ran(4, A), update="exact")
        made = new_host(BEFORE, PUSHED, TRIED, back)
        assert (made.action, made.is_there) == (NOTHING, True)

    def test_if_its_peers_commit_fails_twice_too_nothing_can_be_had(self) -> None:
        back = tried(at=715, commit=A, result=failed(4, A, at=716), update="exact")
        made = new_host(BEFORE, PUSHED, TRIED, back)
        assert (made.action, made.attempt) == (SEND, 2)
        again = tried(at=717, commit=A, result=failed(4, A, at=718), update="exact", attempt=2)
        made = new_host(BEFORE, PUSHED, TRIED, back, again)
        assert made.action == WAIT
        assert made.failed

    def test_commit_that_its_peers_run_is_tried_twice(self) -> None:
        made = new_host(BEFORE, THERE, TRIED)
        assert (made.action, made.attempt, wanted_of(made)) == (SEND, 2, C)
        again = tried(at=715, result=failed(4, C, at=716), attempt=2)
        made = new_host(BEFORE, THERE, TRIED, again)
        assert (made.action, wanted_of(made)) == (WAIT, C)
        assert made.failed
        assert not made.failed.touched_nothing

    def test_no_other_commit_replaces_that_of_a_pin(self) -> None:
        pinned = Pin("pinned", C)
        bad = tried(at=712, result=failed(4, C, at=713), update="exact", attempt=2)
        there = run(C, *(ran(one, C) for one in (1, 2, 3)), at=700, update="exact")
        made = new_host(BEFORE, there, bad, pin=pinned)
        assert (made.action, wanted_of(made)) == (WAIT, C)

    def test_held_commit_is_replaced_by_the_last_good_one_even_if_it_failed_here(self) -> None:
        parts = (failed(1, C, at=711), answered(2, "Terminated"))
        stopped = run(C, *parts, at=710, status="Failed", count=2)
        made = new_host(BEFORE, stopped, TRIED)
        assert (made.action, wanted_of(made)) == (SEND, A)

    def test_first_fleet_whose_roll_out_was_stopped_may_try_the_commit_on_each_new_host(
        self,
    ) -> None:
        parts = (failed(1, C, at=711), answered(2, "Terminated"), answered(3, "Terminated"))
        stopped = run(C, *parts, at=710, status="Failed", count=3)
        made = new_host(stopped)
        assert (made.action, wanted_of(made)) == (SEND, C)
        made = new_host(stopped, TRIED)
        assert (made.action, made.wanted) == (WAIT, None)


class TestRunThatTouchedNothing:
    @pytest.mark.parametrize("outcome", ["unreachable", "no_checkout", "missing_commit", "busy"])
    @pytest.mark.parametrize(("ago", "action"), [(0.5, WAIT), (1, SEND), (600, SEND)])
    def test_it_is_tried_again_after_a_minute_and_never_parked(
        self, outcome: str, ago: float, action: str
    ) -> None:
        minutes = 720 - ago
        away = said(4, outcome, None, at=minutes)  # type: ignore[arg-type] # timedelta takes floats
        made = new_host(BEFORE, tried(at=int(minutes) - 1, result=away))
        assert (made.action, wanted_of(made)) == (action, C)
        assert made.failed
        assert made.failed.touched_nothing

    @pytest.mark.parametrize("details", ["Undeliverable", "DeliveryTimedOut"])
    def test_command_that_never_reached_the_host_is_sent_again(self, details: str) -> None:
        lost = replace(answered(4, details), ended=NOW - timedelta(minutes=2))
        made = new_host(THERE, tried(at=715, result=lost, status="Failed"))
        assert (made.action, wanted_of(made)) == (SEND, C)

    def test_newer_command_that_came_first_is_no_failure(self) -> None:
        late = said(4, "superseded", None, at=715)
        made = new_host(THERE, tried(at=714, result=late))
        assert (made.action, wanted_of(made)) == (SEND, C)
