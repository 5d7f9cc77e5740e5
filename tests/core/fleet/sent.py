"""Commands as Run Command stores and lists them."""

from dataclasses import dataclass, field

from chalicelib.core.history import Check, Command, Invocation, Look, RollOut, Run, SentCommand
from tests.core.fleet.machine import Machine
from tests.core.fleet.times import DELIVERY_TIMEOUT, LISTED_AFTER, LISTED_IN_FULL, TIMEOUT, time_of

OVER = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})


@dataclass
class Part:
    """A command on one host. `saw` is the true finding of a check: "well", "behind" its
    branch, "drift" or "". `is_false` is whether the host printed a false result. The script ended
    at `ended` by AWS's clock, and at `told` by the host's.
    """

    machine: Machine
    status: str = "Pending"
    details: str = "Pending"
    is_sent: bool = False
    begins: int = 0
    ends: int = 0
    output: str = ""
    ended: int | None = None
    told: int | None = None
    saw: str = ""
    is_false: bool = False

    @property
    def is_over(self) -> bool:
        return self.status in OVER

    def end_script(self, now: int) -> None:
        self.ended, self.told = now, now + self.machine.clock_is_off

    def end(self, status: str, details: str = "") -> None:
        self.status, self.details = status, details or status


@dataclass(kw_only=True)
class Sent:
    """A command with the stage's document. `number` is unique."""

    number: int
    requested: int
    parts: list[Part]
    max_concurrency: int
    max_errors: int
    order: list[int] = field(default_factory=list)
    is_cancelled: bool = False

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

    def is_final(self, now: int) -> bool:
        """Whether Systems Manager has listed all of it."""
        return now - self.requested >= LISTED_IN_FULL and self.is_over

    def is_listed(self, now: int) -> bool:
        """Whether Systems Manager lists its hosts yet."""
        return now - self.requested >= LISTED_AFTER

    def invocations(self, now: int, *, hidden: int) -> tuple[Invocation, ...]:
        """The invocations that Systems Manager lists, without the last `hidden` invocations."""
        parts = [self.parts[index] for index in self.order] if self.is_listed(now) else []
        if hidden and not self.is_final(now):
            parts = parts[: max(0, len(parts) - hidden)]
        return tuple(_invocation(part) for part in parts)

    def as_command(self, now: int) -> SentCommand:
        """The command as Systems Manager lists it."""
        is_listed = self.is_listed(now)
        if not self.is_over or (self.parts and not is_listed):
            status, details = "InProgress", "InProgress"
        elif self.errors > self.max_errors:
            status, details = "Failed", "Failed"
        else:
            status, details = "Success", "Success" if self.parts else "NoInstancesInTag"
        if self.is_cancelled:
            status, details = "Cancelled", "Cancelled"
        return SentCommand(
            id=f"command-{self.number}",
            status=status,
            details=details,
            requested=time_of(self.requested),
            expires=time_of(self.expires),
            target_count=len(self.parts) if is_listed else 0,
        )


@dataclass(kw_only=True)
class SentRun(Sent):
    """A command that deploys. `pin` is the number of the pin that it serves. `held` has the commits
    that were held when the round planned it, `tip` is the branch's tip at that time.
    """

    roll_out: RollOut
    asked: int = -1  # the number of the tip that a push or a person asked for
    pin: int = 0
    held: frozenset[str] = frozenset()
    tip: str = ""
    is_way_back: bool = False
    final: Run | None = None

    def as_run(self, now: int, *, hidden: int) -> Run:
        if self.final is None:
            command = Command(roll_out=self.roll_out, **vars(self.as_command(now)))
            run = Run(command, self.invocations(now, hidden=hidden))
            if not self.is_final(now):
                return run
            self.final = run
        return self.final


@dataclass(kw_only=True)
class SentCheck(Sent):
    """A command that checks the hosts of a target."""

    target: str
    final: Look | None = None

    def as_look(self, now: int, *, hidden: int) -> Look:
        if self.final is None:
            selectors = (("InstanceIds", tuple(part.machine.id for part in self.parts)),)
            facts = vars(self.as_command(now)) | {"selectors": selectors}
            check = Check(checkout="/srv/site", target=self.target, **facts)
            look = Look(check, self.invocations(now, hidden=hidden))
            if not self.is_final(now):
                return look
            self.final = look
        return self.final


def _invocation(part: Part) -> Invocation:
    machine = part.machine
    ended = None if part.told is None else time_of(part.told)
    return Invocation(machine.id, machine.id[-3:], part.status, part.details, part.output, ended)
