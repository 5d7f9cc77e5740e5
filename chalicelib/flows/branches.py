"""Asks GitHub about the branches that targets follow, each once in a round."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from chalicelib.core.decisions import Decision, DecisionLog
from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.targets import Target
from chalicelib.core.webhook import FailedDelivery

Answer = TypeVar("Answer")
Key = tuple[Repository, Branch]


class GitHubRepository(Protocol):
    """A repository on GitHub. Every method raises NotTakenError or UnavailableError."""

    def head(self, branch: Branch) -> CommitSha | None:
        """The branch's tip; None if there is no such branch."""

    def commits(self, branch: Branch) -> Sequence[CommitSha]:
        """The branch's newest commits, newest first; empty if there is no such branch."""

    def failed_deliveries(self, since: datetime) -> Sequence[FailedDelivery]:
        """The deliveries that failed since then (aware)."""


@dataclass
class Branches:
    """GitHub's answers, for repositories that have a token. `github` takes both."""

    github: Callable[[Repository, str], GitHubRepository]
    tokens: Mapping[Repository, str] = field(repr=False)
    journal: DecisionLog
    heads: dict[Key, CommitSha | None] = field(default_factory=dict)
    _commits: dict[Key, Sequence[CommitSha]] = field(default_factory=dict)
    _failed: set[Key] = field(default_factory=set)

    def head_of(self, target: Target) -> CommitSha | None:
        """The tip of the target's branch; None if GitHub does not tell."""
        return self._ask(target, self.heads, lambda one: one.head(target.branch))

    def commits_of(self, target: Target) -> Sequence[CommitSha]:
        """The newest commits of the target's branch, newest first; none if GitHub tells none."""
        return self._ask(target, self._commits, lambda one: one.commits(target.branch)) or ()

    def _ask(
        self,
        target: Target,
        known: dict[Key, Answer],
        ask: Callable[[GitHubRepository], Answer],
    ) -> Answer | None:
        key, token = (target.repository, target.branch), self.tokens.get(target.repository)
        if token and key not in known and key not in self._failed:
            try:
                known[key] = ask(self.github(target.repository, token))
            except (NotTakenError, UnavailableError) as error:
                self._failed.add(key)
                note_not_asked(self.journal, target.repository, error)
        return known.get(key)


def note_not_asked(journal: DecisionLog, repository: Repository, error: PulleyError) -> None:
    """Log that GitHub could not be asked, unless the reason is in the log already."""
    if isinstance(error, NotTakenError) and error.is_known:
        return
    facts = {"repository": str(repository), "reason": error.in_full}
    journal.note(Decision("round", "not_asked", facts, "warning"))
