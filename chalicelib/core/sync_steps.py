"""Decides the next step of a sync: post a status, end the replaced deployment, or notify.

Pure. flows/sync.py reads, calls `next_step`, does the step, and calls it again with what `after`
returns, until nothing is left to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from chalicelib.core.deployments import DeploymentStatus

# A deployment with one of these was under way at least.
_BEGUN = frozenset({"in_progress", "success", "failure", "error"})


@dataclass(frozen=True)
class Known:
    """Which notifications were sent.

    `told` is the final state of the last notification. `owed` is a final status that this process
    posted on GitHub, or tried to post, and has not notified yet.
    """

    told: str = ""
    owed: DeploymentStatus | None = None

    def having_said(self, status: DeploymentStatus) -> "Known":
        """Return the knowledge after the status was posted on GitHub.

        Each final state is notified once, however its text changes. That a newer commit has
        replaced a success is not notified.
        """
        if not status.is_final:
            return Known(self.told)
        if self.told == status.state or (self.told, status.state) == ("success", "inactive"):
            return Known(status.state)
        return Known(self.told, status)

    def having_read(self, said: Sequence[DeploymentStatus]) -> "Known":
        """Return the knowledge after GitHub's statuses were read.

        Whoever posted a final status has sent its notification, too.

        An `inactive` that was posted before the deployment began is not its end (see `end_of`).
        Here it counts as notified all the same, so this process does not notify it.
        """
        over = next((one for one in said if one.is_final), None)
        return Known(over.state) if over and over != self.owed else self

    def having_told(self) -> "Known":
        """Return the knowledge after the owed notification was sent, if there was one."""
        return Known(self.owed.state) if self.owed else self


@dataclass(frozen=True)
class Seen:
    """A deployment by its hosts (`status`) and on GitHub (`said`, newest first)."""

    status: DeploymentStatus
    said: tuple[DeploymentStatus, ...]
    known: Known = Known()
    has_ended_others: bool = False  # this sync has marked the replaced deployment inactive


class Step(Enum):
    """What to do next with a status."""

    POST = "post the status on GitHub"
    END = "mark the replaced deployment inactive"
    NOTIFY = "log, count and publish the end"
    DONE = "nothing is left to do"


def end_of(said: Sequence[DeploymentStatus]) -> DeploymentStatus | None:
    """The newest final status of a deployment that had begun; `said` is newest first.

    `inactive` before a deployment began is not an end: its target was held, or a newer commit was
    there first. It may still begin.
    """
    for place, one in enumerate(said):
        if one.is_final and any(older.state in _BEGUN for older in said[place:]):
            return one
    return None


def next_step(seen: Seen) -> tuple[Step, DeploymentStatus]:
    """The next step, and the status it is about."""
    end = end_of(seen.said)
    # A slower sync may have posted "in_progress" after the end: the end counts.
    standing = end if end and not seen.status.is_final else seen.status
    newest = seen.said[0] if seen.said else None
    if not newest or _is_news(newest, standing):
        was_success = newest is not None and newest.state == "success"
        if seen.status.state == "success" and not (was_success or seen.has_ended_others):
            # Before the success is posted: if this fails, the whole sync is tried again.
            return Step.END, standing
        return Step.POST, standing
    if newest == seen.known.owed:
        return Step.NOTIFY, newest
    return Step.DONE, standing


def after(seen: Seen, step: Step, status: DeploymentStatus) -> Seen:
    """The deployment after the step was done."""
    if step == Step.POST:
        return replace(seen, said=(status, *seen.said), known=seen.known.having_said(status))
    if step == Step.END:
        return replace(seen, has_ended_others=True)
    return replace(seen, known=seen.known.having_told())


def _is_news(before: DeploymentStatus, now: DeploymentStatus) -> bool:
    """Whether the status is news for GitHub.

    If GitHub already shows `inactive`, a changed description alone is not.
    """
    return before != now and not before.state == now.state == "inactive"
