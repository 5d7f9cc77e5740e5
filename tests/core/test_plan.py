"""The plan: what is wanted, who is sent it, and all that is left alone."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.attempts import FIRST_BACKOFF, LONGEST_BACKOFF, MAX_ATTEMPTS
from chalicelib.core.history import Check, Invocation, Look, RollOut, Run
from chalicelib.core.hosts import Host
from chalicelib.core.pins import Pin
from chalicelib.core.plan import NOTHING, PARKED, SEND, WAIT, HostPlan, TargetPlan, plan_target
from chalicelib.core.refs import Branch, CommitSha
from chalicelib.core.targets import MAX_IDS, Instances, Target
from chalicelib.core.wanted import TargetFacts, Wanted, wanted_of
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
PINNED = Pin("pinned", A, reason="the release")
FROZEN = Pin("frozen")


def host(number: int, *, is_online: bool = True) -> Host:
    return Host(f"i-{number:017x}", f"web-{number}", is_online=is_online)


def said(number: int, outcome: str, upstream: CommitSha | None, *, at: int = 0) -> Invocation:
    """What a host said, and after how many minutes from the start."""
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


def one_of(made: TargetPlan) -> HostPlan:
    (only,) = made.hosts
    return only if only.action == SEND else replace(only, wanted=None)


def told(made: TargetPlan) -> list[tuple[str, str]]:
    return [(one.action, one.reason) for one in made.hosts]


def minutes(count: float) -> datetime:
    return START + timedelta(minutes=count)


def wanted_commit(*runs: Run) -> CommitSha:
    wanted = wanted_of(facts_of(*runs), now=NOW)
    assert wanted
    return wanted.commit


class TestPlan:
    @given(st.permutations(range(4)))
    def test_order_of_the_runs_changes_nothing(self, order: list[int]) -> None:
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
    def test_pin_is_before_the_tip(self) -> None:
        wanted = wanted_of(facts_of(run(C), head=B, pin=PINNED), now=NOW)
        assert wanted == Wanted(A, "exact", "it is pinned")
        assert wanted.is_exact

    def test_frozen_target_has_nothing_that_is_wanted(self) -> None:
        assert wanted_of(facts_of(run(A), head=B, pin=FROZEN), now=NOW) is None

    def test_freeze_at_a_commit_is_still_a_freeze(self) -> None:
        assert wanted_of(facts_of(head=B, pin=Pin("frozen", A)), now=NOW) is None

    def test_pin_without_a_commit_is_as_a_freeze(self) -> None:
        assert wanted_of(facts_of(head=B, pin=Pin("pinned")), now=NOW) is None

    @pytest.mark.parametrize("pin", [Pin("none"), replace(PINNED, until=NOW), None])
    def test_tip_is_wanted_where_no_pin_holds(self, pin: Pin | None) -> None:
        wanted = wanted_of(facts_of(run(C), head=B, pin=pin), now=NOW)
        assert wanted == Wanted(B, "rebase", "it is the branch's tip")
        assert not wanted.is_exact

    def test_target_s_own_update_is_the_way_to_a_tip(self) -> None:
        facts = replace(facts_of(head=B), target=replace(WEB, update="reset"))
        assert wanted_of(facts, now=NOW) == Wanted(B, "reset", "it is the branch's tip")

    def test_newest_that_was_asked_for_is_wanted_where_nobody_knows_the_tip(self) -> None:
        wanted = wanted_of(facts_of(run(A, at=1), run(C, at=3), run(B, at=2)), now=NOW)
        assert wanted == Wanted(C, "rebase", "it is the newest that was asked for")

    def test_pinned_commit_is_not_asked_for_once_the_pin_is_off(self) -> None:
        runs = [run(B, at=1), run(A, at=2, update="exact", cause="manual")]
        assert wanted_commit(*runs) == B

    def test_redelivery_asks_for_no_more_than_its_push_did(self) -> None:
        runs = [run(A, at=1, pushed=1), run(B, at=2, pushed=2), run(A, at=9, pushed=1)]
        assert wanted_commit(*runs) == B

    @pytest.mark.parametrize(("pushed", "newest"), [(1, A), (3, B)])
    def test_push_is_as_old_as_its_time_where_others_are_as_old_as_their_command(
        self, pushed: int, newest: CommitSha
    ) -> None:
        runs = [run(A, at=2, cause="manual"), run(B, at=4, pushed=pushed)]
        assert wanted_commit(*runs) == newest

    def test_commit_that_is_pushed_again_is_the_newest_again(self) -> None:
        runs = [run(A, at=1, pushed=1), run(B, at=2, pushed=2), run(A, at=9, pushed=8)]
        assert wanted_commit(*reversed(runs)) == A

    def test_reconciling_an_older_commit_late_does_not_make_it_the_newest(self) -> None:
        runs = [run(A, at=1), run(B, at=2), reconciled(A, at=3)]
        assert wanted_commit(*runs) == B

    def test_commit_that_reconciling_alone_knows_is_as_new_as_its_first_command(self) -> None:
        runs = [run(A, at=1), reconciled(B, at=2), run(C, at=3), reconciled(B, at=4)]
        for some, commit in ((runs, C), (runs[:2], B), ([*runs[:2], runs[3]], B)):
            assert wanted_commit(*some) == commit

    def test_nothing_is_wanted_where_nothing_is_known(self) -> None:
        assert wanted_of(facts_of(), now=NOW) is None


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
        assert told(made) == [(WAIT, held), (WAIT, held)]

    def test_frozen_hosts_are_shown_with_what_they_run(self) -> None:
        made = planned(run(A, ran(1, A)), pin=FROZEN, head=B)
        assert one_of(made) == HostPlan(host(1), A.sha, WAIT, "frozen", seen=START)

    def test_host_at_the_tip_costs_nothing(self) -> None:
        made = planned(run(A, ran(1, A)), head=A)
        assert one_of(made) == HostPlan(
            host(1), A.sha, NOTHING, "it is there", is_there=True, seen=START
        )
        assert made.sends == ()
        assert made.held == ""

    def test_host_that_was_led_to_the_tip_by_an_older_commit_is_there(self) -> None:
        assert one_of(planned(run(A, said(1, "superseded", B)), head=B)).action == NOTHING

    def test_host_beyond_what_was_asked_for_is_there_where_nobody_knows_the_tip(self) -> None:
        made = planned(run(A, ran(1, B)))
        assert one_of(made) == HostPlan(
            host(1), B.sha, NOTHING, "it is there", is_there=True, seen=START
        )

    def test_host_beyond_an_older_commit_is_not_there_where_nobody_knows_the_tip(self) -> None:
        made = planned(run(A, ran(1, C), at=1), run(B, ran(2, B), at=2))
        assert told(made) == [(SEND, "it is at ccccccc")]

    def test_run_that_never_began_leaves_what_the_host_said_before(self) -> None:
        runs = [run(A, ran(1, A), at=1), run(A, on(1, "DeliveryTimedOut"), at=2)]
        assert one_of(planned(*runs, head=A)).action == NOTHING

    def test_run_that_began_and_failed_does_not(self) -> None:
        runs = [run(A, ran(1, A), at=1), run(A, failed(1, A, at=2), at=2)]
        assert one_of(planned(*runs, head=A)).action == SEND


class TestAsked:
    def test_what_was_asked_counts_where_its_run_was_not_looked_into(self) -> None:
        asked = [run(A, ran(1, A)).roll_out, run(B, at=5).roll_out]
        wanted = wanted_of(facts_of(run(A, ran(1, A)), asked=asked), now=NOW)
        assert wanted is not None
        assert wanted.commit == B


class TestPlanTargetBehind:
    def test_host_that_is_behind_is_sent_the_tip(self) -> None:
        made = planned(run(A, ran(1, A)), head=B)
        wanted = Wanted(B, "rebase", "it is the branch's tip")
        assert one_of(made) == HostPlan(
            host(1), A.sha, SEND, "it is at aaaaaaa", 1, wanted, seen=START
        )
        (send,) = made.sends
        assert (send.target, send.wanted, send.attempt) == (WEB, wanted, 1)
        assert send.instance_ids == (host(1).instance_id,)

    def test_host_of_which_nothing_is_known_is_sent_the_tip(self) -> None:
        assert told(planned(head=A)) == [(SEND, "nothing is known of it")]

    def test_host_that_failed_at_another_commit_is_sent_the_tip_and_why_is_told(self) -> None:
        assert told(planned(run(A, failed(1, A)), head=B)) == [(SEND, "its last run failed")]

    def test_host_whose_run_of_another_commit_was_cancelled_is_sent_the_tip(self) -> None:
        killed = replace(on(1, "Cancelled"), ended=minutes(1))
        assert told(planned(run(A, killed), head=B)) == [(SEND, "its last run was cancelled")]

    def test_host_at_the_pinned_commit_by_way_of_the_tip_is_sent_the_pin(self) -> None:
        """Else a push in flight would move it: the pin's run is newer than any before it."""
        made = planned(run(A, ran(1, A)), pin=PINNED)
        assert told(made) == [(SEND, "it is at aaaaaaa")]
        assert made.sends[0].wanted.is_exact

    def test_host_that_was_pinned_at_the_tip_is_brought_back_to_the_branch(self) -> None:
        made = planned(run(A, ran(1, A), update="exact"), head=A)
        assert told(made) == [(SEND, "it is at aaaaaaa")]
        assert made.sends[0].wanted.update == "rebase"

    def test_pinned_host_is_there(self) -> None:
        made = planned(run(A, ran(1, A), update="exact"), head=B, pin=PINNED)
        assert told(made) == [(NOTHING, "it is there")]

    def test_pinned_host_is_not_there_because_it_was_asked(self) -> None:
        made = planned(run(A, said(1, "superseded", B), update="exact"), pin=PINNED)
        assert told(made) == [(SEND, "it says that it runs bbbbbbb")]

    def test_host_that_was_asleep_for_the_push_is_sent_it_at_once(self) -> None:
        made = planned(run(A, on(1, "DeliveryTimedOut")), now=minutes(11))
        assert told(made) == [(SEND, "nothing is known of it")]

    def test_hosts_with_the_same_attempt_share_commands_of_fifty(self) -> None:
        there, *behind = [host(number) for number in range(1, MAX_IDS + 4)]
        many, rest = planned(run(B, ran(1, B)), hosts=[there, *behind], head=B).sends
        assert [*many.instance_ids, *rest.instance_ids] == [one.instance_id for one in behind]
        assert len(many.instance_ids) == MAX_IDS

    def test_commit_that_is_on_no_host_yet_goes_to_fifty_at_first(self) -> None:
        hosts = [host(number) for number in range(MAX_IDS + 2)]
        (first,) = planned(hosts=hosts, head=B).sends
        assert first.instance_ids == tuple(one.instance_id for one in hosts[:MAX_IDS])

    def test_hosts_with_other_attempts_have_commands_of_their_own(self) -> None:
        hosts = [host(number) for number in range(1, 5)]
        first = run(A, failed(1, A), ran(2, B), ran(4, A))
        runs = [first, reconciled(A, failed(1, A, at=20), at=20)]
        sends = planned(*runs, hosts=hosts, head=A).sends
        assert [(send.attempt, len(send.instance_ids)) for send in sends] == [(2, 1), (1, 2)]


class TestPlanTargetWaits:
    def test_host_that_is_offline_is_left_alone(self) -> None:
        asleep = host(1, is_online=False)
        made = planned(run(A, ran(1, A)), hosts=[asleep], head=B)
        assert one_of(made) == HostPlan(asleep, A.sha, WAIT, "it is offline", seen=START)

    @pytest.mark.parametrize("details", ["Pending", "InProgress", "Delayed"])
    def test_host_that_runs_a_command_is_left_alone(self, details: str) -> None:
        runs = [run(A, on(1, details), status="InProgress"), run(B, failed(1, B), at=1)]
        assert told(planned(*runs, head=C, now=minutes(20))) == [
            (WAIT, "a command for it is under way")
        ]

    def test_host_whose_command_expired_without_a_word_has_failed(self) -> None:
        runs = reconciled(A, on(1, "InProgress"), at=0, attempt=2)
        assert told(planned(runs, head=A, now=minutes(21))) == [
            (WAIT, "it failed, and is due again at 09:20 UTC")
        ]
        assert told(planned(runs, head=A)) == [(SEND, "no answer in time")]
        assert planned(runs, head=A).sends[0].attempt == 3

    def test_another_commit_s_command_that_expired_without_a_word_is_forgotten(self) -> None:
        assert told(planned(run(A, on(1, "InProgress")), head=B)) == [
            (SEND, "nothing is known of it")
        ]

    @pytest.mark.parametrize(("count", "status"), [(2, "InProgress"), (2, "Success")])
    def test_command_that_is_not_listed_in_full_may_be_for_the_host(
        self, count: int, status: str
    ) -> None:
        push = run(A, ran(2, A), count=count, status=status)
        hosts = [host(1), host(2)]
        assert told(planned(push, hosts=hosts, head=B, now=minutes(20))) == [
            (WAIT, "a command is under way, and may be for it"),
            (SEND, "it is at aaaaaaa"),
        ]
        assert planned(push, hosts=hosts, head=B, now=minutes(21)).hosts[0].action == SEND

    def test_command_that_was_just_sent_may_be_for_the_host(self) -> None:
        push = run(A, count=0, status="Pending")
        assert told(planned(push, head=B, now=minutes(1))) == [
            (WAIT, "a command is under way, and may be for it")
        ]

    def test_what_reconciling_sent_to_hosts_that_are_there_keeps_nobody_who_is_behind(self) -> None:
        push = run(B, ran(1, B), failed(2, B, at=-60), at=-60)
        recheck = reconciled(B, on(1, "InProgress"), at=0, attempt=0)
        under_way = replace(recheck, command=replace(recheck.command, status="InProgress"))
        made = planned(push, under_way, hosts=[host(1), host(2)], head=B, now=minutes(1))
        assert told(made) == [(WAIT, "a command for it is under way"), (SEND, "rolled back")]

    def test_command_that_found_no_host_is_for_none(self) -> None:
        assert told(planned(run(A), head=A, now=minutes(1))) == [(SEND, "nothing is known of it")]

    def test_commit_whose_roll_out_may_yet_be_stopped_is_sent_to_nobody(self) -> None:
        push = run(B, on(1, "InProgress"), failed(2, B), ran(3, B), status="InProgress")
        hosts = [host(number) for number in range(1, 5)]
        assert told(planned(push, hosts=hosts, head=B, now=minutes(20))) == [
            (WAIT, "a command for it is under way"),
            (WAIT, "a roll-out of bbbbbbb is under way"),
            (NOTHING, "it is there"),
            (WAIT, "a roll-out of bbbbbbb is under way"),
        ]

    def test_host_that_went_back_from_a_newer_commit_is_tried_again_where_nobody_knows_the_tip(
        self,
    ) -> None:
        """Nothing but its word tells of the newer commit, and that it is not there."""
        told_by = json.loads(failed(1, B).output) | {"after": A.sha}
        back = run(A, replace(failed(1, B, at=1), output=json.dumps(told_by)))
        assert told(planned(back, now=minutes(2))) == [
            (WAIT, "it failed, and is due again at 08:16 UTC")
        ]
        made = one_of(planned(back))
        assert (made.action, made.reason, made.at) == (SEND, "a newer commit failed there", A.sha)

    @pytest.mark.parametrize("outcome", ["rolled_back", "superseded"])
    def test_host_that_names_no_commit_is_not_said_to_run_one(self, outcome: str) -> None:
        upstream = B if outcome == "rolled_back" else None
        made = planned(run(A, said(1, outcome, upstream)), head=A)
        assert told(made) == [(SEND, "a newer commit failed there")]

    def test_another_commit_s_roll_out_keeps_nobody_but_its_own_hosts(self) -> None:
        push = run(A, on(1, "InProgress"), ran(2, A), status="InProgress")
        hosts = [host(1), host(2), host(3)]
        made = planned(push, hosts=hosts, head=B, now=minutes(20))
        assert [one.action for one in made.hosts] == [WAIT, SEND, SEND]


class TestPlanTargetAfterAFailure:
    @pytest.mark.parametrize(
        ("attempt", "backoff"),
        [(0, 15), (1, 30), (2, 60), (3, 120), (4, 240)],
    )
    def test_host_is_tried_again_after_a_pause_that_doubles(
        self, attempt: int, backoff: int
    ) -> None:
        cause = "reconcile" if attempt else "push"
        last = run(A, failed(1, A, at=3), cause=cause, attempt=attempt)
        due = minutes(3 + backoff)
        before = one_of(planned(last, head=A, now=due - timedelta(seconds=1)))
        reason = f"it failed, and is due again at {due:%H:%M} UTC"
        assert (before.action, before.reason, before.attempt) == (WAIT, reason, attempt)
        then = one_of(planned(last, head=A, now=due))
        assert (then.action, then.reason, then.attempt) == (SEND, "rolled back", attempt + 1)

    def test_pauses_are_what_the_constants_say(self) -> None:
        assert timedelta(minutes=15) == FIRST_BACKOFF
        assert timedelta(hours=4) == LONGEST_BACKOFF
        assert MAX_ATTEMPTS == 5

    def test_host_that_failed_too_often_is_parked_with_the_reason(self) -> None:
        last = reconciled(A, failed(1, A, at=3), at=0, attempt=MAX_ATTEMPTS)
        made = planned(last, head=A, now=START + timedelta(days=20))
        assert one_of(made) == HostPlan(
            host(1),
            "",
            PARKED,
            "5 attempts failed: rolled back",
            MAX_ATTEMPTS,
            since=minutes(3),
            seen=minutes(3),
        )
        assert made.sends == ()

    @pytest.mark.parametrize("head", [A, B])
    def test_parked_host_is_woken_by_a_push_or_another_commit(self, head: CommitSha) -> None:
        last = reconciled(A, failed(1, A), at=0, attempt=MAX_ATTEMPTS)
        runs = [last, run(A, failed(1, A, at=60), at=60)] if head == A else [last]
        made = planned(*runs, head=head)
        assert [send.attempt for send in made.sends] == [1]

    def test_parked_at_the_tip_is_not_parked_at_a_pin_to_it(self) -> None:
        last = reconciled(A, failed(1, A), at=0, attempt=MAX_ATTEMPTS)
        assert planned(last, pin=PINNED).sends[0].attempt == 1

    def test_host_that_was_not_reached_is_tried_on_and_on_with_the_longest_pause(self) -> None:
        last = reconciled(A, on(1, "DeliveryTimedOut"), at=0, attempt=MAX_ATTEMPTS)
        assert one_of(planned(last, head=A, now=minutes(239))).action == WAIT
        made = one_of(planned(last, head=A, now=minutes(240)))
        assert (made.action, made.reason, made.attempt) == (SEND, "it was not reached", 5)

    @pytest.mark.parametrize(("ended", "due"), [(-600, 30), (10**6, 50)])
    def test_host_s_wrong_clock_neither_hurries_nor_ends_its_attempts(
        self, ended: int, due: int
    ) -> None:
        tried = reconciled(A, failed(1, A, at=ended), at=0)
        for now, action in ((due - 1, WAIT), (due, SEND)):
            assert one_of(planned(tried, head=A, now=minutes(now))).action == action

    def test_end_that_is_not_known_is_taken_to_be_when_the_command_was_sent(self) -> None:
        last = run(A, on(1, "AccessDenied"))
        assert one_of(planned(last, head=A, now=minutes(14))).action == WAIT
        made = one_of(planned(last, head=A, now=minutes(15)))
        assert (made.action, made.reason) == (SEND, "Systems Manager may not run commands on it")


class TestPlanTargetHeld:
    def stopped(self, *, at: int = 10) -> Run:
        return run(B, failed(1, B), on(2, "Terminated"), at=at, status="Failed")

    def good(self) -> Run:
        return run(A, ran(1, A), ran(2, A))

    def test_held_commit_is_sent_to_nobody(self) -> None:
        held = "the roll-out of bbbbbbb was stopped by its failures"
        made = planned(self.good(), self.stopped(), hosts=[host(1), host(2)], head=B)
        assert made.held == held
        assert made.wanted
        assert told(made) == [(WAIT, held), (WAIT, held)]
        assert [one.at for one in made.hosts] == ["", A.sha]

    def test_new_host_gets_the_last_good_one(self) -> None:
        older = run(C, ran(1, C), ran(2, C), at=-5)
        made = planned(self.good(), older, self.stopped(), hosts=[host(1), host(3)], head=B)
        reason = "bbbbbbb is held; it is the last good one"
        wanted = Wanted(A, "exact", reason, is_way_back=True)
        assert [one.action for one in made.hosts] == [WAIT, SEND]
        assert made.hosts[1].wanted == wanted
        assert made.sends[0].instance_ids == (host(3).instance_id,)

    def test_commit_that_one_host_alone_says_it_runs_is_not_good(self) -> None:
        alone = run(C, ran(1, C), failed(2, C), failed(3, C), at=5)
        good = run(A, ran(1, A), ran(2, A), ran(3, A))
        made = planned(good, alone, self.stopped(), hosts=[host(4)], head=B)
        assert made.sends[0].wanted.commit == A

    def test_new_host_waits_where_nothing_is_good(self) -> None:
        made = planned(self.stopped(), hosts=[host(3)], head=B)
        assert [one.action for one in made.hosts] == [WAIT]
        assert made.hold
        assert made.hold.good is None

    def test_host_of_which_the_history_tells_nothing_more_is_as_good_as_new(self) -> None:
        """Day 31: nobody can tell the canary, which runs the held commit, from a new host."""
        hold = planned(self.good(), self.stopped(), head=B).hold
        made = plan_target(replace(facts_of(head=B), hold=hold), now=NOW + timedelta(days=31))
        assert made.sends[0].wanted.commit == A

    def test_good_one_that_failed_on_a_new_host_is_sent_to_others_all_the_same(self) -> None:
        again = run(A, failed(3, A, at=20), at=20, update="exact", cause="reconcile", attempt=1)
        hosts = [host(3), host(4)]
        made = planned(self.good(), self.stopped(), again, hosts=hosts, head=B, now=minutes(30))
        assert [one.action for one in made.hosts] == [WAIT, SEND]

    def test_held_commit_is_not_the_good_one_even_if_it_got_everywhere(self) -> None:
        late = reconciled(B, ran(1, B), ran(2, B), at=20)
        made = planned(self.stopped(), late, hosts=[host(3)], head=B)
        assert [one.action for one in made.hosts] == [WAIT]

    def test_new_host_that_was_asleep_for_the_good_one_is_sent_it(self) -> None:
        good = run(A, ran(1, A), on(3, "DeliveryTimedOut"))
        made = planned(good, self.stopped(), hosts=[host(3)], head=B)
        assert [one.action for one in made.hosts] == [SEND]

    def test_host_that_has_the_good_one_is_left_alone(self) -> None:
        joined = reconciled(A, ran(3, A), at=5)
        made = planned(self.good(), joined, self.stopped(), hosts=[host(3)], head=B)
        assert [one.action for one in made.hosts] == [WAIT]

    def test_host_that_was_led_past_the_good_one_is_not_taken_back(self) -> None:
        joined = reconciled(A, said(3, "superseded", B), at=5)
        failing = reconciled(A, failed(3, A), at=6)
        good = run(A, ran(1, A), ran(3, A), at=7)
        for runs in ([self.good(), joined], [self.good(), joined, failing, good]):
            made = planned(*runs, self.stopped(), hosts=[host(3)], head=B)
            assert [one.action for one in made.hosts] == [WAIT]

    def test_pin_to_a_held_commit_puts_no_other_commit_in_its_place(self) -> None:
        made = planned(self.good(), self.stopped(), hosts=[host(3)], pin=replace(PINNED, commit=B))
        assert [one.action for one in made.hosts] == [WAIT]

    def test_newer_commit_is_not_held(self) -> None:
        made = planned(self.good(), self.stopped(), hosts=[host(1), host(2)], head=C)
        assert [one.action for one in made.hosts] == [SEND, SEND]


class TestPlanTargetCancelled:
    """Where a person stopped a roll-out, no host is left half-way."""

    def good(self) -> Run:
        return run(A, ran(1, A), ran(2, A), ran(3, A))

    def cancelled(self) -> Run:
        killed = replace(on(2, "Cancelled"), ended=minutes(11))
        hosts = (said(1, "updated", B, at=11), killed, on(3, "Cancelled"))
        return run(B, *hosts, at=10, status="Cancelled")

    def test_hosts_on_which_it_had_begun_go_back_and_the_others_stay(self) -> None:
        hosts = [host(1), host(2), host(3)]
        made = planned(self.good(), self.cancelled(), hosts=hosts, head=B)
        assert [one.action for one in made.hosts] == [SEND, SEND, NOTHING]
        (send,) = made.sends
        assert (send.wanted.commit, send.wanted.update) == (A, "exact")
        assert made.hold
        assert made.hold.kind == "cancelled"

    def test_hosts_that_came_back_are_left_alone(self) -> None:
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

    def test_frozen_target_is_left_as_the_cancel_found_it(self) -> None:
        hosts = [host(1), host(2), host(3)]
        made = planned(self.good(), self.cancelled(), hosts=hosts, head=B, pin=FROZEN)
        assert made.sends == ()

    def test_newer_commit_goes_to_all(self) -> None:
        hosts = [host(1), host(2), host(3)]
        made = planned(self.good(), self.cancelled(), hosts=hosts, head=C)
        assert [one.action for one in made.hosts] == [SEND] * 3
        assert made.hold is None

    def test_hosts_stay_where_no_good_commit_is_known(self) -> None:
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


class TestWhereItIsWanted:
    def test_host_that_is_offline_where_it_is_wanted_is_there(self) -> None:
        (made,) = planned(run(A, ran(1, A)), hosts=[host(1, is_online=False)], head=A).hosts
        assert (made.action, made.is_there) == (WAIT, True)

    def test_host_that_stays_at_the_last_good_one_is_wanted_there(self) -> None:
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
        """After how many minutes from the start it was asked for, and how many it took."""
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
        return one_of(plan_target(facts, now=NOW))

    def test_check_that_found_all_well_makes_the_host_seen_later(self) -> None:
        made = self.made(self.look(at=5))
        seen = minutes(5) + timedelta(seconds=3)
        assert (made.action, made.seen, made.at) == (NOTHING, seen, A.sha)

    def test_newest_check_counts(self) -> None:
        well, ill = self.look(at=6), self.look(at=5, drift="head")
        for looks in ((well, ill), (ill, well)):
            assert self.made(*looks).action == NOTHING

    def test_of_two_checks_at_once_the_one_that_looked_last_counts(self) -> None:
        slow, quick = self.look(at=5, took=3, drift="head"), self.look(at=6)
        for looks in ((slow, quick), (quick, slow)):
            assert self.made(*looks).has_drifted
        slow, quick = self.look(at=5, took=3), self.look(at=6, drift="head")
        for looks in ((slow, quick), (quick, slow)):
            assert (self.made(*looks).has_drifted, self.made(*looks).seen) == (False, minutes(8))

    def test_of_two_checks_that_ended_in_the_same_second_the_drift_counts(self) -> None:
        well, ill = self.look(at=5), self.look(at=5, drift="head")
        for looks in ((well, ill), (ill, well)):
            assert self.made(*looks).has_drifted

    def test_check_of_another_target_does_not_look_for_drift_and_hides_none(self) -> None:
        ill, other = self.look(at=5, drift="head"), self.look(at=6, target="job")
        assert self.made(ill, other).has_drifted
        assert self.made(other).seen == START

    @pytest.mark.parametrize(("deployed", "drift"), [(B, ""), (A, "files")])
    def test_what_a_check_of_another_target_finds_counts(
        self, deployed: CommitSha, drift: str
    ) -> None:
        other = self.look(at=6, target="job", deployed=deployed, drift=drift)
        assert self.made(self.look(at=5), other).has_drifted

    def test_host_that_a_check_finds_behind_its_branch_is_not_asked_later_for_it(self) -> None:
        behind = self.look(at=6, tip=B)
        made = self.made(self.look(at=5), behind)
        assert (made.action, made.seen) == (NOTHING, START)
        made = self.made(self.look(at=5, drift="head"), behind)
        assert (made.action, made.seen) == (NOTHING, START)

    def test_drift_is_seen_when_the_check_was_made_also_behind_the_branch(self) -> None:
        made = self.made(self.look(at=5, drift="head", tip=B))
        assert (made.action, made.seen) == (SEND, minutes(5.05))

    def test_pinned_host_is_well_though_its_branch_has_moved_on(self) -> None:
        facts = facts_of(run(A, ran(1, A), update="exact"), head=B, pin=PINNED)
        made = one_of(plan_target(replace(facts, looks=[self.look(at=5, tip=B)]), now=NOW))
        assert (made.action, made.seen) == (NOTHING, minutes(5.05))

    def test_host_that_lost_its_marker_is_sent_what_is_wanted(self) -> None:
        made = self.made(self.look(at=5, deployed=None))
        assert (made.action, made.reason) == (SEND, "it has drifted")

    def test_drift_of_a_host_whose_clock_is_wrong_is_seen_once_its_last_run_is_over(self) -> None:
        ill = self.look(at=21, drift="head")
        for ended in (minutes(-600), minutes(10**6)):
            assert self.made(ill, last=replace(ran(1, A), ended=ended)).has_drifted

    @pytest.mark.parametrize(("ended", "seen"), [(-600, 5), (10**6, 16)])
    def test_host_s_clock_makes_nothing_of_a_check_seen_at_another_time(
        self, ended: int, seen: int
    ) -> None:
        look = self.look(at=5)
        one = replace(look.invocations[0], ended=minutes(ended))
        assert self.made(replace(look, invocations=(one,))).seen == minutes(seen)

    def test_host_whose_checkout_was_moved_is_sent_what_is_wanted(self) -> None:
        made = self.made(self.look(at=5, drift="head"))
        assert (made.action, made.reason, made.at) == (SEND, "it has drifted", "")
        assert made.has_drifted

    def test_host_that_has_another_marker_than_it_said_is_sent_what_is_wanted(self) -> None:
        assert self.made(self.look(at=5, deployed=B)).action == SEND

    def test_host_that_drifted_from_a_tip_that_nobody_knows_is_sent_a_command_at_once(self) -> None:
        drifted = self.look(at=1, deployed=B, drift="head")
        facts = replace(facts_of(run(A, ran(1, B))), looks=[drifted])
        made = one_of(plan_target(facts, now=minutes(2)))
        assert (made.action, made.reason) == (SEND, "it has drifted")

    def test_host_that_failed_and_went_back_has_not_drifted(self) -> None:
        made = self.made(self.look(at=5, deployed=B), last=failed(1, A))
        assert (made.action, made.reason, made.has_drifted) == (SEND, "rolled back", False)

    def test_check_before_the_newest_run_says_nothing(self) -> None:
        assert self.made(self.look(at=-5, drift="head")).action == NOTHING

    def test_check_that_was_asked_for_when_the_newest_run_ended_counts(self) -> None:
        assert self.made(self.look(at=0, drift="head")).has_drifted

    def test_check_of_a_host_that_never_ran_is_no_run(self) -> None:
        facts = replace(facts_of(head=A), looks=[self.look(at=5)])
        assert one_of(plan_target(facts, now=NOW)).reason == "nothing is known of it"

    def test_check_by_an_older_release_changes_nothing(self) -> None:
        look = self.look(at=5)
        told_by = json.loads(look.invocations[0].output)
        del told_by["found"]["deployed"], told_by["found"]["drift"]
        one = replace(look.invocations[0], output=json.dumps(told_by))
        made = self.made(replace(look, invocations=(one,)))
        assert (made.action, made.seen, made.has_drifted) == (NOTHING, START, False)

    def aside(self, one: Invocation, file: str | None = "app.ini", **more: object) -> Invocation:
        told = json.loads(one.output) | {"set_aside": file} | more
        return replace(one, output=json.dumps(told))

    def test_host_whose_edit_was_set_aside_is_there_and_sent_nothing_for_it(self) -> None:
        made = self.made(last=self.aside(ran(1, A)))
        assert (made.action, made.reason, made.set_aside) == (NOTHING, "it is there", "app.ini")
        failing = replace(facts_of(run(A, self.aside(ran(1, A))), head=A))
        failing = replace(failing, target=replace(WEB, saved="fail"))
        assert one_of(plan_target(failing, now=NOW)).action == NOTHING

    def test_it_is_asked_again_no_earlier_than_others(self) -> None:
        web = replace(WEB, recheck="6h")
        facts = facts_of(run(A, self.aside(ran(1, A))), head=A)
        for file, later in ((None, 1), ("app.ini", 1), (None, 7), ("app.ini", 7)):
            facts = replace(facts, target=web, runs=(run(A, self.aside(ran(1, A), file)),))
            made = one_of(plan_target(facts, now=START + timedelta(hours=later)))
            assert made.action == (SEND if later == 7 else NOTHING)

    def test_host_that_failed_tells_it_too(self) -> None:
        assert self.made(last=self.aside(failed(1, A))).set_aside == "app.ini"

    @pytest.mark.parametrize(("found", "told"), [("other.ini", "other.ini"), (None, "")])
    def test_newest_check_says_whether_it_still_is(self, found: str | None, told: str) -> None:
        look = self.look(at=5)
        look = replace(look, invocations=(self.aside(look.invocations[0], found),))
        made = self.made(look, last=self.aside(ran(1, A)))
        assert (made.action, made.set_aside) == (NOTHING, told)

    def test_drop_says_what_is_still_set_aside_and_nothing_of_where_the_host_is(self) -> None:
        look = self.look(at=5)
        one = self.aside(said(1, "unchanged", None), None, dropped=1, after=B.sha)
        made = self.made(replace(look, invocations=(one,)), last=self.aside(ran(1, A)))
        assert (made.action, made.at, made.seen, made.set_aside) == (NOTHING, A.sha, START, "")

    def test_drop_hides_no_drift_that_a_check_found_before_it(self) -> None:
        drifted, look = self.look(at=5, drift="head"), self.look(at=6)
        one = self.aside(look.invocations[0], None, found=None, dropped=1)
        text = json.loads(one.output)
        del text["found"]
        dropped = replace(look, invocations=(replace(one, output=json.dumps(text)),))
        for looks in ((drifted, dropped), (dropped, drifted)):
            made = self.made(*looks, last=self.aside(ran(1, A)))
            assert (made.action, made.has_drifted, made.set_aside) == (SEND, True, "")

    @pytest.mark.parametrize("outcome", ["unchanged", "missing_commit", "busy", "conflict"])
    def test_list_or_a_drop_that_failed_says_nothing_at_all(self, outcome: str) -> None:
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
    def test_check_that_says_nothing_of_it_changes_nothing(self, output: str) -> None:
        look = self.look(at=5)
        one = replace(look.invocations[0], output=output)
        made = self.made(replace(look, invocations=(one,)))
        assert (made.action, made.seen) == (NOTHING, START)


class TestPlanTargetBeside:
    """Another target's runs in the same checkout."""

    def made(self, *others: Run) -> HostPlan:
        facts = replace(facts_of(run(A, ran(1, A)), head=A), beside=others)
        return one_of(plan_target(facts, now=NOW))

    def other(self, *invocations: Invocation, at: int, status: str = "Success") -> Run:
        said_to_it = [
            replace(one, output=one.output.replace('"web"', '"job"')) for one in invocations
        ]
        made = run(A, *said_to_it, at=at, status=status)
        roll_out = replace(made.roll_out, target="job")
        return replace(made, command=replace(made.command, roll_out=roll_out))

    def test_later_run_of_another_target_ends_what_this_one_said(self) -> None:
        made = self.made(self.other(said(1, "updated", A, at=5), at=5))
        assert (made.action, made.reason) == (SEND, "the target job ran in its checkout")

    def test_earlier_one_does_not(self) -> None:
        assert self.made(self.other(ran(1, A), at=-5)).action == NOTHING

    @pytest.mark.parametrize(("later", "action"), [(1, WAIT), (20, WAIT), (21, SEND)])
    def test_command_of_another_target_that_is_not_listed_in_full_may_be_for_the_host(
        self, later: int, action: str
    ) -> None:
        sent = self.other(on(2, "InProgress"), at=5, status="InProgress")
        sent = replace(sent, command=replace(sent.command, target_count=2))
        facts = replace(facts_of(run(A, ran(1, A)), head=B), beside=[sent])
        assert one_of(plan_target(facts, now=minutes(5 + later))).action == action

    @pytest.mark.parametrize(
        ("hosts", "good"),
        [((1, 2), C), ((3, 7, 8, 9), A)],  # those of the other target alone have no say
    )
    def test_what_hosts_ran_for_another_target_is_what_they_go_back_to(
        self, hosts: Sequence[int], good: CommitSha
    ) -> None:
        good_one = run(A, ran(1, A), ran(2, A), ran(3, A))
        here = [good_one, run(B, on(1, "Cancelled"), at=10, status="Cancelled")]
        beside = self.other(*[said(number, "updated", C, at=5) for number in hosts], at=5)
        hold = plan_target(replace(facts_of(*here, head=B), beside=[beside]), now=NOW).hold
        assert hold
        assert hold.good == good

    def test_host_is_left_alone_while_the_other_target_runs_there(self) -> None:
        under_way = self.other(on(1, "InProgress"), at=12 * 60 - 1, status="InProgress")
        assert self.made(under_way).reason == "a command for it is under way"


class TestPlanTargetLiars:
    """A host that says what cannot be is tried as often as any other, and then named."""

    def test_host_that_says_it_runs_what_nobody_asked_for_has_failed(self) -> None:
        lies = reconciled(A, said(1, "updated", C, at=0), at=0, attempt=MAX_ATTEMPTS)
        made = one_of(planned(lies, head=A))
        assert (made.action, made.reason) == (
            PARKED,
            "5 attempts failed: it says that it runs ccccccc",
        )

    def test_host_that_answers_nonsense_is_parked(self) -> None:
        nonsense = reconciled(A, on(1, "Success", "hello"), at=0, attempt=MAX_ATTEMPTS)
        assert one_of(planned(nonsense, head=A)).action == PARKED
