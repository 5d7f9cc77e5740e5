"""GitHub's deployments: checked against git and the limits, and kept.

From GitHub's pages "REST API endpoints for deployments", "... for deployment statuses" and
"... for branches". It knows no HTTP beyond the status of an answer, and takes no lock:
server.py serves it, one request at a time.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
_LONGEST_DESCRIPTION = 140  # characters
_TEXTS = "ref task environment description state target_url log_url environment_url"
_SWITCHES = "auto_merge auto_inactive transient_environment production_environment"
_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS.split(), (str,)),
    **dict.fromkeys(_SWITCHES.split(), (bool,)),
    "required_contexts": (list,),
    "payload": (dict, str),
}
_JSON_NAMES = {str: "a string", bool: "a boolean", list: "an array", dict: "an object"}


class GitHubError(Exception):
    """GitHub's answer to a wrong request: a status, a message, and the errors by field."""

    def __init__(self, status: int, message: str, *errors: Mapping[str, object]) -> None:
        """`status` is HTTP's."""
        super().__init__(f"{status}: {message}")
        self.status, self.message, self.errors = status, message, errors


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
    """A repository's deployments, and the git repository that has the commits."""

    def __init__(self, full_name: str, path: Path, ids: Iterator[int]) -> None:
        """`ids` is shared with other repositories, because ids are unique in all of GitHub."""
        self.full_name = full_name
        self.path, self.id = path, next(ids)
        self._ids = ids
        self._deployments: dict[int, RecordedDeployment] = {}

    @property
    def deployments(self) -> tuple[RecordedDeployment, ...]:
        """All deployments, oldest first."""
        return tuple(self._deployments.values())

    @property
    def default_branch(self) -> str:
        """The default branch: git's HEAD."""
        return self._git("symbolic-ref", "--short", "HEAD") or ""

    def find_deployment(self, deployment_id: int) -> RecordedDeployment:
        """Return the deployment. Raises GitHubError if this repository does not have it."""
        if deployment_id not in self._deployments:
            raise GitHubError(404, "Not Found")
        return self._deployments[deployment_id]

    def branch_commit(self, branch: str) -> str:
        """Return the commit of the branch. Raises GitHubError if there is no such branch."""
        commit = self._commit_of_ref(f"refs/heads/{branch}")
        if commit is None:
            raise GitHubError(404, "Branch not found")
        return commit

    def create_deployment(self, body: Mapping[str, Any]) -> RecordedDeployment:
        """Create a deployment. Raises GitHubError if GitHub would refuse it: 409 or 422."""
        fields = _check_fields(body, "Deployment", required="ref")
        ref = fields["ref"]
        commit = self._resolve(ref)
        if commit is None:
            raise GitHubError(422, f"No ref found for: {ref}")
        if fields.get("auto_merge", True):
            self._check_merged(ref, commit)
        # Nobody submits contexts here, so a context that is required by name has no success.
        if fields.get("required_contexts"):
            raise GitHubError(
                409,
                f"Conflict: Commit status checks failed for {ref}.",
                {"resource": "Deployment", "field": "required_contexts", "code": "invalid"},
            )
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
        fields = _check_fields(body, "DeploymentStatus", required="state")
        if fields["state"] not in _STATES:
            raise _invalid("DeploymentStatus", "state", "is not included in the list")
        for name in ("target_url", "log_url", "environment_url"):
            if fields.get(name) and not re.match(r"https?://[^/\s]", fields[name], re.IGNORECASE):
                raise _invalid("DeploymentStatus", name, "must use http(s) scheme")
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
        default = self.default_branch
        tip = default and self._commit_of_ref(f"refs/heads/{default}")
        if tip and self._git("merge-base", "--is-ancestor", tip, commit) is None:
            raise GitHubError(409, f"Conflict merging {default} into {ref}.")

    def _resolve(self, ref: str) -> str | None:
        """The commit of a branch, a tag, a full ref or a full SHA."""
        if re.fullmatch(r"[0-9a-f]{40}", ref):
            return self._commit(ref)
        names = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        return next(filter(None, map(self._commit_of_ref, names)), None)

    def _commit_of_ref(self, name: str) -> str | None:
        # Not rev-parse, which would accept `main~1` as a branch too.
        found = self._git("show-ref", "--verify", "--hash", "--", name)
        return self._commit(found) if found else None

    def _commit(self, sha: str) -> str | None:
        return self._git("rev-parse", "--verify", "--quiet", f"{sha}^{{commit}}")

    def _git(self, *arguments: str) -> str | None:
        """What git prints, or None if it fails."""
        try:
            done = subprocess.run(
                ["git", "--git-dir", str(self.path), *arguments], capture_output=True, check=True
            )
        except (subprocess.CalledProcessError, ValueError):
            return None  # ValueError: a NUL or half a surrogate pair, which no ref contains
        return done.stdout.decode().strip()


def _check_fields(body: Mapping[str, Any], resource: str, *, required: str) -> dict[str, Any]:
    """Return the known fields; null counts as absent. Raises GitHubError."""
    fields = {name: body[name] for name in _KINDS if body.get(name) is not None}
    if required not in fields:
        missing = {"resource": resource, "field": required, "code": "missing_field"}
        raise GitHubError(422, f'Invalid request.\n\n"{required}" wasn\'t supplied.', missing)
    for name, value in fields.items():
        if not isinstance(value, _KINDS[name]):
            wanted = " or ".join(_JSON_NAMES[kind] for kind in _KINDS[name])
            problem = f"For 'properties/{name}', {json.dumps(value)} is not {wanted}."
            raise GitHubError(422, f"Invalid request.\n\n{problem}")
    if len(fields.get("description", "")) > _LONGEST_DESCRIPTION:
        raise _invalid(
            resource, "description", f"is too long (maximum is {_LONGEST_DESCRIPTION} characters)"
        )
    return fields


def _invalid(resource: str, field: str, problem: str) -> GitHubError:
    error = {"resource": resource, "code": "custom", "field": field}
    return GitHubError(422, "Validation Failed", error | {"message": f"{field} {problem}"})
