"""A host of the sandbox, and the SSM agent on it.

The agent's habits are what a script must live with, so they are kept: an environment made from
nothing, text substitution, SIGKILL at the limit, output cut short. Source: the agent's source
(runscript.go, pluginutil.go). The host itself is only a directory on this machine.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pulley.sandbox.documents import Document, ParameterError, ParameterValues, Step
from pulley.sandbox.script import STDERR_BYTES, Ending, Outcome, Script
from pulley.sandbox.statuses import (
    CANCELLED,
    EXECUTION_TIMED_OUT,
    FAILED,
    SUCCESS,
    Status,
    StepResult,
)

AGENT_VERSION = "3.3.3572.0"
# The first one that knows `interpolationType`; an older one substitutes text.
_KNOWS_ENVIRONMENT = (3, 3, 2746, 0)
_AT_ONCE, _QUEUED = 5, 5
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REBOOT, _KILLED, _SKIP_AS_SUCCESS, _SKIP_AS_FAILURE = 194, 137, 168, 169
_SKIP_THE_REST = frozenset({_SKIP_AS_SUCCESS, _SKIP_AS_FAILURE})


class NotDeliveredError(Exception):
    """The host could not be reached in time."""


class NotStartedError(Exception):
    """The command was cancelled before the host began with it."""


@dataclass(frozen=True)
class Order:
    """A command as the agent receives it. `delivery_seconds` is how long it waits for the host."""

    command_id: str
    document: Document
    parameters: ParameterValues
    delivery_seconds: float


class Host:
    """An instance with an agent. Asleep, it takes no command, but ends those that run."""

    def __init__(  # noqa: PLR0913 - each is a fact of its own
        self,
        name: str,
        instance_id: str,
        *,
        root: Path,
        region: str,
        agent_directory: Path,
        path_prefix: Sequence[Path] = (),
        agent_version: str = AGENT_VERSION,
        second: float = 1.0,
    ) -> None:
        """`second` is how long one of the seconds of a step's `timeoutSeconds` takes."""
        self.name = name
        self.instance_id = instance_id
        self.root = root
        self.agent_version = agent_version
        self._last_seen = datetime.now(UTC)
        self._region = region
        self._directory = agent_directory
        self._directory.mkdir(mode=0o700, parents=True)
        self._path = ":".join([*map(str, path_prefix), _SYSTEM_PATH])
        self._second = second
        self._changed = threading.Condition()
        self._asleep = False
        self._closed = False
        self._accepted: set[str] = set()
        self._running: set[str] = set()
        self._cancelled: set[str] = set()
        self._scripts: dict[str, Script] = {}

    @property
    def asleep(self) -> bool:
        """Whether the agent has lost its connection."""
        return self._asleep

    @property
    def last_ping(self) -> datetime:
        """When the agent was last heard of: now, unless it sleeps."""
        return self._last_seen if self._asleep else datetime.now(UTC)

    def sleep(self) -> None:
        """Lose the connection: commands wait until `wake`, or until their delivery times out."""
        with self._changed:
            self._last_seen = self.last_ping
            self._asleep = True

    def wake(self) -> None:
        """Connect again."""
        with self._changed:
            self._asleep = False
            self._changed.notify_all()

    def carry_out(
        self, order: Order, *, delivered: Callable[[], None]
    ) -> tuple[Status, tuple[StepResult, ...]]:
        """Wait for the host, then run the document's steps. `delivered` is called in between.

        Raises NotDeliveredError or NotStartedError.
        """
        command_id = order.command_id
        self._enter(self._accepted, command_id, _AT_ONCE + _QUEUED, order.delivery_seconds)
        try:
            delivered()
            self._enter(self._running, command_id, _AT_ONCE, None)
            return self._run(order)
        finally:
            with self._changed:
                self._accepted.discard(command_id)
                self._running.discard(command_id)
                self._changed.notify_all()

    def cancel(self, command_id: str) -> None:
        """Kill the command's script, or keep it from starting."""
        with self._changed:
            self._cancelled.add(command_id)
            if script := self._scripts.get(command_id):
                script.cancel()
            self._changed.notify_all()

    def close(self) -> None:
        """Kill what runs, and take nothing more."""
        with self._changed:
            self._closed = True
            for script in self._scripts.values():
                script.cancel()
            self._changed.notify_all()

    def _enter(self, room: set[str], command_id: str, places: int, seconds: float | None) -> None:
        """Wait for a place; on the way into the host also for its connection."""

        def is_cancelled() -> bool:
            return self._closed or command_id in self._cancelled

        def has_place() -> bool:
            reachable = room is self._running or not self._asleep
            return reachable and len(room) < places

        with self._changed:
            self._changed.wait_for(lambda: is_cancelled() or has_place(), seconds)
            if is_cancelled():
                raise NotStartedError
            if not has_place():
                raise NotDeliveredError
            room.add(command_id)

    def _run(self, order: Order) -> tuple[Status, tuple[StepResult, ...]]:
        try:
            order.document.check(order.parameters)
            values: ParameterValues = order.document.complete(order.parameters)
            for parameter in order.document.parameters:
                parameter.check(values[parameter.name])
        except ParameterError as error:
            now = datetime.now(UTC)
            return FAILED, tuple(
                StepResult(step.name, FAILED, 1, b"", str(error).encode(), now, now)
                for step in order.document.steps
            )
        values = self._inside_root(values)
        results: list[StepResult] = []
        for step in order.document.steps:
            result = self._run_step(order, step, values)
            results.append(result)
            # A failed step does not stop the next one; these do.
            if result.status is CANCELLED or result.exit_code in _SKIP_THE_REST:
                break
        unsuccessful = [result.status for result in results if result.status is not SUCCESS]
        return (unsuccessful[-1] if unsuccessful else SUCCESS), tuple(results)

    def _run_step(self, order: Order, step: Step, values: ParameterValues) -> StepResult:
        by_environment = {
            parameter.name
            for parameter in order.document.parameters
            if parameter.by_environment and _numbers(self.agent_version) >= _KNOWS_ENVIRONMENT
        }
        text_values = {name: value for name, value in values.items() if name not in by_environment}
        environment = {
            "PATH": self._path,
            "SSM_COMMAND_ID": order.command_id,
            "AWS_SSM_INSTANCE_ID": self.instance_id,
            "AWS_SSM_REGION_NAME": self._region,
        } | {f"SSM_{name}": "\n".join(values[name]) for name in by_environment}
        started = datetime.now(UTC)
        while True:
            outcome = self._run_script(
                order.command_id,
                self._directory / "document" / "orchestration" / order.command_id / step.name,
                step.script(text_values),
                environment,
                step.timeout_seconds(text_values) * self._second,
            )
            if outcome.ending is not Ending.ITSELF or outcome.exit_code != _REBOOT:
                break
            # The host would restart here, and then the agent runs the step once more.
        status, exit_code, remark = _judge(outcome)
        stderr = (outcome.stderr + remark.encode())[:STDERR_BYTES]
        finished = datetime.now(UTC)
        return StepResult(step.name, status, exit_code, outcome.stdout, stderr, started, finished)

    def _run_script(
        self,
        command_id: str,
        directory: Path,
        text: str,
        environment: Mapping[str, str],
        seconds: float,
    ) -> Outcome:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._changed:
            if self._closed or command_id in self._cancelled:
                return Outcome(Ending.CANCELLED, -1, b"", b"")
            script = Script(
                directory / "_script.sh", text, directory=self._directory, environment=environment
            )
            self._scripts[command_id] = script
        try:
            return script.wait(seconds)
        finally:
            with self._changed:
                del self._scripts[command_id]

    def _inside_root(self, values: ParameterValues) -> ParameterValues:
        """Stand in for a chroot, in this one place: the value of `Checkout` moves below `root`.

        A host of the sandbox has no file system of its own, only a directory. A document knows
        no such thing: it says `/srv/site`, and means the host's.
        """
        checkout = "".join(values.get("Checkout", ()))
        if not checkout.startswith("/"):
            return values
        return {**values, "Checkout": (f"{self.root}{checkout}",)}


def _judge(outcome: Outcome) -> tuple[Status, int, str]:
    """Give the step's status, its exit code, and what the agent adds to stderr."""
    if outcome.ending is Ending.CANCELLED:
        return CANCELLED, _KILLED, ""
    if outcome.ending is Ending.LIMIT or outcome.exit_code == _KILLED:
        return EXECUTION_TIMED_OUT, _KILLED, ""
    if outcome.exit_code in {0, _SKIP_AS_SUCCESS}:
        return SUCCESS, outcome.exit_code, ""
    how = "signal: killed" if outcome.exit_code < 0 else f"exit status {outcome.exit_code}"
    return FAILED, outcome.exit_code, f"failed to run commands: {how}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
