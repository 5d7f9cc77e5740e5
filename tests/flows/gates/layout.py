"""The targets of a schedule: who waits for whom, and for what else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.fakes import target_json

# Germany's summer time in 2030. The product asks the tz database; the world has only this.
SUMMER = datetime(2030, 3, 31, 1, tzinfo=UTC), datetime(2030, 10, 27, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"
EVERY = ("*",)  # checks = true
_DAY = 24 * 60
_SAT, _SUN = 5 * _DAY, 6 * _DAY
# Each window's text, and the minutes of the week in which it is open, of the clocks in its zone.
WINDOWS: Mapping[str, Sequence[tuple[int, int]]] = {
    f"Mon-Sun 09:00-17:00 {BERLIN}": [
        (day * _DAY + 9 * 60, day * _DAY + 17 * 60) for day in range(7)
    ],
    f"Sat,Sun 22:00-02:30 {BERLIN}": [
        (_SAT + 22 * 60, _SAT + _DAY),
        (_SUN, _SUN + 150),
        (_SUN + 22 * 60, _SUN + _DAY),
        (0, 150),
    ],
    f"Sun 02:15-03:45 {BERLIN}": [(_SUN + 135, _SUN + 225)],
    "Sat-Mon 00:00-24:00 UTC": [(_SAT, _SUN + _DAY), (0, _DAY)],
    "Sun 01:00-01:30 UTC": [(_SUN + 60, _SUN + 90)],
}


def is_window_open(text: str, now: datetime) -> bool:
    local = now
    if text.endswith(BERLIN):
        local += timedelta(hours=2 if SUMMER[0] <= now < SUMMER[1] else 1)
    minute = local.weekday() * _DAY + local.hour * 60 + local.minute
    return any(begin <= minute < end for begin, end in WINDOWS[text])


@dataclass(frozen=True)
class Node:
    """A target. `after` are places in the layout; `soak` is in minutes."""

    after: tuple[int, ...] = ()
    checks: tuple[str, ...] = ()
    soak: int = 0
    windows: tuple[str, ...] = ()
    is_manual: bool = False
    hosts: int = 1
    max_concurrency: str = "50"
    name: str = ""

    @property
    def has_gates(self) -> bool:
        return bool(self.after or self.checks or self.windows or self.is_manual)


@dataclass(frozen=True)
class Layout:
    """The targets of a repository. `is_backwards`: rounds visit followers first."""

    nodes: tuple[Node, ...]
    is_backwards: bool = False

    def name(self, place: int) -> str:
        letters = "zyxw" if self.is_backwards else "abcd"
        return f"{letters[place]}{place}"

    def tables(self) -> Sequence[Mapping[str, object]]:
        """The targets, as stored."""
        tables = []
        for place, node in enumerate(self.nodes):
            name = self.name(place)
            keys: dict[str, object] = {
                "instances": {"tags": {"role": name}},
                "checkout": f"/srv/{name}",
                "max_concurrency": node.max_concurrency,
            }
            if node.is_manual:
                keys["trigger"] = "manual"
            else:
                if node.checks:
                    keys["checks"] = True if node.checks == EVERY else list(node.checks)
                if node.after:
                    keys["after"] = [self.name(other) for other in node.after]
                if node.after and node.soak:
                    keys["soak"] = f"{node.soak}m"
                if node.windows:
                    keys["window"] = list(node.windows)
            tables.append(target_json(name, **keys))
        return tables

    def waits_for_people(self, place: int) -> bool:
        """Whether a person must act before the target can get a commit."""
        node = self.nodes[place]
        return node.is_manual or any(self.waits_for_people(one) for one in node.after)
