"""A round of the schedule: brings every target to the wanted commit, and repairs what was lost.

A round sends commands only to hosts that are behind or due for a recheck, and syncs deployments
whose last event was lost. Two rounds at once do no harm: a round sends nothing to a target that got
a command after the round began, and a host obeys the newer of two commands.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.commands import SendRequest
from chalicelib.core.decisions import COUNT, Decision, DecisionLog
from chalicelib.core.errors import PulleyError
from chalicelib.core.holds import Hold, RoundState
from chalicelib.core.plan import PARKED, SEND, TargetPlan, plan_target
from chalicelib.core.refs import Repository
from chalicelib.core.stored import StoredReportSettings, document_pin_of
from chalicelib.core.targets import Target, TargetsError, parse_stored_targets
from chalicelib.flows.catch_up import CatchUp
from chalicelib.flows.deploy import Commands
from chalicelib.flows.snapshot import Reader, Snapshot, StoredParameters

LATE = timedelta(minutes=1)  # how late a round may start: EventBridge keeps schedules to the minute
RESERVE_SECONDS = 60.0  # kept back, so that a target that was begun can be finished


class RoundMemory(StoredParameters, Protocol):
    """The stage's parameters. Every method raises RefusedError or UnavailableError."""

    def every_repository(self) -> Mapping[Repository, StoredReportSettings]:
        """The settings of each repository that has targets."""

    def store_state(self, state: RoundState) -> None:
        """Store the state for the next round."""


@dataclass
class Round:
    """What a round did, in numbers: `behind` counts hosts. It `is_whole` unless time ran out."""

    targets: int = 0
    hosts: int = 0
    behind: int = 0
    sent: int = 0
    parked: int = 0
    failed: int = 0
    is_whole: bool = True


@dataclass(frozen=True)
class Reconciler:
    """Reconciles one stage. `interval` is the time between two rounds."""

    stage: str
    stored: RoundMemory
    reader: Reader
    catch_up: CatchUp
    commands: Commands
    journal: DecisionLog
    interval: timedelta
    clock: Callable[[], datetime]

    def reconcile(self, *, seconds_left: Callable[[], float]) -> Round:
        """Run a round. Raises RefusedError and UnavailableError if it could not begin."""
        try:
            settings = self.stored.every_repository()
            targets = self._targets(settings)
            tokens = {repository: one.token for repository, one in settings.items()}
            snapshot = self.reader.begin(targets, tokens, now=self.clock())
        except PulleyError as error:
            self._note_failure({}, error)
            raise
        done, after = Round(), snapshot.state.after
        last, holds = after, dict(snapshot.state.holds)
        for target in sorted(targets, key=lambda one: (one.name <= after, one.name)):
            if seconds_left() < RESERVE_SECONDS:
                done.is_whole = False
                break
            self._reconcile_target(target, snapshot, holds, done)
            last = target.name
        if len({one.repository for one in targets}) == len(
            settings
        ):  # otherwise a repository's targets could not be read, and their holds must stay
            known = {target.name for target in targets}
            holds = {name: hold for name, hold in holds.items() if name in known}
        self._store(RoundState("" if done.is_whole else last, holds), snapshot.state, done)
        for repository in settings:
            if seconds_left() >= RESERVE_SECONDS:
                self.catch_up.note_lost_deliveries(repository, snapshot)
        self._note_round(done)
        return done

    def _store(self, state: RoundState, before: RoundState, done: Round) -> None:
        """Store the state. If that fails, the next round begins where this round began."""
        if state == before:
            return
        try:
            self.stored.store_state(state)
        except PulleyError as error:
            done.failed += 1
            self._note_failure({}, error)

    def _targets(self, settings: Mapping[Repository, StoredReportSettings]) -> list[Target]:
        targets: list[Target] = []
        for repository, stored in settings.items():
            try:
                targets += parse_stored_targets(stored.targets or "[]", repository)
            except TargetsError as error:
                facts = {"repository": str(repository), "reason": f"its targets: {error}"}
                self.journal.note(Decision("round", "failed", facts, "error"))
        return targets

    def _reconcile_target(
        self, target: Target, snapshot: Snapshot, holds: dict[str, Hold], done: Round
    ) -> None:
        """Reconcile a target; log its errors, so that the other targets get their turn."""
        done.targets += 1
        try:
            plan = plan_target(self.reader.facts(target, snapshot), now=snapshot.now)
            holds.pop(target.name, None)
            if plan.hold:
                holds[target.name] = plan.hold
            done.hosts += len(plan.hosts)
            self._apply(plan, snapshot, done)
            self._note_parked(plan, snapshot, done)
            self.catch_up.sync(target, snapshot)
        except PulleyError as error:
            done.failed += 1
            self._note_failure(_facts(target), error)

    def _apply(self, plan: TargetPlan, snapshot: Snapshot, done: Round) -> None:
        """Send, unless somebody changed the pin or sent a command while the round was reading."""
        if not plan.sends:
            return
        done.behind += sum(len(send.instance_ids) for send in plan.sends if send.attempt)
        target, pins = plan.target, self.stored.pins([plan.target.name])
        if pins.by_target.get(target.name) != snapshot.pins.by_target.get(target.name):
            return
        # The tip's roll-out may be too new for the snapshot, and may have been stopped by now.
        if self.reader.has_sent_since(target, snapshot, now=self.clock()):
            return
        # Issued before anything was read, so that a host prefers a command that was sent since.
        issued, pin = snapshot.issued, document_pin_of(pins)
        requests = [
            one.request(stage=self.stage, issued=issued, document_pin=pin) for one in plan.sends
        ]
        self._send(plan, requests, done)

    def _send(self, plan: TargetPlan, requests: Sequence[SendRequest], done: Round) -> None:
        for send, answer in zip(plan.sends, self.commands.send(requests), strict=True):
            facts = _facts(plan.target) | {"commit": send.wanted.commit.sha}
            facts |= {"update": send.wanted.update, "attempt": send.attempt}
            if isinstance(answer, PulleyError):
                done.failed += 1
                facts["reason"] = answer.in_full
                self.journal.note(Decision("command", "failed", facts, "error"))
                continue
            done.sent += 1
            reasons = {
                one.host.name: one.reason
                for one in plan.hosts
                if one.action == SEND and one.host.instance_id in send.instance_ids
            }
            facts |= {"command_id": answer, "hosts": reasons}
            self.journal.note(Decision("command", "sent", facts))

    def _note_parked(self, plan: TargetPlan, snapshot: Snapshot, done: Round) -> None:
        """Log a parked host in the round after its last attempt. Better twice than never."""
        for one in plan.hosts:
            if one.action != PARKED:
                continue
            done.parked += 1
            if one.since and snapshot.now - one.since < self.interval + LATE:
                facts = _facts(plan.target) | {"host": one.host.name, "reason": one.reason}
                self.journal.note(Decision("host", "parked", facts, "error"))

    def _note_failure(self, facts: Mapping[str, object], error: PulleyError) -> None:
        noted = {**facts, "reason": error.in_full}
        self.journal.note(Decision("round", "failed", noted, "error"))

    def _note_round(self, done: Round) -> None:
        metrics = {
            "Rounds": (1, COUNT),
            "HostsBehind": (done.behind, COUNT),
            "HostsParked": (done.parked, COUNT),
        }
        outcome = "whole" if done.is_whole else "cut_short"
        self.journal.note(Decision("round", outcome, vars(done), metrics=metrics))


def _facts(target: Target) -> dict[str, object]:
    return {"repository": str(target.repository), "target": target.name, "cause": "reconcile"}
