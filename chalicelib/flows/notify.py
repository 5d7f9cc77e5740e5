"""Logs a deployment that has ended, counts it, and publishes it to the stage's topic."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.decisions import COUNT, SECONDS, Decision, DecisionLog, Level, count
from chalicelib.core.deployments import DeploymentStatus, plain_text
from chalicelib.core.errors import PulleyError
from chalicelib.core.history import RollOut
from chalicelib.core.notifications import Notification, notification_of
from chalicelib.core.observations import AT
from chalicelib.core.sync_steps import Known
from chalicelib.core.verdicts import Verdict

MAX_HOSTS = 200  # in a line of the log: CloudWatch accepts 256 KB for one line


class Publisher(Protocol):
    """Where notifications go. Raises RefusedError or UnavailableError."""

    def publish(self, notification: Notification) -> None:
        """Publish."""


class Memory:
    """Which deployments this process has notified; it keeps the newest `most`.

    Without it a repeated event would be notified twice. A new process starts from the state on
    GitHub.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._known: dict[tuple[str, str, int], Known] = {}

    def of(self, roll_out: RollOut, request: int = 0) -> Known:
        """What is known of the commit on the target.

        `request` is the id of somebody else's deployment: each one has its notifications.
        """
        return self._known.get((roll_out.target, roll_out.commit.sha, request), Known())

    def keep(self, roll_out: RollOut, known: Known, request: int = 0) -> None:
        """Store; evict the oldest entry over the limit."""
        key = roll_out.target, roll_out.commit.sha, request
        self._known.pop(key, None)
        self._known[key] = known
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]


@dataclass(frozen=True)
class Notifier:
    """Notifies of one stage's deployments. `log_url` makes a command's address."""

    stage: str
    topic: Publisher | None
    journal: DecisionLog
    log_url: Callable[[str], str]

    def notify(self, verdict: Verdict, status: DeploymentStatus, environment: str) -> None:
        """Log, count and publish. A failed publish is only logged: a retry could notify twice."""
        at = verdict.of(AT)
        metrics = count("Deploys") | {"HostsUpdated": (sum(one.updated for one in at), COUNT)}
        pushed_at, ends = verdict.roll_out.pushed_at, [one.ended for one in at if one.ended]
        if status.state == "success" and pushed_at and ends:
            seconds = max(0.0, (max(ends) - pushed_at).total_seconds())
            metrics["SecondsFromPushToPulled"] = (seconds, SECONDS)
        facts = roll_out_facts(verdict.roll_out) | {
            "command_id": verdict.command_id,
            "description": status.description,
            "hosts": _words_of(verdict),
        }
        level: Level = "info" if status.state in {"success", "inactive"} else "error"
        self.journal.note(Decision("deployment", status.state, facts, level, metrics))
        if self.topic is None:
            return
        notification = notification_of(
            verdict,
            status,
            stage=self.stage,
            environment=environment,
            log_url=self.log_url(verdict.command_id),
        )
        try:
            self.topic.publish(notification)
        except PulleyError as error:
            facts = roll_out_facts(verdict.roll_out) | {"reason": error.in_full}
            self.journal.note(Decision("notification", "failed", facts, "error"))


def _words_of(verdict: Verdict) -> dict[str, str]:
    """Each host's words. Over MAX_HOSTS, hosts at the commit are left out before others."""
    hosts = sorted(verdict.hosts, key=lambda one: one.kind == AT)[:MAX_HOSTS]
    said: dict[str, str] = {}
    for one in hosts:
        name = one.host if one.host not in said else f"{one.host} #{len(said)}"
        said[name] = plain_text(f"{one.kind} {one.words}")
    return said


def roll_out_facts(roll_out: RollOut) -> dict[str, object]:
    """The facts that identify the deployment in a line of the log."""
    return {
        "delivery": roll_out.delivery,
        "repository": str(roll_out.repository),
        "target": roll_out.target,
        "commit": roll_out.commit.sha,
        "cause": roll_out.cause,
    }
