"""Commit statuses and check runs: checked as GitHub does, kept, and judged.

From GitHub's pages "REST API endpoints for commit statuses", "... for check runs" and "... for
deployments". All runs are of one app, so each commit has one check suite. It takes no lock.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pulley.sandbox.github.commits import Commits
from pulley.sandbox.github.errors import GitHubError, check_fields, check_urls, invalid

_STATES = {"error", "failure", "pending", "success"}
_RUN_STATUSES = {"queued", "in_progress", "completed"}
# The worst first: a suite has the first that one of its runs has. Only GitHub sets `stale`.
_CONCLUSIONS = (
    "failure",
    "timed_out",
    "cancelled",
    "action_required",
    "success",
    "neutral",
    "skipped",
)
_STATUS_KINDS: Mapping[str, tuple[type, ...]] = dict.fromkeys(
    ("state", "context", "description", "target_url"), (str,)
)
_RUN_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "head_sha", "status", "conclusion"), (str,)),
    **dict.fromkeys(("details_url", "external_id"), (str,)),
    "output": (dict,),
}


@dataclass(frozen=True)
class CommitStatus:
    """A commit status, as it was created."""

    id: int
    sha: str
    context: str
    state: str
    description: str
    target_url: str
    created_at: datetime


@dataclass(frozen=True)
class CheckRun:
    """A check run as it is now. `conclusion` is empty until the status is `completed`."""

    id: int
    name: str
    head_sha: str
    status: str
    conclusion: str
    started_at: datetime
    completed_at: datetime | None
    details_url: str
    external_id: str
    output: Mapping[str, Any]

    @property
    def state(self) -> str:
        """The state by which a deployment is judged."""
        return self.conclusion or "pending"


@dataclass(frozen=True)
class CheckSuite:
    """A commit's check suite, as its latest runs make it."""

    id: int
    head_sha: str
    head_branch: str | None
    created_at: datetime
    runs: tuple[CheckRun, ...] = ()

    @property
    def status(self) -> str:
        """It is completed when every latest run is."""
        statuses = {run.status for run in self.runs}
        if statuses <= {"completed"}:
            return "completed" if statuses else "queued"
        return "queued" if statuses == {"queued"} else "in_progress"

    @property
    def conclusion(self) -> str | None:
        """The worst conclusion of the runs. None until all are completed."""
        found = {run.conclusion for run in self.runs}
        completed = self.status == "completed"
        return next(word for word in _CONCLUSIONS if word in found) if completed else None


class Checks:
    """A repository's commit statuses and check runs."""

    def __init__(self, commits: Commits, ids: Iterator[int]) -> None:
        """`ids` is shared, because ids are unique in all of GitHub."""
        self._commits, self._ids = commits, ids
        self._statuses: list[CommitStatus] = []
        self._runs: dict[int, CheckRun] = {}
        self._suites: dict[str, CheckSuite] = {}

    def create_status(self, sha: str, body: Mapping[str, Any]) -> CommitStatus:
        """Create a status. Raises GitHubError if GitHub would refuse it: 422."""
        fields = check_fields(body, _STATUS_KINDS, "Status", required=["state"])
        if fields["state"] not in _STATES:
            raise invalid("Status", "state", "is not included in the list")
        check_urls(fields, "Status", "target_url")
        status = CommitStatus(
            id=next(self._ids),
            sha=self._commits.find_sha(sha),
            context=fields.get("context", "default"),
            state=fields["state"],
            description=fields.get("description", ""),
            target_url=fields.get("target_url", ""),
            created_at=datetime.now(UTC),
        )
        self._statuses.append(status)
        return status

    def statuses(self, sha: str) -> list[CommitStatus]:
        """The newest status of each context, newest first. A context's case does not matter."""
        oldest_first = [one for one in self._statuses if one.sha == sha]
        by_context = {one.context.lower(): one for one in oldest_first}
        return sorted(by_context.values(), key=lambda one: one.id, reverse=True)

    def create_run(self, body: Mapping[str, Any]) -> CheckRun:
        """Create a check run. Raises GitHubError if GitHub would refuse it: 422."""
        fields = _check_run_fields(body, required=["name", "head_sha"])
        sha = self._commits.find_sha(fields["head_sha"])
        now = datetime.now(UTC)
        run = CheckRun(
            id=next(self._ids),
            name=fields["name"],
            head_sha=sha,
            status="queued",
            conclusion="",
            started_at=now,
            completed_at=None,
            details_url="",
            external_id="",
            output={},
        )
        run = self._keep(run, fields)
        if sha not in self._suites:
            branch = self._head_branch(sha)
            self._suites[sha] = CheckSuite(next(self._ids), sha, branch, now)
        return run

    def update_run(self, run_id: int, body: Mapping[str, Any]) -> CheckRun:
        """Change the named fields. Raises GitHubError: 404 or 422.

        A completed run stays completed: Mergify saw GitHub refuse to reopen it. Its words for that
        are not known.
        """
        run, fields = self.find_run(run_id), _check_run_fields(body)
        if run.status == "completed" != fields.get("status", "completed"):
            raise invalid("CheckRun", "status", "cannot change once the run is completed")
        return self._keep(run, fields)

    def find_run(self, run_id: int) -> CheckRun:
        """Return the run. Raises GitHubError if this repository does not have it."""
        if run_id not in self._runs:
            raise GitHubError(404, "Not Found")
        return self._runs[run_id]

    def runs(self, sha: str) -> list[CheckRun]:
        """All runs of a commit, newest first."""
        return [run for run in reversed(self._runs.values()) if run.head_sha == sha]

    def latest_runs(self, sha: str) -> list[CheckRun]:
        """The newest run of each name, newest first: a new run replaces the older."""
        by_name = {run.name: run for run in reversed(self.runs(sha))}
        return sorted(by_name.values(), key=lambda run: run.id, reverse=True)

    def suite(self, sha: str) -> CheckSuite:
        """The suite of a commit that has a run."""
        return replace(self._suites[sha], runs=tuple(self.latest_runs(sha)))

    def check_contexts(self, ref: str, sha: str, required: Sequence[str] | None) -> None:
        """Raise GitHubError, 409, if statuses or check runs forbid a deployment.

        `required` is the request's `required_contexts`: absent, each status and run that exists
        must be a success; else those that are named, each of which must exist. A name that both a
        status and a run have needs both. `skipped` and `neutral` are no success: people report so.

        `contexts` is as people quote it of real answers: what was judged, each with its state, the
        successful ones too. No quote shows a run under way, or a required name that nobody
        submitted: here both are `pending`.
        """
        statuses, runs = self.statuses(sha), self.latest_runs(sha)
        missing: list[str] = []
        if required is not None:
            wanted = {name.lower() for name in required}
            statuses = [one for one in statuses if one.context.lower() in wanted]
            runs = [run for run in runs if run.name in required]
            has_status, has_run = {one.context.lower() for one in statuses}, {r.name for r in runs}
            names = dict.fromkeys(required)
            missing = [n for n in names if n.lower() not in has_status and n not in has_run]
        judged = [
            *((one.context, one.state) for one in statuses),
            *((run.name, run.state) for run in runs),
            *((name, "pending") for name in missing),
        ]
        if any(state != "success" for _, state in judged):
            contexts = [{"context": name, "state": state} for name, state in judged]
            error = {"resource": "Deployment", "field": "required_contexts", "code": "invalid"}
            message = f"Conflict: Commit status checks failed for {ref}."
            raise GitHubError(409, message, {"contexts": contexts, **error})

    def _keep(self, run: CheckRun, fields: Mapping[str, Any]) -> CheckRun:
        """Keep a run with these fields changed. Raises GitHubError."""
        changes = {name: value for name, value in fields.items() if name != "head_sha"}
        if "conclusion" in changes:
            changes["status"] = "completed"
        changed = replace(run, **changes)
        if changed.status == "completed":
            if not changed.conclusion:
                raise invalid("CheckRun", "conclusion", "is required if the status is completed")
            changed = replace(changed, completed_at=run.completed_at or datetime.now(UTC))
        self._runs[run.id] = changed
        return changed

    def _head_branch(self, sha: str) -> str | None:
        """A branch whose tip is the commit, else that contains it; the default branch first."""
        default = self._commits.default_branch
        found = self._commits.branches_with(sha)
        found.sort(key=lambda one: (one[1] != sha, one[0] != default))
        return found[0][0] if found else None


def _check_run_fields(body: Mapping[str, Any], *, required: Sequence[str] = ()) -> dict[str, Any]:
    fields = check_fields(body, _RUN_KINDS, "CheckRun", required=required)
    for name, known in (("status", _RUN_STATUSES), ("conclusion", _CONCLUSIONS)):
        if name in fields and fields[name] not in known:
            raise invalid("CheckRun", name, "is not included in the list")
    check_urls(fields, "CheckRun", "details_url")
    return fields
