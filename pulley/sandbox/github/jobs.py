"""GitHub Actions as GitHub's deployments show it: jobs with an `environment`.

For tests. People report these states of such a deployment: `waiting` until its reviewers have
approved, then `queued`, `in_progress`, and at the end how the job ended. Each step is delivered to
the webhooks before the call returns.
"""

import threading
from collections.abc import Sequence

from pulley.sandbox.github.check_events import Event, posts_of
from pulley.sandbox.github.deployment_events import deployment_events, status_events
from pulley.sandbox.github.deployments import HostedRepository
from pulley.sandbox.github.hooks import Hooks
from pulley.sandbox.github.sender import Hookshot
from pulley.sandbox.github.shapes import Shape


class Jobs:
    """The jobs of a repository. A job is known by the id of its deployment."""

    def __init__(
        self,
        repository: HostedRepository,
        hooks: Hooks,
        hookshot: Hookshot,
        *,
        url: str,
        lock: threading.Lock,
    ) -> None:
        """`url` is the repository's in the API, `lock` the server's."""
        self._repository, self._hooks, self._hookshot = repository, hooks, hookshot
        self._url, self._lock = url, lock

    def start(self, sha: str, environment: str, *, needs_review: bool = False) -> int:
        """Start a job for a commit. Returns its deployment's id."""
        fields = {"ref": sha, "auto_merge": False, "required_contexts": []}
        with self._lock:
            made = self._repository.create_deployment({**fields, "environment": environment})
            run = self._run(made.id)
            events = deployment_events(self._repository, self._url, made, run)
            events += self._say(made.id, "waiting" if needs_review else "queued")
        self._deliver(events)
        if not needs_review:
            self.post(made.id, "in_progress")
        return made.id

    def approve(self, deployment_id: int) -> None:
        """Its reviewers approve, so the job runs."""
        self.post(deployment_id, "queued")
        self.post(deployment_id, "in_progress")

    def post(self, deployment_id: int, state: str) -> None:
        """Post a state; `success` and `failure` are those of a job that ended."""
        with self._lock:
            events = self._say(deployment_id, state)
        self._deliver(events)

    def _say(self, deployment_id: int, state: str) -> list[Event]:
        status = self._repository.add_job_status(deployment_id, state)
        run = self._run(deployment_id)
        return status_events(self._repository, self._url, deployment_id, status, run)

    def _run(self, deployment_id: int) -> Shape:
        return {"id": deployment_id + 1, "status": "in_progress", "event": "workflow_dispatch"}

    def _deliver(self, events: Sequence[Event]) -> None:
        # Not under the lock: the receiver of the delivery may call the API meanwhile.
        self._hookshot.post_events(posts_of(self._hooks, events))
