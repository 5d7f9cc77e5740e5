"""The branch on GitHub."""

from dataclasses import dataclass


class Upstream:
    """`bad` has the commits that fail on every host until somebody fixes them."""

    def __init__(self) -> None:
        self.parents: dict[str, str] = {}
        self.tips: list[str] = []  # all tips so far, the newest last
        self.bad: set[str] = set()
        self.was_forced = False
        self.push()

    @property
    def tip(self) -> str:
        return self.tips[-1]

    def push(self, parent: str = "") -> None:
        commit = f"{len(self.parents) + 1:040x}"
        self.parents[commit] = parent or (self.tip if self.tips else "")
        self.tips.append(commit)

    def force(self, to: str) -> None:
        self.was_forced = True
        self.tips.append(to)

    def line_of(self, commit: str) -> list[str]:
        """The commit and its ancestors."""
        line = []
        while commit:
            line.append(commit)
            commit = self.parents[commit]
        return line

    def has(self, tip: str, commit: str) -> bool:
        return commit in self.line_of(tip)

    def is_gone(self, commit: str) -> bool:
        """Whether a force push took the commit off the branch: then no host can get it."""
        return not self.has(self.tip, commit)


@dataclass
class Delivery:
    """A push event on its way: the number of its tip, and the time of the push."""

    tip: int
    pushed: int
