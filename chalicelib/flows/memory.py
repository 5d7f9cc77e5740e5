"""What a process remembers between two events: who was told how deployments ended.

Without it an event that is repeated would be told twice. It may be lost at any time: GitHub has the
state, and a new process begins with that.
"""

from chalicelib.core.history import RollOut
from chalicelib.core.settling import Known


class Memory:
    """Who was told of which deployments, as far as this process knows: of the last so many."""

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._known: dict[tuple[str, str], Known] = {}

    def __len__(self) -> int:
        """How many deployments it is of."""
        return len(self._known)

    def of(self, roll_out: RollOut) -> Known:
        """What is known of the commit on the target."""
        return self._known.get((roll_out.target, roll_out.commit.sha), Known())

    def keep(self, roll_out: RollOut, known: Known) -> None:
        """Remember, and where that is too much, forget the oldest."""
        key = roll_out.target, roll_out.commit.sha
        self._known.pop(key, None)
        self._known[key] = known
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
