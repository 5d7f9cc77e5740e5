"""Commands, as Run Command has them."""

from dataclasses import dataclass

from chalicelib.core.history import Command, Invocation, RollOut, Run
from tests.core.fleet.machine import Machine
from tests.core.fleet.times import DELIVERY_TIMEOUT, LISTED_AFTER, TIMEOUT, time_of

OVER = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})


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
