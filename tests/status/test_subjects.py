"""Subjects of commits are asked of GitHub once."""

from collections.abc import Mapping

import pytest

from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.status.subjects import MOST, Subjects
from tests.facts import OLD
from tests.fakes import COMMIT, SITE, TOKEN


class GitHub:
    """Tells of the commit and of the one before it."""

    def __init__(self, error: PulleyError | None = None) -> None:
        self.error = error
        self.asked: list[str] = []

    def of(self, repository: Repository, token: str) -> "GitHub":
        assert (repository, token) == (SITE, TOKEN)
        return self

    def subjects(self, tip: CommitSha) -> Mapping[str, str]:
        self.asked.append(tip.sha)
        if self.error:
            raise self.error
        return {COMMIT: "Two", OLD: "One"} if tip.sha == COMMIT else {}


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


@pytest.mark.parametrize("error", [NotTakenError("no permission"), UnavailableError("down")])
def test_commit_that_github_does_not_tell_has_none_and_is_not_asked_for_again(
    error: PulleyError,
) -> None:
    github = GitHub(error)
    subjects = Subjects(github.of)
    for _ in range(3):
        assert subjects.of(SITE, [CommitSha(COMMIT)], TOKEN) == {}
    assert github.asked == [COMMIT]


def test_memory_is_bounded() -> None:
    github = GitHub()
    subjects = Subjects(github.of)
    for number in range(MOST + 10):
        subjects.of(SITE, [CommitSha(f"{number:040x}")], TOKEN)
    assert len(subjects._known) <= MOST + 1
