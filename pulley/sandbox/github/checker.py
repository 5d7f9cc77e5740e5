"""A CI server as seen by GitHub: it reports on commits, without HTTP and without a token.

For tests and the demo. Each report is delivered to the webhooks before the call returns, so the
caller knows that they have answered.
"""

import threading
from collections.abc import Callable

from pulley.sandbox.github.check_events import Event, posts_of, run_events, status_events
from pulley.sandbox.github.deployments import HostedRepository
from pulley.sandbox.github.hooks import HookDelivery, Hooks
from pulley.sandbox.github.sender import Hookshot


class Checker:
    """Reports on a repository's commits. Each report returns its deliveries.

    Raises GitHubError for what GitHub would refuse, such as a commit that is not pushed.
    """

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

    def set_status(self, sha: str, context: str, state: str) -> list[HookDelivery]:
        """Create a commit status: `pending`, `success`, `failure` or `error`."""

        def report() -> list[Event]:
            body = {"context": context, "state": state}
            status = self._repository.checks.create_status(sha, body)
            return status_events(self._repository, self._url, status)

        return self._deliver(report)

    def start_check(self, sha: str, name: str) -> list[HookDelivery]:
        """Create a check run that is in progress. It replaces an older run of the name."""

        def report() -> list[Event]:
            body = {"name": name, "head_sha": sha, "status": "in_progress"}
            run = self._repository.checks.create_run(body)
            return run_events(self._repository, self._url, run, None)

        return self._deliver(report)

    def finish_check(self, sha: str, name: str, conclusion: str = "success") -> list[HookDelivery]:
        """Complete the newest run of the name. If none is under way, create a completed run."""

        def report() -> list[Event]:
            checks, done = self._repository.checks, {"conclusion": conclusion}
            newest = next((run for run in checks.latest_runs(sha) if run.name == name), None)
            if newest is None or newest.status == "completed":
                run = checks.create_run({"name": name, "head_sha": sha, **done})
                return run_events(self._repository, self._url, run, None)
            return run_events(
                self._repository, self._url, checks.update_run(newest.id, done), newest
            )

        return self._deliver(report)

    def _deliver(self, report: Callable[[], list[Event]]) -> list[HookDelivery]:
        with self._lock:
            posts = posts_of(self._hooks, report())
        # Not under the lock: the receiver of the delivery may call the API meanwhile.
        return self._hookshot.post_events(posts)
