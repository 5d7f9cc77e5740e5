"""Syncs deployments whose last event was lost, and logs lost deliveries, as a part of a round."""

from dataclasses import dataclass
from datetime import timedelta

from chalicelib.core.decisions import Decision
from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.history import Command, Run
from chalicelib.core.observations import is_quiet
from chalicelib.core.refs import Repository
from chalicelib.core.targets import Target
from chalicelib.flows.branches import note_not_asked
from chalicelib.flows.snapshot import Reader, Snapshot
from chalicelib.flows.sync import DeploymentSync

# For so long after a command was sent, and after it expired, rounds look whether an event was lost.
RECENT, EXPIRED = timedelta(hours=2), timedelta(hours=1)
# For longer outages of GitHub, but rarely: each commit costs two of the token's requests.
FAR_BACK, FAR_BACK_EVERY = timedelta(hours=24), timedelta(hours=6)
DELIVERIES_EVERY = timedelta(hours=1)  # more often would cost too many of the token's requests


@dataclass(frozen=True)
class CatchUp:
    """Catches up for one stage. `interval` is the time between two rounds."""

    reader: Reader
    deployment_sync: DeploymentSync
    interval: timedelta

    def sync(self, target: Target, snapshot: Snapshot) -> None:
        """Sync the commits whose last event may be lost, or whose report failed."""
        reach = FAR_BACK if self._is_due(FAR_BACK_EVERY, snapshot) else RECENT
        newest: dict[str, Command] = {}
        for command in snapshot.sent_to(target):
            until = max(command.requested + reach, command.expires + EXPIRED)
            if command.is_over and snapshot.now < until and not self._is_quiet(command, snapshot):
                newest.setdefault(command.roll_out.commit.sha, command)
        for command in newest.values():
            self.deployment_sync.run_late(command, now=snapshot.now)

    def _is_quiet(self, command: Command, snapshot: Snapshot) -> bool:
        """Whether it was a recheck that changed nothing: that is not reported."""
        if not command.roll_out.is_recheck:
            return False
        return is_quiet(Run(command, self.reader.invocations(command, snapshot)))

    def note_lost_deliveries(self, repository: Repository, snapshot: Snapshot) -> None:
        """Log why deliveries were lost. The round deploys the branch's tip anyway."""
        token = snapshot.branches.tokens.get(repository)
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
        """Whether this round is the first one in a period of that length."""
        return snapshot.now.timestamp() % every.total_seconds() < self.interval.total_seconds()
