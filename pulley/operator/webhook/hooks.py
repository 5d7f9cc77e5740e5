"""Create, update and test a repository's webhooks on GitHub.

GitHub never shows a webhook's secret. A ping shows whether it is the stored one, because GitHub
records Pulley's answer to it. Source: GitHub's page "REST API endpoints for repository webhooks".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chalicelib.core.refs import Repository
from chalicelib.edges.aws import Deadline
from chalicelib.edges.github_api import GitHubApi
from pulley.operator.webhook.pings import NOT_RECORDED, Ping, parse_ping

PUSH_ALONE = ("push",)
FIRST_POLL_SECONDS, POLL_SECONDS = 0.1, 2.0  # doubled with each poll
ANSWER_SECONDS = 30.0  # for GitHub to record a ping's answer


@dataclass(frozen=True)
class RepositoryHook:
    """A webhook as GitHub shows it."""

    id: int
    url: str
    content_type: str
    insecure_ssl: str
    events: tuple[str, ...]
    active: bool
    has_secret: bool

    def posts_to(self, url: str) -> bool:
        """Whether it posts to this URL."""
        return _place(self.url) == _place(url)

    def is_like(self, url: str) -> bool:
        """Whether its path has the same last part: it may be another stage's, or an old one."""
        return _place(self.url)[2].rpartition("/")[2] == _place(url)[2].rpartition("/")[2]

    def differences(self, events: Sequence[str]) -> list[str]:
        """The settings that are not as Pulley wants them, for these events.

        The secret itself cannot be compared.
        """
        has_events = set(self.events) == set(events)
        shown = events if has_events else self.events
        wanted = {
            "content type": (self.content_type, "json"),
            "events": (", ".join(shown) or "none", ", ".join(events)),
            "active": ("yes" if self.active else "no", "yes"),
            "check of the certificate": ("off" if self.insecure_ssl == "1" else "on", "on"),
            "secret": ("set" if self.has_secret else "none", "set"),
        }
        return [f"{name}: {now} -> {then}" for name, (now, then) in wanted.items() if now != then]


class Webhooks:
    """The webhooks of one repository. Every method raises NotTakenError or UnavailableError."""

    def __init__(  # noqa: PLR0913 - each is a fact of its own
        self,
        api: GitHubApi,
        repository: Repository,
        token: str,
        events: Sequence[str] = PUSH_ALONE,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """`events` are those that its webhook gets. `clock` and `sleep` are in seconds."""
        self.repository = repository
        self.events = events
        self._api = api
        self._token = token
        self._clock = clock
        self._sleep = sleep

    def all(self) -> list[RepositoryHook]:
        """The repository's own webhooks. An organization's are not among them."""
        found = self._call("GET", "/hooks?per_page=100")
        hooks = [_hook(one) for one in found] if isinstance(found, list) else []
        return [hook for hook in hooks if hook]

    def posting_to(self, url: str) -> list[RepositoryHook]:
        """The webhooks that post to this URL."""
        return [hook for hook in self.all() if hook.posts_to(url)]

    def create(self, url: str, secret: str) -> None:
        """Create a webhook."""
        self._call("POST", "/hooks", {"name": "web", **self._wanted(url, secret)})

    def update(self, hook: RepositoryHook, url: str, secret: str) -> None:
        """Set everything, the secret too, because GitHub drops a secret that is left out."""
        self._call("PATCH", f"/hooks/{hook.id}", self._wanted(url, secret))

    def set_secret(self, hook: RepositoryHook, secret: str) -> None:
        """Change only the secret."""
        self._call("PATCH", f"/hooks/{hook.id}/config", {"secret": secret})

    def delete(self, hook: RepositoryHook) -> None:
        """Delete a webhook."""
        self._call("DELETE", f"/hooks/{hook.id}", has_content=False)

    def ping(self, hook: RepositoryHook, seconds: float = ANSWER_SECONDS) -> Ping:
        """Have GitHub send a ping, and wait at most `seconds` until the answer is recorded."""
        known = set(self._pings(hook))
        self._call("POST", f"/hooks/{hook.id}/pings", has_content=False)
        end = self._clock() + seconds
        pause = FIRST_POLL_SECONDS
        while True:
            new = [id_ for id_ in self._pings(hook) if id_ not in known]
            if new:
                return self._answer(hook, max(new))
            if self._clock() >= end:
                return NOT_RECORDED
            self._sleep(pause)
            pause = min(2 * pause, POLL_SECONDS)

    def _wanted(self, url: str, secret: str) -> dict[str, object]:
        place = {"url": url, "content_type": "json", "insecure_ssl": "0", "secret": secret}
        return {"active": True, "events": list(self.events), "config": place}

    def _pings(self, hook: RepositoryHook) -> list[int]:
        """The ids of the newest deliveries that are pings."""
        found = self._call("GET", f"/hooks/{hook.id}/deliveries?per_page=30")
        deliveries = found if isinstance(found, list) else []
        return [
            one["id"]
            for one in deliveries
            if isinstance(one, dict) and one.get("event") == "ping" and type(one.get("id")) is int
        ]

    def _answer(self, hook: RepositoryHook, delivery_id: int) -> Ping:
        found = self._call("GET", f"/hooks/{hook.id}/deliveries/{delivery_id}")
        return parse_ping(found if isinstance(found, dict) else {})

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        has_content: bool = True,
    ) -> Any:  # noqa: ANN401 - JSON
        return self._api.call(
            method,
            self.repository,
            path,
            token=self._token,
            deadline=Deadline(),
            body=body,
            has_content=has_content,
        )


def is_webhook_url(url: str) -> bool:
    """Whether it can be Pulley's: its path ends in /github, and it is https or on this machine."""
    scheme, place, path = _place(url)
    try:
        host = urlsplit(url).hostname  # `place` may begin with credentials: 127.0.0.1:x@
    except ValueError:
        return False
    is_here = host in {"127.0.0.1", "localhost"} and "@" not in place
    return path.endswith("/github") and bool(host) and (scheme == "https" or is_here)


def _place(url: str) -> tuple[str, str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", "", url
    return parts.scheme.lower(), parts.netloc.lower(), parts.path.rstrip("/")


def _hook(found: Any) -> RepositoryHook | None:  # noqa: ANN401 - JSON
    """Parse a webhook in GitHub's answer; None if it is malformed."""
    try:
        place, id_ = found["config"], found["id"]
        if type(id_) is not int:
            return None
        return RepositoryHook(
            id=id_,
            url=str(place.get("url") or ""),
            content_type=str(place.get("content_type") or "form"),
            insecure_ssl=str(place.get("insecure_ssl") or "0"),
            events=tuple(str(one) for one in found["events"]),
            active=found["active"] is True,
            has_secret=bool(place.get("secret")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
