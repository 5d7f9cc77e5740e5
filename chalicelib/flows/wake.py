"""Wakes a round: it starts at once for a repository, because a gate may have opened.

If that fails, the next round of the schedule does the same work.
"""

from typing import Protocol

from chalicelib.core.decisions import Decision, DecisionLog
from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import Repository
from chalicelib.core.wake import Woken


class Waker(Protocol):
    """Starts a round for a repository or a host. Raises RefusedError or UnavailableError."""

    def wake(self, of: Woken) -> None:
        """Start it; it runs by itself."""


def wake_round(waker: Waker, repository: Repository, journal: DecisionLog) -> None:
    """Start a round; log why if that fails."""
    try:
        waker.wake(repository)
    except PulleyError as error:
        facts = {"repository": str(repository), "reason": error.in_full}
        journal.note(Decision("round", "not_woken", facts, "warning"))
