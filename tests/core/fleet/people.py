"""What people and GitHub do to a target, its hosts and its branch."""

from collections.abc import Sequence
from random import Random

from chalicelib.core.history import RollOut
from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from tests.core.fleet.account import Account
from tests.core.fleet.machine import Machine
from tests.core.fleet.sent import Part, SentCheck, SentRun
from tests.core.fleet.times import TIMEOUT, time_of
from tests.core.fleet.upstream import Delivery
from tests.fakes import SITE


class People(Account):
    """Each act takes no time. `mail` has the deliveries that GitHub has not sent yet."""

    def __init__(self, random: Random, target: Target, hosts: int) -> None:
        super().__init__(random, target, hosts)
        self.mail: list[Delivery] = [Delivery(0, 0)]
        self._last_issued = self._numbers = 0

    # --- What is sent -----------------------------------------------------------------------------

    def command(self, commit: str, issued: int, cause: str, **facts: object) -> SentRun:
        roll_out = RollOut(
            repository=SITE,
            commit=CommitSha(commit),
            issued=issued,
            cause=cause,
            delivery="",
            deployment=None,
            timeout=str(TIMEOUT),
            checkout=self.target.checkout,
            **({"target": "web", "pushed_at": None, "update": self.target.update} | facts),  # type: ignore[arg-type] # of a dict
        )
        return SentRun(
            number=self._next_number(),
            roll_out=roll_out,
            requested=self.now,
            parts=[Part(one) for one in self.machines],
            max_concurrency=int(self.target.max_concurrency),
            max_errors=int(self.target.max_errors),
        )

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def issue(self) -> int:
        """The time in epoch milliseconds, by AWS's clock; never the same twice."""
        clock = int(time_of(self.now).timestamp() * 1000)
        self._last_issued = max(self._last_issued + 1, clock)
        return self._last_issued

    def issue_after_all(self, *, clock_is_off: int = 0) -> int:
        """A time after every command, from a clock that may be ahead or behind.

        A time in the future is clamped, as in the history of Run Command.
        """
        known = max((one.roll_out.issued for one in self.commands), default=0)
        clock = self.issue()
        return max(min(clock + clock_is_off * 1000, clock + 300_000), known + 1)

    # --- What they do -----------------------------------------------------------------------------

    def push(self, *, is_bad: bool = False) -> None:
        """Push a commit to the branch; its delivery waits in the mail."""
        self.upstream.push()
        if is_bad:
            self.upstream.bad.add(self.upstream.tip)
        self.mail.append(Delivery(len(self.upstream.tips) - 1, self.now))

    def force_push(self, *, back: bool) -> None:
        """Remove the tip from the branch, or replace it by another commit."""
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
        """Handle one of the deliveries in the mail as flows/deploy.py does."""
        if not self.mail:
            return
        delivery = self.mail[number % len(self.mail)]
        if not stays:
            self.mail.remove(delivery)
        issued = self.issue()
        if self.is_pinned:
            return
        commit = self.upstream.tips[delivery.tip]
        sent = self.command(commit, issued, "push", pushed_at=time_of(delivery.pushed))
        sent.asked = delivery.tip
        self.send(sent, delay)

    def lose(self, number: int) -> None:
        """Lose one of the deliveries in the mail."""
        if self.mail:
            self.mail.pop(number % len(self.mail))

    def deploy(self, *, clock_is_off: int = 0) -> None:
        """`pulley deploy`: send the tip, even if it is held."""
        issued = self.issue_after_all(clock_is_off=clock_is_off)
        self.was_clock_fast = self.was_clock_fast or clock_is_off > 0
        if self.is_pinned:
            return
        sent = self.command(self.upstream.tip, issued, "manual")
        sent.asked = len(self.upstream.tips) - 1
        self.send(sent, 0)

    def set_pin(self, back: int, *, sends: bool, until: int | None = None) -> None:
        """Pin to a commit of the branch; without `sends`, a round sends the commit."""
        line = self.upstream.line_of(self.upstream.tip)
        commit = line[min(back, len(line) - 1)]
        end = None if until is None else time_of(self.now + until)
        self._change_pin(Pin("pinned", CommitSha(commit), until=end))
        if sends:
            self.send_pinned()

    def send_pinned(self) -> None:
        """An operator sends the pinned commit."""
        assert self.pin.commit
        issued = self.issue_after_all()
        sent = self.command(self.pin.commit.sha, issued, "manual", update="exact")
        sent.pin = self.pin_number
        self.send(sent, 0)

    def freeze(self, until: int | None = None) -> None:
        end = None if until is None else time_of(self.now + until)
        self._change_pin(Pin("frozen", until=end))

    def unpin(self) -> None:
        self._change_pin(Pin("none"))

    def _change_pin(self, pin: Pin) -> None:
        self.pin = pin
        self.pin_number += 1

    def check(self, asked: Sequence[Machine] | None = None, *, target: str = "web") -> None:
        """`pulley doctor` and `pulley status --live`: check these hosts, or all, if online.

        An operator's clock may be wrong: no fact that is read from a check has its time.
        """
        asked = self.machines if asked is None else asked
        asked = [one for one in asked if one.is_alive and one.is_awake]
        if not asked:
            return
        sent = SentCheck(
            number=self._next_number(),
            target=target,
            requested=self.now,
            parts=[Part(one) for one in asked],
            max_concurrency=len(asked),
            max_errors=len(asked),
        )
        self.send(sent, 0)

    def drift(self, number: int) -> None:
        """Somebody moves the checkout of a host to an older commit by hand."""
        machine = self.machines[number % len(self.machines)]
        if machine.ran and self.upstream.parents[machine.ran]:
            machine.head = self.upstream.parents[machine.ran]

    def put_back(self, number: int) -> None:
        """Somebody moves the checkout back to the deployed commit."""
        machine = self.machines[number % len(self.machines)]
        machine.head = machine.ran or machine.head

    def run_beside(self, number: int) -> None:
        """Another target deploys to the same checkout on one host."""
        if self.is_pinned:
            return
        commit = self.upstream.tip
        sent = self.command(commit, self.issue_after_all(), "push", target="job")
        sent.parts = [sent.parts[number % len(sent.parts)]]
        self.send(sent, 0)

    def join(self) -> None:
        self.machines.append(Machine(f"i-{len(self.machines):017x}"))
