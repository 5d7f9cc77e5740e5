"""Reads a target's runs, newest first, until they show enough to plan.

Then it reads the newest checks of each host. Checks have a limit of their own, so they displace no
run.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.core.history import (
    Check,
    Command,
    Invocation,
    Look,
    Run,
    age,
    issued_of,
    plain_status,
)
from chalicelib.core.holds import how_stopped, is_lifted
from chalicelib.core.hosts import Host
from chalicelib.core.targets import MAX_IDS, Target
from chalicelib.core.wanted import TargetFacts, wanted_of

# How many commands of a target are read; one more for each fifty hosts. A command that is under
# way, or that may cause or lift a hold, is always read.
MAX_READ = 20
MAX_LOOKS = 20  # checks


def sent_beside(
    target: Target, hosts: Sequence[Host], in_checkout: Sequence[Command | Check]
) -> list[Command | Check]:
    """The commands in the target's checkout that may reach these hosts, but not its own runs."""
    others = [
        one
        for one in in_checkout
        if not (isinstance(one, Command) and one.roll_out.target == target.name)
    ]
    # Another target's commands have the same selectors, so try each only once.
    reach = {
        one.selectors: any(one.may_reach(host) for host in hosts)
        for one in {one.selectors: one for one in others}.values()
    }
    return [one for one in others if reach[one.selectors]]


class Runs:
    """One target's runs, read until they say enough."""

    def __init__(
        self,
        facts: TargetFacts,
        sent: Sequence[Command],
        beside: Sequence[Command | Check],
        now: datetime,
        read: Callable[[Command | Check], tuple[Invocation, ...]],
    ) -> None:
        """`facts` lack the runs; `now` is aware. What `read` raises goes to the caller."""
        self._facts, self._now, self._invocations = facts, now, read
        self._wanted = wanted_of(facts, now=now)
        self._runs: list[Run] = []
        self._beside: list[Run] = []
        self._looks: list[Look] = []
        self._unseen = {host.instance_id for host in facts.hosts if host.is_online}
        self._ended: dict[str, datetime] = {}  # by instance id, its newest run
        runs = [*sent, *(one for one in beside if isinstance(one, Command))]
        # A host that runs a command must be left alone, however old the command is.
        self._needed = {one.id for one in runs if self._is_under_way(one)} | {
            one.id for one in sent if self._may_hold(one)
        }
        self._left = sorted(runs, key=age, reverse=True)
        checks = [one for one in beside if isinstance(one, Check) and one.update != "saved"]
        self._checks = sorted(checks, key=age, reverse=True)

    def facts(self) -> TargetFacts:
        """The facts, with the runs."""
        most = MAX_READ + len(self._facts.hosts) // MAX_IDS
        read_last: Command | None = None
        for count, command in enumerate(self._left):
            # Of two commands that were issued at the same time, a host may have run either last.
            is_tied = read_last is not None and issued_of(command) == issued_of(read_last)
            if command.id in self._needed or (count < most and (is_tied or not self._is_enough())):
                self._read(command)
                read_last = command
        self._read_checks()
        return replace(self._facts, runs=self._runs, beside=self._beside, looks=self._looks)

    def _read(self, command: Command) -> None:
        invocations = self._invocations(command)
        is_own = command.roll_out.target == self._facts.target.name
        (self._runs if is_own else self._beside).append(Run(command, invocations))
        if command.roll_out.checkout != self._facts.target.checkout:
            return  # the target had another checkout then
        for one in invocations:
            if one.has_answered:
                self._ended.setdefault(one.instance_id, command.ended_on(one))
        self._unseen -= self._ended.keys()

    def _read_checks(self) -> None:
        """Read checks until each host has answered a check of this target since its newest run."""
        left = [one for one in self._facts.hosts if one.instance_id in self._ended]
        for check in self._checks:
            asked = [
                one.instance_id
                for one in left
                if self._ended[one.instance_id] <= check.requested and check.may_reach(one)
            ]
            if len(self._looks) == MAX_LOOKS or not asked:
                continue
            invocations = self._invocations(check)
            self._looks.append(Look(check, invocations))
            if check.target == self._facts.target.name and check.update != "drop":
                answered = {one.instance_id for one in invocations if one.has_answered}
                left = [one for one in left if one.instance_id not in answered]

    def _is_enough(self) -> bool:
        """Whether every host that is awake was seen, or nothing is to be done about any."""
        if self._facts.launching:
            return False  # what their peers ran before may be needed
        pin = self._facts.pin
        if self._wanted is None and not (pin and pin.holds(self._now)):
            return False  # what is wanted is not known, so no host is known to be at it
        return bool(self._runs) and not self._unseen and not self._may_be_held()

    def _is_under_way(self, command: Command) -> bool:
        return not command.is_over and self._now <= command.expires

    def _may_hold(self, command: Command) -> bool:
        """Whether the command may have been stopped, or may lift the hold of an older run."""
        is_of_wanted = self._wanted is not None and command.roll_out.commit == self._wanted.commit
        is_own = command.roll_out.cause != "reconcile"
        return is_of_wanted and (is_own or plain_status(command.details) != "success")

    def _may_be_held(self) -> bool:
        """Whether a run of the wanted commit was stopped, and no hold is stored for the commit.

        Then older runs must tell which commit the hosts ran before.
        """
        commit, stored = self._wanted and self._wanted.commit, self._facts.hold
        runs = [run for run in self._runs if run.roll_out.commit == commit]
        if stored and stored.commit == commit and not is_lifted(stored, runs):
            return False
        return any(how_stopped(run) for run in runs)
