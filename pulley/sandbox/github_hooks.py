"""A repository's webhooks as GitHub's API shows them, and what it remembers of their deliveries.

From GitHub's page "REST API endpoints for repository webhooks". Nothing is sent from here: whoever
wants a webhook to have failed writes its deliveries down.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class HookDelivery:
    """One attempt. GitHub's status is "OK", its words for a failure, or those of the answer."""

    guid: str
    event: str
    delivered_at: datetime
    status_code: int = 200
    status: str = "OK"
    redelivery: bool = False


@dataclass
class Hook:
    """A webhook: `url` is where it sends to. A test adds its deliveries, oldest first."""

    id: int
    url: str
    deliveries: list[HookDelivery] = field(default_factory=list)


class Hooks:
    """A repository's webhooks."""

    def __init__(self, ids: Iterator[int]) -> None:
        """`ids` is shared, as ids are distinct in the whole of GitHub."""
        self._ids = ids
        self._hooks: dict[int, Hook] = {}

    def add(self, url: str) -> Hook:
        """Make a webhook without deliveries."""
        hook = Hook(next(self._ids), url)
        self._hooks[hook.id] = hook
        return hook

    def show(self, repository_url: str) -> list[dict[str, object]]:
        """As GitHub's answers have them: a secret only as stars."""
        return [
            {
                "type": "Repository",
                "id": hook.id,
                "name": "web",
                "active": True,
                "events": ["push"],
                "config": {"content_type": "json", "url": hook.url, "secret": "********"},
                "url": f"{repository_url}/hooks/{hook.id}",
                "deliveries_url": f"{repository_url}/hooks/{hook.id}/deliveries",
            }
            for hook in self._hooks.values()
        ]

    def show_deliveries(self, hook_id: int) -> list[dict[str, object]] | None:
        """As GitHub's answers have them, newest first; None where there is no such webhook."""
        hook = self._hooks.get(hook_id)
        if hook is None:
            return None
        shown: list[dict[str, object]] = [
            {
                "id": hook.id * 1000 + number,
                "guid": one.guid,
                "delivered_at": f"{one.delivered_at:%Y-%m-%dT%H:%M:%SZ}",
                "redelivery": one.redelivery,
                "duration": 0.27,
                "status": one.status,
                "status_code": one.status_code,
                "event": one.event,
                "action": None,
                "installation_id": None,
                "repository_id": 1,
                "throttled_at": None,
            }
            for number, one in enumerate(hook.deliveries)
        ]
        return shown[::-1]
