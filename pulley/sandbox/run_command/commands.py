"""Commands and their invocations, as values: a change makes a new one.

The status of a command follows from its invocations, so it is computed and never stored.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pulley.sandbox.run_command.documents import Document
from pulley.sandbox.run_command.send_request import ReceivedRequest
from pulley.sandbox.run_command.statuses import (
    CANCELLED,
    CANCELLING,
    DELIVERY_TIMED_OUT,
    ERRORS,
    EXECUTION_TIMED_OUT,
    FAILED,
    IN_PROGRESS,
    INCOMPLETE,
    INCOMPLETE_WITHOUT_SUCCESS,
    NO_INSTANCES_IN_TAG,
    PENDING,
    SUCCESS,
    TERMINATED,
    UNDELIVERABLE,
    Status,
    StepResult,
)


@dataclass(frozen=True)
class EmulatedInvocation:
    """A command on one instance. It is sent when MaxConcurrency allows.

    `trace` is why the agent refused the document; then no step has a result.
    """

    instance_id: str
    instance_name: str
    status: Status = PENDING
    sent: bool = False
    results: tuple[StepResult, ...] = ()
    trace: str = ""


@dataclass(frozen=True)
class EmulatedCommand:
    """One SendCommand. `resolved` is false until its target selectors have been resolved."""

    id: str
    request: ReceivedRequest
    document: Document
    requested: datetime
    invocations: tuple[EmulatedInvocation, ...]
    resolved: bool = False
    cancel_requested: bool = False

    def invocation(self, instance_id: str) -> EmulatedInvocation | None:
        """Find the invocation on this instance."""
        return next((one for one in self.invocations if one.instance_id == instance_id), None)

    def with_invocation(self, changed: EmulatedInvocation) -> "EmulatedCommand":
        """Replace the instance's invocation with this one."""
        return replace(
            self,
            invocations=tuple(
                changed if one.instance_id == changed.instance_id else one
                for one in self.invocations
            ),
        )

    def count(self, *statuses: Status) -> int:
        """How many invocations have one of these statuses."""
        return sum(one.status in statuses for one in self.invocations)

    @property
    def expires_after(self) -> datetime:
        """When the command is over at the latest: after the delivery and the steps' limits."""
        values = self.document.texts(self.document.complete(self.request.parameters))
        seconds = sum(step.timeout_seconds(values) for step in self.document.steps)
        return self.requested + timedelta(seconds=self.request.timeout_seconds + seconds)

    @property
    def completed_count(self) -> int:
        """Invocations that will not change again."""
        return sum(one.status.terminal for one in self.invocations)

    @property
    def error_count(self) -> int:
        """Invocations that count against MaxErrors."""
        return self.count(*ERRORS)

    @property
    def stopped_by_errors(self) -> bool:
        """Whether more have failed than MaxErrors allows."""
        return self.error_count > _share(self.request.max_errors, len(self.invocations))

    @property
    def free_turns(self) -> int:
        """How many more hosts MaxConcurrency allows now."""
        under_way = sum(one.sent and not one.status.terminal for one in self.invocations)
        allowed = max(1, _share(self.request.max_concurrency, len(self.invocations)))
        return allowed - under_way

    @property
    def status(self) -> Status:
        """The command's own status."""
        if not self.resolved:
            return PENDING
        if self.completed_count == len(self.invocations):
            return self._final_status()
        if self.cancel_requested:
            return CANCELLING
        begun = self.completed_count or self.count(IN_PROGRESS)
        return IN_PROGRESS if begun else PENDING

    def _final_status(self) -> Status:
        total = len(self.invocations)
        if not total:
            return NO_INSTANCES_IN_TAG
        if self.cancel_requested and self.count(CANCELLED):
            return CANCELLED
        if self.stopped_by_errors:
            return FAILED if self.count(FAILED) else EXECUTION_TIMED_OUT
        if self.count(SUCCESS, UNDELIVERABLE) == total:
            return SUCCESS
        if self.count(DELIVERY_TIMED_OUT, UNDELIVERABLE) == total:
            return DELIVERY_TIMED_OUT
        return INCOMPLETE if self.count(SUCCESS) else INCOMPLETE_WITHOUT_SUCCESS


def terminate_unsent(command: EmulatedCommand) -> EmulatedCommand:
    """Terminate every invocation that was not sent yet."""
    for one in command.invocations:
        if not one.sent and not one.status.terminal:
            command = command.with_invocation(replace(one, status=TERMINATED))
    return command


def _share(limit: str, total: int) -> int:
    """Read a count, or a percentage of the instances, which is rounded down."""
    if limit.endswith("%"):
        return math.floor(total * int(limit.removesuffix("%")) / 100)
    return int(limit)
