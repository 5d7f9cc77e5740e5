"""A branch, its hosts and Run Command, in memory: what reconciling has to deal with.

The hosts do what docs/host.md says, Run Command what the Systems Manager User Guide says. Time is
in seconds, and nothing happens but by `World.wait`. The promises are checked where they could be
broken: by whoever sends, and where a host moves.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from chalicelib.core.history import Command, Invocation, RollOut, Run
from chalicelib.core.holds import CANCELLED, Hold
from chalicelib.core.hosts import Host
from chalicelib.core.pins import Pin
from chalicelib.core.plan import (
    PARKED,
    Send,
    TargetPlan,
    plan_target,
)
from chalicelib.core.refs import Branch, CommitSha
from chalicelib.core.targets import MAX_IDS, Instances, Target
from chalicelib.core.wanted import TargetFacts
from tests.fakes import SITE

START = datetime(2030, 1, 1, tzinfo=UTC)
DELIVERY_TIMEOUT = TIMEOUT = 600
HISTORY = 30 * 24 * 3600
LISTED_AFTER = 5  # seconds, before which a command has no invocations and no count of its hosts
OVER = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})


def time_of(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


class Upstream:
    """The branch on GitHub. A commit that fails everywhere, until it is mended, is in `bad`."""

    def __init__(self) -> None:
        self.parents: dict[str, str] = {}
        self.tips: list[str] = []  # as they were, the newest last
        self.bad: set[str] = set()
        self.was_forced = False
        self.push()

    @property
    def tip(self) -> str:
        return self.tips[-1]

    def push(self, parent: str = "") -> None:
        commit = f"{len(self.parents) + 1:040x}"
        self.parents[commit] = parent or (self.tip if self.tips else "")
        self.tips.append(commit)

    def force(self, to: str) -> None:
        self.was_forced = True
        self.tips.append(to)

    def line_of(self, commit: str) -> list[str]:
        """The commit and those before it."""
        line = []
        while commit:
            line.append(commit)
            commit = self.parents[commit]
        return line

    def has(self, tip: str, commit: str) -> bool:
        return commit in self.line_of(tip)


@dataclass
class Machine:
    """A host. `ran` is its marker: what it last deployed. `ails` is how its runs end, if badly.

    `head` is what is checked out, which somebody may have moved. `lies` is what it says in place of
    what it does: "old", "done" or "nonsense".
    """

    id: str
    ran: str = ""
    is_detached: bool = False
    is_awake: bool = True
    is_alive: bool = True
    ails: str = ""
    newest: int = 0
    known: set[str] = field(default_factory=set)
    deployed: list[str] = field(default_factory=list)
    reached_pin: int = 0  # the pin that an exact run brought it to
    head: str = ""
    ran_for: str = ""  # the target
    lies: str = ""

    def run(self, roll_out: RollOut, upstream: Upstream) -> tuple[str, str]:
        """One run of the script: its outcome and upstream. docs/host.md has the steps."""
        commit, is_exact = roll_out.commit.sha, roll_out.update == "exact"
        if self.ails == "busy":
            return "busy", ""
        if roll_out.issued < self.newest:
            return "superseded", self.ran
        self.newest = roll_out.issued
        if self.ails == "unreachable":
            return "unreachable", ""
        self.known |= set(upstream.line_of(upstream.tip))
        if not self._has(commit, upstream, is_exact=is_exact):
            return "missing_commit", upstream.tip
        to = commit if is_exact else upstream.tip
        is_left = not is_exact and not upstream.has(to, commit)
        well = "superseded" if is_left else ""
        return self._go(to, upstream, target=roll_out.target, is_exact=is_exact, well=well), to

    def _has(self, commit: str, upstream: Upstream, *, is_exact: bool) -> bool:
        """Whether the commit is in the branch; or was, which is known here."""
        if upstream.has(upstream.tip, commit):
            return True
        if is_exact:
            return any(upstream.has(one, commit) for one in self.deployed[-10:])
        return commit in self.known and not upstream.has(commit, upstream.tip)

    def _go(self, to: str, upstream: Upstream, *, target: str, is_exact: bool, well: str) -> str:
        """The move and the steps, and the way back if they fail."""
        is_done = (self.ran, self.head, self.ran_for) == (to, to, target)
        is_done = is_done and self.is_detached == is_exact
        if self.ran != to:
            if self.ails == "rolled_back" or to in upstream.bad:
                self.head = self.ran
                return "rolled_back" if self.ran else "broken"
            self.deployed.append(to)
        self.ran = self.head = to
        self.is_detached, self.ran_for = is_exact, target
        return well or ("unchanged" if is_done else "updated")


@dataclass
class Part:
    """A command on one host."""

    machine: Machine
    status: str = "Pending"
    details: str = "Pending"
    is_sent: bool = False
    begins: int = 0
    ends: int = 0
    output: str = ""
    ended: int | None = None

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    def end(self, status: str, details: str = "") -> None:
        self.status, self.details = status, details or status


@dataclass
class Sent:
    """A command. `pin` is the number of the pin that it serves, `held` what was held when it
    was decided, `tip` the branch's tip then.
    """

    id: str
    roll_out: RollOut
    requested: int
    parts: list[Part]
    max_concurrency: int
    max_errors: int
    order: list[int]
    asked: int = -1  # the number of the tip that a push or a person asked for
    pin: int = 0
    held: frozenset[str] = frozenset()
    tip: str = ""
    is_cancelled: bool = False
    is_way_back: bool = False

    @property
    def expires(self) -> int:
        return self.requested + DELIVERY_TIMEOUT + TIMEOUT

    @property
    def is_over(self) -> bool:
        return all(part.is_over for part in self.parts)

    @property
    def was_stopped(self) -> bool:
        return self.is_cancelled or any(part.details == "Terminated" for part in self.parts)

    @property
    def errors(self) -> int:
        counted = {"Failed", "ExecutionTimedOut"}
        return sum(part.details in counted for part in self.parts)

    def as_run(self, now: int, *, hidden: int) -> Run:
        """As Systems Manager tells of it, without the last of its invocations if they hide."""
        is_listed = now - self.requested >= LISTED_AFTER
        parts = [self.parts[index] for index in self.order] if is_listed else []
        if hidden and (not self.is_over or now - self.requested < 60):
            parts = parts[: max(0, len(parts) - hidden)]
        if not self.is_over or (self.parts and not is_listed):
            status, details = "InProgress", "InProgress"
        elif self.errors > self.max_errors:
            status, details = "Failed", "Failed"
        else:
            status, details = "Success", "Success" if self.parts else "NoInstancesInTag"
        if self.is_cancelled:
            status, details = "Cancelled", "Cancelled"
        command = Command(
            id=self.id,
            status=status,
            details=details,
            requested=time_of(self.requested),
            expires=time_of(self.expires),
            target_count=len(self.parts) if is_listed else 0,
            roll_out=self.roll_out,
        )
        return Run(command, tuple(_invocation(part) for part in parts))


def _invocation(part: Part) -> Invocation:
    ended = None if part.ended is None else time_of(part.ended)
    name = part.machine.id[-3:]
    return Invocation(part.machine.id, name, part.status, part.details, part.output, ended)


@dataclass
class Delivery:
    """A push event on its way: which tip it tells of, and when it was pushed."""

    tip: int
    pushed: int


class World:
    """A target with all that is around it. Raises AssertionError where a promise is broken."""

    def __init__(
        self,
        *,
        seed: int = 0,
        hosts: int = 3,
        has_token: bool = True,
        max_concurrency: int = 50,
        max_errors: int = 0,
        update: str = "rebase",
        recheck: str = "6h",
    ) -> None:
        self.random = Random(seed)  # noqa: S311 - how long things take
        self.now = 0
        self.upstream = Upstream()
        self.machines = [Machine(f"i-{number:017x}") for number in range(hosts)]
        self.has_token = has_token
        self.target = Target(
            name="web",
            repository=SITE,
            branch=Branch("main"),
            instances=Instances(tags=(("role", ("web",)),)),
            checkout="/srv/site",
            update=update,
            max_concurrency=str(max_concurrency),
            max_errors=str(max_errors),
            recheck=recheck,
        )
        self.said: dict[str, list[tuple[int, str]]] = {}  # by host: when issued, which commit
        self.commands: list[Sent] = []
        self.mail: list[Delivery] = [Delivery(0, 0)]
        self.pin = Pin("none")
        self.pin_number = 0
        self.sent_by_rounds: list[tuple[int, str]] = []  # when, and to which host
        self._open: list[Sent] = []
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._acts = 0
        self._last_issued = 0
        self.hold: Hold | None = None

    # --- Time -------------------------------------------------------------------------------------

    def wait(self, seconds: int) -> None:
        """Let this much time pass, and all that happens in it."""
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
            changes = any(self._go_on(sent) for sent in self._open)
            self._open = [sent for sent in self._open if not sent.is_over]

    def _soon(self, seconds: int, act: Callable[[], None]) -> None:
        self._acts += 1
        self._later.append((self.now + seconds, self._acts, act))

    # --- Run Command ------------------------------------------------------------------------------

    def _go_on(self, sent: Sent) -> bool:
        """Whatever is due of a command. Returns whether anything was."""
        before = [(part.status, part.is_sent) for part in sent.parts]
        for part in sent.parts:
            if part.is_sent and not part.is_over:
                self._go_on_with(sent, part)
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

    def _go_on_with(self, sent: Sent, part: Part) -> None:
        machine = part.machine
        if part.status == "Pending":
            if not machine.is_alive:
                part.end("Failed", "Undeliverable")
            elif self.now >= part.begins + DELIVERY_TIMEOUT:
                part.end("TimedOut", "DeliveryTimedOut")
            elif machine.is_awake and self.now >= part.begins:
                part.end("InProgress")
                part.begins = self.now
                part.ends = self.now + self.random.choice((2, 10, 30, 100))
        elif machine.is_alive and machine.is_awake and self.now >= part.ends:
            self._run(sent, part)
        elif self.now >= part.begins + TIMEOUT:
            part.end("TimedOut", "ExecutionTimedOut")

    def _run(self, sent: Sent, part: Part) -> None:
        machine, before = part.machine, part.machine.ran
        outcome, upstream = machine.run(sent.roll_out, self.upstream)
        if machine.lies == "old":
            outcome, upstream = "unchanged", f"{1:040x}"
        elif machine.lies == "done":
            outcome, upstream = "updated", sent.roll_out.commit.sha
        is_well = outcome in {"updated", "unchanged", "superseded"}
        self._check_move(sent, machine, before)
        if is_well and sent.pin == self.pin_number and outcome != "superseded":
            machine.reached_pin = sent.pin
        part.end("Success" if is_well else "Failed")
        part.ended = self.now
        if machine.lies == "nonsense":
            part.output = "hello"
            return
        self._note_said(sent, machine, upstream if is_well else "")
        part.output = json.dumps(
            {
                "v": 1,
                "target": sent.roll_out.target,
                "outcome": outcome,
                "before": before or None,
                "after": machine.ran or None,
                "upstream": upstream or None,
                "local_commits": 0,
                "saved": None,
                "step": None,
                "detail": "",
                "seconds": 1.5,
            }
        )

    def _note_said(self, sent: Sent, machine: Machine, commit: str) -> None:
        self.said.setdefault(machine.id, []).append((sent.roll_out.issued, commit))

    def _send(self, sent: Sent, delay: int) -> None:
        """The time of sending is that of arriving at AWS; when it was issued is long decided."""

        def arrive() -> None:
            sent.requested = self.now
            sent.parts = [part for part in sent.parts if part.machine.is_alive]
            sent.order = self.random.sample(range(len(sent.parts)), len(sent.parts))
            self.commands.append(sent)
            self._open.append(sent)

        self._soon(delay, arrive)

    def _command(self, commit: str, issued: int, cause: str, **facts: object) -> Sent:
        roll_out = RollOut(
            repository=SITE,
            commit=CommitSha(commit),
            issued=issued,
            cause=cause,
            delivery="",
            deployment=None,
            timeout=str(TIMEOUT),
            **({"target": "web", "pushed_at": None, "update": self.target.update} | facts),  # type: ignore[arg-type]
        )
        return Sent(
            id=f"command-{len(self.commands)}-{issued}",
            roll_out=roll_out,
            requested=self.now,
            parts=[Part(one) for one in self.machines],
            max_concurrency=int(self.target.max_concurrency),
            max_errors=int(self.target.max_errors),
            order=[],
        )

    def _issue(self) -> int:
        """The time in epoch milliseconds, by AWS's clock; never the same twice."""
        clock = int(time_of(self.now).timestamp() * 1000)
        self._last_issued = max(self._last_issued + 1, clock)
        return self._last_issued

    def _issue_after_all(self, *, clock_is_off: int = 0) -> int:
        """After all that was sent, read by somebody whose clock may be ahead or behind.

        From the future it is cut, as Run Command's history is read.
        """
        known = max((one.roll_out.issued for one in self.commands), default=0)
        clock = self._issue()
        return max(min(clock + clock_is_off * 1000, clock + 300_000), known + 1)

    # --- What people and GitHub do ----------------------------------------------------------------

    def push(self, *, is_bad: bool = False) -> None:
        """A commit on the branch; its delivery waits in the mail."""
        self.upstream.push()
        if is_bad:
            self.upstream.bad.add(self.upstream.tip)
        self.mail.append(Delivery(len(self.upstream.tips) - 1, self.now))

    def force_push(self, *, back: bool) -> None:
        """The tip is taken off the branch, or another commit takes its place."""
        parent = self.upstream.parents[self.upstream.tip]
        if not parent:
            return
        self.upstream.was_forced = True
        if back:
            self.upstream.force(parent)
        else:
            self.upstream.push(parent)
        self.mail.append(Delivery(len(self.upstream.tips) - 1, self.now))

    def deliver(self, number: int, *, stays: bool = False, delay: int = 0) -> None:
        """One of the deliveries in the mail, as flows/deploy.py takes it."""
        if not self.mail:
            return
        delivery = self.mail[number % len(self.mail)]
        if not stays:
            self.mail.remove(delivery)
        issued = self._issue()
        if self.pin.holds(time_of(self.now)):
            return
        commit = self.upstream.tips[delivery.tip]
        sent = self._command(commit, issued, "push", pushed_at=time_of(delivery.pushed))
        sent.asked = delivery.tip
        self._send(sent, delay)

    def lose(self, number: int) -> None:
        """A delivery that nobody will see again."""
        if self.mail:
            self.mail.pop(number % len(self.mail))

    def deploy(self, *, clock_is_off: int = 0) -> None:
        """`pulley deploy`: the tip, whatever was held."""
        issued = self._issue_after_all(clock_is_off=clock_is_off)
        if self.pin.holds(time_of(self.now)):
            return
        sent = self._command(self.upstream.tip, issued, "manual")
        sent.asked = len(self.upstream.tips) - 1
        self._send(sent, 0)

    def set_pin(self, back: int, *, sends: bool, until: int | None = None) -> None:
        """To a commit of the branch; the command that brings it about may be left to a round."""
        line = self.upstream.line_of(self.upstream.tip)
        commit = line[min(back, len(line) - 1)]
        end = None if until is None else time_of(self.now + until)
        self._change_pin(Pin("pinned", CommitSha(commit), until=end))
        if sends:
            self.send_pinned()

    def send_pinned(self) -> None:
        """The pinned commit, by an operator."""
        assert self.pin.commit
        issued = self._issue_after_all()
        sent = self._command(self.pin.commit.sha, issued, "manual", update="exact")
        sent.pin = self.pin_number
        self._send(sent, 0)

    def freeze(self, until: int | None = None) -> None:
        end = None if until is None else time_of(self.now + until)
        self._change_pin(Pin("frozen", until=end))

    def unpin(self) -> None:
        self._change_pin(Pin("none"))

    def _change_pin(self, pin: Pin) -> None:
        self.pin = pin
        self.pin_number += 1

    def cancel(self) -> None:
        """The newest command that is under way."""
        if not self._open:
            return
        sent = self._open[-1]
        sent.is_cancelled = True
        for part in sent.parts:
            if not part.is_over:
                part.ended = self.now if part.status == "InProgress" else None
                part.end("Cancelled")

    def drift(self, number: int) -> None:
        """Somebody on a host goes back to an older commit by hand."""
        machine = self.machines[number % len(self.machines)]
        if machine.ran and self.upstream.parents[machine.ran]:
            machine.head = self.upstream.parents[machine.ran]

    def run_beside(self, number: int) -> None:
        """Another target has the same checkout on one host."""
        if self.pin.holds(time_of(self.now)):
            return
        commit = self.upstream.tip
        sent = self._command(commit, self._issue_after_all(), "push", target="job")
        sent.parts = [sent.parts[number % len(sent.parts)]]
        self._send(sent, 0)

    def join(self) -> None:
        self.machines.append(Machine(f"i-{len(self.machines):017x}"))

    # --- Reconciling ------------------------------------------------------------------------------

    def facts(self, *, reads_head: bool = True, lag: int = 0, hidden: int = 0) -> TargetFacts:
        """What a round knows: without the commands of the last `lag` seconds."""
        known = [sent.as_run(self.now, hidden=hidden) for sent in self._seen(lag)]
        self.random.shuffle(known)
        runs = [run for run in known if run.roll_out.target == self.target.name]
        return TargetFacts(
            target=self.target,
            hosts=[
                Host(one.id, one.id[-3:], is_online=one.is_awake)
                for one in self.machines
                if one.is_alive
            ],
            runs=runs,
            head=CommitSha(self.upstream.tip) if self.has_token and reads_head else None,
            pin=self.pin,
            beside=[run for run in known if run.roll_out.target != self.target.name],
            hold=self.hold,
        )

    def _seen(self, lag: int = 0) -> list[Sent]:
        return [
            sent for sent in self.commands if self.now - HISTORY <= sent.requested <= self.now - lag
        ]

    def round(
        self, *, reads_head: bool = True, lag: int = 0, hidden: int = 0, delay: int = 0
    ) -> TargetPlan:
        """Plan now, and apply it after `delay`, unless somebody pinned or let go in between."""
        begun = self._issue_after_all()
        facts = self.facts(reads_head=reads_head, lag=lag, hidden=hidden)
        made = plan_target(facts, now=time_of(self.now))
        self.hold = made.hold
        self._check_plan(made, self._seen(lag))
        held = frozenset(sha for sha in self.upstream.parents if self.is_held(sha, self._seen(lag)))
        tip, pin_number = self.upstream.tip, self.pin_number
        is_pinned = self.pin.holds(time_of(self.now))

        def apply() -> None:
            if pin_number != self.pin_number:
                return
            for send in made.sends:
                # Whatever was sent since the round began wins.
                sent = self._command(
                    send.wanted.commit.sha,
                    begun,
                    "reconcile",
                    update=send.wanted.update,
                    attempt=send.attempt,
                )
                sent.parts = [one for one in sent.parts if one.machine.id in send.instance_ids]
                sent.pin = pin_number if is_pinned else 0
                sent.held, sent.tip = held, tip
                sent.is_way_back = send.wanted.is_way_back
                self.sent_by_rounds += [(self.now, one) for one in send.instance_ids]
                self._send(sent, 0)

        self._soon(delay, apply)
        return made

    # --- The promises -----------------------------------------------------------------------------

    def is_held(self, commit: str, seen: list[Sent]) -> bool:
        """Whether the newest roll-out of a commit, or what rounds added to it, was stopped.

        Not where most hosts had said before that they run it.
        """
        is_held = False
        for one in sorted(seen, key=lambda sent: sent.roll_out.issued):
            if one.roll_out.commit.sha != commit or one.roll_out.target != self.target.name:
                continue
            is_held = is_held and one.roll_out.cause == "reconcile"
            if one.was_stopped:
                is_held = is_held or self._most_run(commit, one.roll_out.issued) != commit
        return is_held

    def _most_run(self, commit: str, before: int) -> str:
        """The commit that most hosts said, before that time, that they run."""
        last = []
        for said in self.said.values():
            earlier = [one for one in said if one[0] < before and one[1]]
            last += [max(earlier)] if earlier else []
        told = [sha for _, sha in last]
        newest = {sha: issued for issued, sha in sorted(last)}
        return max(told, key=lambda one: (told.count(one), one != commit, newest[one]), default="")

    def _check_plan(self, made: TargetPlan, seen: list[Sent]) -> None:
        for send in made.sends:
            assert len(send.instance_ids) <= MAX_IDS
            commit = send.wanted.commit.sha
            assert not self.is_held(commit, seen), "a held commit is sent"
            if self.pin.holds(time_of(self.now)):
                assert self.pin.state == "pinned", "frozen, and something is sent"
                assert send.wanted.commit == self.pin.commit, "a pin is left by a round"
                assert send.wanted.is_exact, "a pin's commit is sent as a tip"
            for sent in seen:
                if self.now <= sent.expires and not sent.is_over:
                    self._check_beside(send, sent)
            for machine in self._machines_of(send):
                assert machine.is_alive, "a host that is gone is sent something"
                assert machine.is_awake, "a host that sleeps is sent something"
                if made.held and made.hold and made.hold.kind != CANCELLED:
                    is_known = any(part.machine is machine for one in seen for part in one.parts)
                    is_fine = machine.ran != commit or machine.lies or not is_known
                    assert is_fine, "a good host is sent something"

    def _check_beside(self, send: Send, under_way: Sent) -> None:
        """What is sent while another command is under way."""
        if under_way.roll_out.target == self.target.name and not under_way.roll_out.is_recheck:
            assert under_way.roll_out.commit != send.wanted.commit, (
                "a commit is sent while its roll-out may still be stopped"
            )
        for part in under_way.parts:
            assert part.is_over or part.machine.id not in send.instance_ids, (
                "a host is sent a command while it runs one"
            )

    def _machines_of(self, send: Send) -> list[Machine]:
        return [one for one in self.machines if one.id in send.instance_ids]

    def _check_move(self, sent: Sent, machine: Machine, before: str) -> None:
        if machine.ran == before:
            return
        to, cause = machine.ran, sent.roll_out.cause
        is_tip = to == self.upstream.tip
        if before and self.upstream.has(before, to) and not sent.pin and not sent.is_way_back:
            assert is_tip, "a host moved backwards"
            assert self.upstream.was_forced, "a host moved backwards without a force push"
        if self.pin.holds(time_of(self.now)) and machine.reached_pin == self.pin_number:
            assert sent.pin == self.pin_number, "a pin is left"
        if cause == "reconcile" and to in sent.held:
            # A tip that came while the command was on its way, by a force push back to it, or that
            # nobody could know of, is nobody's fault.
            is_excused = self.upstream.was_forced and (
                sent.tip != self.upstream.tip or not self.has_token
            )
            assert is_excused, "a held commit is spread"

    # --- The end ----------------------------------------------------------------------------------

    def end_faults(self) -> None:
        """All is well from now on, and what was on its way has come or is lost."""
        for machine in self.machines:
            machine.is_awake, machine.ails, machine.lies = True, "", ""
        self.upstream.bad.clear()
        self.mail.clear()
        self.wait(2 * (DELIVERY_TIMEOUT + TIMEOUT))
        self.wait(6 * 3600)  # the longest back-off, and how old the newest word may grow

    def wake_what_is_stuck(self) -> bool:
        """One more push, or an operator's word on a pin, where a round alone may do nothing."""
        made = plan_target(self.facts(), now=time_of(self.now))
        is_parked = any(one.action == PARKED for one in made.hosts)
        if not made.wanted or not (made.held or is_parked or self._asks_in_vain(made)):
            return False
        if made.wanted.is_exact:
            self.send_pinned()
        else:
            self.push()
            self.deliver(-1)
        self.wait(2 * (DELIVERY_TIMEOUT + TIMEOUT))
        return True

    def _asks_in_vain(self, made: TargetPlan) -> bool:
        """Whether the newest that anybody asked for has left the branch, and nobody knows."""
        wanted = made.wanted
        return bool(wanted and not self.has_token and self._is_gone(wanted.commit.sha))

    def two_rounds(self) -> None:
        for _ in range(2):
            self.round()
            self.wait(900)

    def check_all_there(self) -> None:
        """Every host that is up runs what is wanted."""
        pin = self.pin if self.pin.holds(time_of(self.now)) else None
        if pin and pin.commit is None:
            return
        is_known = self.has_token or any(
            one.roll_out.target == "web" and one.roll_out.update != "exact" for one in self.commands
        )
        for machine in self.machines:
            if machine.is_alive:
                told = f"{machine.id} runs {machine.ran[-4:] or 'nothing'}"
                if pin or is_known:
                    assert machine.head == machine.ran, f"{told}, and somebody moved it"
                    assert machine.ran_for != "job", f"{told} for another target"
                if pin and pin.commit:
                    is_there = machine.ran == pin.commit.sha and machine.is_detached
                    assert is_there or self._is_gone(pin.commit.sha), told
                elif self.has_token:
                    assert machine.ran == self.upstream.tip, told
                    assert not machine.is_detached, f"{machine.id} is not back on the branch"
                else:
                    assert self._is_fit_without_token(machine), told

    def _is_gone(self, commit: str) -> bool:
        """Whether a force push took the commit off the branch: then no host can get it."""
        return not self.upstream.has(self.upstream.tip, commit)

    def _is_fit_without_token(self, machine: Machine) -> bool:
        """Whether it runs the newest tip that anybody asked for, or one that came later."""
        newest = max((sent.asked for sent in self.commands), default=-1)
        is_there = machine.ran in self.upstream.tips[newest:] and not machine.is_detached
        return newest < 0 or is_there
