"""What to do next so that GitHub, and whoever else is to be told, knows how a deployment stands.

Pure: who settles (flows/sync.py) reads, asks `next_step`, does it, and asks again with what
`after` says is known then, until nothing is left to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from chalicelib.core.deployments import DeploymentStatus

# A deployment with one of these was under way at least.
_BEGUN = frozenset({"in_progress", "success", "failure", "error"})


@dataclass(frozen=True)
class Known:
    """What is known of who was told besides GitHub.

    `told` is the state of the end that was told last. `owed` is an end that this process said on
    GitHub, or tried to, and that is still to be told.
    """

    told: str = ""
    owed: DeploymentStatus | None = None

    def having_said(self, status: DeploymentStatus) -> "Known":
        """Once the status was said on GitHub.

        The same end in other words is not told again, nor that a success was replaced.
        """
        if not status.is_final:
            return Known(self.told)
        if self.told == status.state or (self.told, status.state) == ("success", "inactive"):
            return Known(status.state)
        return Known(self.told, status)

    def having_read(self, said: Sequence[DeploymentStatus]) -> "Known":
        """Once GitHub's statuses were read: an end of somebody else's was told by that one.

        Inactive that was never under way is no end, and yet it is not told a second time.
        """
        over = next((one for one in said if one.is_final), None)
        return Known(over.state) if over and over != self.owed else self

    def having_told(self) -> "Known":
        """Once what is owed was told, if anything is."""
        return Known(self.owed.state) if self.owed else self


@dataclass(frozen=True)
class Seen:
    """A deployment as it is seen: by its hosts (`status`) and on GitHub (`said`, newest first).

    `has_ended_others`: what it replaces was seen to in this round.
    """

    status: DeploymentStatus
    said: tuple[DeploymentStatus, ...]
    known: Known = Known()
    has_ended_others: bool = False


class Step(Enum):
    """What is to be done next, with a status."""

    POST = "say it of the deployment"
    END = "say of the deployment that this one replaces that it does not run any more"
    NOTIFY = "tell it to whoever is to know besides GitHub"
    DONE = "nothing is left to do: this is how the deployment stands"


def end_of(said: Sequence[DeploymentStatus]) -> DeploymentStatus | None:
    """The newest of a deployment's statuses, newest first, that it ended with.

    What is inactive before it was ever under way has not ended: its target was held, or something
    newer was there first. It may yet begin.
    """
    for place, one in enumerate(said):
        if one.is_final and any(older.state in _BEGUN for older in said[place:]):
            return one
    return None


def next_step(seen: Seen) -> tuple[Step, DeploymentStatus]:
    """What is to be done next."""
    end = end_of(seen.said)
    # A slower settler may have said "in progress" after the end: the end stands.
    standing = end if end and not seen.status.is_final else seen.status
    newest = seen.said[0] if seen.said else None
    if not newest or _is_news(newest, standing):
        was_success = newest is not None and newest.state == "success"
        if seen.status.state == "success" and not (was_success or seen.has_ended_others):
            # Before, not after: where that fails, it is not said yet, and all is tried again.
            return Step.END, standing
        return Step.POST, standing
    if newest == seen.known.owed:
        return Step.NOTIFY, newest
    return Step.DONE, standing


def after(seen: Seen, step: Step, status: DeploymentStatus) -> Seen:
    """What is seen once the step is done."""
    if step == Step.POST:
        return replace(seen, said=(status, *seen.said), known=seen.known.having_said(status))
    if step == Step.END:
        return replace(seen, has_ended_others=True)
    return replace(seen, known=seen.known.having_told())


def _is_news(before: DeploymentStatus, now: DeploymentStatus) -> bool:
    """Whether it is to be said: other words for why it is inactive are not."""
    return before != now and not before.state == now.state == "inactive"
