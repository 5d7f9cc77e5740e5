"""A repository's webhooks: what GitHub keeps of them, and what it refuses.

From GitHub's pages "REST API endpoints for repository webhooks" and "... for repository webhook
configuration". Nothing is sent from here: sender.py posts, and appends to `Hook.deliveries`. A test
that needs a failed delivery does the same.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pulley.sandbox.github.errors import GitHubError

STARS = "********"
_CONTENT_TYPES = {"json", "form"}
_ROOM = 1_000_000  # deliveries of a webhook; their ids follow from their positions


@dataclass(frozen=True)
class HookDelivery:
    """One attempt. `status` is "OK", GitHub's words for a failure, or the answer's.

    A status code of 0 means that nobody answered. `payload` is the JSON value, for any content
    type; `response` is the raw body.
    """

    guid: str
    event: str
    delivered_at: datetime
    status_code: int = 200
    status: str = "OK"
    redelivery: bool = False
    duration: float = 0.27  # seconds
    url: str = ""
    payload: Mapping[str, object] = field(default_factory=dict)
    request_headers: Mapping[str, str] = field(default_factory=dict)
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response: str = ""


@dataclass(frozen=True)
class HookConfig:
    """A webhook's address and format. Without a secret its deliveries are not signed."""

    url: str
    content_type: str = "form"
    secret: str = ""
    insecure_ssl: str = "0"


@dataclass
class HostedHook:
    """A webhook. A test adds its deliveries, oldest first."""

    id: int
    config: HookConfig
    events: tuple[str, ...] = ("push",)
    active: bool = True
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    deliveries: list[HookDelivery] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return self.config.url

    def numbered(self) -> list[tuple[int, HookDelivery]]:
        """Its deliveries with their ids, newest first."""
        return [(self.id * _ROOM + n, one) for n, one in enumerate(self.deliveries)][::-1]

    def find(self, delivery_id: int) -> HookDelivery:
        """Return the delivery. Raises GitHubError if this webhook does not have it."""
        found = next((one for id_, one in self.numbered() if id_ == delivery_id), None)
        if found is None:
            raise GitHubError(404, "Not Found")
        return found


class Hooks:
    """A repository's webhooks."""

    def __init__(self, ids: Iterator[int]) -> None:
        """`ids` is shared, because ids are unique in all of GitHub."""
        self._ids = ids
        self._hooks: dict[int, HostedHook] = {}

    def all(self) -> list[HostedHook]:
        """The webhooks, oldest first."""
        return list(self._hooks.values())

    def wanting(self, event: str) -> list[HostedHook]:
        """The webhooks that want an event."""
        return [one for one in self.all() if one.active and {event, "*"} & set(one.events)]

    def find(self, hook_id: int) -> HostedHook:
        """Return the webhook. Raises GitHubError if this repository does not have it."""
        if hook_id not in self._hooks:
            raise GitHubError(404, "Not Found")
        return self._hooks[hook_id]

    def add(self, config: HookConfig, events: tuple[str, ...] = ("push",)) -> HostedHook:
        """Make a webhook without deliveries, without any check."""
        hook = HostedHook(next(self._ids), config, events)
        self._hooks[hook.id] = hook
        return hook

    def create(self, body: Mapping[str, Any]) -> HostedHook:
        """Create a webhook. Raises GitHubError if GitHub would refuse it: 422."""
        fields = _check_fields(body)
        if fields.get("name", "web") != "web":
            raise _refusal("Hook name must be web")
        config = parse_config(fields.get("config", {}))
        events = _distinct(fields.get("events", ["push"]))
        self._check_others(config, events)
        hook = self.add(config, events)
        hook.active = fields.get("active", True)
        return hook

    def update(self, hook_id: int, body: Mapping[str, Any]) -> HostedHook:
        """Change the named fields. `config` is replaced as a whole, its secret too."""
        hook, fields = self.find(hook_id), _check_fields(body)
        config = parse_config(fields["config"]) if "config" in fields else hook.config
        events = _distinct(fields.get("events", hook.events))
        self._check_others(config, events, hook)
        hook.config, hook.events = config, events
        hook.active = fields.get("active", hook.active)
        hook.updated_at = datetime.now(UTC)
        return hook

    def update_config(self, hook_id: int, fields: Mapping[str, Any]) -> HostedHook:
        """Change the named fields of the config, and keep the others."""
        hook = self.find(hook_id)
        config = parse_config(fields, hook.config)
        self._check_others(config, hook.events, hook)
        hook.config, hook.updated_at = config, datetime.now(UTC)
        return hook

    def delete(self, hook_id: int) -> None:
        """Delete the webhook. Raises GitHubError if there is none."""
        del self._hooks[self.find(hook_id).id]

    def _check_others(
        self, config: HookConfig, events: tuple[str, ...], itself: HostedHook | None = None
    ) -> None:
        others = [one for one in self.all() if one is not itself]
        if any(one.url == config.url and set(one.events) == set(events) for one in others):
            raise _refusal("Hook already exists on this repository")


def parse_config(fields: Mapping[str, Any], before: HookConfig | None = None) -> HookConfig:
    """A config of these fields; the others as before. Raises GitHubError."""
    named = {
        name: fields[name]
        for name in ("url", "content_type", "secret", "insecure_ssl")
        if fields.get(name) is not None
    }
    if isinstance(named.get("insecure_ssl"), int):
        named["insecure_ssl"] = str(named["insecure_ssl"])
    if not all(isinstance(value, str) for value in named.values()):
        raise _refusal("Config values must be strings")
    config = replace(before or HookConfig(""), **named)
    if not config.url:
        raise _refusal("Config must contain URL for webhooks")
    if not re.match(r"https?://[^/\s]", config.url):
        raise _refusal("url is missing a scheme", field="url")
    if config.content_type not in _CONTENT_TYPES:
        raise _refusal("Config content_type must be json or form")
    if config.insecure_ssl not in {"0", "1"}:
        raise _refusal("Config insecure_ssl must be 0 or 1")
    return config


def _check_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the present fields; null counts as absent. Raises GitHubError."""
    fields = {name: value for name, value in body.items() if value is not None}
    kinds: dict[str, type] = {"name": str, "config": dict, "active": bool, "events": list}
    for name, kind in kinds.items():
        value = fields.get(name, kind())
        is_right = isinstance(value, kind)
        if is_right and kind is list:
            is_right = all(isinstance(one, str) for one in value)
        if not is_right:
            raise GitHubError(422, f"Invalid request.\n\nFor 'properties/{name}', wrong type.")
    return fields


def _distinct(events: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(events))


def _refusal(message: str, **more: str) -> GitHubError:
    error = {"resource": "Hook", "code": "custom", **more, "message": message}
    return GitHubError(422, "Validation Failed", error)
