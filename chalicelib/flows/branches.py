"""Asks GitHub about the branches that targets follow, each once in a round."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from chalicelib.core.decisions import Decision, DecisionLog
from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.tags import TaggedCommit, TagGlob
from chalicelib.core.targets import Target
from chalicelib.core.webhook import FailedDelivery

Answer = TypeVar("Answer")
Key = tuple[Repository, Branch | str]


class GitHubRepository(Protocol):
    """A repository on GitHub. Every method raises NotTakenError or UnavailableError."""

    def head(self, branch: Branch) -> CommitSha | None:
        """The branch's tip; None if there is no such branch."""

    def commits(self, branch: Branch) -> Sequence[CommitSha]:
        """The branch's newest commits, newest first; empty if there is no such branch."""

    def tags(self, glob: TagGlob, *, releases: bool) -> Sequence[TaggedCommit]:
        """The highest tags that fit, the highest first; of published releases alone if asked."""

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
    _tags: dict[Key, Sequence[TaggedCommit]] = field(default_factory=dict)
    _failed: set[Key] = field(default_factory=set)

    def head_of(self, target: Target) -> CommitSha | None:
        """The tip of the target's branch; None if it has none, or GitHub does not tell."""
        branch = target.branch
        if branch is None:
            return None
        return self._ask(target, branch, self.heads, lambda one: one.head(branch))

    def commits_of(self, target: Target) -> Sequence[CommitSha]:
        """The newest commits of the target's branch, newest first; none if GitHub tells none."""
        branch = target.branch
        if branch is None:
            return ()
        return self._ask(target, branch, self._commits, lambda one: one.commits(branch)) or ()

    def tags_of(self, target: Target) -> Sequence[TaggedCommit]:
        """The target's highest tags, the highest first; none if GitHub tells none."""
        glob = target.tag
        if glob is None:
            return ()
        # Of two targets with one pattern, only one may want releases.
        key = f"{glob} {'releases' if target.releases else ''}"
        ask = partial(_tags, glob, releases=target.releases)
        return self._ask(target, key, self._tags, ask) or ()

    def _ask(
        self,
        target: Target,
        line: Branch | str,
        known: dict[Key, Answer],
        ask: Callable[[GitHubRepository], Answer],
    ) -> Answer | None:
        key, token = (target.repository, line), self.tokens.get(target.repository)
        if token and key not in known and key not in self._failed:
            try:
                known[key] = ask(self.github(target.repository, token))
            except (NotTakenError, UnavailableError) as error:
                self._failed.add(key)
                note_not_asked(self.journal, target.repository, error)
        return known.get(key)


def _tags(glob: TagGlob, github: GitHubRepository, *, releases: bool) -> Sequence[TaggedCommit]:
    return github.tags(glob, releases=releases)


def note_not_asked(journal: DecisionLog, repository: Repository, error: PulleyError) -> None:
    """Log that GitHub could not be asked, unless the reason is in the log already."""
    if isinstance(error, NotTakenError) and error.is_known:
        return
    facts = {"repository": str(repository), "reason": error.in_full}
    journal.note(Decision("round", "not_asked", facts, "warning"))
