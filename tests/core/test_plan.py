"""The plan: which commit a target should have, and what each host needs for it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.attempts import (
    FIRST_BACKOFF,
    LONGEST_BACKOFF,
    MAX_ATTEMPTS,
    FailedAttempt,
)
from chalicelib.core.gates import Gates
from chalicelib.core.history import Check, Invocation, Look, RollOut, Run
from chalicelib.core.hosts import Host
from chalicelib.core.pins import Pin
from chalicelib.core.plan import NOTHING, PARKED, SEND, WAIT, HostPlan, TargetPlan, plan_target
from chalicelib.core.refs import Branch, CommitSha
from chalicelib.core.targets import MAX_IDS, Instances, Target
from chalicelib.core.wanted import TargetFacts, Wanted, newest_asked, wanted_of
from tests.facts import ROLL_OUT, result_line, sent
from tests.facts import invocation as on
from tests.fakes import SITE

A, B, C = (CommitSha(digit * 40) for digit in "abc")
START = datetime(2030, 1, 1, 8, tzinfo=UTC)
NOW = START + timedelta(hours=12)
WEB = Target(
    name="web",
    repository=SITE,
    branch=Branch("main"),
    instances=Instances(tags=(("role", ("web",)),)),
    checkout="/srv/site",
    recheck="20d",
)
GATED = replace(WEB, gates=Gates(checks=("test",)))
PINNED = Pin("pinned", A, reason="the release")
FROZEN = Pin("frozen")


def host(number: int, *, is_online: bool = True) -> Host:
    return Host(f"i-{number:017x}", f"web-{number}", is_online=is_online)


def said(number: int, outcome: str, upstream: CommitSha | None, *, at: int = 0) -> Invocation:
    """The result of a host that ended so many minutes after the start."""
    sha = upstream.sha if upstream else None
    line = result_line(outcome=outcome, before=None, after=None, upstream=sha)
    details = "Success" if outcome in {"updated", "unchanged", "superseded"} else "Failed"
    return on(number, details, line, START + timedelta(minutes=at))


def ran(number: int, commit: CommitSha) -> Invocation:
    return said(number, "updated", commit)


def failed(number: int, commit: CommitSha, *, at: int = 0) -> Invocation:
    return said(number, "rolled_back", commit, at=at)


def run(
    commit: CommitSha,
    *invocations: Invocation,
    at: int = 0,
    cause: str = "push",
    attempt: int = 0,
    update: str = "rebase",
    status: str = "Success",
    count: int | None = None,
    pushed: int | None = None,
) -> Run:
    """A command that was issued, and pushed, so many minutes after the start."""
    requested = START + timedelta(minutes=at)
    roll_out = replace(
        ROLL_OUT,
        commit=commit,
        issued=int(requested.timestamp() * 1000),
        cause=cause,
        pushed_at=None if pushed is None else START + timedelta(minutes=pushed),
        update=update,
        attempt=attempt,
    )
    command = sent(
        f"command-{at}",
        roll_out,
        requested,
        status=status,
        details=status,
        count=len(invocations) if count is None else count,
    )
    return Run(command, invocations)


def reconciled(commit: CommitSha, *invocations: Invocation, at: int, attempt: int = 1) -> Run:
    return run(commit, *invocations, at=at, cause="reconcile", attempt=attempt)


def facts_of(
    *runs: Run,
    hosts: Sequence[Host] = (host(1),),
    head: CommitSha | None = None,
    pin: Pin | None = None,
    asked: Sequence[RollOut] = (),
) -> TargetFacts:
    return TargetFacts(WEB, hosts, runs, head, pin, asked)


def planned(
    *runs: Run,
    hosts: Sequence[Host] = (host(1),),
    head: CommitSha | None = None,
    pin: Pin | None = None,
    now: datetime = NOW,
) -> TargetPlan:
    return plan_target(facts_of(*runs, hosts=hosts, head=head, pin=pin), now=now)


def only_host(made: TargetPlan) -> HostPlan:
    (only,) = made.hosts
    return only if only.action == SEND else replace(only, wanted=None)


def steps(made: TargetPlan) -> list[tuple[str, str]]:
    return [(one.action, one.reason) for one in made.hosts]


def minutes(count: float) -> datetime:
    return START + timedelta(minutes=count)


def wanted_commit(*runs: Run) -> CommitSha:
    wanted = wanted_of(facts_of(*runs), now=NOW)
    assert wanted
    return wanted.commit


class TestPlan:
    @given(st.permutations(range(4)))
    def test_order_of_the_runs_does_not_change_the_plan(self, order: list[int]) -> None:
        runs = [
            run(A, ran(1, A), ran(2, A), at=0),
            run(B, ran(1, B), failed(2, B, at=11), at=10),
            reconciled(B, failed(2, B, at=40), at=40),
            run(A, said(1, "superseded", B), at=5),
        ]
        hosts = [host(1), host(2), host(3)]
        shuffled = [runs[index] for index in order]
        assert planned(*shuffled, hosts=hosts) == planned(*runs, hosts=hosts)


class TestWantedOf:
    def test_pinned_commit_is_wanted_instead_of_the_tip(self) -> None:
        wanted = wanted_of(facts_of(run(C), head=B, pin=PINNED), now=NOW)
        assert wanted == Wanted(A, "exact", "it is pinned")
        assert wanted.is_exact

    def test_frozen_target_wants_no_commit(self) -> None:
        assert wanted_of(facts_of(run(A), head=B, pin=FROZEN), now=NOW) is None

    def test_freeze_that_names_a_commit_wants_no_commit(self) -> None:
        assert wanted_of(facts_of(head=B, pin=Pin("frozen", A)), now=NOW) is None

    def test_pin_without_a_commit_wants_no_commit(self) -> None:
        assert wanted_of(facts_of(head=B, pin=Pin("pinned")), now=NOW) is None

    @pytest.mark.parametrize("pin", [Pin("none"), replace(PINNED, until=NOW), None])
    def test_tip_is_wanted_if_no_pin_holds(self, pin: Pin | None) -> None:
        wanted = wanted_of(facts_of(run(C), head=B, pin=pin), now=NOW)
        assert wanted == Wanted(B, "rebase", "it is the branch's tip")
        assert not wanted.is_exact

    def test_tip_is_reached_by_the_target_s_own_update(self) -> None:
        facts = replace(facts_of(head=B), target=replace(WEB, update="reset"))
        assert wanted_of(facts, now=NOW) == Wanted(B, "reset", "it is the branch's tip")

    def test_newest_requested_commit_is_wanted_if_the_tip_is_unknown(self) -> None:
        wanted = wanted_of(facts_of(run(A, at=1), run(C, at=3), run(B, at=2)), now=NOW)
        assert wanted == Wanted(C, "rebase", "it is the newest that was asked for")

    def test_commit_that_was_only_pinned_is_not_wanted_after_the_pin(self) -> None:
        runs = [run(B, at=1), run(A, at=2, update="exact", cause="manual")]
        assert wanted_commit(*runs) == B

    def test_redelivery_counts_from_the_time_of_its_push(self) -> None:
        runs = [run(A, at=1, pushed=1), run(B, at=2, pushed=2), run(A, at=9, pushed=1)]
        assert wanted_commit(*runs) == B

    @pytest.mark.parametrize(("pushed", "newest"), [(1, A), (3, B)])
    def test_push_counts_from_its_push_time_and_a_manual_command_from_its_send(
        self, pushed: int, newest: CommitSha
    ) -> None:
        runs = [run(A, at=2, cause="manual"), run(B, at=4, pushed=pushed)]
        assert wanted_commit(*runs) == newest

    def test_commit_that_is_pushed_again_becomes_the_newest(self) -> None:
        runs = [run(A, at=1, pushed=1), run(B, at=2, pushed=2), run(A, at=9, pushed=8)]
        assert wanted_commit(*reversed(runs)) == A

    def test_late_round_does_not_make_an_older_commit_the_newest(self) -> None:
        runs = [run(A, at=1), run(B, at=2), reconciled(A, at=3)]
        assert wanted_commit(*runs) == B

    def test_commit_sent_only_by_rounds_counts_from_its_first_command(self) -> None:
        runs = [run(A, at=1), reconciled(B, at=2), run(C, at=3), reconciled(B, at=4)]
        for some, commit in ((runs, C), (runs[:2], B), ([*runs[:2], runs[3]], B)):
            assert wanted_commit(*some) == commit

    def test_no_commit_is_wanted_without_a_tip_pin_or_run(self) -> None:
        assert wanted_of(facts_of(), now=NOW) is None


class TestWantedOfATargetWithGates:
    PASSED = "it was sent last"

    def wanted(self, *runs: Run, pin: Pin | None = None, update: str = "rebase") -> Wanted | None:
        target = replace(GATED, update=update)
        facts = replace(facts_of(*runs, head=C, pin=pin), target=target, commits=(C, B, A))
        return wanted_of(facts, now=NOW)

    @pytest.mark.parametrize("update", ["rebase", "reset"])
    def test_newest_requested_commit_is_wanted_and_not_the_tip(self, update: str) -> None:
        wanted = self.wanted(run(A, at=1), run(B, at=2), update=update)
        assert wanted == Wanted(B, f"{update}-to", self.PASSED)
        assert wanted.stops_at_commit
        assert not wanted.is_exact

    def test_no_commit_is_wanted_before_the_first_passed(self) -> None:
        assert self.wanted() is None

    def test_round_s_repair_requests_nothing(self) -> None:
        wanted = self.wanted(run(A, at=1), run(B, at=2), reconciled(A, at=3))
        assert wanted
        assert wanted.commit == B

    def test_commit_sent_before_the_target_had_gates_is_wanted(self) -> None:
        assert self.wanted(run(A, ran(1, A), update="rebase")) == Wanted(
            A, "rebase-to", self.PASSED
        )

    def test_pin_comes_before_the_gates(self) -> None:
        wanted = self.wanted(run(B), pin=PINNED)
        assert wanted == Wanted(A, "exact", "it is pinned")
        assert wanted.stops_at_commit
        assert self.wanted(run(B), pin=FROZEN) is None

    def test_commit_of_a_pin_is_not_the_newest_that_was_requested(self) -> None:
        facts = facts_of(run(A, at=1), run(B, at=2, update="exact", cause="manual"))
        assert newest_asked(facts) == A
        assert newest_asked(facts_of()) is None

    @pytest.mark.parametrize("update", ["rebase", "reset"])
    def test_target_without_gates_goes_past_the_commit_to_the_tip(self, update: str) -> None:
        facts = replace(facts_of(head=C), target=replace(WEB, update=update))
        wanted = wanted_of(facts, now=NOW)
        assert wanted
        assert not wanted.stops_at_commit


class TestPlanTargetAtRest:
    @pytest.mark.parametrize(
        ("pin", "held"),
        [
            (FROZEN, "frozen"),
            (None, "no commit is known yet"),
            (Pin("none"), "no commit is known yet"),
        ],
    )
    def test_hosts_of_a_target_without_a_wanted_commit_wait(
        self, pin: Pin | None, held: str
    ) -> None:
        made = planned(hosts=[host(1), host(2)], pin=pin)
        assert (made.wanted, made.held, made.sends) == (None, held, ())
        assert steps(made) == [(WAIT, held), (WAIT, held)]

    def test_frozen_host_waits_and_shows_its_commit(self) -> None:
        made = planned(run(A, ran(1, A)), pin=FROZEN, head=B)
        assert only_host(made) == HostPlan(host(1), A.sha, WAIT, "frozen", seen=START)

    def test_host_at_the_tip_needs_no_command(self) -> None:
        made = planned(run(A, ran(1, A)), head=A)
        assert only_host(made) == HostPlan(
            host(1), A.sha, NOTHING, "it is there", is_there=True, seen=START
        )
        assert made.sends == ()
        assert made.held == ""

    def test_host_superseded_by_the_tip_needs_no_command(self) -> None:
        assert only_host(planned(run(A, said(1, "superseded", B)), head=B)).action == NOTHING

    def test_host_past_the_newest_request_needs_no_command_if_the_tip_is_unknown(self) -> None:
        made = planned(run(A, ran(1, B)))
        assert only_host(made) == HostPlan(
            host(1), B.sha, NOTHING, "it is there", is_there=True, seen=START
        )

    def test_host_past_an_older_request_is_sent_the_newest_if_the_tip_is_unknown(self) -> None:
        made = planned(run(A, ran(1, C), at=1), run(B, ran(2, B), at=2))
        assert steps(made) == [(SEND, "it is at ccccccc")]

    def test_undelivered_command_leaves_the_earlier_result_standing(self) -> None:
        runs = [run(A, ran(1, A), at=1), run(A, on(1, "DeliveryTimedOut"), at=2)]
        assert only_host(planned(*runs, head=A)).action == NOTHING

    def test_failed_run_replaces_the_earlier_result(self) -> None:
        runs = [run(A, ran(1, A), at=1), run(A, failed(1, A, at=2), at=2)]
        assert only_host(planned(*runs, head=A)).action == SEND


class TestRequestedRollOuts:
    def test_requested_roll_out_counts_although_its_run_was_not_read(self) -> None:
        asked = [run(A, ran(1, A)).roll_out, run(B, at=5).roll_out]
        wanted = wanted_of(facts_of(run(A, ran(1, A)), asked=asked), now=NOW)
        assert wanted is not None
        assert wanted.commit == B


class TestPlanTargetBehind:
    def test_host_behind_the_tip_is_sent_the_tip(self) -> None:
        made = planned(run(A, ran(1, A)), head=B)
        wanted = Wanted(B, "rebase", "it is the branch's tip")
        assert only_host(made) == HostPlan(
            host(1), A.sha, SEND, "it is at aaaaaaa", 1, wanted, seen=START
        )
        (send,) = made.sends
        assert (send.target, send.wanted, send.attempt) == (WEB, wanted, 1)
        assert send.instance_ids == (host(1).instance_id,)

    def test_host_without_any_run_is_sent_the_tip(self) -> None:
        assert steps(planned(head=A)) == [(SEND, "nothing is known of it")]

    def test_host_that_failed_at_another_commit_is_sent_the_tip_with_the_reason(self) -> None:
        assert steps(planned(run(A, failed(1, A)), head=B)) == [(SEND, "its last run failed")]

    def test_host_whose_run_of_another_commit_was_cancelled_is_sent_the_tip(self) -> None:
        killed = replace(on(1, "Cancelled"), ended=minutes(1))
        assert steps(planned(run(A, killed), head=B)) == [(SEND, "its last run was cancelled")]

    def test_host_that_reached_the_pinned_commit_by_rebase_is_sent_the_pin(self) -> None:
        """A push in flight must not move the host: only the pin's run is newer than the push."""
        made = planned(run(A, ran(1, A)), pin=PINNED)
        assert steps(made) == [(SEND, "it is at aaaaaaa")]
        assert made.sends[0].wanted.is_exact

    def test_host_that_was_pinned_at_the_tip_is_sent_back_to_the_branch(self) -> None:
        made = planned(run(A, ran(1, A), update="exact"), head=A)
        assert steps(made) == [(SEND, "it is at aaaaaaa")]
        assert made.sends[0].wanted.update == "rebase"

    def test_host_that_ran_its_pin_needs_no_command(self) -> None:
        made = planned(run(A, ran(1, A), update="exact"), head=B, pin=PINNED)
        assert steps(made) == [(NOTHING, "it is there")]

    def test_pinned_host_that_runs_another_commit_is_sent_the_pin(self) -> None:
        made = planned(run(A, said(1, "superseded", B), update="exact"), pin=PINNED)
        assert steps(made) == [(SEND, "it says that it runs bbbbbbb")]

    def test_host_that_missed_the_push_is_sent_it_without_a_pause(self) -> None:
        made = planned(run(A, on(1, "DeliveryTimedOut")), now=minutes(11))
        assert steps(made) == [(SEND, "nothing is known of it")]

    def test_hosts_with_the_same_attempt_share_commands_of_fifty(self) -> None:
        there, *behind = [host(number) for number in range(1, MAX_IDS + 4)]
        many, rest = planned(run(B, ran(1, B)), hosts=[there, *behind], head=B).sends
        assert [*many.instance_ids, *rest.instance_ids] == [one.instance_id for one in behind]
        assert len(many.instance_ids) == MAX_IDS

    def test_commit_that_no_host_has_yet_goes_to_fifty_hosts_first(self) -> None:
        hosts = [host(number) for number in range(MAX_IDS + 2)]
        (first,) = planned(hosts=hosts, head=B).sends
        assert first.instance_ids == tuple(one.instance_id for one in hosts[:MAX_IDS])

    def test_hosts_with_different_attempts_get_separate_commands(self) -> None:
        hosts = [host(number) for number in range(1, 5)]
        first = run(A, failed(1, A), ran(2, B), ran(4, A))
        runs = [first, reconciled(A, failed(1, A, at=20), at=20)]
        sends = planned(*runs, hosts=hosts, head=A).sends
        assert [(send.attempt, len(send.instance_ids)) for send in sends] == [(2, 1), (1, 2)]


class TestPlanTargetWithGates:
    def made(self, *runs: Run, head: CommitSha | None = C) -> TargetPlan:
        return plan_target(replace(facts_of(*runs, head=head), target=GATED), now=NOW)

    @pytest.mark.parametrize("head", [C, None])
    @pytest.mark.parametrize("update", ["rebase", "rebase-to"])
    def test_host_at_the_newest_released_commit_needs_no_command(
        self, head: CommitSha | None, update: str
    ) -> None:
        made = self.made(run(B, ran(1, B), update=update), head=head)
        assert steps(made) == [(NOTHING, "it is there")]

    @pytest.mark.parametrize("head", [C, None])
    def test_host_behind_is_sent_the_released_commit_and_not_past_it(
        self, head: CommitSha | None
    ) -> None:
        (send,) = self.made(
            run(A, ran(1, A)), run(B, on(1, "Undeliverable"), at=1), head=head
        ).sends
        request = send.request(stage="dev", issued=1, document_pin=None)
        assert (request.parameters["Commit"], request.parameters["Update"]) == (B.sha, "rebase-to")
        assert request.selectors == (("InstanceIds", (host(1).instance_id,)),)

    @pytest.mark.parametrize("head", [C, None])
    def test_host_past_the_released_commit_is_not_there(self, head: CommitSha | None) -> None:
        """Even without a token: the tip may be a commit that has not passed the gates."""
        made = self.made(run(B, ran(1, C), update="rebase-to"), head=head)
        assert steps(made) == [(SEND, "it says that it runs ccccccc")]

    def test_host_waits_if_no_commit_has_passed(self) -> None:
        made = self.made()
        assert (made.held, steps(made)) == (
            "no commit has passed the gates yet",
            [(WAIT, "no commit has passed the gates yet")],
        )


class TestPlanTargetWaits:
    def test_offline_host_waits(self) -> None:
        asleep = host(1, is_online=False)
        made = planned(run(A, ran(1, A)), hosts=[asleep], head=B)
        assert only_host(made) == HostPlan(asleep, A.sha, WAIT, "it is offline", seen=START)

    @pytest.mark.parametrize("details", ["Pending", "InProgress", "Delayed"])
    def test_host_that_runs_a_command_waits(self, details: str) -> None:
        runs = [run(A, on(1, details), status="InProgress"), run(B, failed(1, B), at=1)]
        assert steps(planned(*runs, head=C, now=minutes(20))) == [
            (WAIT, "a command for it is under way")
        ]

    def test_host_whose_command_expired_without_an_answer_has_failed(self) -> None:
        runs = reconciled(A, on(1, "InProgress"), at=0, attempt=2)
        assert steps(planned(runs, head=A, now=minutes(21))) == [
            (WAIT, "it failed, and is tried again at 09:20 UTC")
        ]
        assert steps(planned(runs, head=A)) == [(SEND, "no answer in time")]
        assert planned(runs, head=A).sends[0].attempt == 3

    def test_expired_command_for_another_commit_is_ignored(self) -> None:
        assert steps(planned(run(A, on(1, "InProgress")), head=B)) == [
            (SEND, "nothing is known of it")
        ]

    @pytest.mark.parametrize(("count", "status"), [(2, "InProgress"), (2, "Success")])
    def test_host_waits_for_a_command_whose_invocations_are_not_all_listed(
        self, count: int, status: str
    ) -> None:
        push = run(A, ran(2, A), count=count, status=status)
        hosts = [host(1), host(2)]
        assert steps(planned(push, hosts=hosts, head=B, now=minutes(20))) == [
            (WAIT, "a command is under way, and may be for it"),
            (SEND, "it is at aaaaaaa"),
        ]
        assert planned(push, hosts=hosts, head=B, now=minutes(21)).hosts[0].action == SEND

    def test_host_waits_for_a_command_that_was_just_sent(self) -> None:
        push = run(A, count=0, status="Pending")
        assert steps(planned(push, head=B, now=minutes(1))) == [
            (WAIT, "a command is under way, and may be for it")
        ]

    def test_recheck_of_other_hosts_does_not_delay_a_host_behind(self) -> None:
        push = run(B, ran(1, B), failed(2, B, at=-60), at=-60)
        recheck = reconciled(B, on(1, "InProgress"), at=0, attempt=0)
        under_way = replace(recheck, command=replace(recheck.command, status="InProgress"))
        made = planned(push, under_way, hosts=[host(1), host(2)], head=B, now=minutes(1))
        assert steps(made) == [(WAIT, "a command for it is under way"), (SEND, "rolled back")]

    def test_command_that_matched_no_host_delays_no_host(self) -> None:
        assert steps(planned(run(A), head=A, now=minutes(1))) == [(SEND, "nothing is known of it")]

    def test_commit_is_not_sent_again_while_its_roll_out_may_still_be_stopped(self) -> None:
        push = run(B, on(1, "InProgress"), failed(2, B), ran(3, B), status="InProgress")
        hosts = [host(number) for number in range(1, 5)]
        assert steps(planned(push, hosts=hosts, head=B, now=minutes(20))) == [
            (WAIT, "a command for it is under way"),
            (WAIT, "a roll-out of bbbbbbb is under way"),
            (NOTHING, "it is there"),
            (WAIT, "a roll-out of bbbbbbb is under way"),
        ]

    def test_host_rolled_back_from_a_newer_commit_is_retried_if_the_tip_is_unknown(
        self,
    ) -> None:
        """Only the host's result names the newer commit, and says that it failed."""
        report = json.loads(failed(1, B).output) | {"after": A.sha}
        back = run(A, replace(failed(1, B, at=1), output=json.dumps(report)))
        assert steps(planned(back, now=minutes(2))) == [
            (WAIT, "it failed, and is tried again at 08:16 UTC")
        ]
        made = only_host(planned(back))
        assert (made.action, made.reason, made.at) == (SEND, "a newer commit failed there", A.sha)

    @pytest.mark.parametrize("outcome", ["rolled_back", "superseded"])
    def test_reason_is_a_newer_failed_commit_if_the_host_names_no_commit_that_it_runs(
        self, outcome: str
    ) -> None:
        upstream = B if outcome == "rolled_back" else None
        made = planned(run(A, said(1, outcome, upstream)), head=A)
        assert steps(made) == [(SEND, "a newer commit failed there")]

    def test_roll_out_of_another_commit_delays_only_its_own_hosts(self) -> None:
        push = run(A, on(1, "InProgress"), ran(2, A), status="InProgress")
        hosts = [host(1), host(2), host(3)]
        made = planned(push, hosts=hosts, head=B, now=minutes(20))
        assert [one.action for one in made.hosts] == [WAIT, SEND, SEND]


class TestPlanTargetAfterAFailure:
    @pytest.mark.parametrize(
        ("attempt", "backoff"),
        [(0, 15), (1, 30), (2, 60), (3, 120), (4, 240)],
    )
    def test_failed_host_is_retried_after_a_pause_that_doubles(
        self, attempt: int, backoff: int
    ) -> None:
        cause = "reconcile" if attempt else "push"
        last = run(A, failed(1, A, at=3), cause=cause, attempt=attempt)
        due = minutes(3 + backoff)
        before = only_host(planned(last, head=A, now=due - timedelta(seconds=1)))
        reason = f"it failed, and is tried again at {due:%H:%M} UTC"
        assert (before.action, before.reason, before.attempt) == (WAIT, reason, attempt)
        then = only_host(planned(last, head=A, now=due))
        assert (then.action, then.reason, then.attempt) == (SEND, "rolled back", attempt + 1)

    def test_pauses_and_attempts_have_the_documented_values(self) -> None:
        assert timedelta(minutes=15) == FIRST_BACKOFF
        assert timedelta(hours=4) == LONGEST_BACKOFF
        assert MAX_ATTEMPTS == 5

    def test_host_that_failed_too_often_is_parked_with_the_reason(self) -> None:
        last = reconciled(A, failed(1, A, at=3), at=0, attempt=MAX_ATTEMPTS)
        made = planned(last, head=A, now=START + timedelta(days=20))
        assert only_host(made) == HostPlan(
            host(1),
            "",
            PARKED,
            "5 attempts failed: rolled back",
            MAX_ATTEMPTS,
            since=minutes(3),
            seen=minutes(3),
            failure="rolled back",
            failed=FailedAttempt(MAX_ATTEMPTS, "rolled back", minutes(3)),
        )
        assert made.sends == ()

    @pytest.mark.parametrize("head", [A, B])
    def test_push_or_another_commit_ends_the_parking(self, head: CommitSha) -> None:
        last = reconciled(A, failed(1, A), at=0, attempt=MAX_ATTEMPTS)
        runs = [last, run(A, failed(1, A, at=60), at=60)] if head == A else [last]
        made = planned(*runs, head=head)
        assert [send.attempt for send in made.sends] == [1]

    def test_host_parked_at_the_tip_is_not_parked_for_a_pin_to_the_same_commit(self) -> None:
        last = reconciled(A, failed(1, A), at=0, attempt=MAX_ATTEMPTS)
        assert planned(last, pin=PINNED).sends[0].attempt == 1

    def test_unreached_host_is_retried_without_limit_at_the_longest_pause(self) -> None:
        last = reconciled(A, on(1, "DeliveryTimedOut"), at=0, attempt=MAX_ATTEMPTS)
        assert only_host(planned(last, head=A, now=minutes(239))).action == WAIT
        made = only_host(planned(last, head=A, now=minutes(240)))
        assert (made.action, made.reason, made.attempt) == (SEND, "it was not reached", 5)

    @pytest.mark.parametrize(("ended", "due"), [(-600, 30), (10**6, 50)])
    def test_wrong_clock_of_a_host_neither_shortens_nor_ends_its_retries(
        self, ended: int, due: int
    ) -> None:
        tried = reconciled(A, failed(1, A, at=ended), at=0)
        for now, action in ((due - 1, WAIT), (due, SEND)):
            assert only_host(planned(tried, head=A, now=minutes(now))).action == action

    def test_run_without_an_end_time_counts_from_when_the_command_was_sent(self) -> None:
        last = run(A, on(1, "AccessDenied"))
        assert only_host(planned(last, head=A, now=minutes(14))).action == WAIT
        made = only_host(planned(last, head=A, now=minutes(15)))
        assert (made.action, made.reason) == (SEND, "Systems Manager may not run commands on it")


class TestPlanTargetHeld:
    def stopped(self, *, at: int = 10) -> Run:
        return run(B, failed(1, B), on(2, "Terminated"), at=at, status="Failed")

    def good(self) -> Run:
        return run(A, ran(1, A), ran(2, A))

    def test_held_commit_is_sent_to_no_host(self) -> None:
        held = "the roll-out of bbbbbbb was stopped by its failures"
        made = planned(self.good(), self.stopped(), hosts=[host(1), host(2)], head=B)
        assert made.held == held
        assert made.wanted
        assert steps(made) == [(WAIT, held), (WAIT, held)]
        assert [one.at for one in made.hosts] == ["", A.sha]

    def test_new_host_is_sent_the_last_good_commit(self) -> None:
        older = run(C, ran(1, C), ran(2, C), at=-5)
        made = planned(self.good(), older, self.stopped(), hosts=[host(1), host(3)], head=B)
        reason = "bbbbbbb is held; it is the last good one"
        wanted = Wanted(A, "exact", reason, is_way_back=True)
        assert [one.action for one in made.hosts] == [WAIT, SEND]
        assert made.hosts[1].wanted == wanted
        assert made.sends[0].instance_ids == (host(3).instance_id,)

    def test_commit_that_only_one_host_runs_is_not_the_good_commit(self) -> None:
        alone = run(C, ran(1, C), failed(2, C), failed(3, C), at=5)
        good = run(A, ran(1, A), ran(2, A), ran(3, A))
        made = planned(good, alone, self.stopped(), hosts=[host(4)], head=B)
        assert made.sends[0].wanted.commit == A

    def test_new_host_waits_if_no_commit_is_good(self) -> None:
        made = planned(self.stopped(), hosts=[host(3)], head=B)
        assert [one.action for one in made.hosts] == [WAIT]
        assert made.hold
        assert made.hold.good is None

    def test_host_without_history_is_sent_the_good_commit_like_a_new_host(self) -> None:
        """Day 31: the canary, which runs the held commit, looks like a new host."""
        hold = planned(self.good(), self.stopped(), head=B).hold
        made = plan_target(replace(facts_of(head=B), hold=hold), now=NOW + timedelta(days=31))
        assert made.sends[0].wanted.commit == A

    def test_good_commit_that_failed_on_one_new_host_is_still_sent_to_others(self) -> None:
        again = run(A, failed(3, A, at=20), at=20, update="exact", cause="reconcile", attempt=1)
        hosts = [host(3), host(4)]
        made = planned(self.good(), self.stopped(), again, hosts=hosts, head=B, now=minutes(30))
        assert [one.action for one in made.hosts] == [WAIT, SEND]

    def test_held_commit_is_not_the_good_commit_even_if_all_hosts_run_it(self) -> None:
        late = reconciled(B, ran(1, B), ran(2, B), at=20)
        made = planned(self.stopped(), late, hosts=[host(3)], head=B)
        assert [one.action for one in made.hosts] == [WAIT]

    def test_new_host_that_missed_the_good_commit_is_sent_it(self) -> None:
        good = run(A, ran(1, A), on(3, "DeliveryTimedOut"))
        made = planned(good, self.stopped(), hosts=[host(3)], head=B)
        assert [one.action for one in made.hosts] == [SEND]

    def test_host_at_the_good_commit_waits(self) -> None:
        joined = reconciled(A, ran(3, A), at=5)
        made = planned(self.good(), joined, self.stopped(), hosts=[host(3)], head=B)
        assert [one.action for one in made.hosts] == [WAIT]

    def test_host_that_moved_past_the_good_commit_is_not_sent_back(self) -> None:
        joined = reconciled(A, said(3, "superseded", B), at=5)
        failing = reconciled(A, failed(3, A), at=6)
        good = run(A, ran(1, A), ran(3, A), at=7)
        for runs in ([self.good(), joined], [self.good(), joined, failing, good]):
            made = planned(*runs, self.stopped(), hosts=[host(3)], head=B)
            assert [one.action for one in made.hosts] == [WAIT]

    def test_pin_to_a_held_commit_does_not_send_the_good_commit(self) -> None:
        made = planned(self.good(), self.stopped(), hosts=[host(3)], pin=replace(PINNED, commit=B))
        assert [one.action for one in made.hosts] == [WAIT]

    def test_newer_commit_is_not_held(self) -> None:
        made = planned(self.good(), self.stopped(), hosts=[host(1), host(2)], head=C)
        assert [one.action for one in made.hosts] == [SEND, SEND]


class TestPlanTargetCancelled:
    """If a person cancels a roll-out, no host stays between two commits."""

    def good(self) -> Run:
        return run(A, ran(1, A), ran(2, A), ran(3, A))

    def cancelled(self) -> Run:
        killed = replace(on(2, "Cancelled"), ended=minutes(11))
        hosts = (said(1, "updated", B, at=11), killed, on(3, "Cancelled"))
        return run(B, *hosts, at=10, status="Cancelled")

    def test_hosts_that_began_the_cancelled_run_go_back_and_others_stay(self) -> None:
        hosts = [host(1), host(2), host(3)]
        made = planned(self.good(), self.cancelled(), hosts=hosts, head=B)
        assert [one.action for one in made.hosts] == [SEND, SEND, NOTHING]
        (send,) = made.sends
        assert (send.wanted.commit, send.wanted.update) == (A, "exact")
        assert made.hold
        assert made.hold.kind == "cancelled"

    def test_hosts_that_went_back_need_no_command(self) -> None:
        back = run(
            *(A, said(1, "updated", A, at=20), said(2, "updated", A, at=20)),
            at=20,
            cause="reconcile",
            attempt=1,
            update="exact",
        )
        hosts = [host(1), host(2), host(3)]
        made = planned(self.good(), self.cancelled(), back, hosts=hosts, head=B)
        assert [one.action for one in made.hosts] == [NOTHING] * 3

    def test_frozen_target_is_sent_nothing_after_a_cancel(self) -> None:
        hosts = [host(1), host(2), host(3)]
        made = planned(self.good(), self.cancelled(), hosts=hosts, head=B, pin=FROZEN)
        assert made.sends == ()

    def test_newer_commit_goes_to_all_hosts(self) -> None:
        hosts = [host(1), host(2), host(3)]
        made = planned(self.good(), self.cancelled(), hosts=hosts, head=C)
        assert [one.action for one in made.hosts] == [SEND] * 3
        assert made.hold is None

    def test_hosts_wait_if_no_good_commit_is_known(self) -> None:
        made = planned(self.cancelled(), hosts=[host(1), host(2)], head=B)
        assert [one.action for one in made.hosts] == [WAIT, WAIT]

    @pytest.mark.parametrize("pin", [PINNED, FROZEN])
    def test_hold_outlasts_a_pin(self, pin: Pin) -> None:
        hold = planned(self.good(), self.cancelled(), head=B).hold
        facts = replace(facts_of(self.good(), head=B, pin=pin), hold=hold)
        assert plan_target(facts, now=NOW).hold == hold

    def test_hold_outlasts_the_history(self) -> None:
        """Day 31: Systems Manager has forgotten the roll-out, and the hosts are rechecked."""
        hold = planned(self.good(), self.cancelled(), head=B).hold
        facts = replace(facts_of(hosts=[host(1), host(9)], head=B), hold=hold)
        made = plan_target(facts, now=NOW + timedelta(days=31))
        assert made.held == "the roll-out of bbbbbbb was cancelled"
        assert {send.wanted.commit for send in made.sends} == {A}
        assert made.hold == hold


class TestIsThere:
    def test_offline_host_at_the_wanted_commit_is_there(self) -> None:
        (made,) = planned(run(A, ran(1, A)), hosts=[host(1, is_online=False)], head=A).hosts
        assert (made.action, made.is_there) == (WAIT, True)

    @pytest.mark.parametrize("last", [A, B])
    @pytest.mark.parametrize("is_swapped", [False, True])
    def test_of_two_runs_issued_at_the_same_time_the_one_that_ended_last_counts(
        self, last: CommitSha, *, is_swapped: bool
    ) -> None:
        # A host takes both, in either order.
        runs = [run(one, said(1, "updated", one, at=2 if one == last else 1)) for one in (A, B)]
        runs = runs[::-1] if is_swapped else runs
        for number, one in enumerate(runs):
            runs[number] = replace(one, command=replace(one.command, id=f"command-{number}"))
        (made,) = planned(*runs, head=C).hosts
        assert made.at == last.sha

    def test_held_host_wants_the_last_good_commit(self) -> None:
        cancelled = TestPlanTargetCancelled()
        runs = (cancelled.good(), cancelled.cancelled())
        made = planned(*runs, hosts=[host(1), host(3)], head=B)
        assert [one.wanted and one.wanted.commit for one in made.hosts] == [A, A]
        assert [one.is_there for one in made.hosts] == [False, True]


class TestPlanTargetDrift:
    def look(
        self,
        *,
        at: float,
        deployed: CommitSha | None = A,
        drift: str = "",
        target: str = "web",
        tip: CommitSha = A,
        took: float = 0.05,
    ) -> Look:
        """A check requested `at` minutes after the start, which took `took` minutes."""
        found: dict[str, object] = {"would_update": False}
        found |= {"owner": "site", "git": "2.39", "free_mib": 900}
        found |= {"lfs": False, "deployed": deployed.sha if deployed else "", "drift": drift}
        output = json.loads(said(1, "unchanged", tip).output) | {"found": found}
        requested = minutes(at)
        check = Check(
            id=f"check-{at}",
            status="Success",
            details="Success",
            requested=requested,
            expires=requested + timedelta(minutes=11),
            target_count=1,
            checkout=WEB.checkout,
            target=target,
        )
        one = replace(on(1, "Success", json.dumps(output)), ended=minutes(at + took))
        return Look(check, (one,))

    def made(self, *looks: Look, last: Invocation | None = None) -> HostPlan:
        facts = replace(facts_of(run(A, last or ran(1, A)), head=A), looks=looks)
        return only_host(plan_target(facts, now=NOW))

    def test_check_without_drift_updates_when_the_host_was_seen(self) -> None:
        made = self.made(self.look(at=5))
        seen = minutes(5) + timedelta(seconds=3)
        assert (made.action, made.seen, made.at) == (NOTHING, seen, A.sha)

    def test_newest_check_counts(self) -> None:
        well, ill = self.look(at=6), self.look(at=5, drift="head")
        for looks in ((well, ill), (ill, well)):
            assert self.made(*looks).action == NOTHING

    def test_check_that_ended_last_counts_if_two_overlap(self) -> None:
        slow, quick = self.look(at=5, took=3, drift="head"), self.look(at=6)
        for looks in ((slow, quick), (quick, slow)):
            assert self.made(*looks).has_drifted
        slow, quick = self.look(at=5, took=3), self.look(at=6, drift="head")
        for looks in ((slow, quick), (quick, slow)):
            assert (self.made(*looks).has_drifted, self.made(*looks).seen) == (False, minutes(8))

    def test_drift_counts_if_two_checks_end_in_the_same_second(self) -> None:
        well, ill = self.look(at=5), self.look(at=5, drift="head")
        for looks in ((well, ill), (ill, well)):
            assert self.made(*looks).has_drifted

    def test_clean_check_of_another_target_hides_no_drift(self) -> None:
        ill, other = self.look(at=5, drift="head"), self.look(at=6, target="job")
        assert self.made(ill, other).has_drifted
        assert self.made(other).seen == START

    @pytest.mark.parametrize(("deployed", "drift"), [(B, ""), (A, "files")])
    def test_drift_found_by_a_check_of_another_target_counts(
        self, deployed: CommitSha, drift: str
    ) -> None:
        other = self.look(at=6, target="job", deployed=deployed, drift=drift)
        assert self.made(self.look(at=5), other).has_drifted

    def test_check_that_finds_the_host_behind_its_branch_does_not_count(self) -> None:
        behind = self.look(at=6, tip=B)
        made = self.made(self.look(at=5), behind)
        assert (made.action, made.seen) == (NOTHING, START)
        made = self.made(self.look(at=5, drift="head"), behind)
        assert (made.action, made.seen) == (NOTHING, START)

    def test_drift_is_found_on_a_host_behind_its_branch(self) -> None:
        made = self.made(self.look(at=5, drift="head", tip=B))
        assert (made.action, made.seen) == (SEND, minutes(5.05))

    def test_pinned_host_needs_no_command_after_its_branch_moved_on(self) -> None:
        facts = facts_of(run(A, ran(1, A), update="exact"), head=B, pin=PINNED)
        made = only_host(plan_target(replace(facts, looks=[self.look(at=5, tip=B)]), now=NOW))
        assert (made.action, made.seen) == (NOTHING, minutes(5.05))

    def test_host_with_gates_is_seen_well_behind_its_branch(self) -> None:
        known = facts_of(run(A, ran(1, A), update="rebase-to"), head=B)
        facts = replace(known, target=GATED, looks=[self.look(at=5, tip=B)])
        made = only_host(plan_target(facts, now=NOW))
        assert (made.action, made.seen) == (NOTHING, minutes(5.05))

    def test_host_that_lost_its_marker_is_sent_the_wanted_commit(self) -> None:
        made = self.made(self.look(at=5, deployed=None))
        assert (made.action, made.reason) == (SEND, "it has drifted")

    def test_drift_is_found_on_a_host_with_a_wrong_clock_after_its_last_run(self) -> None:
        ill = self.look(at=21, drift="head")
        for ended in (minutes(-600), minutes(10**6)):
            assert self.made(ill, last=replace(ran(1, A), ended=ended)).has_drifted

    @pytest.mark.parametrize(("ended", "seen"), [(-600, 5), (10**6, 16)])
    def test_check_by_a_host_with_a_wrong_clock_is_dated_by_its_command(
        self, ended: int, seen: int
    ) -> None:
        look = self.look(at=5)
        one = replace(look.invocations[0], ended=minutes(ended))
        assert self.made(replace(look, invocations=(one,))).seen == minutes(seen)

    def test_host_whose_checkout_was_moved_is_sent_the_wanted_commit(self) -> None:
        made = self.made(self.look(at=5, drift="head"))
        assert (made.action, made.reason, made.at) == (SEND, "it has drifted", "")
        assert made.has_drifted

    def test_host_whose_marker_differs_from_its_result_is_sent_the_wanted_commit(self) -> None:
        assert self.made(self.look(at=5, deployed=B)).action == SEND

    def test_drifted_host_is_sent_a_command_at_once_if_the_tip_is_unknown(self) -> None:
        drifted = self.look(at=1, deployed=B, drift="head")
        facts = replace(facts_of(run(A, ran(1, B))), looks=[drifted])
        made = only_host(plan_target(facts, now=minutes(2)))
        assert (made.action, made.reason) == (SEND, "it has drifted")

    def test_host_that_rolled_back_has_not_drifted(self) -> None:
        made = self.made(self.look(at=5, deployed=B), last=failed(1, A))
        assert (made.action, made.reason, made.has_drifted) == (SEND, "rolled back", False)

    def test_check_before_the_newest_run_does_not_count(self) -> None:
        assert self.made(self.look(at=-5, drift="head")).action == NOTHING

    def test_check_requested_when_the_newest_run_ended_counts(self) -> None:
        assert self.made(self.look(at=0, drift="head")).has_drifted

    def test_check_of_a_host_without_runs_does_not_count_as_a_run(self) -> None:
        facts = replace(facts_of(head=A), looks=[self.look(at=5)])
        assert only_host(plan_target(facts, now=NOW)).reason == "nothing is known of it"

    def test_check_by_an_older_release_changes_nothing(self) -> None:
        look = self.look(at=5)
        report = json.loads(look.invocations[0].output)
        del report["found"]["deployed"], report["found"]["drift"]
        one = replace(look.invocations[0], output=json.dumps(report))
        made = self.made(replace(look, invocations=(one,)))
        assert (made.action, made.seen, made.has_drifted) == (NOTHING, START, False)

    def aside(self, one: Invocation, file: str | None = "app.ini", **more: object) -> Invocation:
        told = json.loads(one.output) | {"set_aside": file} | more
        return replace(one, output=json.dumps(told))

    def test_host_with_a_set_aside_edit_is_there_and_needs_no_command(self) -> None:
        made = self.made(last=self.aside(ran(1, A)))
        assert (made.action, made.reason, made.set_aside) == (NOTHING, "it is there", "app.ini")
        failing = replace(facts_of(run(A, self.aside(ran(1, A))), head=A))
        failing = replace(failing, target=replace(WEB, saved="fail"))
        assert only_host(plan_target(failing, now=NOW)).action == NOTHING

    def test_host_with_a_set_aside_edit_is_rechecked_no_earlier_than_others(self) -> None:
        web = replace(WEB, recheck="6h")
        facts = facts_of(run(A, self.aside(ran(1, A))), head=A)
        for file, later in ((None, 1), ("app.ini", 1), (None, 7), ("app.ini", 7)):
            facts = replace(facts, target=web, runs=(run(A, self.aside(ran(1, A), file)),))
            made = only_host(plan_target(facts, now=START + timedelta(hours=later)))
            assert made.action == (SEND if later == 7 else NOTHING)

    def test_failed_host_names_its_set_aside_edit(self) -> None:
        assert self.made(last=self.aside(failed(1, A))).set_aside == "app.ini"

    @pytest.mark.parametrize(("found", "told"), [("other.ini", "other.ini"), (None, "")])
    def test_newest_check_decides_which_edit_is_set_aside(
        self, found: str | None, told: str
    ) -> None:
        look = self.look(at=5)
        look = replace(look, invocations=(self.aside(look.invocations[0], found),))
        made = self.made(look, last=self.aside(ran(1, A)))
        assert (made.action, made.set_aside) == (NOTHING, told)

    def test_drop_updates_the_set_aside_edit_but_not_the_host_s_commit(self) -> None:
        look = self.look(at=5)
        one = self.aside(said(1, "unchanged", None), None, dropped=1, after=B.sha)
        made = self.made(replace(look, invocations=(one,)), last=self.aside(ran(1, A)))
        assert (made.action, made.at, made.seen, made.set_aside) == (NOTHING, A.sha, START, "")

    def test_drop_does_not_hide_drift_found_by_a_check(self) -> None:
        drifted, look = self.look(at=5, drift="head"), self.look(at=6)
        one = self.aside(look.invocations[0], None, found=None, dropped=1)
        text = json.loads(one.output)
        del text["found"]
        dropped = replace(look, invocations=(replace(one, output=json.dumps(text)),))
        for looks in ((drifted, dropped), (dropped, drifted)):
            made = self.made(*looks, last=self.aside(ran(1, A)))
            assert (made.action, made.has_drifted, made.set_aside) == (SEND, True, "")

    @pytest.mark.parametrize("outcome", ["unchanged", "missing_commit", "busy", "conflict"])
    def test_list_of_saved_refs_or_failed_drop_changes_nothing(self, outcome: str) -> None:
        look = self.look(at=5)
        one = self.aside(said(1, outcome, None), None, saved_refs=[], saved_count=0)
        made = self.made(replace(look, invocations=(one,)), last=self.aside(ran(1, A)))
        assert (made.action, made.at, made.seen, made.set_aside) == (
            NOTHING,
            A.sha,
            START,
            "app.ini",
        )

    @pytest.mark.parametrize("output", ["", "{}", said(1, "unchanged", A).output])
    def test_check_without_findings_changes_nothing(self, output: str) -> None:
        look = self.look(at=5)
        one = replace(look.invocations[0], output=output)
        made = self.made(replace(look, invocations=(one,)))
        assert (made.action, made.seen) == (NOTHING, START)


class TestPlanTargetWithANewCheckout:
    """Runs from before the target's `checkout` was changed."""

    def elsewhere(self, made: Run) -> Run:
        roll_out = replace(made.roll_out, checkout="/srv/before")
        return replace(made, command=replace(made.command, roll_out=roll_out))

    def test_run_in_the_old_checkout_says_nothing_about_the_new_one(self) -> None:
        made = only_host(planned(self.elsewhere(run(A, ran(1, A))), head=A))
        assert (made.action, made.reason, made.at) == (SEND, "nothing is known of it", "")

    def test_older_run_in_the_present_checkout_counts(self) -> None:
        here = run(A, ran(1, A))
        made = only_host(planned(here, self.elsewhere(run(A, ran(1, A), at=5)), head=A))
        assert (made.action, made.seen) == (NOTHING, START)

    def test_failed_attempts_in_the_old_checkout_park_no_host(self) -> None:
        last = reconciled(A, failed(1, A), at=5, attempt=5)
        made = only_host(planned(self.elsewhere(last), head=A))
        assert (made.action, made.attempt) == (SEND, 1)

    def test_host_that_runs_a_command_in_the_old_checkout_waits(self) -> None:
        busy = run(A, on(1, "InProgress"), at=12 * 60 - 1, status="InProgress")
        assert only_host(planned(self.elsewhere(busy), head=A)).action == WAIT

    def test_commit_stopped_in_the_old_checkout_stays_held(self) -> None:
        stopped = run(B, on(1, "Cancelled"), at=10, status="Cancelled")
        made = planned(*map(self.elsewhere, (run(A, ran(1, A)), stopped)), head=B)
        assert made.hold
        assert made.hold.commit == B


class TestPlanTargetBeside:
    """Another target's runs in the same checkout."""

    def made(self, *others: Run) -> HostPlan:
        facts = replace(facts_of(run(A, ran(1, A)), head=A), beside=others)
        return only_host(plan_target(facts, now=NOW))

    def other(self, *invocations: Invocation, at: int, status: str = "Success") -> Run:
        said_to_it = [
            replace(one, output=one.output.replace('"web"', '"job"')) for one in invocations
        ]
        made = run(A, *said_to_it, at=at, status=status)
        roll_out = replace(made.roll_out, target="job")
        return replace(made, command=replace(made.command, roll_out=roll_out))

    def test_later_run_of_another_target_makes_this_target_deploy_again(self) -> None:
        made = self.made(self.other(said(1, "updated", A, at=5), at=5))
        assert (made.action, made.reason) == (SEND, "the target job ran in its checkout")

    def test_earlier_run_of_another_target_changes_nothing(self) -> None:
        assert self.made(self.other(ran(1, A), at=-5)).action == NOTHING

    @pytest.mark.parametrize(("later", "action"), [(1, WAIT), (20, WAIT), (21, SEND)])
    def test_host_waits_for_another_target_s_command_that_is_not_listed_in_full(
        self, later: int, action: str
    ) -> None:
        sent = self.other(on(2, "InProgress"), at=5, status="InProgress")
        sent = replace(sent, command=replace(sent.command, target_count=2))
        facts = replace(facts_of(run(A, ran(1, A)), head=B), beside=[sent])
        assert only_host(plan_target(facts, now=minutes(5 + later))).action == action

    @pytest.mark.parametrize(
        ("hosts", "good"),
        [((1, 2), C), ((3, 7, 8, 9), A)],  # hosts of only the other target do not count
    )
    def test_good_commit_is_what_the_hosts_ran_last_also_for_another_target(
        self, hosts: Sequence[int], good: CommitSha
    ) -> None:
        good_run = run(A, ran(1, A), ran(2, A), ran(3, A))
        here = [good_run, run(B, on(1, "Cancelled"), at=10, status="Cancelled")]
        beside = self.other(*[said(number, "updated", C, at=5) for number in hosts], at=5)
        hold = plan_target(replace(facts_of(*here, head=B), beside=[beside]), now=NOW).hold
        assert hold
        assert hold.good == good

    def test_host_waits_while_another_target_runs_in_its_checkout(self) -> None:
        under_way = self.other(on(1, "InProgress"), at=12 * 60 - 1, status="InProgress")
        assert self.made(under_way).reason == "a command for it is under way"


class TestPlanTargetImpossibleAnswers:
    """A host whose answer is impossible is retried as often as any other, and then parked."""

    def test_host_that_reports_a_commit_nobody_requested_is_parked_with_that_reason(self) -> None:
        lies = reconciled(A, said(1, "updated", C, at=0), at=0, attempt=MAX_ATTEMPTS)
        made = only_host(planned(lies, head=A))
        assert (made.action, made.reason) == (
            PARKED,
            "5 attempts failed: it says that it runs ccccccc",
        )

    def test_host_without_a_valid_result_is_parked(self) -> None:
        nonsense = reconciled(A, on(1, "Success", "hello"), at=0, attempt=MAX_ATTEMPTS)
        assert only_host(planned(nonsense, head=A)).action == PARKED
