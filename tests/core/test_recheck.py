"""Rechecks: every host is rechecked in time, and not all hosts at once."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.plan import NOTHING, SEND
from chalicelib.core.recheck import due_for_recheck
from chalicelib.core.targets import MAX_IDS
from tests.core.test_plan import (
    NOW,
    START,
    WEB,
    A,
    B,
    host,
    planned,
    ran,
    run,
)
from tests.facts import invocation as on

SIX_HOURS = replace(WEB, recheck="6h")
ROUND = timedelta(minutes=15)


def ids(count: int) -> list[str]:
    return [f"i-{number:017x}" for number in range(count)]


class TestDueForRecheck:
    def test_host_that_was_just_seen_is_not_due(self) -> None:
        assert due_for_recheck(SIX_HOURS, dict.fromkeys(ids(3), NOW), now=NOW) == frozenset()

    def test_empty_fleet_has_no_host_due(self) -> None:
        assert due_for_recheck(SIX_HOURS, {}, now=NOW) == frozenset()

    @given(st.integers(1, 400), st.sampled_from(["15m", "1h", "6h", "20d"]))
    def test_every_host_is_due_within_the_recheck_time(self, count: int, recheck: str) -> None:
        target = replace(WEB, recheck=recheck)
        late = NOW + target.recheck_after * 0.9 + timedelta(seconds=1)
        assert due_for_recheck(target, dict.fromkeys(ids(count), NOW), now=late) == set(ids(count))

    def test_thousand_hosts_are_rechecked_at_several_times_in_few_commands(self) -> None:
        seen = dict.fromkeys(ids(1000), START)
        now, sizes = START, []
        while now < START + timedelta(hours=6):
            now += ROUND
            due = due_for_recheck(SIX_HOURS, seen, now=now)
            seen |= dict.fromkeys(due, now)
            sizes.append(len(due))
        assert sum(sizes) == 1000
        assert max(sizes) <= 400
        assert sum(-(-size // MAX_IDS) for size in sizes) <= 40

    def test_group_stays_together_if_one_host_was_seen_later(self) -> None:
        seen = dict.fromkeys(ids(10), START) | {ids(10)[0]: START + timedelta(hours=2)}
        assert due_for_recheck(SIX_HOURS, seen, now=START + timedelta(hours=5.5)) == set(ids(10))

    def test_silent_host_does_not_make_its_group_due_earlier(
        self,
    ) -> None:
        silent, other = ids(2)
        now = START + timedelta(hours=12)
        for hours, due in ((2.5, {silent}), (5.5, {silent, other})):
            seen = {silent: START, other: now - timedelta(hours=hours)}
            assert due_for_recheck(SIX_HOURS, seen, now=now) == due

    def test_due_host_brings_group_members_seen_a_quarter_of_the_time_ago(
        self,
    ) -> None:
        oldest, other = ids(2)
        now = START + timedelta(hours=5.5)
        for hours, due in ((1.5, {oldest}), (1.6, {oldest, other})):
            seen = {oldest: START, other: now - timedelta(hours=hours)}
            assert due_for_recheck(SIX_HOURS, seen, now=now) == due

    def test_fifty_hosts_are_one_group(self) -> None:
        seen = dict.fromkeys(ids(MAX_IDS), START)
        due = {due_for_recheck(SIX_HOURS, seen, now=START + ROUND * number) for number in range(24)}
        assert due == {frozenset(), frozenset(seen)}

    def test_targets_are_due_at_different_times(self) -> None:
        now = START + timedelta(hours=4)
        due = {
            due_for_recheck(replace(SIX_HOURS, name=f"web-{number}"), {ids(1)[0]: START}, now=now)
            for number in range(20)
        }
        assert due == {frozenset(), frozenset(ids(1))}

    def test_host_that_was_just_seen_is_left_out_of_its_group(self) -> None:
        now = START + timedelta(hours=5.5)
        seen = dict.fromkeys(ids(10), START) | {ids(10)[0]: now}
        assert due_for_recheck(SIX_HOURS, seen, now=now) == set(ids(10)[1:])


class TestPlanTargetRechecks:
    def test_host_seen_long_ago_is_sent_the_ordinary_run(self) -> None:
        (made,) = planned(run(A, ran(1, A)), head=A, now=START + timedelta(days=19)).hosts
        assert (made.action, made.attempt, made.is_there) == (SEND, 0, True)
        assert made.reason == "last seen at 2030-01-01 08:00 UTC"

    @pytest.mark.parametrize("ended", [timedelta(days=-400), timedelta(days=400)])
    def test_host_with_a_wrong_clock_is_rechecked_on_time(self, ended: timedelta) -> None:
        wrong = run(A, replace(ran(1, A), ended=START + ended))
        for days, action in ((1, NOTHING), (19, SEND)):
            (made,) = planned(wrong, head=A, now=START + timedelta(days=days)).hosts
            assert made.action == action

    def test_offline_host_is_not_rechecked(self) -> None:
        asleep = host(1, is_online=False)
        made = planned(run(A, ran(1, A)), hosts=[asleep], head=A, now=START + timedelta(days=19))
        assert made.sends == ()

    @pytest.mark.parametrize("count", [None, 3])
    def test_no_host_is_rechecked_during_a_roll_out_of_the_commit(self, count: int | None) -> None:
        late = 19 * 24 * 60
        under_way = run(A, on(2, "InProgress"), at=late, status="InProgress", count=count)
        now = START + timedelta(minutes=late + 1)
        made = planned(run(A, ran(1, A)), under_way, hosts=[host(1), host(2)], head=A, now=now)
        assert made.hosts[0].action == NOTHING

    def test_no_host_is_rechecked_while_a_partly_listed_command_may_include_it(self) -> None:
        late = 19 * 24 * 60
        older = run(B, on(2, "InProgress"), at=late, status="InProgress", count=3, pushed=-60)
        now = START + timedelta(minutes=late + 1)
        made = planned(run(A, ran(1, A)), older, hosts=[host(1), host(2)], head=A, now=now)
        assert made.hosts[0].action == NOTHING
