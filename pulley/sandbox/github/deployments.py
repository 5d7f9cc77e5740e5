"""GitHub's deployments: checked against git, the checks and the limits, and kept.

From GitHub's pages "REST API endpoints for deployments" and "... for deployment statuses". It knows
no HTTP beyond the status of an answer, and takes no lock: server.py serves it, one request at a
time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pulley.sandbox.github.checks import Checks
from pulley.sandbox.github.commits import Commits
from pulley.sandbox.github.errors import GitHubError, check_fields, check_urls, invalid
from pulley.sandbox.github.releases import Releases

_STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
_TEXTS = "ref task environment description state target_url log_url environment_url"
_SWITCHES = "auto_merge auto_inactive transient_environment production_environment"
_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS.split(), (str,)),
    **dict.fromkeys(_SWITCHES.split(), (bool,)),
    "required_contexts": (list,),
    "payload": (dict, str),
}


@dataclass(frozen=True)
class RecordedStatus:
    """A deployment status. `environment` is its own, else that of the previous status."""

    id: int
    state: str
    description: str
    log_url: str
    environment: str
    created_at: datetime
    environment_url: str = ""


@dataclass(frozen=True)
class RecordedDeployment:
    """A deployment as it was created, and its statuses, oldest first."""

    id: int
    sha: str
    ref: str
    environment: str
    description: str
    payload: object
    created_at: datetime
    statuses: tuple[RecordedStatus, ...]
    task: str
    original_environment: str
    transient_environment: bool
    production_environment: bool

    @property
    def status(self) -> RecordedStatus | None:
        """The newest status."""
        return self.statuses[-1] if self.statuses else None

    @property
    def state(self) -> str:
        """The state of the newest status; without a status GitHub shows `pending`."""
        return self.status.state if self.status else "pending"


class HostedRepository:
    """A repository's deployments and releases, its git repository, and the commits' checks."""

    def __init__(self, full_name: str, path: Path, ids: Iterator[int]) -> None:
        """`ids` is shared with other repositories, because ids are unique in all of GitHub."""
        self.full_name = full_name
        self.path, self.id = path, next(ids)
        self._ids = ids
        self.commits = Commits(path)
        self.checks = Checks(self.commits, ids)
        self.releases = Releases(self.commits, ids)
        self._deployments: dict[int, RecordedDeployment] = {}

    @property
    def deployments(self) -> tuple[RecordedDeployment, ...]:
        """All deployments, oldest first."""
        return tuple(self._deployments.values())

    def find_deployment(self, deployment_id: int) -> RecordedDeployment:
        """Return the deployment. Raises GitHubError if this repository does not have it."""
        if deployment_id not in self._deployments:
            raise GitHubError(404, "Not Found")
        return self._deployments[deployment_id]

    def create_deployment(self, body: Mapping[str, Any]) -> RecordedDeployment:
        """Create a deployment. Raises GitHubError if GitHub would refuse it: 409 or 422."""
        fields = check_fields(body, _KINDS, "Deployment", required=["ref"])
        ref, required = fields["ref"], fields.get("required_contexts")
        if not all(isinstance(name, str) for name in required or ()):
            raise invalid("Deployment", "required_contexts", "must be an array of strings")
        commit = self.commits.resolve(ref)
        if commit is None:
            raise GitHubError(422, f"No ref found for: {ref}")
        if fields.get("auto_merge", True):
            self._check_merged(ref, commit)
        self.checks.check_contexts(ref, commit, required)
        environment = fields.get("environment", "production")
        deployment = RecordedDeployment(
            id=next(self._ids),
            sha=commit,
            ref=ref,
            environment=environment,
            description=fields.get("description", ""),
            payload=fields.get("payload", ""),
            created_at=datetime.now(UTC),
            statuses=(),
            task=fields.get("task", "deploy"),
            original_environment=environment,
            transient_environment=fields.get("transient_environment", False),
            production_environment=fields.get(
                "production_environment", environment == "production"
            ),
        )
        self._deployments[deployment.id] = deployment
        return deployment

    def create_status(self, deployment_id: int, body: Mapping[str, Any]) -> RecordedStatus:
        """Create a status. Raises GitHubError if GitHub would refuse it: 404 or 422."""
        deployment = self.find_deployment(deployment_id)
        fields = check_fields(body, _KINDS, "DeploymentStatus", required=["state"])
        if fields["state"] not in _STATES:
            raise invalid("DeploymentStatus", "state", "is not included in the list")
        check_urls(fields, "DeploymentStatus", "target_url", "log_url", "environment_url")
        status = self._add_status(
            deployment,
            state=fields["state"],
            description=fields.get("description", ""),
            log_url=fields.get("log_url") or fields.get("target_url", ""),
            environment=fields.get("environment") or deployment.environment,
            environment_url=fields.get("environment_url", ""),
        )
        if status.state == "success" and fields.get("auto_inactive", True):
            self._retire_before(self._deployments[deployment_id])
        return status

    def add_job_status(self, deployment_id: int, state: str) -> RecordedStatus:
        """Create a status as GitHub Actions does: `waiting` too, which the API refuses."""
        return self._add_status(self.find_deployment(deployment_id), state=state)

    def _add_status(self, deployment: RecordedDeployment, **fields: str) -> RecordedStatus:
        defaults = {"description": "", "log_url": "", "environment": deployment.environment}
        status = RecordedStatus(
            id=next(self._ids), created_at=datetime.now(UTC), **(defaults | fields)
        )
        statuses = (*deployment.statuses, status)
        self._deployments[deployment.id] = replace(
            deployment, environment=status.environment, statuses=statuses
        )
        return status

    def _retire_before(self, newest: RecordedDeployment) -> None:
        """Set older deployments of the environment to inactive (`auto_inactive`)."""
        for deployment in self.deployments:
            if (
                deployment.id < newest.id
                and deployment.environment == newest.environment
                and deployment.state == "success"
                and not deployment.transient_environment
                and not deployment.production_environment
            ):
                self._add_status(deployment, state="inactive")

    def _check_merged(self, ref: str, commit: str) -> None:
        """Raise GitHubError if the default branch has commits that the commit does not contain."""
        default = self.commits.default_branch
        tip = default and self.commits.resolve(f"refs/heads/{default}")
        if tip and not self.commits.contains(commit, tip):
            raise GitHubError(409, f"Conflict merging {default} into {ref}.")
