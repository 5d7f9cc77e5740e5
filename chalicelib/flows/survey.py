"""What is known of a stage's targets at one time: for a round of the schedule, and for an operator.

Everything that many targets share is read once; what became of commands, as far as each needs it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.decisions import Decision
from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.history import Command, RollOut
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.stored import StoredPins, pin_of
from chalicelib.core.targets import Target
from chalicelib.core.wanted import TargetFacts
from chalicelib.flows.deploy import Journal, Pins
from chalicelib.flows.gather import MAX_COMMANDS, History, Meanwhile, RoundHistory, gather_facts

HISTORY = timedelta(days=30)  # that Systems Manager keeps


class Directory(Protocol):
    """EC2's and Systems Manager's. Raises RefusedError or UnavailableError."""

    def hosts(self) -> Sequence[Host]:
        """The stage's, asleep ones too."""


class Heads(Protocol):
    """A repository's branches. Raises NotTakenError or UnavailableError."""

    def head(self, branch: Branch) -> CommitSha | None:
        """The branch's tip; None where there is no such branch."""


@dataclass(frozen=True)
class Survey:
    """What was read at the beginning, which was at `now` (aware). Branches' tips are added."""

    now: datetime
    fleet: Fleet
    history: RoundHistory
    sent: Mapping[tuple[str, str], Sequence[tuple[Command, RollOut]]]
    meanwhile: Meanwhile
    pins: StoredPins
    tokens: Mapping[Repository, str] = field(repr=False)
    heads: dict[tuple[Repository, Branch], CommitSha | None] = field(default_factory=dict)

    def sent_to(self, target: Target) -> Sequence[tuple[Command, RollOut]]:
        """What was sent to a target, the newest first."""
        return self.sent.get((str(target.repository), target.name), ())


@dataclass(frozen=True)
class Surveyor:
    """Surveys one stage. `github` takes a repository and its token."""

    stage: str
    pins: Pins
    directory: Directory
    history: History
    github: Callable[[Repository, str], Heads]
    journal: Journal

    def begin(
        self, targets: Sequence[Target], tokens: Mapping[Repository, str], *, now: datetime
    ) -> Survey:
        """Read what the targets share. Raises RefusedError and UnavailableError."""
        history = RoundHistory(
            self.history, self.history.commands_since(now - HISTORY, MAX_COMMANDS)
        )
        return Survey(
            now=now,
            fleet=Fleet(self.directory.hosts(), self.stage),
            history=history,
            sent=history.by_target(),
            meanwhile=Meanwhile(self.history, frozenset(one.id for one in history.commands), now),
            pins=self.pins.pins([target.name for target in targets]),
            tokens={repository: token for repository, token in tokens.items() if token},
        )

    def facts(self, target: Target, survey: Survey) -> TargetFacts:
        """A target's facts. Raises RefusedError and UnavailableError."""
        return gather_facts(
            target,
            hosts=survey.fleet.of(target),
            sent=survey.sent_to(target),
            history=survey.history,
            head=self._head(target, survey),
            pin=pin_of(target, survey.pins),
            now=survey.now,
        )

    def _head(self, target: Target, survey: Survey) -> CommitSha | None:
        """The branch's tip, where a token allows to ask. Asked once a survey."""
        token = survey.tokens.get(target.repository)
        key = (target.repository, target.branch)
        if token and key not in survey.heads:
            try:
                survey.heads[key] = self.github(target.repository, token).head(target.branch)
            except (NotTakenError, UnavailableError) as error:
                survey.heads[key] = None
                note_not_asked(self.journal, target.repository, error)
        return survey.heads.get(key)


def note_not_asked(journal: Journal, repository: Repository, error: PulleyError) -> None:
    """Write down what GitHub could not be asked, unless the log has the reason already."""
    if isinstance(error, NotTakenError) and error.is_known:
        return
    facts = {"repository": str(repository), "reason": error.in_full}
    journal.note(Decision("round", "not_asked", facts, "warning"))
