"""The schedule: every target is brought to what is wanted, without anyone noticing what was lost.

A round sends to hosts that are behind, and to nobody else; it settles deployments whose last event
never came. Two rounds at once do no harm: a round sends nothing to a target that was sent something
since it began, and a host takes the newer of two commands.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.commands import SendRequest, build_send_request
from chalicelib.core.decisions import COUNT, Decision
from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.history import Command
from chalicelib.core.plan import PARKED, SEND, Send, TargetPlan, plan_target
from chalicelib.core.refs import Repository
from chalicelib.core.stored import StoredPins, StoredReportSettings, document_pin_of
from chalicelib.core.targets import Target, TargetsError, parse_stored_targets
from chalicelib.core.webhook import FailedDelivery
from chalicelib.flows.deploy import Commands, Journal
from chalicelib.flows.settle import Settler
from chalicelib.flows.survey import Survey, Surveyor, note_not_asked

UNSETTLED, EXPIRED = timedelta(hours=2), timedelta(hours=1)  # within, an event comes or never
# GitHub may be away for longer, and yet each commit costs two of the token's requests a round.
FAR_BACK, FAR_BACK_EVERY = timedelta(hours=24), timedelta(hours=6)
DELIVERIES_EVERY = timedelta(hours=1)  # of the token's requests, lost deliveries are not worth more
LATE = timedelta(minutes=1)  # as a round may be: EventBridge keeps a schedule to the minute
RESERVE_SECONDS = 60.0  # of the function's time, for a target that was begun


class Stored(Protocol):
    """What is stored. Every method raises RefusedError or UnavailableError."""

    def every_repository(self) -> Mapping[Repository, StoredReportSettings]:
        """Those with targets."""

    def pins(self, targets: Sequence[str]) -> StoredPins:
        """As they are now, and the document's."""

    def cursor(self) -> str:
        """The target that the round before ended with, where its time ran short; or ""."""

    def store_cursor(self, target: str) -> None:
        """For the next round."""


class Deliveries(Protocol):
    """What a repository's webhooks brought. Raises NotTakenError or UnavailableError."""

    def failed_deliveries(self, since: datetime) -> Sequence[FailedDelivery]:
        """What the webhook did not take."""


@dataclass
class Round:
    """What a round did, in numbers. `is_whole` is false where its time ran short.

    `behind` counts hosts, `sent` the commands to them.
    """

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
    stored: Stored
    surveyor: Surveyor
    deliveries: Callable[[Repository, str], Deliveries]
    commands: Commands
    settler: Settler
    journal: Journal
    interval: timedelta
    clock: Callable[[], datetime]

    def reconcile(self, *, seconds_left: Callable[[], float]) -> Round:
        """One round. Raises RefusedError and UnavailableError where it could not even begin."""
        try:
            settings = self.stored.every_repository()
            targets = self._targets(settings)
            tokens = {repository: one.token for repository, one in settings.items()}
            survey = self.surveyor.begin(targets, tokens, now=self.clock())
            after = self.stored.cursor()
        except PulleyError as error:
            self._note_failure({}, error)
            raise
        done, last = Round(), after
        for target in sorted(targets, key=lambda one: (one.name <= after, one.name)):
            if seconds_left() < RESERVE_SECONDS:
                done.is_whole = False
                break
            self._reconcile_target(target, survey, done)
            last = target.name
        self._store_cursor("" if done.is_whole else last, after, done)
        for repository in settings:
            if seconds_left() >= RESERVE_SECONDS:
                self._note_lost_deliveries(repository, survey)
        self._note_round(done)
        return done

    def _store_cursor(self, last: str, before: str, done: Round) -> None:
        """Where it cannot be stored, the next round begins where this one did."""
        if last == before:
            return
        try:
            self.stored.store_cursor(last)
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

    def _reconcile_target(self, target: Target, survey: Survey, done: Round) -> None:
        """One target's failure must not keep the others from theirs."""
        done.targets += 1
        try:
            plan = plan_target(self.surveyor.facts(target, survey), now=survey.now)
            done.hosts += len(plan.hosts)
            self._apply(plan, survey, done)
            self._note_parked(plan, survey, done)
            self._settle(target, survey)
        except PulleyError as error:
            done.failed += 1
            self._note_failure(_facts(target), error)

    def _apply(self, plan: TargetPlan, survey: Survey, done: Round) -> None:
        """Send, unless somebody pinned, let go or sent while the round was reading."""
        if not plan.sends:
            return
        done.behind += sum(len(send.instance_ids) for send in plan.sends)
        # The time from before anything was read: whatever was sent meanwhile wins on a host.
        issued = int(survey.now.timestamp() * 1000)
        target, pins = plan.target, self.stored.pins([plan.target.name])
        if pins.by_target.get(target.name) != survey.pins.by_target.get(target.name):
            return
        # A head may be of a push that the history has not, and that was stopped since.
        if survey.meanwhile.has_sent_to(target, now=self.clock()):
            return
        document_pin = document_pin_of(pins)
        requests = [
            build_send_request(
                target,
                stage=self.stage,
                commit=send.wanted.commit,
                issued=issued,
                cause="reconcile",
                update=send.wanted.update,
                instance_ids=send.instance_ids,
                attempt=send.attempt,
                document_pin=document_pin,
            )
            for send in plan.sends
        ]
        self._send(plan, requests, done)

    def _send(self, plan: TargetPlan, requests: Sequence[SendRequest], done: Round) -> None:
        for send, answer in zip(plan.sends, self.commands.send(requests), strict=True):
            facts = _facts(plan.target) | _send_facts(send)
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

    def _note_parked(self, plan: TargetPlan, survey: Survey, done: Round) -> None:
        """Loud in the round after the last attempt, then silent; and rather twice than never."""
        for one in plan.hosts:
            if one.action != PARKED:
                continue
            done.parked += 1
            if one.since and survey.now - one.since < self.interval + LATE:
                facts = _facts(plan.target) | {"host": one.host.name, "reason": one.reason}
                self.journal.note(Decision("host", "parked", facts, "error"))

    def _settle(self, target: Target, survey: Survey) -> None:
        """Settle the commits whose last event may not have come, or came in vain."""
        reach = FAR_BACK if self._is_due(FAR_BACK_EVERY, survey) else UNSETTLED
        newest: dict[str, Command] = {}
        for command, roll_out in survey.sent_to(target):
            until = max(command.requested + reach, command.expires + EXPIRED)
            if command.is_over and survey.now < until:
                newest.setdefault(roll_out.commit.sha, command)
        for command in newest.values():
            self.settler.settle_late(command, now=survey.now)

    def _note_lost_deliveries(self, repository: Repository, survey: Survey) -> None:
        """The branch's tip heals what they would have brought; this says why they were lost."""
        token = survey.tokens.get(repository)
        if not token or not self._is_due(DELIVERIES_EVERY, survey):
            return
        since = survey.now - max(DELIVERIES_EVERY, self.interval)
        try:
            lost = self.deliveries(repository, token).failed_deliveries(since)
        except (NotTakenError, UnavailableError) as error:
            note_not_asked(self.journal, repository, error)
            return
        for one in lost:
            facts = {
                "delivery": one.id,
                "repository": str(repository),
                "reason": f"{one.event}: {one.status_code} {one.status}",
            }
            self.journal.note(Decision("delivery", "lost", facts, "warning"))

    def _is_due(self, every: timedelta, survey: Survey) -> bool:
        """Whether the round is the first of such a time."""
        return survey.now.timestamp() % every.total_seconds() < self.interval.total_seconds()

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


def _send_facts(send: Send) -> dict[str, object]:
    return {
        "commit": send.wanted.commit.sha,
        "update": send.wanted.update,
        "attempt": send.attempt,
    }
