"""The deployments on GitHub of a target with gates: judged, queued, overtaken.

GitHub judges checks. It makes a deployment only if they are green, and that deployment is the one
which is reported on. So a commit that waits for its checks has no deployment. Once it is a
day old, by its committer's date, it gets one that is queued.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from chalicelib.core.deployments import (
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
    NotGreen,
    status_from,
)
from chalicelib.core.gates import EVERY_CHECK
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.core.waiting import CLOSED, OPEN, Gate, Waiting, checks_gate, no_check_yet
from chalicelib.flows.find_deployment import LOOKS, Deployments, first_of
from chalicelib.flows.gates import GateRepository

# The search for queued deployments ends after so many that are not queued.
OTHERS = 10
PATIENCE = timedelta(hours=24)  # with checks that do not come

Made = tuple[Deployment, bool]  # whether it was created just now


class GatedRepository(Deployments, GateRepository, Protocol):
    """A repository on GitHub. Every method raises NotTakenError or UnavailableError."""

    def create_if_green(
        self, request: DeploymentRequest, checks: Sequence[str]
    ) -> Deployment | NotGreen:
        """Create a deployment if these checks have passed; without names, if all have."""

    def has_checks(self, commit: CommitSha) -> bool:
        """Whether the commit has any check."""

    def committed_at(self, commit: CommitSha) -> datetime:
        """The commit's committer date (aware)."""


@dataclass(frozen=True)
class GatedDeployments:
    """A target's deployments. Every method raises NotTakenError or UnavailableError."""

    stage: str
    target: Target
    github: GatedRepository

    def judge_checks(self, commit: CommitSha) -> tuple[Gate, Made | None]:
        """The gate `checks` of a commit; and its deployment, if the gate is open."""
        checks = self.target.gates.checks
        # GitHub calls a commit green to which no check was reported yet.
        if checks == EVERY_CHECK and not self.github.has_checks(commit):
            return no_check_yet(self.target.gates), None
        request = self._request(commit)
        # A deployment that is there says nothing of the checks now: it may have been made by a pin,
        # or before a check turned red, and then the commit was not sent.
        made = self.github.create_if_green(request, () if checks == EVERY_CHECK else checks)
        if isinstance(made, NotGreen):
            return checks_gate(self.target.gates, CLOSED, made.reason), None
        found = first_of(self.github, made, request)
        return checks_gate(self.target.gates, OPEN), (found, found.id == made.id)

    def tell(self, waiting: Waiting, *, now: datetime) -> None:
        """Post what a commit waits for. If it may wait for checks, only after a day.

        Usually its checks are green or red within the hour, and a red commit needs no deployment.
        """
        if self.target.gates.checks and now - self.github.committed_at(waiting.commit) < PATIENCE:
            return
        request = self._request(waiting.commit)
        deployment = self.github.find(request)
        if deployment is None:
            deployment = self.github.create(request)
        status = status_from("queued", [str(waiting)])
        if status not in self.github.statuses(deployment.id)[:1]:
            self.github.post(deployment.id, status)

    def end_waiting(self, newer: CommitSha, ahead: Collection[CommitSha]) -> None:
        """Mark queued commits inactive: a newer one has overtaken them, or a force push.

        `ahead` are commits that wait on.
        """
        kept = {newer.sha, *(one.sha for one in ahead)}
        status = DeploymentStatus("inactive", f"overtaken by {newer.short} while it waited")
        mine = (
            one
            for one in islice(self.github.newest(self.target.environment), LOOKS)
            if (one.stage, one.target) == (self.stage, self.target.name)
        )
        waiting, others = [], 0
        for one in mine:
            if one.commit in kept:
                continue
            if any(said.state == "queued" for said in self.github.statuses(one.id)[:1]):
                waiting.append(one)
                continue
            # A commit that waits may stand behind some that a person has deployed since.
            others += 1
            if others == OTHERS:
                break
        # The oldest first: if GitHub fails now, a later call finds the others at the same place.
        for one in reversed(waiting):
            self.github.post(one.id, status)

    def _request(self, commit: CommitSha) -> DeploymentRequest:
        target = self.target
        return DeploymentRequest(commit, target.environment, self.stage, target.name, "")
