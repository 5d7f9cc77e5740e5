"""GitHub Actions as GitHub's deployments show it: jobs with an `environment`.

For tests. People report these states of such a deployment: `waiting` until its reviewers have
approved, then `queued`, `in_progress`, and at the end how the job ended. Each step is delivered to
the webhooks before the call returns.
"""

from pulley.sandbox.github.check_events import Event
from pulley.sandbox.github.deployment_events import deployment_events, status_events
from pulley.sandbox.github.event_source import EventSource
from pulley.sandbox.github.people import Shape


class Jobs(EventSource):
    """The jobs of a repository. A job is known by the id of its deployment."""

    def start(self, sha: str, environment: str, *, needs_review: bool = False) -> int:
        """Start a job for a commit. Returns its deployment's id."""
        fields = {"ref": sha, "auto_merge": False, "required_contexts": []}
        with self._lock:
            made = self.repository.create_deployment({**fields, "environment": environment})
        self.deliver(
            lambda: [
                *deployment_events(self.repository, self.url, made, self._run(made.id)),
                *self._say(made.id, "waiting" if needs_review else "queued"),
            ]
        )
        if not needs_review:
            self.post(made.id, "in_progress")
        return made.id

    def approve(self, deployment_id: int) -> None:
        """Its reviewers approve, so the job runs."""
        self.post(deployment_id, "queued")
        self.post(deployment_id, "in_progress")

    def post(self, deployment_id: int, state: str) -> None:
        """Post a state; `success` and `failure` are those of a job that ended."""
        self.deliver(lambda: self._say(deployment_id, state))

    def _say(self, deployment_id: int, state: str) -> list[Event]:
        status = self.repository.add_job_status(deployment_id, state)
        run = self._run(deployment_id)
        return status_events(self.repository, self.url, deployment_id, status, run)

    def _run(self, deployment_id: int) -> Shape:
        return {"id": deployment_id + 1, "status": "in_progress", "event": "workflow_dispatch"}
