"""What the newest commit of a target with gates waits for, as a round would see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.targets import Target
from chalicelib.core.waiting import Waiting
from chalicelib.core.wanted import TargetFacts
from chalicelib.flows.branches import note_not_asked
from chalicelib.flows.gates import GateReader, GateRepository
from chalicelib.flows.snapshot import Reader, Snapshot
from chalicelib.status.checks import ChecksReader


@dataclass(frozen=True)
class GatesView:
    """Looks at gates. `targets` are all targets of the stage; `github` takes also the token.

    Without `checks`, the gate `checks` is left out.
    """

    reader: Reader
    github: Callable[[Repository, str], GateRepository]
    checks: ChecksReader | None
    targets: Sequence[Target]

    def newest_waiting(self, facts: TargetFacts, snapshot: Snapshot) -> Waiting | None:
        """The newest commit that the target does not have, with its gates; None without one.

        Raises RefusedError and UnavailableError.
        """
        target = facts.target
        token = snapshot.branches.tokens.get(target.repository)
        if not token or not target.needs_github:
            return None
        try:
            github = self.github(target.repository, token)
            waiting = GateReader(self.reader).waiting(facts, github, snapshot, self.targets)
        except (NotTakenError, UnavailableError) as error:
            note_not_asked(self.reader.journal, target.repository, error)
            return None
        if not waiting:
            return None
        newest = waiting[0]
        if not target.gates.checks or not self.checks:
            return newest
        gate = self.checks.read(target, newest.commit, token)
        return replace(newest, gates=(*newest.gates, gate))
