"""A CI server as seen by GitHub: it reports on commits, without HTTP and without a token.

For tests and the demo. Each report is delivered to the webhooks before the call returns, so the
caller knows that they have answered.
"""

from pulley.sandbox.github.check_events import Event, run_events, status_events
from pulley.sandbox.github.event_source import EventSource
from pulley.sandbox.github.hooks import HookDelivery


class Checker(EventSource):
    """Reports on a repository's commits. Each report returns its deliveries.

    Raises GitHubError for what GitHub would refuse, such as a commit that is not pushed.
    """

    def set_status(self, sha: str, context: str, state: str) -> list[HookDelivery]:
        """Create a commit status: `pending`, `success`, `failure` or `error`."""

        def report() -> list[Event]:
            body = {"context": context, "state": state}
            status = self.repository.checks.create_status(sha, body)
            return status_events(self.repository, self.url, status)

        return self.deliver(report)

    def start_check(self, sha: str, name: str) -> list[HookDelivery]:
        """Create a check run that is in progress. It replaces an older run of the name."""

        def report() -> list[Event]:
            body = {"name": name, "head_sha": sha, "status": "in_progress"}
            run = self.repository.checks.create_run(body)
            return run_events(self.repository, self.url, run, None)

        return self.deliver(report)

    def finish_check(self, sha: str, name: str, conclusion: str = "success") -> list[HookDelivery]:
        """Complete the newest run of the name. If none is under way, create a completed run."""

        def report() -> list[Event]:
            checks, done = self.repository.checks, {"conclusion": conclusion}
            newest = next((run for run in checks.latest_runs(sha) if run.name == name), None)
            if newest is None or newest.status == "completed":
                run = checks.create_run({"name": name, "head_sha": sha, **done})
                return run_events(self.repository, self.url, run, None)
            return run_events(self.repository, self.url, checks.update_run(newest.id, done), newest)

        return self.deliver(report)
