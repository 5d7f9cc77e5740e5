"""Brings a commit's deployment on GitHub to the verdict of its hosts.

A sync reads all commands that were sent for the commit, does the steps that core/sync_steps.py
decides, and reads again until GitHub agrees. So several syncs at once, in any order, end at the
same state.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from chalicelib.core.decisions import Decision, DecisionLog
from chalicelib.core.deployments import Deployment, DeploymentStatus, Links
from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.gates import DEPLOYMENT
from chalicelib.core.history import REMEMBERED, Command, RollOut
from chalicelib.core.refs import Repository
from chalicelib.core.stored import StoredReportSettings
from chalicelib.core.sync_steps import Seen, Step, after, next_step
from chalicelib.core.targets import Target, TargetsError, parse_stored_targets
from chalicelib.core.verdicts import Verdict
from chalicelib.flows.find_deployment import Deployments, end_replaced, find_or_create
from chalicelib.flows.notify import Memory, Notifier, roll_out_facts
from chalicelib.flows.verdict import (
    History,
    only_for,
    read_verdict,
    sent_to,
    since_first,
    with_deployments,
)

ROUNDS = 3  # how often to read and post again while others post at the same time
RETRY_SECONDS = 2.0  # the pause after that many rounds


class ReportParameters(Protocol):
    """The stage's parameters. Raises RefusedError or UnavailableError."""

    def report_settings(self, repository: Repository) -> StoredReportSettings:
        """A repository's settings as they are now, not from a cache."""


@dataclass(frozen=True)
class _Work:
    """A command to sync at a time (aware); `environment` is its target's environment on GitHub."""

    command: Command
    environment: str
    now: datetime
    github: Deployments | None  # None without a token
    links: Links


@dataclass(frozen=True)
class DeploymentSync:
    """The sync of one stage. `github` takes a repository and its token."""

    stage: str
    parameters: ReportParameters
    history: History
    github: Callable[[Repository, str], Deployments]
    notifier: Notifier
    journal: DecisionLog
    memory: Memory

    def run(self, command: Command, *, now: datetime) -> DeploymentStatus:
        """Sync the command's deployment, and return its status. `now` is aware.

        Raises UnavailableError, and RefusedError where AWS refuses. A refusal by GitHub is logged.
        """
        work = self._begin(command, now)
        return self._on_github(work) or self._without_github(work)

    def run_late(self, command: Command, *, now: datetime) -> None:
        """Sync a command whose last event may have been lost, if the repository has a token.

        Without a token, or if GitHub refuses, it notifies nothing: only GitHub's statuses tell a
        new process which notifications were sent, so one might be sent twice.
        """
        self._on_github(self._begin(command, now))

    def _begin(self, command: Command, now: datetime) -> _Work:
        roll_out = command.roll_out
        settings = self.parameters.report_settings(roll_out.repository)
        github = self.github(roll_out.repository, settings.token) if settings.token else None
        target = _target_of(roll_out, settings)
        if github and target and target.gates.trigger == DEPLOYMENT:
            command = self._with_deployment(command)
        environment = target.environment if target else roll_out.target
        page = f"{settings.page_url}#{roll_out.target}" if settings.page_url else ""
        return _Work(command, environment, now, github, Links(page, target.url if target else ""))

    def _with_deployment(self, command: Command) -> Command:
        """The command, with somebody else's deployment if its commit was sent for it before."""
        if command.roll_out.deployment is not None:
            return command
        sent = sent_to(self.history, command, command.requested - REMEMBERED)
        return next(one for one in with_deployments(sent) if one.id == command.id)

    def _on_github(self, work: _Work) -> DeploymentStatus | None:
        """The status on GitHub; None without a token, or where GitHub refuses."""
        if work.github is None:
            return None
        try:
            return self._sync(work, work.github)
        except NotTakenError as error:
            if not error.is_known:
                facts = roll_out_facts(work.command.roll_out) | {"reason": str(error)}
                self.journal.note(Decision("deployment", "not_reported", facts, "error"))
            return None

    def _without_github(self, work: _Work) -> DeploymentStatus:
        verdict, status = self._look(work, None)
        known = self.memory.of(work.command.roll_out).having_said(status)
        if known.owed:
            self.notifier.notify(verdict, known.owed, work.environment)
        self.memory.keep(work.command.roll_out, known.having_told())
        return status

    def _sync(self, work: _Work, github: Deployments) -> DeploymentStatus:
        roll_out = work.command.roll_out
        deployment = find_or_create(github, roll_out, work.environment, stage=self.stage)
        request = deployment.id if deployment.is_foreign else 0
        for _ in range(ROUNDS):
            verdict, status = self._look(work, deployment)
            said = tuple(github.statuses(deployment.id))
            seen = Seen(status, said, self.memory.of(roll_out, request).having_read(said))
            self.memory.keep(roll_out, seen.known, request)
            step, status = next_step(seen)
            while step != Step.DONE:
                seen = after(seen, step, status)
                try:
                    if step == Step.POST:
                        self._post(work, github, deployment, status, verdict)
                    elif step == Step.END:
                        self._end_replaced(work, github, deployment.environment)
                    else:
                        self.notifier.notify(verdict, status, work.environment)
                except UnavailableError:  # GitHub may have applied it all the same
                    self.memory.keep(roll_out, seen.known, request)
                    raise
                self.memory.keep(roll_out, seen.known, request)
                step, status = next_step(seen)
            if seen.said == said:
                return status
        raise UnavailableError("others post at the same time", retry_seconds=RETRY_SECONDS)

    def _look(self, work: _Work, deployment: Deployment | None) -> tuple[Verdict, DeploymentStatus]:
        since = since_first(work.command, deployment)
        sent = sent_to(self.history, work.command, since)
        if deployment and deployment.is_foreign:
            sent = only_for(deployment, sent, work.command)
        return read_verdict(self.history, sent, work.command.roll_out.commit.sha, now=work.now)

    def _end_replaced(self, work: _Work, github: Deployments, environment: str) -> None:
        end_replaced(
            github,
            self.history,
            work.command,
            environment=environment,
            stage=self.stage,
            now=work.now,
        )

    def _post(
        self,
        work: _Work,
        github: Deployments,
        deployment: Deployment,
        status: DeploymentStatus,
        verdict: Verdict,
    ) -> None:
        log_url = work.links.log_url or self.notifier.log_url(verdict.command_id)
        github.post(deployment.id, status, replace(work.links, log_url=log_url))
        if not status.is_final:
            facts = roll_out_facts(work.command.roll_out) | {"command_id": verdict.command_id}
            self.journal.note(Decision("deployment", status.state, facts))


def _target_of(roll_out: RollOut, settings: StoredReportSettings) -> Target | None:
    """The command's target, if it is still stored."""
    try:
        targets = parse_stored_targets(settings.targets or "[]", roll_out.repository)
    except TargetsError:
        targets = ()
    return next((one for one in targets if one.name == roll_out.target), None)
