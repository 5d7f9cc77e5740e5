"""Run Command itself: accepts a command, sends it to one host after the other, and tracks it.

moto's own `send_command` succeeds at once and runs nothing, so these operations are emulated
here. history.py has the operations that only read.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pulley.sandbox.run_command.agent import (
    AgentOrder,
    EmulatedHost,
    NoReportError,
    NotDeliveredError,
    NotStartedError,
)
from pulley.sandbox.run_command.commands import (
    EmulatedCommand,
    EmulatedInvocation,
    terminate_unsent,
)
from pulley.sandbox.run_command.documents import ParameterError
from pulley.sandbox.run_command.events import StatusEvents
from pulley.sandbox.run_command.inventory import Instance, Inventory
from pulley.sandbox.run_command.send_request import ApiError, ReceivedRequest, parse_send_request
from pulley.sandbox.run_command.statuses import (
    CANCELLED,
    CANCELLING,
    DELAYED,
    DELIVERY_TIMED_OUT,
    FAILED,
    IN_PROGRESS,
    PENDING,
    UNDELIVERABLE,
    Status,
)
from pulley.sandbox.run_command.worker import WorkerReport

_LOG = logging.getLogger(__name__)


class Dispatcher:
    """The commands of one account. Every change goes through `_change`, under one lock."""

    def __init__(
        self, fleet: Inventory, events: StatusEvents, *, delivery_second: float = 1.0
    ) -> None:
        """`delivery_second` is how long a second of `TimeoutSeconds` takes here."""
        self._fleet = fleet
        self._events = events
        self._delivery_second = delivery_second
        self._changed = threading.Condition(threading.RLock())
        self._commands: dict[str, EmulatedCommand] = {}
        self._hosts: dict[str, EmulatedHost] = {}
        self._threads: list[threading.Thread] = []

    def commands(self) -> list[EmulatedCommand]:
        """All commands as they are now, newest first."""
        with self._changed:
            return list(reversed(self._commands.values()))

    def wait_for(
        self, command_id: str, condition: Callable[[EmulatedCommand], bool], *, timeout: float
    ) -> EmulatedCommand:
        """Return the command once the condition holds. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._commands[command_id]), timeout):
                status = self._commands[command_id].status
                raise TimeoutError(f"{command_id} is still {status.details}")
            return self._commands[command_id]

    def wait_until_quiet(self) -> None:
        """Wait until no sent invocation is under way."""
        while self._threads:
            self._threads.pop().join()

    def send(self, body: Mapping[str, Any]) -> EmulatedCommand:
        """SendCommand. Answers with the command before anything has happened."""
        request = parse_send_request(body)
        document = self._fleet.document(request)
        try:
            document.check(request.parameters)
        except ParameterError as error:
            raise ApiError("InvalidParameters", str(error)) from None
        instances = self._resolve(request)
        command = EmulatedCommand(
            id=str(uuid.uuid4()),
            request=request,
            document=document,
            requested=datetime.now(UTC),
            invocations=tuple(
                EmulatedInvocation(one.host.instance_id, one.host.name) for one in instances
            ),
        )
        with self._changed:
            self._commands[command.id] = command
            self._hosts |= {one.host.instance_id: one.host for one in instances}
            self._events.publish(command, command.requested)
            for one in instances:
                if one.state != "running":
                    self._set_status(command.id, one.host.instance_id, UNDELIVERABLE)
            self._change(replace(self._commands[command.id], resolved=True))
            self._send_on(command.id)
        return command

    def cancel(self, body: Mapping[str, Any]) -> None:
        """CancelCommand: ends unsent invocations at once, running ones once they are killed."""
        only = body.get("InstanceIds")
        with self._changed:
            command = self._commands.get(body["CommandId"])
            if command is None:
                raise ApiError("InvalidCommandId")
            if only and not set(only) <= {one.instance_id for one in command.invocations}:
                raise ApiError("InvalidInstanceId")
            self._change(replace(command, cancel_requested=True))
            for one in command.invocations:
                if one.status.terminal or (only and one.instance_id not in only):
                    continue
                if one.sent:
                    self._set_status(command.id, one.instance_id, CANCELLING)
                    self._hosts[one.instance_id].cancel(command.id)
                else:
                    self._set_status(command.id, one.instance_id, CANCELLED)

    def _resolve(self, request: ReceivedRequest) -> list[Instance]:
        """Find the instances: every selector must match, by any of its values. Raises ApiError."""
        instances = self._fleet.instances()
        unknown = set(request.named_instances) - {one.host.instance_id for one in instances}
        if unknown:
            raise ApiError("InvalidInstanceId", f"Not in a valid state: {sorted(unknown)}")
        return [
            one
            for one in instances
            if one.host.instance_id in request.instance_ids
            or (
                request.selectors
                and all(
                    selector.selects(one.host.instance_id, one.tags)
                    for selector in request.selectors
                )
            )
        ]

    def _send_on(self, command_id: str) -> None:
        """Send to as many more hosts as MaxConcurrency allows, or terminate the rest."""
        if self._commands[command_id].stopped_by_errors:
            self._change(terminate_unsent(self._commands[command_id]))
        for one in self._commands[command_id].invocations:
            if self._commands[command_id].free_turns <= 0:
                break
            if one.sent or one.status.terminal:
                continue
            host = self._hosts[one.instance_id]
            status = DELAYED if host.asleep else PENDING
            self._set_status(command_id, one.instance_id, status, sent=True)
            thread = threading.Thread(target=self._follow, args=(command_id, host), daemon=True)
            thread.start()
            self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]

    def _follow(self, command_id: str, host: EmulatedHost) -> None:
        """One invocation, from its delivery to its end."""
        command = self._commands[command_id]
        order = AgentOrder(
            command_id,
            command.document,
            command.request.parameters,
            command.request.timeout_seconds * self._delivery_second,
        )

        def delivered() -> None:
            with self._changed:
                now = self._commands[command_id].invocation(host.instance_id)
                if now and now.status is not CANCELLING:
                    self._set_status(command_id, host.instance_id, IN_PROGRESS)

        try:
            report = host.carry_out(order, delivered=delivered)
        except NotDeliveredError:
            report = WorkerReport(DELIVERY_TIMED_OUT)
        except NotStartedError:
            report = WorkerReport(CANCELLED)
        except NoReportError:
            return  # it stays Cancelling for ever
        except Exception:  # noqa: BLE001 - the invocation must end, whatever happened
            _LOG.exception("%s could not carry out %s", host.name, command_id)
            report = WorkerReport(FAILED)
        with self._changed:
            self._set_status(command_id, host.instance_id, report.status, report=report)
            self._send_on(command_id)

    def _set_status(
        self,
        command_id: str,
        instance_id: str,
        status: Status,
        *,
        sent: bool | None = None,
        report: WorkerReport | None = None,
    ) -> None:
        command = self._commands[command_id]
        one = command.invocation(instance_id)
        if one is None:
            raise LookupError(instance_id)
        sent = one.sent if sent is None else sent
        changed = replace(one, status=status, sent=sent)
        if report:
            changed = replace(changed, results=report.results, trace=report.trace)
        self._change(command.with_invocation(changed))

    def _change(self, command: EmulatedCommand) -> None:
        """Store the command's new value, and send an event for each changed status."""
        before = self._commands[command.id]
        self._commands[command.id] = command
        now = datetime.now(UTC)
        for old, new in zip(before.invocations, command.invocations, strict=True):
            if old.status != new.status:
                self._events.publish(command, now, new)
        if before.status != command.status:
            self._events.publish(command, now)
        self._changed.notify_all()
