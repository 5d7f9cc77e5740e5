"""A round reads of a target what the plan needs, and no more."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.gates import Gates
from chalicelib.core.history import Check, Command, Invocation, Run
from chalicelib.core.holds import Hold, RoundState
from chalicelib.core.hosts import Host
from chalicelib.core.pins import Pin
from chalicelib.core.plan import NOTHING, SEND, WAIT, plan_target
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.tags import TaggedCommit, TagGlob
from chalicelib.core.targets import Target, parse_stored_targets
from chalicelib.core.wanted import TargetFacts
from chalicelib.core.webhook import FailedDelivery
from chalicelib.flows.snapshot import LISTED_WITHIN, Reader, Snapshot
from chalicelib.flows.target_runs import MAX_LOOKS, MAX_READ
from pulley.operator.deploy.stored_pin import write_pin
from tests.fakes import (
    COMMIT,
    NAMES,
    SITE,
    STAGE,
    TOKEN,
    FakeHistory,
    FakeJournal,
    FakeParameters,
    target_json,
    targets_text,
)
from tests.flows.runs import (
    OLD,
    START,
    check_of,
    command_of,
    id_of,
    line_of,
    on,
    rolled_back,
    running,
)

# No host is due for a recheck within these tests.
(WEB,) = parse_stored_targets(targets_text(target_json(recheck="20d")), SITE)
OTHER = "b" * 40
LATER = START + timedelta(days=1)


def host(number: int, *, is_online: bool = True) -> Host:
    tags = {"pulley": STAGE, "role": "web"}
    return Host(f"i-{number:017x}", f"web-{number}", tags, is_online=is_online)


def sent_by(command: Command, cause: str, **changes: Any) -> Command:  # noqa: ANN401
    return replace(command, roll_out=replace(command.roll_out, cause=cause, **changes))


class WatchedHistory(FakeHistory):
    """Records the commands whose invocations were read, and each `since` of the command lists."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.since: list[datetime] = []

    def commands_since(self, since: datetime, limit: int = 10_000) -> Sequence[Command | Check]:
        self.since.append(since)
        return super().commands_since(since, limit)

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        self.read.append(command_id)
        return super().invocations(command_id)


class Past:
    """A target's past, and what a round reads of it."""

    def __init__(self) -> None:
        self.source = WatchedHistory()
        self.head: CommitSha | None = None
        self.commits: Sequence[CommitSha] = ()
        self.pin: Pin | None = None
        self.hosts: Sequence[Host] = ()
        self.stored = FakeParameters()

    def add(self, command: Command | Check, *invocations: Invocation) -> None:
        self.source.add(replace(command, target_count=len(invocations)), *invocations)

    @property
    def reader(self) -> Reader:
        return Reader(STAGE, self.stored, Directory(self), self.source, self.github, FakeJournal())

    def github(self, repository: Repository, token: str) -> "Tip":
        return Tip(self)

    def snapshot(self, *hosts: Host, now: datetime = LATER) -> Snapshot:
        self.hosts = hosts
        self.stored.values.pop(NAMES.pin("web"), None)
        if self.pin:
            self.stored.values[NAMES.pin("web")] = write_pin(self.pin)
        return self.reader.begin([WEB], {SITE: TOKEN}, now=now)

    def facts(self, *hosts: Host, now: datetime = LATER) -> TargetFacts:
        return self.reader.facts(WEB, self.snapshot(*hosts, now=now))

    def plan(self, *hosts: Host, now: datetime = LATER) -> tuple[str, list[str], Sequence[str]]:
        """The wanted commit, the action for each host, and the commands that were read."""
        self.source.read.clear()
        facts = self.facts(*hosts, now=now)
        plan = plan_target(facts, now=now)
        wanted = plan.wanted.commit.sha if plan.wanted else plan.held
        return wanted, [one.action for one in plan.hosts], self.source.read


@dataclass(frozen=True)
class Directory:
    past: Past

    def hosts(self) -> Sequence[Host]:
        return self.past.hosts


@dataclass(frozen=True)
class Tip:
    past: Past

    def head(self, branch: Branch) -> CommitSha | None:
        return self.past.head

    def commits(self, branch: Branch) -> Sequence[CommitSha]:
        if not self.past.commits:
            raise AssertionError("a target without gates needs the tip alone")
        return self.past.commits

    def tags(self, glob: TagGlob, *, releases: bool) -> Sequence[TaggedCommit]:
        raise AssertionError("a target with a branch needs no tag")

    def failed_deliveries(self, since: datetime) -> Sequence[FailedDelivery]:
        raise AssertionError("a reader does not ask for these")


@pytest.fixture
def past() -> Past:
    return Past()


class TestRead:
    def test_target_at_its_commit_reads_the_newest_command_only(self, past: Past) -> None:
        for number in range(1, 6):
            commit = COMMIT if number == 5 else f"{number}" * 40
            past.add(command_of(commit, number), on(1, line_of(commit)), on(2, line_of(commit)))
        assert past.plan(host(1), host(2)) == (COMMIT, [NOTHING, NOTHING], [id_of(5)])

    def test_host_that_the_newest_command_lacks_is_looked_up_in_older_ones(
        self, past: Past
    ) -> None:
        past.add(command_of(OLD, 1), on(1, line_of(OLD)), on(2, line_of(OLD)))
        past.add(command_of(OTHER, 2), on(1, line_of(OTHER)), on(2, line_of(OTHER)))
        past.add(command_of(COMMIT, 3), on(1, line_of()))
        wanted, actions, read = past.plan(host(1), host(2))
        assert (wanted, actions) == (COMMIT, [NOTHING, SEND])
        assert read == [id_of(3), id_of(2)]

    @pytest.mark.parametrize("newest", [running(2), on(2, details="DeliveryTimedOut")])
    def test_host_without_a_result_is_looked_up_in_older_commands(
        self, past: Past, newest: Invocation
    ) -> None:
        past.add(command_of(OLD, 1), on(1, line_of(OLD)), on(2, line_of(OLD)))
        past.add(command_of(COMMIT, 2), on(1, line_of()), newest)
        _, _, read = past.plan(host(1), host(2))
        assert read == [id_of(2), id_of(1)]

    def test_commands_issued_at_the_same_time_are_read_together(self, past: Past) -> None:
        past.add(command_of(OTHER, 1), on(1, line_of(OTHER)))
        older, newer = command_of(OLD, 2), command_of(COMMIT, 3)
        past.add(older, on(1, line_of(OLD), ended=LATER))
        tied = replace(newer.roll_out, issued=older.roll_out.issued)
        past.add(replace(newer, roll_out=tied), on(1, line_of()))
        past.head = CommitSha(COMMIT)
        assert past.plan(host(1)) == (COMMIT, [SEND], [id_of(3), id_of(2)])

    def test_offline_host_is_not_looked_up(self, past: Past) -> None:
        past.add(command_of(OLD, 1), on(1, line_of(OLD)), on(2, line_of(OLD)))
        past.add(command_of(COMMIT, 2), on(1, line_of()))
        assert past.plan(host(1), host(2, is_online=False)) == (COMMIT, [NOTHING, WAIT], [id_of(2)])

    def test_unknown_host_reads_a_bounded_number_of_commands(self, past: Past) -> None:
        for number in range(1, MAX_READ + 10):
            past.add(command_of(f"{number:040x}", number), on(1, line_of(f"{number:040x}")))
        wanted, actions, read = past.plan(host(1), host(2))
        assert (wanted, actions) == (f"{MAX_READ + 9:040x}", [NOTHING, SEND])
        assert len(read) == MAX_READ

    def test_without_commands_no_invocations_are_read(self, past: Past) -> None:
        assert past.plan(host(1)) == ("no commit is known yet", [WAIT], [])
        past.head = CommitSha(COMMIT)
        assert past.plan(host(1)) == (COMMIT, [SEND], [])

    def test_frozen_target_reads_one_command(self, past: Past) -> None:
        past.pin = Pin("frozen", reason="a fair")
        past.add(command_of(OLD, 1), on(1, line_of(OLD)))
        past.add(command_of(COMMIT, 2), on(1, line_of()))
        assert past.plan(host(1)) == ("frozen: a fair", [WAIT], [id_of(2)])

    def test_expired_freeze_has_no_effect(self, past: Past) -> None:
        past.pin = Pin("frozen", until=LATER)
        past.add(command_of(COMMIT, 1), on(1, line_of()))
        assert past.plan(host(1)) == (COMMIT, [NOTHING], [id_of(1)])

    def test_all_commands_are_read_if_all_were_rollbacks(self, past: Past) -> None:
        for number in (1, 2):
            command = sent_by(command_of(OLD, number), "rollback", update="exact")
            past.add(command, on(1, line_of(OLD)))
        assert past.plan(host(1)) == ("no commit is known yet", [WAIT], [id_of(2), id_of(1)])

    def test_command_in_progress_is_read_however_old(self, past: Past) -> None:
        later = LATER + timedelta(minutes=5)
        past.add(replace(command_of(OLD, 1, status="InProgress"), expires=later), running(1))
        past.add(command_of(COMMIT, 2), on(1, line_of()))
        assert past.plan(host(1)) == (COMMIT, [WAIT], [id_of(2), id_of(1)])
        for number in range(3, MAX_READ + 10):
            command = sent_by(command_of(COMMIT, number), "reconcile", attempt=1)
            past.add(command, on(number, line_of()))
        _, actions, read = past.plan(host(1))
        assert (actions, read[-1]) == ([WAIT], id_of(1))

    def test_expired_command_in_progress_is_not_read(self, past: Past) -> None:
        past.add(command_of(OLD, 1, status="InProgress"), running(2))
        past.add(command_of(COMMIT, 2), on(1, line_of()))
        assert past.plan(host(1)) == (COMMIT, [NOTHING], [id_of(2)])


class TestReadForTheWantedCommit:
    def test_push_delivered_late_does_not_hide_a_newer_push(self, past: Past) -> None:
        pushed = START - timedelta(hours=1)
        newer = command_of(COMMIT, 1, pushed_at=START)
        past.add(newer, on(1, line_of()))
        # Its hosts went to the tip, which is the newer commit.
        past.add(command_of(OLD, 2, pushed_at=pushed), on(1, line_of()))
        wanted, actions, read = past.plan(host(1))
        assert (wanted, actions) == (COMMIT, [NOTHING])
        assert read == [id_of(2), id_of(1)]

    def test_commit_sent_late_by_a_round_does_not_hide_the_newest_push(self, past: Past) -> None:
        past.add(command_of(OLD, 1), on(1, line_of(OLD)))
        past.add(command_of(COMMIT, 2), on(1, line_of()))
        past.add(sent_by(command_of(OLD, 3), "reconcile", attempt=1), on(1, line_of()))
        wanted, _, read = past.plan(host(1))
        assert wanted == COMMIT
        assert read == [id_of(3), id_of(2)]

    def test_all_commands_of_the_wanted_commit_are_read(self, past: Past) -> None:
        past.head = CommitSha(COMMIT)
        past.add(command_of(COMMIT, 1), on(1, line_of()), on(2, details="Terminated"))
        past.add(sent_by(command_of(COMMIT, 2), "reconcile", attempt=1), on(1, line_of()))
        wanted, actions, read = past.plan(host(1))
        assert (wanted, actions) == (COMMIT, [WAIT])
        assert read == [id_of(2), id_of(1)]

    def test_held_commit_reads_older_commands_for_the_last_good_commit(self, past: Past) -> None:
        past.add(command_of(OLD, 1), on(1, line_of(OLD)))
        past.add(command_of(COMMIT, 2, status="Failed"), on(1, details="Terminated"))
        wanted, actions, read = past.plan(host(1), host(2))
        assert (wanted, actions) == (COMMIT, [WAIT, SEND])
        assert read == [id_of(2), id_of(1)]

    @pytest.mark.parametrize("status", ["Failed", "Cancelled"])
    @pytest.mark.parametrize("has_head", [True, False])
    def test_many_commands_to_new_hosts_do_not_hide_the_hold(
        self, past: Past, status: str, *, has_head: bool
    ) -> None:
        past.head = CommitSha(COMMIT) if has_head else None
        past.add(command_of(OLD, 1), on(1, line_of(OLD)), on(2, line_of(OLD)))
        details = "Terminated" if status == "Failed" else "Cancelled"
        stopped = command_of(COMMIT, 2, status=status)
        past.add(stopped, on(1, line_of(COMMIT, outcome="rolled_back")), on(2, details=details))
        for number in range(3, MAX_READ + 10):
            command = sent_by(command_of(OLD, number), "reconcile", update="exact", attempt=1)
            past.add(command, on(number, line_of(OLD)))
        wanted, actions, read = past.plan(host(1), host(2), host(MAX_READ + 5))
        assert wanted == COMMIT
        assert SEND not in actions
        assert len(read) == MAX_READ + 1

    def test_old_successful_attempts_are_not_read(self, past: Past) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()))
        for number in range(2, 2 * MAX_READ):
            command = sent_by(command_of(COMMIT, number), "reconcile", attempt=1)
            past.add(command, on(number, line_of()))
        _, _, read = past.plan(host(1))
        assert read == [id_of(number) for number in range(2 * MAX_READ - 1, MAX_READ - 1, -1)] + [
            id_of(1)
        ]


class TestStoredHold:
    def test_stored_hold_saves_reading_older_commands(self, past: Past) -> None:
        past.add(command_of(OLD, 1), on(1, line_of(OLD)), on(2, line_of(OLD)))
        stopped = command_of(COMMIT, 2, status="Failed")
        past.add(stopped, on(1, rolled_back(COMMIT), "Failed"), on(2, details="Terminated"))
        _, actions, read = past.plan(host(1))
        assert (actions, read) == ([WAIT], [id_of(2), id_of(1)])
        hold = Hold(CommitSha(COMMIT), "stopped", stopped.roll_out.issued, CommitSha(OLD))
        past.stored.store_state(RoundState("", {"web": hold}))
        assert past.plan(host(1)) == (COMMIT, [WAIT], [id_of(2)])

    def test_stored_hold_of_an_earlier_roll_out_does_not_count_for_the_next(
        self, past: Past
    ) -> None:
        past.add(command_of(OLD, 1), on(1, line_of(OLD)))
        first = command_of(COMMIT, 2, status="Cancelled")
        past.add(first, killed(1))
        back = sent_by(command_of(OLD, 3), "reconcile", update="exact", attempt=1)
        past.add(back, on(1, line_of(OLD)))
        hold = Hold(CommitSha(COMMIT), "cancelled", first.roll_out.issued, CommitSha(OLD))
        past.stored.store_state(RoundState("", {"web": hold}))
        past.add(sent_by(command_of(COMMIT, 4, status="Cancelled"), "manual"), killed(1))
        _, actions, _ = past.plan(host(1))
        assert actions == [SEND]


def killed(number: int) -> Invocation:
    return replace(on(number, details="Cancelled"), ended=START + timedelta(minutes=1))


class TestReadIsEnough:
    """Commands that stay unread do not change the plan."""

    RESULTS: tuple[Callable[[int, str], Invocation], ...] = (
        *[lambda number, commit: on(number, line_of(commit))] * 4,
        lambda number, commit: on(number, rolled_back(commit), "Failed"),
        lambda number, _commit: on(number, line_of(OTHER)),
        lambda number, _commit: on(number, details="DeliveryTimedOut"),
        lambda number, _commit: on(number, details="Terminated"),
        lambda number, _commit: on(number, details="Cancelled"),
        lambda number, _commit: running(number),
    )

    def add(self, past: Past, number: int, choose: random.Random) -> None:
        """Add a random command with a random result on some of three hosts."""
        commit = choose.choice([COMMIT, OLD, OTHER])
        hosts = choose.sample([1, 2, 3], choose.randint(1, 3))
        invocations = [choose.choice(self.RESULTS)(host, commit) for host in hosts]
        details = {one.details for one in invocations}
        pushed = START + timedelta(minutes=10 * choose.randint(0, 12))
        command = replace(
            command_of(commit, number, pushed_at=choose.choice([None, pushed])),
            expires=LATER + timedelta(minutes=choose.choice([-5, 5])),
        )
        for status in ("InProgress", "Cancelled", "Terminated", "Failed"):
            if status in details:
                shown = "Failed" if status == "Terminated" else status
                command = replace(command, status=shown, details=shown)
                break
        cause = choose.choice(["push", "push", "reconcile", "rollback"])
        if cause == "reconcile":
            update = choose.choice(["rebase", "exact"])
            command = sent_by(command, cause, attempt=choose.randint(1, 5), update=update)
        if cause == "rollback":
            command = sent_by(command, cause, update="exact")
        past.add(command, *invocations)

    @pytest.mark.parametrize("seed", range(10))
    def test_plan_is_the_same_as_with_all_commands_read(self, past: Past, seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 - a test's
        for _ in range(100):
            past.source.commands.clear()
            for number in range(1, choose.randint(2, 12)):
                self.add(past, number, choose)
            head = choose.choice([None, None, CommitSha(COMMIT), CommitSha(OLD)])
            pin = choose.choice([None, None, Pin("frozen"), Pin("pinned", CommitSha(OLD))])
            hosts = [host(1), host(2), host(3, is_online=choose.random() < 0.7)]
            past.head, past.pin = head, pin
            facts = past.facts(*hosts)
            sent = past.snapshot(*hosts).sent_to(WEB)
            all_runs = tuple(Run(one, past.source.invocations(one.id)) for one in sent)
            plans = [plan_target(one, now=LATER) for one in (facts, replace(facts, runs=all_runs))]
            first, second = [
                (
                    plan.wanted,
                    plan.held,
                    plan.sends,
                    [(one.action, one.reason, one.attempt, one.since) for one in plan.hosts],
                )
                for plan in plans
            ]
            assert first == second


class TestReadOfTheCheckout:
    """Checks, and commands of other targets, that ran in the target's checkout."""

    def other(self, number: int, **changes: Any) -> Command:  # noqa: ANN401
        command = command_of(COMMIT, number, target="job")
        return replace(
            command, roll_out=replace(command.roll_out, checkout=WEB.checkout), **changes
        )

    def test_run_of_another_target_in_the_checkout_is_read(self, past: Past) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()))
        past.add(self.other(2), on(1, line_of(target="job")))
        facts = past.facts(host(1))
        assert [run.command.id for run in facts.beside] == [id_of(2)]
        assert past.plan(host(1))[1] == [SEND]

    def test_run_in_an_earlier_checkout_of_the_target_does_not_end_the_reading(
        self, past: Past
    ) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()))
        past.add(command_of(COMMIT, 2, checkout="/srv/before"), on(1, line_of()))
        assert past.plan(host(1)) == (COMMIT, [NOTHING], [id_of(2), id_of(1)])

    def test_check_of_the_checkout_is_read(self, past: Past) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()))
        past.add(check_of(2), on(1, line_of()))
        assert [look.check.id for look in past.facts(host(1)).looks] == [id_of(2)]

    def test_many_checks_do_not_hide_a_run(self, past: Past) -> None:
        past.add(sent_by(command_of(COMMIT, 1), "reconcile"), on(1, line_of()))
        for number in range(2, 2 * MAX_READ):
            past.add(check_of(number, target="job"), on(1, line_of()))
        _, actions, read = past.plan(host(1))
        assert actions == [NOTHING]
        newest = [id_of(number) for number in range(2 * MAX_READ - 1, 1, -1)]
        assert read == [id_of(1), *newest[:MAX_LOOKS]]

    def test_list_of_saved_edits_is_not_read_and_a_drop_hides_no_check(self, past: Past) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()))
        past.add(check_of(2), on(1, line_of()))
        past.add(replace(check_of(3), update="drop"), on(1, line_of()))
        past.add(replace(check_of(4), update="saved"), on(1, line_of()))
        looks = past.facts(host(1)).looks
        assert [look.check.id for look in looks] == [id_of(3), id_of(2)]

    def test_newest_check_of_each_host_is_read(self, past: Past) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()), on(2, line_of()))
        past.add(check_of(2), on(1, line_of()), on(2, line_of()))
        past.add(check_of(3), on(1, line_of()), running(2))
        past.add(check_of(4), on(1, line_of()), on(2, details="DeliveryTimedOut"))
        past.add(check_of(5), on(1, line_of()))
        past.add(replace(check_of(6), selectors=(("InstanceIds", ("i-9",)),)), on(9))
        assert past.plan(host(1), host(2))[2] == [id_of(number) for number in (1, 5, 4, 3, 2)]
        past.add(check_of(7), on(1, line_of()), on(2, line_of()))
        assert past.plan(host(1), host(2))[2] == [id_of(1), id_of(7)]

    def test_check_of_another_target_does_not_replace_a_check_of_this_target(
        self, past: Past
    ) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()))
        for number, target in ((2, "web"), (3, "web"), (4, "job")):
            past.add(check_of(number, target=target), on(1, line_of()))
        assert past.plan(host(1))[2] == [id_of(1), id_of(4), id_of(3)]

    def test_check_before_the_newest_run_is_not_read(self, past: Past) -> None:
        past.add(check_of(1), on(1, line_of()))
        past.add(command_of(COMMIT, 2), on(1, line_of()))
        assert past.plan(host(1))[2] == [id_of(2)]

    def test_check_of_a_host_that_never_ran_is_not_read(self, past: Past) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()), on(2, line_of()))
        past.add(replace(check_of(2), selectors=(("InstanceIds", (host(3).instance_id,)),)), on(3))
        assert past.plan(host(2), host(3))[2] == [id_of(1)]

    def test_last_check_of_an_offline_host_is_read(self, past: Past) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()), on(2, line_of()))
        past.add(check_of(2), on(1, line_of()), on(2, line_of()))
        only_one = (("InstanceIds", (host(1).instance_id,)),)
        for number in (3, 4):
            past.add(replace(check_of(number), selectors=only_one), on(1, line_of()))
        assert past.plan(host(1), host(2, is_online=False))[2] == [id_of(1), id_of(4), id_of(2)]

    def test_check_after_a_run_issued_by_a_fast_clock_is_read(self, past: Past) -> None:
        fast = int((START + timedelta(minutes=5)).timestamp() * 1000)
        one = replace(on(1, line_of()), ended=START + timedelta(minutes=1))
        past.add(sent_by(command_of(COMMIT, 1), "manual", issued=fast), one)
        past.add(replace(check_of(2), requested=START + timedelta(minutes=1)), on(1, line_of()))
        assert past.plan(host(1))[2] == [id_of(1), id_of(2)]

    def test_commands_to_other_hosts_or_checkouts_are_not_read(self, past: Past) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()))
        past.add(replace(self.other(2), selectors=(("tag:role", ("db",)),)), on(1))
        past.add(replace(self.other(3), selectors=(("InstanceIds", ("i-9",)),)), on(1))
        past.add(check_of(4, "/srv/other"), on(1))
        assert past.plan(host(1))[2] == [id_of(1)]

    def test_command_whose_selectors_match_a_host_is_read(self, past: Past) -> None:
        past.add(command_of(COMMIT, 1), on(1, line_of()))
        both = (("tag:pulley", ("dev",)), ("InstanceIds", (host(1).instance_id,)), ("x", ()))
        past.add(replace(self.other(2), selectors=both), on(1, line_of(target="job")))
        assert id_of(2) in past.plan(host(1))[2]


class TestSnapshot:
    def test_invocations_of_a_command_are_read_once(self, past: Past) -> None:
        past.add(command_of(), on(1, line_of()))
        snapshot = past.snapshot(host(1))
        for _ in range(2):
            past.reader.facts(WEB, snapshot)
        assert past.source.calls == ["commands_since", "invocations"]

    def test_sent_commands_are_only_of_the_target_newest_issued_first(self, past: Past) -> None:
        past.add(sent_by(command_of(number=1), "push", issued=10**14), on(1))
        past.add(command_of(number=2), on(1))
        past.add(command_of(number=3, target="api"), on(1))
        past.add(command_of(number=4, repository=Repository("octo", "other")), on(1))
        assert [one.id for one in past.snapshot().sent_to(WEB)] == [id_of(1), id_of(2)]

    def test_issued_is_later_than_that_of_every_known_command(self, past: Past) -> None:
        assert past.snapshot().issued == int(LATER.timestamp() * 1000)
        past.add(sent_by(command_of(number=1), "manual", issued=10**14), on(1))
        assert past.snapshot().issued == 10**14 + 1


class TestReadATargetWithGates:
    def facts(self, past: Past, gates: Gates) -> TargetFacts:
        past.commits = [CommitSha(COMMIT), CommitSha(OLD)]
        past.head = CommitSha("c" * 40)
        return past.reader.facts(replace(WEB, gates=gates), past.snapshot())

    @pytest.mark.parametrize(
        "gates", [Gates(checks=("test",)), Gates(after=("staging",)), Gates(trigger="manual")]
    )
    def test_branch_s_newest_commits_are_read_and_the_first_is_the_tip(
        self, past: Past, gates: Gates
    ) -> None:
        facts = self.facts(past, gates)
        assert (facts.commits, facts.head) == (past.commits, past.commits[0])

    def test_target_without_gates_needs_the_tip_alone(self, past: Past) -> None:
        facts = self.facts(past, Gates())
        assert (facts.commits, facts.head) == ((), past.head)


class TestHasSentSince:
    def target(self, name: str = "web") -> Target:
        return replace(WEB, name=name, branch=Branch("main"))

    def test_command_in_the_snapshot_does_not_count(self, past: Past) -> None:
        past.add(command_of(), on(1))
        assert not past.reader.has_sent_since(WEB, past.snapshot(), now=START)

    def test_command_after_the_snapshot_counts_only_for_its_target(self, past: Past) -> None:
        snapshot = past.snapshot(now=START)
        past.add(command_of(number=1), on(1))
        past.add(check_of(2), on(1))
        assert not past.reader.has_sent_since(self.target("api"), snapshot, now=LATER)
        assert past.reader.has_sent_since(self.target(), snapshot, now=LATER)

    def test_second_look_starts_at_the_time_of_the_first(self, past: Past) -> None:
        snapshot = past.snapshot(now=START)
        for _ in range(2):
            past.reader.has_sent_since(WEB, snapshot, now=LATER)
        assert past.source.since[1:] == [START - LISTED_WITHIN, LATER - LISTED_WITHIN]
