"""Turns a status change of Run Command into GitHub's deployment status.

The event only says which command to read; the hosts' results decide. So lost, repeated or reordered
events end in the same state.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.commands import document_name
from chalicelib.core.decisions import Decision, DecisionLog
from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.events import NotReported, StatusChange, parse_status_change
from chalicelib.core.history import Check, Command, RollOut, Run
from chalicelib.core.observations import is_quiet
from chalicelib.core.targets import parse_stored_targets
from chalicelib.flows.notify import roll_out_facts
from chalicelib.flows.sync import DeploymentSync, ReportParameters
from chalicelib.flows.verdict import History
from chalicelib.flows.wake import Waker, wake_round

LAG_PAUSES, LAG_SECONDS = 5, 1.0  # to wait for invocations that lag behind their command's event
TRIES, LONGEST_PAUSE_SECONDS = 3, 20.0  # if GitHub says when to try again


@dataclass(frozen=True)
class Reported:
    """The status of the command's deployment."""

    command_id: str
    status: DeploymentStatus


@dataclass(frozen=True)
class Reporter:
    """Reports for one stage. `pause` takes seconds."""

    stage: str
    history: History
    deployment_sync: DeploymentSync
    parameters: ReportParameters
    waker: Waker
    journal: DecisionLog
    pause: Callable[[float], None]

    def report(self, event: object, *, now: datetime) -> Reported | NotReported:
        """Act on an event of EventBridge, which may have any shape. `now` is aware.

        Raises UnavailableError if Lambda should retry (AWS lags, or GitHub fails), and RefusedError
        if AWS refuses to let us read its history.
        """
        change = parse_status_change(event, document_name(self.stage))
        if isinstance(change, NotReported):
            return self._ignore({}, change.reason)
        facts: dict[str, object] = {"command_id": change.command_id}
        try:
            command = self._command(change, now)
            if command is None:
                return self._ignore(facts, "Systems Manager does not know the command")
            if isinstance(command, Check):
                return self._ignore(facts, "it deploys no named commit")
            facts |= roll_out_facts(command.roll_out)
            if command.roll_out.is_recheck and is_quiet(self._run(command)):
                return self._ignore(facts, "its hosts were checked, and nothing has drifted")
            status = self._sync(command, now)
            if status.is_final:
                self._wake_followers(command.roll_out)
            return Reported(command.id, status)
        except PulleyError as error:
            facts["reason"] = error.in_full
            self.journal.note(Decision("event", "failed", facts, "warning"))
            raise

    def _sync(self, command: Command, now: datetime) -> DeploymentStatus:
        for _ in range(TRIES - 1):
            try:
                return self.deployment_sync.run(command, now=now)
            except UnavailableError as error:
                seconds = error.retry_seconds
                if seconds is None or seconds > LONGEST_PAUSE_SECONDS:
                    raise
            self.pause(seconds)
        return self.deployment_sync.run(command, now=now)

    def _wake_followers(self, roll_out: RollOut) -> None:
        """Start a round if a target waits for this one to be well, or has to say that it is not."""
        try:
            stored = self.parameters.report_settings(roll_out.repository).targets
            targets = parse_stored_targets(stored or "[]", roll_out.repository)
            if any(roll_out.target in one.gates.after for one in targets):
                wake_round(self.waker, roll_out.repository, self.journal)
        except PulleyError as error:  # the next round of the schedule looks all the same
            facts = roll_out_facts(roll_out) | {"reason": error.in_full}
            self.journal.note(Decision("round", "not_woken", facts, "warning"))

    def _run(self, command: Command) -> Run:
        return Run(command, self.history.invocations(command.id))

    def _command(self, change: StatusChange, now: datetime) -> Command | Check | None:
        """Read the command; wait until AWS's answers have caught up with the event."""
        command = None
        for looked in range(LAG_PAUSES + 1):
            if looked:
                self.pause(LAG_SECONDS)
            command = self.history.command(change.command_id)
            if command and not self._lags(command, change, now):
                return command
        if command is None:
            return None
        raise UnavailableError(
            "Systems Manager's answers lag behind its event",
            detail="the event says that the command is over, but its history does not show every "
            "host's result yet",
        )

    def _lags(self, command: Command | Check, change: StatusChange, now: datetime) -> bool:
        if isinstance(command, Check) or not change.is_over or now > command.expires:
            return False
        return not self._run(command).is_settled

    def _ignore(self, facts: dict[str, object], reason: str) -> NotReported:
        self.journal.note(Decision("event", "ignored", facts | {"reason": reason}))
        return NotReported(reason)
