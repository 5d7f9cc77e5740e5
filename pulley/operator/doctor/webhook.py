"""Check a repository's webhook on GitHub: that it exists, its settings, and its deliveries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from chalicelib.core.errors import NotTakenError
from chalicelib.core.refs import Repository
from chalicelib.core.webhook import FailedDelivery
from chalicelib.edges.github_reading import lost_deliveries
from pulley.operator.doctor.row import FAIL, WARN, Row, passed
from pulley.operator.suggest import suggest
from pulley.operator.webhook.hooks import RepositoryHook, Webhooks
from pulley.operator.webhook.pings import Ping, mend_of

LATELY = timedelta(days=1)
REMEMBERED = timedelta(days=3)  # how long GitHub shows deliveries


class Deliveries(Protocol):
    """GitHub's record of deliveries. Raises NotTakenError or UnavailableError."""

    def attempts(self, hook_id: int) -> Sequence[FailedDelivery]:
        """The attempts of a webhook to deliver, failed or not."""


@dataclass(frozen=True)
class WebhookCheck:
    """Checks the webhook of a repository that posts to this URL.

    `secret_since` is when the newest secret that opens the repository was stored.
    """

    repository: Repository
    url: str
    stage: str
    secret_since: datetime | None

    @property
    def what(self) -> str:
        """The first column of its row."""
        return f"webhook of {self.repository}"

    def check(self, webhooks: Webhooks, deliveries: Deliveries, *, now: datetime) -> Iterator[Row]:
        """Check the webhook. Raises UnavailableError."""
        try:
            hooks = webhooks.all()
            ours = [hook for hook in hooks if hook.posts_to(self.url)]
            attempts = deliveries.attempts(ours[0].id) if ours else []
        except NotTakenError as error:
            hint = (
                f"GITHUB_TOKEN=... {suggest('doctor')}, with a token that may read "
                f"{self.repository}'s webhooks"
            )
            yield Row(self.what, WARN, f"it cannot be looked at: {error}", hint)
            return
        wrong = self._check_hooks(hooks, ours, webhooks.events)
        yield wrong or self.check_deliveries(attempts, now=now)

    def _check_hooks(
        self,
        hooks: Sequence[RepositoryHook],
        ours: Sequence[RepositoryHook],
        events: Sequence[str],
    ) -> Row | None:
        """The row for wrong settings; None if all are right."""
        connect = str(suggest("connect", self.repository))
        if not ours:
            others = [hook.url for hook in hooks if hook.is_like(self.url)]
            words = f"none posts to {self.url}"
            if others:
                words += f"; there is one to {', '.join(others)}"
            return Row(self.what, FAIL, words, connect)
        if len(ours) > 1:
            words = f"{len(ours)} post to the same address: each push comes {len(ours)} times"
            hint = f"delete all but one, in {self.repository}'s Settings, Webhooks"
            return Row(self.what, WARN, words, hint)
        wrong = ours[0].differences(events)
        return Row(self.what, FAIL, "; ".join(wrong), connect) if wrong else None

    def check_deliveries(self, attempts: Sequence[FailedDelivery], *, now: datetime) -> Row:
        """Judge the attempts that GitHub has recorded, accepted ones too."""
        taken = [attempt.delivered_at for attempt in attempts if 200 <= attempt.status_code < 300]
        lost = lost_since(attempts, max([now - LATELY, *taken]))
        if lost:
            last = lost[-1]
            told = f"{last.status_code} {last.status}".strip()
            words = f"failed since the last success: {len(lost)}; the newest: {told}"
            ping = Ping(last.status_code, last.status)
            hint = f"{mend_of(ping, self.stage, self.repository)}. Then Redeliver"
            return Row(self.what, FAIL, words, hint)
        since = self.secret_since
        if since and _is_unproven(since, taken, now):
            at = f"{since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
            words = f"no delivery was taken since its secret was stored, {at}"
            hint = (
                f"{suggest('connect', self.repository)}: its ping shows whether the webhook has "
                "that secret. --force sets it"
            )
            return Row(self.what, FAIL, words, hint)
        return passed(self.what, "as it should be, and its deliveries are taken")


def lost_since(attempts: Sequence[FailedDelivery], since: datetime) -> list[FailedDelivery]:
    """The deliveries tried after `since` that no attempt delivered: oldest first, without pings.

    If a ping is lost, no push is lost.
    """
    lost = lost_deliveries(attempts, since)
    return [one for one in lost if one.event != "ping" and one.delivered_at > since]


def _is_unproven(since: datetime, taken: Sequence[datetime], now: datetime) -> bool:
    """Whether no delivery was accepted since the secret was stored, as far as GitHub remembers."""
    if since < now - REMEMBERED:
        return False
    # GitHub gives the times of deliveries in whole seconds.
    return not any(at >= since.replace(microsecond=0) for at in taken)
