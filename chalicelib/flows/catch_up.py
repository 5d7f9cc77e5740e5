"""What a round catches up with: deployments whose last event never came, and lost deliveries."""

from dataclasses import dataclass
from datetime import timedelta

from chalicelib.core.decisions import Decision
from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.history import Command, Run
from chalicelib.core.observations import is_quiet
from chalicelib.core.refs import Repository
from chalicelib.core.targets import Target
from chalicelib.flows.snapshot import Reader, Snapshot, note_not_asked
from chalicelib.flows.sync import Settler

UNSETTLED, EXPIRED = timedelta(hours=2), timedelta(hours=1)  # within, an event comes or never
# GitHub may be away for longer, and yet each commit costs two of the token's requests a round.
FAR_BACK, FAR_BACK_EVERY = timedelta(hours=24), timedelta(hours=6)
DELIVERIES_EVERY = timedelta(hours=1)  # of the token's requests, lost deliveries are not worth more


@dataclass(frozen=True)
class CatchUp:
    """For one stage. `interval` is a round's."""

    reader: Reader
    settler: Settler
    interval: timedelta

    def settle(self, target: Target, snapshot: Snapshot) -> None:
        """Settle the commits whose last event may not have come, or came in vain."""
        reach = FAR_BACK if self._is_due(FAR_BACK_EVERY, snapshot) else UNSETTLED
        newest: dict[str, Command] = {}
        for command in snapshot.sent_to(target):
            until = max(command.requested + reach, command.expires + EXPIRED)
            if command.is_over and snapshot.now < until and not self._is_quiet(command, snapshot):
                newest.setdefault(command.roll_out.commit.sha, command)
        for command in newest.values():
            self.settler.settle_late(command, now=snapshot.now)

    def _is_quiet(self, command: Command, snapshot: Snapshot) -> bool:
        """Whether it was a recheck that found nothing, of which there is nothing to say."""
        if not command.roll_out.is_recheck:
            return False
        return is_quiet(Run(command, self.reader.invocations(command, snapshot)))

    def note_lost_deliveries(self, repository: Repository, snapshot: Snapshot) -> None:
        """The branch's tip heals what they would have brought; this says why they were lost."""
        token = snapshot.tokens.get(repository)
        if not token or not self._is_due(DELIVERIES_EVERY, snapshot):
            return
        since = snapshot.now - max(DELIVERIES_EVERY, self.interval)
        try:
            lost = self.reader.github(repository, token).failed_deliveries(since)
        except (NotTakenError, UnavailableError) as error:
            note_not_asked(self.reader.journal, repository, error)
            return
        for one in lost:
            facts = {
                "delivery": one.id,
                "repository": str(repository),
                "reason": f"{one.event}: {one.status_code} {one.status}",
            }
            self.reader.journal.note(Decision("delivery", "lost", facts, "warning"))

    def _is_due(self, every: timedelta, snapshot: Snapshot) -> bool:
        """Whether the round is the first of such a time."""
        return snapshot.now.timestamp() % every.total_seconds() < self.interval.total_seconds()
