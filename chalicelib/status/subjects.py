"""The first lines of commits, read from GitHub and kept: a commit never changes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from chalicelib.core.errors import NotTakenError, UnavailableError
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.status.safe_text import one_line

MOST = 5_000  # subjects kept; over it, all are read again


class CommitReader(Protocol):
    """Reads commits. Every method raises NotTakenError or UnavailableError."""

    def subjects(self, tip: CommitSha) -> Mapping[str, str]:
        """The first lines of a commit's message and of those before it, by SHA."""


class Subjects:
    """Subjects by SHA. `github` takes a repository and its token."""

    def __init__(self, github: Callable[[Repository, str], CommitReader]) -> None:
        self._github = github
        self._known: dict[tuple[Repository, str], str] = {}

    def of(
        self,
        repository: Repository,
        commits: Iterable[CommitSha],
        token: str,
        *,
        others: Iterable[str] = (),
    ) -> Mapping[str, str]:
        """The subjects of these commits that are known or that GitHub tells, by SHA.

        Those of `others` (SHAs) are added if they are known. Without a token, or if GitHub does not
        answer, a commit has none.
        """
        wanted = [one.sha for one in commits]
        for sha in wanted:
            if token and (repository, sha) not in self._known:
                self._read(repository, sha, token)
        found = {sha: self._known.get((repository, sha), "") for sha in (*wanted, *others)}
        return {sha: words for sha, words in found.items() if words}

    def _read(self, repository: Repository, sha: str, token: str) -> None:
        try:
            told = self._github(repository, token).subjects(CommitSha(sha))
        except NotTakenError:
            told = {}
        except UnavailableError:
            return
        if len(self._known) > MOST:
            self._known.clear()
        # A commit that GitHub does not know is not asked for again.
        for one, words in {sha: "", **told}.items():
            self._known[repository, one] = one_line(words)
