"""What happens to a repository on GitHub without a call of its API: its events are delivered.

For tests and the demo.
"""

import threading
from collections.abc import Callable

from pulley.sandbox.github.check_events import Event, posts_of
from pulley.sandbox.github.deployments import HostedRepository
from pulley.sandbox.github.hooks import HookDelivery, Hooks
from pulley.sandbox.github.sender import Hookshot


class EventSource:
    """A source of one repository's events, such as a CI server or a person."""

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
        self.repository, self.url = repository, url
        self._hooks, self._hookshot, self._lock = hooks, hookshot, lock

    def deliver(self, happen: Callable[[], list[Event]]) -> list[HookDelivery]:
        """Let something happen under the lock, and post its events. Returns their deliveries.

        It returns when the webhooks have answered. It raises what `happen` raises.
        """
        with self._lock:
            posts = posts_of(self._hooks, happen())
        # Not under the lock: the receiver of the delivery may call the API meanwhile.
        return self._hookshot.post_events(posts)
