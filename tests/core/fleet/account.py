"""Run Command and the hosts. Time passes only in `Account.wait`.

Run Command behaves as the Systems Manager User Guide says.
"""

import json
from collections.abc import Callable
from random import Random

from chalicelib.core.pins import Pin
from chalicelib.core.targets import Target
from tests.core.fleet.machine import FIRST, Machine
from tests.core.fleet.sent import Part, Sent, SentCheck, SentRun
from tests.core.fleet.times import DELIVERY_TIMEOUT, TIMEOUT, time_of
from tests.core.fleet.upstream import Upstream


class Account:
    """A branch, its hosts and their commands. `said` has the commits that each host reported.

    `pin_number` counts the changes of the pin.
    """

    def __init__(self, random: Random, target: Target, hosts: int) -> None:
        self.random = random  # how long things take
        self.target = target
        self.now = 0
        self.upstream = Upstream()
        self.machines = [Machine(f"i-{number:017x}") for number in range(hosts)]
        self.said: dict[str, list[tuple[int, str]]] = {}  # by host: when issued, which commit
        self.commands: list[SentRun] = []
        self.checks: list[SentCheck] = []
        self.pin = Pin("none")
        self.pin_number = 0
        self.was_clock_fast = False  # whether an operator's clock was fast
        self._open: list[Sent] = []
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._acts = 0

    @property
    def is_pinned(self) -> bool:
        """Whether a pin or a freeze holds now."""
        return self.pin.holds(time_of(self.now))

    def check_move(self, sent: SentRun, machine: Machine, before: str) -> None:
        """Called when a run has ended; `before` is the commit that the host ran before it."""

    # --- Time -------------------------------------------------------------------------------------

    def wait(self, seconds: int) -> None:
        """Let so many seconds pass, with every event that is due in them."""
        end = self.now + seconds
        while True:
            self._work()
            upcoming = [when for when in self._upcoming() if when > self.now]
            if not upcoming or min(upcoming) > end:
                break
            self.now = min(upcoming)
        self.now = end
        self._work()

    def _upcoming(self) -> list[int]:
        times = [when for when, _, _ in self._later]
        for sent in self._open:
            times.append(sent.expires)
            for part in sent.parts:
                if part.is_sent and not part.is_over:
                    times += [part.begins, part.ends, part.begins + TIMEOUT]
        return times

    def _work(self) -> None:
        while due := sorted(one[:2] for one in self._later if one[0] <= self.now):
            first = next(one for one in self._later if one[:2] == due[0])
            self._later.remove(first)
            first[2]()
        changes = True
        while changes:
            changes = any(self._advance(sent) for sent in self._open)
            self._open = [sent for sent in self._open if not sent.is_over]

    def soon(self, seconds: int, act: Callable[[], None]) -> None:
        self._acts += 1
        self._later.append((self.now + seconds, self._acts, act))

    # --- Run Command ------------------------------------------------------------------------------

    def _advance(self, sent: Sent) -> bool:
        """Do what is due for a command. Returns whether anything changed."""
        before = [(part.status, part.is_sent) for part in sent.parts]
        for part in sent.parts:
            if part.is_sent and not part.is_over:
                self._advance_part(sent, part)
        if self.now >= sent.expires:
            for part in sent.parts:
                if not part.is_over:
                    part.end("TimedOut", "DeliveryTimedOut")
        active = sum(part.is_sent and not part.is_over for part in sent.parts)
        for part in sent.parts:
            if part.is_over or part.is_sent:
                continue
            if sent.errors > sent.max_errors:
                part.end("Cancelled", "Terminated")
            elif active < sent.max_concurrency:
                active += 1
                part.is_sent = True
                part.begins = self.now + self.random.choice((0, 0, 1, 20))
        return before != [(part.status, part.is_sent) for part in sent.parts]

    def _advance_part(self, sent: Sent, part: Part) -> None:
        machine = part.machine
        if part.status == "Pending":
            if not machine.is_alive:
                part.end("Failed", "Undeliverable")
            elif self.now >= part.begins + DELIVERY_TIMEOUT:
                part.end("TimedOut", "DeliveryTimedOut")
            elif machine.is_awake and self.now >= part.begins:
                part.end("InProgress")
                part.begins = self.now
                takes = (2, 10, 30, 100) if isinstance(sent, SentRun) else (1, 3, 30)
                part.ends = self.now + self.random.choice(takes)
        elif machine.is_alive and machine.is_awake and self.now >= part.ends:
            self._run(sent, part)
        elif self.now >= part.begins + TIMEOUT:
            part.end("TimedOut", "ExecutionTimedOut")
            if isinstance(sent, SentRun):
                machine.note_run(sent.roll_out, "", at=self.now, requested=sent.requested)

    def _run(self, sent: Sent, part: Part) -> None:
        """The end of the script."""
        part.is_false = bool(part.machine.lies)
        part.end_script(self.now)
        if isinstance(sent, SentRun):
            self._deploy(sent, part)
        elif isinstance(sent, SentCheck):
            self._check(sent, part)
        if part.machine.lies == "nonsense":
            part.output = "hello"

    def _deploy(self, sent: SentRun, part: Part) -> None:
        machine, before = part.machine, part.machine.ran
        outcome, upstream = machine.run(sent.roll_out, self.upstream)
        if machine.lies == "old":
            outcome, upstream = "unchanged", FIRST
        elif machine.lies == "done":
            outcome, upstream = "updated", sent.roll_out.commit.sha
        is_well = outcome in {"updated", "unchanged", "superseded"}
        self.check_move(sent, machine, before)
        if is_well and sent.pin == self.pin_number and outcome != "superseded":
            machine.reached_pin = sent.pin
        part.end("Success" if is_well else "Failed")
        reported = upstream if is_well and machine.lies != "nonsense" else ""
        machine.note_run(sent.roll_out, reported, at=self.now, requested=sent.requested)
        if machine.lies != "nonsense":
            self.said.setdefault(machine.id, []).append((sent.roll_out.issued, reported))
        part.output = _line(
            sent.roll_out.target,
            outcome,
            upstream,
            before=before or None,
            after=machine.ran or None,
        )

    def _check(self, sent: SentCheck, part: Part) -> None:
        machine = part.machine
        if machine.failure == "unreachable":
            part.end("Failed")
            part.output = _line(sent.target, "unreachable", "")
            return
        part.end("Success")
        deployed, drift = machine.check(sent.target)
        part.saw = machine.true_finding(sent.target, self.upstream.tip)
        found = {"would_update": False, "owner": "site", "git": "2.39", "free_mib": 900}
        found |= {"lfs": False, "deployed": deployed, "drift": drift}
        head = machine.head or None
        tip = self.upstream.tip
        part.output = _line(sent.target, "unchanged", tip, before=head, after=head, found=found)

    def send(self, sent: Sent, delay: int) -> None:
        """`requested` is the time at which the command arrives at AWS; `issued` is set before."""

        def arrive() -> None:
            sent.requested = self.now
            sent.parts = [part for part in sent.parts if part.machine.is_alive]
            sent.order = self.random.sample(range(len(sent.parts)), len(sent.parts))
            if isinstance(sent, SentRun):
                self.commands.append(sent)
            elif isinstance(sent, SentCheck):
                self.checks.append(sent)
            self._open.append(sent)

        self.soon(delay, arrive)

    def cancel(self) -> None:
        """Cancel the newest roll-out that is under way."""
        under_way = [sent for sent in self._open if isinstance(sent, SentRun)]
        if not under_way:
            return
        sent = under_way[-1]
        sent.is_cancelled = True
        for part in sent.parts:
            if not part.is_over:
                if part.status == "InProgress":
                    part.end_script(self.now)
                    part.machine.note_run(sent.roll_out, "", at=self.now, requested=sent.requested)
                part.end("Cancelled")


def _line(target: str, outcome: str, upstream: str, **more: object) -> str:
    """The result line that the script prints."""
    line: dict[str, object] = {"v": 1, "target": target, "outcome": outcome}
    line |= {"before": None, "after": None, "upstream": upstream or None}
    line |= {"local_commits": 0, "saved": None, "step": None, "detail": "", "seconds": 1.5}
    return json.dumps(line | more)
