"""The statuses of commands and invocations, and a step's result.

Source: Systems Manager User Guide, "Understanding command statuses". The page writes the details
with spaces (`Delivery Timed Out`), the API without; this module follows the API.
"""

from dataclasses import dataclass
from datetime import datetime

from pulley.sandbox.run_command.script import join_output


@dataclass(frozen=True)
class Status:
    """A status with its details: several details share one name."""

    name: str
    details: str
    terminal: bool = True


PENDING = Status("Pending", "Pending", terminal=False)
DELAYED = Status("Delayed", "Delayed", terminal=False)
IN_PROGRESS = Status("InProgress", "InProgress", terminal=False)
CANCELLING = Status("Cancelling", "Cancelling", terminal=False)
SUCCESS = Status("Success", "Success")
FAILED = Status("Failed", "Failed")
EXECUTION_TIMED_OUT = Status("TimedOut", "ExecutionTimedOut")
DELIVERY_TIMED_OUT = Status("TimedOut", "DeliveryTimedOut")
CANCELLED = Status("Cancelled", "Cancelled")
TERMINATED = Status("Cancelled", "Terminated")
UNDELIVERABLE = Status("Failed", "Undeliverable")
NO_INSTANCES_IN_TAG = Status("Success", "NoInstancesInTag")
INCOMPLETE = Status("Success", "Incomplete")
INCOMPLETE_WITHOUT_SUCCESS = Status("Failed", "Incomplete")

# These count against MaxErrors. A host that was not reached does not.
ERRORS = frozenset({FAILED, EXECUTION_TIMED_OUT})


@dataclass(frozen=True)
class StepResult:
    """One step's result. The agent has cut `stdout` and `stderr`.

    `reason` is the agent's text in place of the output, if it did not see the step's end.
    """

    name: str
    status: Status
    exit_code: int
    stdout: bytes
    stderr: bytes
    started: datetime
    finished: datetime
    reason: str = ""

    @property
    def output(self) -> str:
        """The field `Output` of ListCommandInvocations."""
        return self.reason or join_output(self.stdout, self.stderr).decode(errors="ignore")
