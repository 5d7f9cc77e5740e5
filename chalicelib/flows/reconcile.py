"""The schedule: every target is brought to what is wanted, without anyone noticing what was lost.

A round sends to hosts that are behind, and to nobody else; it settles deployments whose last event
never came. Two rounds at once do no harm: a round sends nothing to a target that was sent something
since it began, and a host takes the newer of two commands.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.commands import SendRequest, build_send_request
from chalicelib.core.decisions import COUNT, Decision
from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.history import Command, RollOut
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.plan import PARKED, SEND, Send, TargetPlan, plan_target
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.stored import StoredPins, StoredReportSettings
from chalicelib.core.targets import Target, TargetsError, parse_stored_targets
from chalicelib.core.webhook import FailedDelivery
from chalicelib.flows.deploy import Commands, Journal, document_pin_of, pin_of
from chalicelib.flows.gather import MAX_COMMANDS, History, Meanwhile, RoundHistory, gather_facts
from chalicelib.flows.settle import Settler

HISTORY = timedelta(days=30)  # that Systems Manager keeps
UNSETTLED = timedelta(hours=2)  # a command's event comes within, or not at all
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


class Directory(Protocol):
    """EC2's and Systems Manager's. Raises RefusedError or UnavailableError."""

    def hosts(self) -> Sequence[Host]:
        """The stage's, asleep ones too."""


class GitHubReading(Protocol):
    """A repository on GitHub. Every method raises NotTakenError or UnavailableError."""

    def head(self, branch: Branch) -> CommitSha | None:
        """The branch's tip; None where there is no such branch."""

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
class _Begun:
    """What is read once, at the beginning of a round."""

    now: datetime
    fleet: Fleet
    history: RoundHistory
    meanwhile: Meanwhile
    sent: Mapping[tuple[str, str], Sequence[tuple[Command, RollOut]]]
    pins: StoredPins
    tokens: Mapping[Repository, str]
    heads: dict[tuple[Repository, Branch], CommitSha | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Reconciler:
    """Reconciles one stage. `github` takes a token; `interval` is the time between two rounds."""

    stage: str
    stored: Stored
    directory: Directory
    history: History
    github: Callable[[Repository, str], GitHubReading]
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
            begun = self._begin(settings, targets)
            after = self.stored.cursor()
        except PulleyError as error:
            self._note_failure({}, error)
            raise
        done, last = Round(), after
        for target in sorted(targets, key=lambda one: (one.name <= after, one.name)):
            if seconds_left() < RESERVE_SECONDS:
                done.is_whole = False
                break
            self._reconcile_target(target, begun, done)
            last = target.name
        self._store_cursor("" if done.is_whole else last, after, done)
        for repository in settings:
            if seconds_left() >= RESERVE_SECONDS:
                self._note_lost_deliveries(repository, begun)
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

    def _begin(
        self, settings: Mapping[Repository, StoredReportSettings], targets: Sequence[Target]
    ) -> _Begun:
        now = self.clock()
        history = RoundHistory(
            self.history, self.history.commands_since(now - HISTORY, MAX_COMMANDS)
        )
        return _Begun(
            now=now,
            fleet=Fleet(self.directory.hosts(), self.stage),
            history=history,
            meanwhile=Meanwhile(self.history, frozenset(one.id for one in history.commands), now),
            sent=history.by_target(),
            pins=self.stored.pins([target.name for target in targets]),
            tokens={repository: one.token for repository, one in settings.items() if one.token},
        )

    def _reconcile_target(self, target: Target, begun: _Begun, done: Round) -> None:
        """One target's failure must not keep the others from theirs."""
        done.targets += 1
        try:
            plan = self._plan(target, begun)
            done.hosts += len(plan.hosts)
            self._apply(plan, begun, done)
            self._note_parked(plan, begun, done)
            self._settle(target, begun)
        except PulleyError as error:
            done.failed += 1
            self._note_failure(_facts(target), error)

    def _plan(self, target: Target, begun: _Begun) -> TargetPlan:
        facts = gather_facts(
            target,
            hosts=begun.fleet.of(target),
            sent=begun.sent.get((str(target.repository), target.name), ()),
            history=begun.history,
            head=self._head(target, begun),
            pin=pin_of(target, begun.pins),
            now=begun.now,
        )
        return plan_target(facts, now=begun.now)

    def _head(self, target: Target, begun: _Begun) -> CommitSha | None:
        """The branch's tip, where a token allows to ask. Asked once a round."""
        token = begun.tokens.get(target.repository)
        key = (target.repository, target.branch)
        if token and key not in begun.heads:
            try:
                begun.heads[key] = self.github(target.repository, token).head(target.branch)
            except (NotTakenError, UnavailableError) as error:
                begun.heads[key] = None
                self._note_github(target.repository, error)
        return begun.heads.get(key)

    def _apply(self, plan: TargetPlan, begun: _Begun, done: Round) -> None:
        """Send, unless somebody pinned, let go or sent while the round was reading."""
        if not plan.sends:
            return
        done.behind += sum(len(send.instance_ids) for send in plan.sends)
        # The time from before anything was read: whatever was sent meanwhile wins on a host.
        issued = int(begun.now.timestamp() * 1000)
        target, pins = plan.target, self.stored.pins([plan.target.name])
        if pins.by_target.get(target.name) != begun.pins.by_target.get(target.name):
            return
        # A head may be of a push that the history has not, and that was stopped since.
        if begun.meanwhile.has_sent_to(target, now=self.clock()):
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

    def _note_parked(self, plan: TargetPlan, begun: _Begun, done: Round) -> None:
        """Loud in the round after the last attempt, then silent; and rather twice than never."""
        for one in plan.hosts:
            if one.action != PARKED:
                continue
            done.parked += 1
            if one.since and begun.now - one.since < self.interval + LATE:
                facts = _facts(plan.target) | {"host": one.host.name, "reason": one.reason}
                self.journal.note(Decision("host", "parked", facts, "error"))

    def _settle(self, target: Target, begun: _Begun) -> None:
        """Settle the commits whose last event may not have come."""
        newest: dict[str, Command] = {}
        for command, roll_out in begun.sent.get((str(target.repository), target.name), ()):
            if command.is_over and begun.now - command.requested < UNSETTLED:
                newest.setdefault(roll_out.commit.sha, command)
        for command in newest.values():
            self.settler.settle_late(command, now=begun.now)

    def _note_lost_deliveries(self, repository: Repository, begun: _Begun) -> None:
        """The branch's tip heals what they would have brought; this says why they were lost."""
        token = begun.tokens.get(repository)
        is_due = begun.now.timestamp() % DELIVERIES_EVERY.seconds < self.interval.total_seconds()
        if not token or not is_due:
            return
        since = begun.now - max(DELIVERIES_EVERY, self.interval)
        try:
            lost = self.github(repository, token).failed_deliveries(since)
        except (NotTakenError, UnavailableError) as error:
            self._note_github(repository, error)
            return
        for one in lost:
            facts = {
                "delivery": one.id,
                "repository": str(repository),
                "reason": f"{one.event}: {one.status_code} {one.status}",
            }
            self.journal.note(Decision("delivery", "lost", facts, "warning"))

    def _note_failure(self, facts: Mapping[str, object], error: PulleyError) -> None:
        noted = {**facts, "reason": error.in_full}
        self.journal.note(Decision("round", "failed", noted, "error"))

    def _note_github(self, repository: Repository, error: PulleyError) -> None:
        if isinstance(error, NotTakenError) and error.is_known:
            return
        facts = {"repository": str(repository), "reason": error.in_full}
        self.journal.note(Decision("round", "not_asked", facts, "warning"))

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
