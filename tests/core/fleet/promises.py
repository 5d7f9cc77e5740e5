"""The promises, which must always hold. A broken promise raises AssertionError."""

from dataclasses import dataclass

from chalicelib.core.attempts import MAX_ATTEMPTS
from chalicelib.core.holds import CANCELLED
from chalicelib.core.plan import PARKED, SEND, HostPlan, Send, TargetPlan
from chalicelib.core.targets import MAX_IDS
from chalicelib.core.wanted import Wanted
from tests.core.fleet.account import Account
from tests.core.fleet.machine import Machine
from tests.core.fleet.sent import SentRun
from tests.core.fleet.times import HISTORY, time_of


@dataclass(frozen=True)
class Promises:
    """The promises of one account. With a token, rounds know the branch's tip."""

    account: Account
    has_token: bool

    def is_held(self, commit: str, seen: list[SentRun]) -> bool:
        """Whether the newest roll-out of a commit, or a round's later command for it, was stopped.

        It is not held if most hosts had reported the commit before.
        """
        is_held = False
        for one in sorted(seen, key=lambda sent: sent.roll_out.issued):
            if one.roll_out.commit.sha != commit or one.roll_out.target != self.account.target.name:
                continue
            is_held = is_held and one.roll_out.cause == "reconcile"
            if one.was_stopped:
                is_held = is_held or self._most_run(commit, one.roll_out.issued) != commit
        return is_held

    def _is_good(self, made: TargetPlan, commit: str, seen: list[SentRun]) -> bool:
        """Whether most hosts ran it before the held commit, even if it was stopped itself."""
        held = made.hold.commit if made.hold else None
        return held is not None and any(
            self._is_most_run(commit, sent.roll_out.issued, but=held.sha)
            for sent in seen
            if sent.roll_out.commit == held
        )

    def _is_most_run(self, commit: str, before: int, *, but: str) -> bool:
        commits = [sha for _, sha in self._newest_reports(before)]
        most = max((commits.count(sha) for sha in commits if sha != but), default=0)
        return 0 < most == commits.count(commit) and commit != but

    def _most_run(self, commit: str, before: int) -> str:
        """The commit that most hosts reported before that time."""
        last = self._newest_reports(before)
        commits = [sha for _, sha in last]
        newest = {sha: issued for issued, sha in sorted(last)}
        return max(
            commits, key=lambda one: (commits.count(one), one != commit, newest[one]), default=""
        )

    def _newest_reports(self, before: int) -> list[tuple[int, str]]:
        """The newest commit that each host reported before that time, and when."""
        last = []
        for said in self.account.said.values():
            earlier = [one for one in said if one[0] < before and one[1]]
            last += [max(earlier)] if earlier else []
        return last

    def check_plan(self, made: TargetPlan, seen: list[SentRun]) -> None:
        for send in made.sends:
            assert len(send.instance_ids) <= MAX_IDS
            commit = send.wanted.commit.sha
            if not (send.wanted.is_way_back and self._is_good(made, commit, seen)):
                assert not self.is_held(commit, seen), "a held commit is sent"
            if self.account.is_pinned:
                assert self.account.pin.state == "pinned", "frozen, and something is sent"
                assert send.wanted.commit == self.account.pin.commit, "a pin is left by a round"
                assert send.wanted.is_exact, "a pin's commit is sent as a tip"
            for sent in seen:
                if self.account.now <= sent.expires and not sent.is_over:
                    self._check_beside(send, sent)
            for machine in self._machines_of(send):
                assert machine.is_alive, "a host that is gone is sent something"
                assert machine.is_awake, "a host that sleeps is sent something"
                if made.held and made.hold and made.hold.kind != CANCELLED:
                    is_known = any(part.machine is machine for one in seen for part in one.parts)
                    is_fine = machine.ran != commit or machine.lies or not is_known
                    assert is_fine, "a good host is sent something"

    def check_hosts(self, made: TargetPlan) -> None:
        """Check the plan of each host against all commands that were sent."""
        machines = {one.id: one for one in self.account.machines}
        if made.held and made.wanted:
            held = self.is_held(made.wanted.commit.sha, self.account.commands)
            assert held, "a commit is held that nobody stopped, or that was sent again since"
        for one in made.hosts:
            machine = machines[one.host.instance_id]
            if one.action == SEND and one.attempt:
                assert one.attempt <= MAX_ATTEMPTS
                self._check_need(one, machine)
            elif one.action != SEND and one.attempt:
                self._check_attempts(one, machine)
        for send in made.sends:
            if not send.attempt:
                self._check_recheck(send, made)

    def _check_need(self, one: HostPlan, machine: Machine) -> None:
        """No command goes to a host at the wanted commit, but for an old run or drift."""
        is_known = machine.is_honest and machine.reported == machine.ran
        is_known = is_known and machine.reported_by[1] >= self.account.now - HISTORY
        if is_known and not one.has_drifted:
            assert not machine.is_at(one.wanted), "a host that is well is sent a command"

    def _check_attempts(self, one: HostPlan, machine: Machine) -> None:
        """A host that waits or is parked has failed at the wanted commit, often enough."""
        sent = [
            one
            for one in self.account.commands
            if one.roll_out.target == self.account.target.name
            and any(part.machine is machine for part in one.parts)
        ]
        wanted = one.wanted
        newest = max(sent, key=lambda one: (one.roll_out.issued, one.requested))
        assert _is_for(newest, wanted), "a host waits for what failed at another commit"
        if one.action == PARKED:
            failed = [one.roll_out.attempt > 0 for one in sent if _is_for(one, wanted)]
            assert sum(failed) >= MAX_ATTEMPTS, "a host is given up too early"

    def _check_recheck(self, send: Send, made: TargetPlan) -> None:
        now, half = time_of(self.account.now), self.account.target.recheck_after / 2
        ages = [
            now - one.seen
            for one in made.hosts
            if one.seen and one.host.instance_id in send.instance_ids
        ]
        assert max(ages) >= half, "hosts are asked again that were all seen lately"

    def _check_beside(self, send: Send, under_way: SentRun) -> None:
        """A command that is sent while another command is under way."""
        if (
            under_way.roll_out.target == self.account.target.name
            and not under_way.roll_out.is_recheck
        ):
            assert under_way.roll_out.commit != send.wanted.commit, (
                "a commit is sent while its roll-out may still be stopped"
            )
        for part in under_way.parts:
            assert part.is_over or part.machine.id not in send.instance_ids, (
                "a host is sent a command while it runs one"
            )

    def _machines_of(self, send: Send) -> list[Machine]:
        return [one for one in self.account.machines if one.id in send.instance_ids]

    def check_move(self, sent: SentRun, machine: Machine, before: str) -> None:
        if machine.ran == before:
            return
        to, cause = machine.ran, sent.roll_out.cause
        is_tip = to == self.account.upstream.tip
        if (
            before
            and self.account.upstream.has(before, to)
            and not sent.pin
            and not sent.is_way_back
        ):
            assert is_tip, "a host moved backwards"
            assert self.account.upstream.was_forced, "a host moved backwards without a force push"
        if self.account.is_pinned and machine.reached_pin == self.account.pin_number:
            assert sent.pin == self.account.pin_number, "a pin is left"
        if cause == "reconcile" and to in sent.held and not sent.is_way_back:
            assert self._is_excused(sent, to), "a held commit is spread"

    def _is_excused(self, sent: SentRun, to: str) -> bool:
        """Whether the round could not know that the command leads to a held tip.

        With a token: a force push moved the branch back to it while the command was under way.
        Without a token: only a pin requested the tip, or a force push made it the tip, or an
        operator's fast clock made an older commit the newest request.
        """
        was_forced = self.account.upstream.was_forced
        if self.has_token:
            return was_forced and sent.tip != self.account.upstream.tip
        was_asked = any(
            one.roll_out.commit.sha == to and one.roll_out.update != "exact"
            for one in self.account.commands
        )
        return was_forced or self.account.was_clock_fast or not was_asked

    def check_all_hosts_at_wanted(self) -> None:
        """Every host that is alive runs the wanted commit."""
        pin = self.account.pin if self.account.is_pinned else None
        if pin and (pin.commit is None or self.account.upstream.is_gone(pin.commit.sha)):
            return
        is_known = self.has_token or any(
            one.roll_out.target == "web" and one.roll_out.update != "exact"
            for one in self.account.commands
        )
        for machine in self.account.machines:
            if machine.is_alive:
                standing = f"{machine.id} runs {machine.ran[-4:] or 'nothing'}"
                if pin or is_known:
                    assert machine.head == machine.ran, f"{standing}, and somebody moved it"
                    assert machine.ran_for != "job", f"{standing} for another target"
                if pin and pin.commit:
                    assert machine.ran == pin.commit.sha, standing
                    assert machine.is_detached, f"{machine.id} is not at the pin alone"
                elif self.has_token:
                    assert machine.ran == self.account.upstream.tip, standing
                    assert not machine.is_detached, f"{machine.id} is not back on the branch"
                else:
                    assert self._is_fit_without_token(machine), standing

    def _is_fit_without_token(self, machine: Machine) -> bool:
        """Whether it runs the newest requested tip, or a later tip."""
        newest = max((sent.asked for sent in self.account.commands), default=-1)
        is_there = machine.ran in self.account.upstream.tips[newest:] and not machine.is_detached
        return newest < 0 or is_there


def _is_for(sent: SentRun, wanted: Wanted | None) -> bool:
    roll_out = sent.roll_out
    return wanted is not None and (roll_out.commit, roll_out.update == "exact") == (
        wanted.commit,
        wanted.is_exact,
    )
