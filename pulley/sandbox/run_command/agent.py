"""A host's SSM agent: which commands it accepts, when it runs them, and when it reports.

The host itself is only a directory on this machine. worker.py runs the documents.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from pulley.sandbox.run_command.documents import Document, ParameterValues
from pulley.sandbox.run_command.worker import Surroundings, Worker, WorkerReport

AGENT_VERSION = "3.3.3572.0"
_AT_ONCE, _QUEUED = 5, 5
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NotDeliveredError(Exception):
    """The host could not be reached in time."""


class NotStartedError(Exception):
    """The command was cancelled before the host got it."""


class NoReportError(Exception):
    """The command was cancelled while it was queued on the host: the agent never reports it."""


@dataclass(frozen=True)
class AgentOrder:
    """A command as the agent receives it. `delivery_seconds` is how long it waits for the host."""

    command_id: str
    document: Document
    parameters: ParameterValues
    delivery_seconds: float


class EmulatedHost:
    """An instance with an agent. While asleep, it accepts no command, and finishes running ones."""

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
        unit: Mapping[str, str] = {},
        second: float = 1.0,
    ) -> None:
        """`unit` has the environment variables of the agent's systemd unit, for example a proxy.

        `second` is the real duration of one second of a step's `timeoutSeconds`.
        """
        self.name = name
        self.instance_id = instance_id
        self.root = root
        self.agent_version = agent_version
        self._last_seen = datetime.now(UTC)
        agent_directory.mkdir(mode=0o700, parents=True)
        self._surroundings = Surroundings(
            root=root,
            directory=agent_directory,
            # The agent's complete environment: no HOME.
            environment={
                "PATH": ":".join([*map(str, path_prefix), _SYSTEM_PATH]),
                "LANG": "C.UTF-8",
                **unit,
                "AWS_SSM_INSTANCE_ID": instance_id,
                "AWS_SSM_REGION_NAME": region,
                "AWS_SSM_PLATFORM_NAME": "Ubuntu",
                "AWS_SSM_PLATFORM_VERSION": "24.04",
            },
            agent_version=agent_version,
            second=second,
        )
        self._changed = threading.Condition()
        self._asleep = False
        self._closed = False
        self._accepted: dict[str, None] = {}  # in the order of arrival
        self._cancelled: set[str] = set()
        self._cancelled_in_queue: set[str] = set()
        self._workers: dict[str, Worker] = {}  # for every command that ran

    @property
    def asleep(self) -> bool:
        """Whether the agent has lost its connection."""
        return self._asleep

    @property
    def last_ping(self) -> datetime:
        """When the agent was last online: now, unless it is asleep."""
        return self._last_seen if self._asleep else datetime.now(UTC)

    def sleep(self) -> None:
        """Lose the connection, as while the agent is restarted. Running scripts go on.

        Commands wait until `wake`, or until their delivery times out; results wait until then.
        """
        with self._changed:
            self._last_seen = self.last_ping
            self._asleep = True

    def wake(self) -> None:
        """Connect again."""
        with self._changed:
            self._asleep = False
            self._changed.notify_all()

    def carry_out(self, order: AgentOrder, *, delivered: Callable[[], None]) -> WorkerReport:
        """Wait for the host, call `delivered`, run the document, wait for the host.

        Raises NotDeliveredError, NotStartedError or NoReportError.
        """
        command_id = order.command_id
        self._accept(order)
        try:
            delivered()
            worker = self._start(order)
            report = worker.run(order.parameters)
        finally:
            with self._changed:
                del self._accepted[command_id]
                self._changed.notify_all()
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._asleep)
        return report

    def cancel(self, command_id: str) -> None:
        """Kill the command's script, or prevent its start."""
        with self._changed:
            self._cancelled.add(command_id)
            if command_id in self._accepted and not self._runs(command_id):
                self._cancelled_in_queue.add(command_id)
            if worker := self._workers.get(command_id):
                worker.cancel()
            self._changed.notify_all()

    def kill_worker(self, command_id: str) -> None:
        """Kill the process that waits for the command's script, and not the script."""
        self._workers[command_id].kill()

    def close(self) -> None:
        """Kill running scripts, and accept no more commands."""
        with self._changed:
            self._closed = True
            for worker in self._workers.values():
                worker.close()
            self._changed.notify_all()

    def _accept(self, order: AgentOrder) -> None:
        """Wait for the connection, and for a place on the host."""

        def is_over() -> bool:
            return self._closed or order.command_id in self._cancelled

        def has_place() -> bool:
            return not self._asleep and len(self._accepted) < _AT_ONCE + _QUEUED

        with self._changed:
            self._changed.wait_for(lambda: is_over() or has_place(), order.delivery_seconds)
            if is_over():
                raise NotStartedError
            if not has_place():
                raise NotDeliveredError
            self._accepted[order.command_id] = None

    def _runs(self, command_id: str) -> bool:
        """Whether the command has a place among the running ones."""
        return command_id in islice(self._accepted, _AT_ONCE)

    def _start(self, order: AgentOrder) -> Worker:
        """Wait until the command may run."""
        command_id = order.command_id

        def is_over() -> bool:
            return self._closed or command_id in self._cancelled

        with self._changed:
            self._changed.wait_for(lambda: self._runs(command_id) or is_over())
            if command_id in self._cancelled_in_queue:
                raise NoReportError
            if not self._runs(command_id):
                raise NotStartedError
            worker = Worker(command_id, order.document, self._surroundings)
            self._workers[command_id] = worker
            if is_over():
                worker.cancel()
            return worker
