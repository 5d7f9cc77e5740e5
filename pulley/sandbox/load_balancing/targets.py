"""A target of a group: its state, and the requests that it is answering. No threads, no AWS.

Source: Elastic Load Balancing, User Guide for Application Load Balancers, "Health checks for
Application Load Balancer target groups" (the states, reasons and descriptions).
"""

import socket
from contextlib import suppress
from dataclasses import dataclass, field

INITIAL, HEALTHY, UNHEALTHY = "initial", "healthy", "unhealthy"
DRAINING, UNUSED = "draining", "unused"


@dataclass(frozen=True)
class Health:
    """A target's state. A healthy target has neither reason nor description."""

    state: str
    reason: str = ""
    description: str = ""

    def described(self) -> dict[str, str]:
        """The health as DescribeTargetHealth shows it."""
        shown = {"State": self.state, "Reason": self.reason, "Description": self.description}
        return {key: value for key, value in shown.items() if value}


IS_HEALTHY = Health(HEALTHY)
IS_BEING_REGISTERED = Health(
    INITIAL, "Elb.RegistrationInProgress", "Target registration is in progress"
)
IS_FIRST_CHECKED = Health(INITIAL, "Elb.InitialHealthChecking", "Initial health checks in progress")
IS_DRAINING = Health(
    DRAINING, "Target.DeregistrationInProgress", "Target deregistration is in progress"
)
IS_NOT_REGISTERED = Health(
    UNUSED, "Target.NotRegistered", "Target is not registered to the target group"
)
IS_NOT_IN_USE = Health(
    UNUSED,
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)


def in_state(state: str) -> Health:
    """The health of a target whose instance does not run, by EC2's state."""
    return Health(UNUSED, "Target.InvalidState", f"Target is in the {state} state")


@dataclass(eq=False)
class Target:
    """An instance and a port, from its registration to the end of its draining."""

    instance_id: str
    port: int
    health: Health = IS_BEING_REGISTERED
    drained_at: float | None = None  # when the draining ends, of the monotonic clock
    connections: set[socket.socket] = field(default_factory=set)  # of requests under way
    _passed: int = 0
    _failed: int = 0

    @property
    def is_draining(self) -> bool:
        """Whether it gets no new requests."""
        return self.drained_at is not None

    def register_again(self) -> None:
        """Begin anew. Requests under way go on."""
        self.health, self.drained_at = IS_BEING_REGISTERED, None
        self._passed = self._failed = 0

    def note_check(
        self, failure: Health | None, *, healthy_after: int, unhealthy_after: int
    ) -> None:
        """Judge by one more health check. A new target needs one that passes."""
        if failure is None:
            self._passed, self._failed = self._passed + 1, 0
            if self.health.state == INITIAL or self._passed >= healthy_after:
                self.health = IS_HEALTHY
            return
        self._passed, self._failed = 0, self._failed + 1
        if self.health.state == UNHEALTHY or self._failed >= unhealthy_after:
            self.health = failure
        elif self.health.state == INITIAL:
            self.health = IS_FIRST_CHECKED

    def cut(self) -> None:
        """Cut the requests under way."""
        for connection in self.connections:
            with suppress(OSError):  # the target was faster
                connection.shutdown(socket.SHUT_RDWR)
