"""Subjects of commits are asked of GitHub once."""

from collections.abc import Mapping

from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.status.subjects import MOST, Subjects
from tests.facts import OLD
from tests.fakes import COMMIT, SITE, TOKEN


class GitHub:
    """Tells of the commit and of the one before it."""

    def __init__(self, error: PulleyError | None = None) -> None:
        self.error = error
        self.words = "Two"
        self.asked: list[str] = []

    def of(self, repository: Repository, token: str) -> "GitHub":
        assert (repository, token) == (SITE, TOKEN)
        return self

    def subjects(self, tip: CommitSha) -> Mapping[str, str]:
        self.asked.append(tip.sha)
        if self.error:
            raise self.error
        return {COMMIT: self.words, OLD: "One"} if tip.sha == COMMIT else {}


def test_one_call_tells_the_commit_and_those_before_it() -> None:
    github = GitHub()
    subjects = Subjects(github.of)
    wanted = [CommitSha(COMMIT), CommitSha(OLD)]
    for _ in range(3):
        assert subjects.of(SITE, wanted, TOKEN) == {COMMIT: "Two", OLD: "One"}
    assert github.asked == [COMMIT]


def test_other_commits_are_told_only_if_they_are_known() -> None:
    github = GitHub()
    subjects = Subjects(github.of)
    assert subjects.of(SITE, [], TOKEN, others=[OLD]) == {}
    subjects.of(SITE, [CommitSha(COMMIT)], TOKEN)
    assert subjects.of(SITE, [], TOKEN, others=[OLD, "f" * 40]) == {OLD: "One"}
    assert github.asked == [COMMIT]


def test_without_a_token_nobody_is_asked() -> None:
    github = GitHub()
    assert Subjects(github.of).of(SITE, [CommitSha(COMMIT)], "") == {}
    assert github.asked == []


def test_commit_that_github_does_not_know_is_not_asked_for_again() -> None:
    github = GitHub(NotTakenError("no permission"))
    subjects = Subjects(github.of)
    for _ in range(3):
        assert subjects.of(SITE, [CommitSha(COMMIT)], TOKEN) == {}
    assert github.asked == [COMMIT]


def test_commit_is_asked_for_again_after_a_github_that_did_not_answer() -> None:
    github = GitHub(UnavailableError("down"))
    subjects = Subjects(github.of)
    assert subjects.of(SITE, [CommitSha(COMMIT)], TOKEN) == {}
    github.error = None
    assert subjects.of(SITE, [CommitSha(COMMIT)], TOKEN) == {COMMIT: "Two"}


def test_subject_is_one_line_without_what_controls_a_terminal_or_the_direction() -> None:
    github = GitHub()
    github.words = "Fix \u202eevil\x1b[31m\tthing"
    assert Subjects(github.of).of(SITE, [CommitSha(COMMIT)], TOKEN) == {COMMIT: "Fix evil thing"}


def test_memory_is_bounded() -> None:
    github = GitHub()
    subjects = Subjects(github.of)
    for number in range(MOST + 10):
        subjects.of(SITE, [CommitSha(f"{number:040x}")], TOKEN)
    assert len(subjects._known) <= MOST + 1
