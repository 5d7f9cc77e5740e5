"""What checks may change in a plan, and what they may not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from chalicelib.core.plan import SEND, HostPlan, TargetPlan, plan_target
from chalicelib.core.wanted import TargetFacts
from tests.core.fleet.account import Account
from tests.core.fleet.machine import Machine
from tests.core.fleet.sent import Part
from tests.core.fleet.times import time_of


@dataclass(frozen=True)
class LookPromises:
    """Promises that hold for every result of a check. A broken promise raises AssertionError."""

    account: Account

    def check(self, made: TargetPlan, facts: TargetFacts) -> None:
        """Compare with the plan of the same facts without checks."""
        oldest = min((one.ran_at for one in self.account.machines), default=0)
        if not any(sent.requested >= oldest for sent in self.account.checks):
            return
        blind = plan_target(replace(facts, looks=()), now=time_of(self.account.now))
        assert (made.wanted, made.held, made.hold) == (blind.wanted, blind.held, blind.hold)
        machines = {one.id: one for one in self.account.machines}
        for one, other in zip(made.hosts, blind.hosts, strict=True):
            machine = machines[one.host.instance_id]
            if other.is_there:
                self._check_host_at_wanted(one, machine)
            else:
                did, would = [(it.action, it.attempt, it.since, it.is_there) for it in (one, other)]
                assert did == would, "a check changes what is done about a host that is behind"
            self._check_drift(one, other, machine)

    def _check_host_at_wanted(self, one: HostPlan, machine: Machine) -> None:
        looks = [part for _, part in self._looks_at(machine)]
        is_true = machine.is_honest and not any(part.is_false for part in looks)
        is_true = is_true and not machine.clock_is_off
        if one.action == SEND and one.attempt and is_true:
            assert not machine.is_at(one.wanted), "a check has a well host sent a command"

    def _check_drift(self, one: HostPlan, other: HostPlan, machine: Machine) -> None:
        """Compare with the newest check, unless a wrong clock hides which check is the newest."""
        looks = [one for one in self._looks_at(machine) if one[1].saw]
        if (
            not looks
            or machine.clock_is_off
            or any(part.is_false for _, part in self._looks_at(machine))
        ):
            return
        ended, part = max(looks, key=lambda one: one[0])
        if part.saw == "drift":
            assert not one.is_there, "a check saw drift, and nothing is done about it"
            return
        assert one.is_there == other.is_there, "a check saw all well, and is not believed"
        assert not one.has_drifted, "a host is said to have drifted that has not"
        if part.saw == "well" and one.action == SEND and not one.attempt:
            quarter = self.account.target.recheck_after.total_seconds() / 4
            assert self.account.now - ended >= quarter, "a host that was just seen is asked again"

    def _looks_at(self, machine: Machine) -> Iterator[tuple[int, Part]]:
        """The checks of this host requested since its last run, and when they ended."""
        for sent in self.account.checks:
            if sent.requested < machine.ran_at or not sent.is_listed(self.account.now):
                continue
            for part in sent.parts:
                if part.machine is machine and part.ended is not None:
                    yield part.ended, part
