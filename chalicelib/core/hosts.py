"""A stage's hosts, online or not, and which of them belong to a target."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.targets import STAGE_TAG, Target


@dataclass(frozen=True)
class Host:
    """An instance with an SSM agent. `is_online` is the state of the agent's last ping.

    `launched` (aware) is when an EC2 instance started last.
    """

    instance_id: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    is_online: bool = True
    launched: datetime | None = None


class Fleet:
    """A stage's hosts, indexed by tag so that a target need not scan all of them."""

    def __init__(self, hosts: Iterable[Host], stage: str) -> None:
        """Leave out hosts without the stage's tag."""
        self._by_id = {
            host.instance_id: host for host in hosts if host.tags.get(STAGE_TAG) == stage
        }
        self._by_tag: dict[tuple[str, str], dict[str, Host]] = {}
        for host in self._by_id.values():
            for tag in host.tags.items():
                self._by_tag.setdefault(tag, {})[host.instance_id] = host

    @property
    def hosts(self) -> Collection[Host]:
        """All of them."""
        return self._by_id.values()

    def of(self, target: Target) -> Sequence[Host]:
        """The target's hosts, sorted by name: those that SendCommand's selectors would find."""
        if target.instances.ids:
            found = [self._by_id[one] for one in target.instances.ids if one in self._by_id]
        else:
            found = self._with_tags(target.instances.tags)
        return sorted(found, key=lambda host: (host.name, host.instance_id))

    def has(self, target: Target, instance_id: str) -> bool:
        """Whether the instance is one of the target's hosts."""
        host, chosen = self._by_id.get(instance_id), target.instances
        if host is None or chosen.ids:
            return host is not None and instance_id in chosen.ids
        return all(host.tags.get(key) in values for key, values in chosen.tags)

    def _with_tags(self, tags: Iterable[tuple[str, Sequence[str]]]) -> list[Host]:
        candidates = [
            [host for value in set(values) for host in self._by_tag.get((key, value), {}).values()]
            for key, values in tags
        ]
        rarest = min(candidates, key=len, default=[])
        return [
            host for host in rarest if all(host.tags.get(key) in values for key, values in tags)
        ]
