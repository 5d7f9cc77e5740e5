"""A commit's deployment on GitHub is brought to what Systems Manager knows of it.

Whoever settles reads the whole of what was sent for the commit, says what there is, and looks again
until GitHub has it: so any number of settlers, in any order, end at the same state.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.core.decisions import Decision
from chalicelib.core.deployments import (
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
    is_news,
    replaced,
)
from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.history import CLOCKS_APART, Command, RollOut
from chalicelib.core.refs import Repository
from chalicelib.core.stored import StoredReportSettings
from chalicelib.core.targets import TargetsError, parse_stored_targets
from chalicelib.core.verdicts import Verdict
from chalicelib.flows.deploy import Journal
from chalicelib.flows.find import Deployments, find_or_create
from chalicelib.flows.finish import Finisher, roll_out_facts
from chalicelib.flows.standing import History, look, sent_to

ROUNDS = 3  # of looking and posting, where others post at the same time
RETRY_SECONDS = 2.0  # after so many
PAGES, LOOKS = 5, 50  # of what there is to be ended: GitHub's pages, and deployments looked into
HISTORY = timedelta(days=30)  # that Systems Manager keeps
_REMEMBERED = 1000


class Parameters(Protocol):
    """What is stored. Raises RefusedError or UnavailableError."""

    def report_settings(self, repository: Repository) -> StoredReportSettings:
        """As it is now."""


@dataclass(frozen=True)
class Settler:
    """Settles for one stage. `github` takes a token; `log_url` makes a command's address."""

    stage: str
    parameters: Parameters
    history: History
    github: Callable[[Repository, str], Deployments]
    finisher: Finisher
    journal: Journal
    log_url: Callable[[str], str]
    # How deployments ended as far as this process knows: a repeated event tells each end once.
    _told: dict[tuple[str, str], str] = field(default_factory=dict)
    # What GitHub may have taken though its answer was lost: by the deployment's id.
    _in_doubt: dict[int, DeploymentStatus] = field(default_factory=dict)

    def settle(self, command: Command, *, now: datetime) -> DeploymentStatus:
        """How the deployment stands that the command is part of. `now` is aware.

        Raises UnavailableError, and RefusedError where AWS refuses; where GitHub does, it is noted.
        """
        roll_out = _roll_out_of(command)
        github, environment = self._place(roll_out)
        if github:
            try:
                return self._settle_on(github, environment, command, now)
            except NotTakenError as error:
                self._note_refusal(roll_out, error)
        sent = sent_to(self.history, command, roll_out, _since(command, None))
        verdict, status = look(self.history, sent, roll_out.commit.sha, now=now)
        self._finish(verdict, status, environment)
        return status

    def settle_late(self, command: Command, *, now: datetime) -> None:
        """The same for a command whose last event may not have come, where GitHub remembers.

        Without GitHub nobody knows what was told before, and nothing is told again.
        """
        roll_out = _roll_out_of(command)
        github, environment = self._place(roll_out)
        if not github:
            return
        try:
            self._settle_on(github, environment, command, now)
        except NotTakenError as error:
            self._note_refusal(roll_out, error)

    def _place(self, roll_out: RollOut) -> tuple[Deployments | None, str]:
        """Where it is told: the repository on GitHub, if there is a token, and the environment."""
        settings = self.parameters.report_settings(roll_out.repository)
        environment = _environment(roll_out, settings)
        if not settings.token:
            return None, environment
        return self.github(roll_out.repository, settings.token), environment

    def _settle_on(
        self, github: Deployments, environment: str, command: Command, now: datetime
    ) -> DeploymentStatus:
        """What then stands on GitHub."""
        roll_out = _roll_out_of(command)
        request = DeploymentRequest(
            repository=roll_out.repository,
            commit=roll_out.commit,
            environment=environment,
            stage=self.stage,
            target=roll_out.target,
            delivery=roll_out.delivery,
        )
        deployment = find_or_create(github, request, roll_out.deployment)
        since = _since(command, deployment)
        for _ in range(ROUNDS):
            sent = sent_to(self.history, command, roll_out, since)
            verdict, status = look(self.history, sent, roll_out.commit.sha, now=now)
            said = github.statuses(deployment.id)
            ended = next((one for one in said if one.has_ended), None)
            was_in_doubt = ended is not None and self._in_doubt.get(deployment.id) == ended
            if ended and not was_in_doubt:
                self._remember(roll_out, ended)
            # A slower settler may have said "in progress" after the end: the end stands.
            standing = ended if ended and not status.has_ended else status
            if not is_news(said[0] if said else None, standing):
                if was_in_doubt:
                    del self._in_doubt[deployment.id]
                    self._finish(verdict, standing, environment)
                return standing
            # Before, not after: where that fails, it is not said yet, and all is tried again.
            if status.state == "success" and not any(one.state == "success" for one in said[:1]):
                self._end_replaced(github, deployment.environment, command, now)
            self._post(github, deployment.id, standing, self.log_url(verdict.command_id))
            if not standing.has_ended:
                facts = roll_out_facts(roll_out) | {"command_id": verdict.command_id}
                self.journal.note(Decision("deployment", standing.state, facts))
            self._finish(verdict, standing, environment)
        raise UnavailableError("others post at the same time", retry_seconds=RETRY_SECONDS)

    def _post(
        self, github: Deployments, deployment_id: int, status: DeploymentStatus, log_url: str
    ) -> None:
        try:
            github.post(deployment_id, status, log_url=log_url)
        except UnavailableError:
            _keep(self._in_doubt, deployment_id, status)
            raise
        self._in_doubt.pop(deployment_id, None)

    def _end_replaced(
        self, github: Deployments, environment: str, command: Command, now: datetime
    ) -> None:
        """Say of the target's deployment that this one replaces that it does not run any more.

        There is one at the most, as each ended the one before it. It is not far back, but for what
        failed since, and for other targets in the environment.
        """
        roll_out, looks = _roll_out_of(command), 0
        for page in range(1, PAGES + 1):
            found = github.newest(environment, page)
            for other in found.deployments:
                is_ours = (other.stage, other.target) == (self.stage, roll_out.target)
                if not is_ours or other.commit == roll_out.commit.sha:
                    continue
                if looks == LOOKS or self._end(github, other, command, now):
                    return
                looks += 1
            if found.is_last:
                return

    def _end(self, github: Deployments, other: Deployment, command: Command, now: datetime) -> bool:
        """Whether it was to be ended."""
        roll_out, said = _roll_out_of(command), github.statuses(other.id)
        if not said or said[0].state != "success":
            return False
        # By the same look as its own events have: they may come later, or have seen more.
        sent = sent_to(self.history, command, roll_out, _made(other, command))
        status = replaced(roll_out.commit)
        if any(of.commit.sha == other.commit for _, of in sent):
            _, status = look(self.history, sent, other.commit, now=now)
        if status.state != "inactive":
            return False
        github.post(other.id, status)
        return True

    def _finish(self, verdict: Verdict, status: DeploymentStatus, environment: str) -> None:
        """Once an end. A success that is replaced was told when it came."""
        if not status.has_ended:
            return
        before = self._remember(verdict.roll_out, status)
        if before != status.state and (before, status.state) != ("success", "inactive"):
            self.finisher.finish(verdict, status, environment)

    def _remember(self, roll_out: RollOut, ended: DeploymentStatus) -> str:
        """How it has ended; returned is how it had before, as far as known here."""
        key = (roll_out.target, roll_out.commit.sha)
        before = self._told.pop(key, "")
        _keep(self._told, key, ended.state)
        return before

    def _note_refusal(self, roll_out: RollOut, error: NotTakenError) -> None:
        if not error.is_known:
            facts = roll_out_facts(roll_out) | {"reason": str(error)}
            self.journal.note(Decision("deployment", "not_reported", facts, "error"))


def _keep(memory: dict[Any, Any], key: object, value: object) -> None:
    """And where it is too much, forget the oldest."""
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]


def _since(command: Command, deployment: Deployment | None) -> datetime:
    """From when on commands of the commit are looked for: not later than its first one.

    A deployment that was there when the command was sent was made before all of them, or before one
    to the whole target. Else the first may be as old as what Systems Manager remembers.
    """
    roll_out = _roll_out_of(command)
    if deployment and roll_out.deployment is not None:
        return _made(deployment, command)
    return command.requested - HISTORY if roll_out.attempt or deployment else command.requested


def _made(deployment: Deployment, command: Command) -> datetime:
    """Before it was made, and no later than the command; but not before what is remembered.

    GitHub's word for when may be anything, the year 1 as well.
    """
    created = max(deployment.created, command.requested - HISTORY)
    return min(command.requested, created - CLOCKS_APART)


def _roll_out_of(command: Command) -> RollOut:
    if command.roll_out is None:
        raise AssertionError("a command without a commit has no deployment")
    return command.roll_out


def _environment(roll_out: RollOut, settings: StoredReportSettings) -> str:
    """The target's on GitHub; where it is stored no more, or not to be read, its name."""
    try:
        targets = parse_stored_targets(settings.targets or "[]", roll_out.repository)
    except TargetsError:
        return roll_out.target
    named = {target.name: target.environment for target in targets}
    return named.get(roll_out.target, roll_out.target)
