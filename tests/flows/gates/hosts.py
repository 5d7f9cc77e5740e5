"""A target's hosts, and what they truly reported."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from chalicelib.core.history import RollOut
from tests.core.fleet.machine import Machine
from tests.core.fleet.sent import SentRun

Key = tuple[int, int]  # when a run was issued (epoch milliseconds) and requested


@dataclass(frozen=True)
class Standing:
    """What a host's newest result says. `commit` is "" if it does not run one with all steps done.

    It has reported the commit since `first`. `last` is later if it reported meanwhile that a run
    moved it, or may have; None if its result can be read in two ways.
    """

    key: Key = (0, 0)
    commit: str = ""
    first: datetime | None = None
    last: datetime | None = None

    def after(self, key: Key, commit: str, at: datetime, *, is_moved: bool) -> "Standing":
        """The standing after the end of a run at a time by the host's clock."""
        if key < self.key:
            return replace(self, last=max(self.last, at) if self.last else None)
        if not commit:
            return Standing(key)
        if commit != self.commit or self.first is None:
            return Standing(key, commit, at, at)
        return replace(self, key=key, last=at if is_moved else self.last)


@dataclass
class Host(Machine):
    """A host of one target. `stood` has its standings, and since when each counts (seconds)."""

    stood: list[tuple[int, Standing]] = field(default_factory=lambda: [(0, Standing())])
    has_lied: bool = False

    @property
    def standing(self) -> Standing:
        return self.stood[-1][1]

    def standing_at(self, time: int) -> Standing:
        return next(one for since, one in reversed(self.stood) if since <= time)

    def note_run(self, roll_out: RollOut, reported: str, *, at: int, requested: int) -> None:
        """A run has ended. Account calls it, also if the run was killed and reported nothing."""
        super().note_run(roll_out, reported, at=at, requested=requested)
        key = roll_out.issued, requested
        if not reported and key >= self.standing.key:
            self.stood.append((at, Standing(key)))

    def note_result(
        self, before: Standing, sent: SentRun, line: dict[str, Any], *, now: int, at: datetime
    ) -> None:
        """Its result line, as docs/host.md explains it. `before` is the standing until then.

        `at` is the end of the run by the host's clock.
        """
        key = sent.roll_out.issued, sent.requested
        commit, outcome, upstream = sent.roll_out.commit.sha, line["outcome"], line["upstream"]
        if self.lies:
            self.has_lied = True
        if self.lies != "nonsense" and outcome in {"updated", "unchanged", "superseded"}:
            is_moved = outcome == "updated"
            standing = before.after(key, upstream or "", at, is_moved=is_moved)
        elif outcome == "rolled_back" and line["after"] == commit != upstream:
            # A newer commit failed there. The commit of the command runs as before.
            standing = replace(before.after(key, commit, at, is_moved=True), last=None)
        else:
            standing = before.after(key, "", at, is_moved=True)
        self.stood.append((now, standing))


@dataclass(frozen=True)
class Well:
    """All online hosts of a target report this commit: for certain since `last`, at most since
    `first`.
    """

    commit: str
    first: datetime
    last: datetime | None


def well_at(hosts: Sequence[Host], time: int) -> Well | None:
    """How they stand by what they had reported until then (seconds)."""
    online = [one.standing_at(time) for one in hosts if one.is_awake and one.is_alive]
    commits = {one.commit for one in online}
    firsts = [one.first for one in online if one.first]
    lasts = [one.last for one in online if one.last]
    if len(commits) != 1 or len(firsts) < len(online) or "" in commits:
        return None
    last = max(lasts) if len(lasts) == len(online) else None
    return Well(commits.pop(), max(firsts), last)
