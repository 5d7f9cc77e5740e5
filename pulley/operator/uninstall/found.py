"""What an uninstall has found: what it removes, and what it leaves to people."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Removal:
    """Something of the stage's that an uninstall removes. `parts` are the names in it, for people.

    `remove` removes it, and does nothing if it is gone already. It raises RefusedError or
    UnavailableError. With `stops_deploys` no new deployment begins by this way once it is removed.
    """

    what: str
    name: str
    why: str = ""
    parts: tuple[str, ...] = ()
    stops_deploys: bool = field(default=False, repr=False)
    remove: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)


@dataclass(frozen=True)
class Left:
    """What an uninstall does not remove: why not, and how a person does it, in words."""

    what: str
    name: str
    why: str
    how: str


@dataclass(frozen=True)
class Found:
    """What one look has found."""

    removals: tuple[Removal, ...] = ()
    left: tuple[Left, ...] = ()

    def __add__(self, other: "Found") -> "Found":
        """Both, in this order."""
        return Found(self.removals + other.removals, self.left + other.left)


def joined(parts: Iterable[Found]) -> Found:
    """All of them, in their order."""
    return sum(parts, Found())
