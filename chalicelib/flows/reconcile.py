"""A round of the schedule: brings every target to the wanted commit, and repairs what was lost.

A round sends a commit whose gates have opened to all hosts of its target. Otherwise it sends
commands only to hosts that are behind or due for a recheck. It syncs deployments whose last event
was lost. Two rounds at once do no harm: a round sends nothing to a target that got a command after
the round began, and a host obeys the newer of two commands.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.decisions import Decision, DecisionLog
from chalicelib.core.errors import PulleyError
from chalicelib.core.holds import Hold, RoundState
from chalicelib.core.launch_plan import with_launches
from chalicelib.core.plan import PARKED, TargetPlan, plan_target
from chalicelib.core.refs import InstanceId, Repository
from chalicelib.core.stored import StoredReportSettings
from chalicelib.core.targets import Target, TargetsError, parse_stored_targets
from chalicelib.core.wake import Woken
from chalicelib.flows.catch_up import CatchUp
from chalicelib.flows.launches import LaunchCompleter
from chalicelib.flows.release import Releaser
from chalicelib.flows.round import PlanSender, Round, target_facts
from chalicelib.flows.snapshot import Reader, Snapshot, StoredParameters

LATE = timedelta(minutes=1)  # how late a round may start: EventBridge keeps schedules to the minute
RESERVE_SECONDS = 60.0  # kept back, so that a target that was begun can be finished


class RoundMemory(StoredParameters, Protocol):
    """The stage's parameters. Every method raises RefusedError or UnavailableError."""

    def every_repository(self) -> Mapping[Repository, StoredReportSettings]:
        """The settings of each repository that has targets."""

    def store_state(self, state: RoundState) -> None:
        """Store the state for the next round."""


@dataclass(frozen=True)
class Reconciler:
    """Reconciles one stage. `interval` is the time between two rounds."""

    stored: RoundMemory
    reader: Reader
    releaser: Releaser
    catch_up: CatchUp
    sender: PlanSender
    launches: LaunchCompleter
    journal: DecisionLog
    interval: timedelta
    clock: Callable[[], datetime]

    def reconcile(self, *, seconds_left: Callable[[], float], only: Woken | None = None) -> Round:
        """Run a round: of all targets, or of those of one repository or one host, if it was woken.

        Raises RefusedError and UnavailableError if it could not begin.
        """
        settings, every, snapshot = self._begin(only)
        targets, fleet = every, snapshot.fleet
        knows_all = len({one.repository for one in every}) == len(settings)
        if isinstance(only, InstanceId):
            targets = [one for one in every if fleet.has(one, only)]
        named = only if isinstance(only, InstanceId) else ""
        snapshot.launching = self.launches.held(fleet.hosts, named=named, now=snapshot.now)
        done, after = Round(), snapshot.state.after
        last, holds, plans = after, dict(snapshot.state.holds), dict[str, TargetPlan]()
        for target in sorted(targets, key=lambda one: (one.name <= after, one.name)):
            if seconds_left() < RESERVE_SECONDS:
                done.is_whole = False
                break
            plan = self._reconcile_target(target, every, snapshot, holds, done)
            plans |= {target.name: plan} if plan else {}
            last = target.name
        # A round of one repository does not know the other targets of its hosts.
        if snapshot.launching and not isinstance(only, Repository):
            unread = [one for one in targets if one.name not in plans]
            held = self.launches.of(fleet, snapshot.launching, unread, named=named)
            self.launches.complete(held, snapshot.launching, plans.values(), knows_all=knows_all)
        if only:
            self._store_woken(targets, holds, snapshot, done)
            done.note(self.journal, "woken")
            return done
        if knows_all:  # else the holds of those that could not be read must stay
            known = {target.name for target in targets}
            holds = {name: hold for name, hold in holds.items() if name in known}
        self._store(RoundState("" if done.is_whole else last, holds), snapshot.state, done)
        for repository in settings:
            if seconds_left() >= RESERVE_SECONDS:
                self.catch_up.note_lost_deliveries(repository, snapshot)
        done.note(self.journal, "whole" if done.is_whole else "cut_short")
        return done

    def _begin(
        self, only: Woken | None
    ) -> tuple[Mapping[Repository, StoredReportSettings], Sequence[Target], Snapshot]:
        """Read what is stored, of one repository if it woke the round, and what targets share."""
        try:
            settings = self.stored.every_repository()
            if isinstance(only, Repository):
                settings = {only: settings[only]} if only in settings else {}
            targets = self._targets(settings)
            tokens = {repository: one.token for repository, one in settings.items()}
            return settings, targets, self.reader.begin(targets, tokens, now=self.clock())
        except PulleyError as error:
            self._note_failure({}, error)
            raise

    def _store(self, state: RoundState, before: RoundState, done: Round) -> None:
        """Store the state. If that fails, the next round begins where this round began."""
        if state == before:
            return
        try:
            self.stored.store_state(state)
        except PulleyError as error:
            done.failed += 1
            self._note_failure({}, error)

    def _store_woken(
        self,
        targets: Sequence[Target],
        holds: Mapping[str, Hold],
        snapshot: Snapshot,
        done: Round,
    ) -> None:
        """Store the holds of these targets beside what another round has stored meanwhile."""
        if holds == snapshot.state.holds:
            return
        try:
            stored = self.stored.state()
        except PulleyError as error:
            done.failed += 1
            self._note_failure({}, error)
            return
        self._store(stored.with_holds({one.name for one in targets}, holds), stored, done)

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
        self,
        target: Target,
        targets: Sequence[Target],
        snapshot: Snapshot,
        holds: dict[str, Hold],
        done: Round,
    ) -> TargetPlan | None:
        """Reconcile a target; log its errors, so that the other targets get their turn.

        Returns its plan; None after an error, or if a commit was released: its plan is of before.
        """
        done.targets += 1
        try:
            facts = self.reader.facts(target, snapshot)
            plan = with_launches(plan_target(facts, now=snapshot.now), facts, now=snapshot.now)
            holds.pop(target.name, None)
            if plan.hold:
                holds[target.name] = plan.hold
            done.hosts += len(plan.hosts)
            released = self.releaser.release(facts, snapshot, targets)
            if released is None:
                self.sender.apply(plan, snapshot, done)
            else:
                done.sent += len(released.sent)
                done.failed += len(released.failed)
            self._note_parked(plan, snapshot, done)
            self.catch_up.sync(target, snapshot)
        except PulleyError as error:
            done.failed += 1
            self._note_failure(target_facts(target), error)
            return None
        return plan if released is None else None

    def _note_parked(self, plan: TargetPlan, snapshot: Snapshot, done: Round) -> None:
        """Log a parked host in the round after its last attempt. Better twice than never."""
        for one in plan.hosts:
            if one.action != PARKED:
                continue
            done.parked += 1
            if one.since and snapshot.now - one.since < self.interval + LATE:
                facts = target_facts(plan.target) | {"host": one.host.name, "reason": one.reason}
                self.journal.note(Decision("host", "parked", facts, "error"))

    def _note_failure(self, facts: Mapping[str, object], error: PulleyError) -> None:
        noted = {**facts, "reason": error.in_full}
        self.journal.note(Decision("round", "failed", noted, "error"))
