"""Which commits of a branch are newer than the commit that a target was sent last.

tests/flows/test_release.py tests the gates in whole rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import parse_stored_targets
from chalicelib.core.wanted import TargetFacts
from chalicelib.flows.gates import newer_commits
from tests.facts import ROLL_OUT
from tests.fakes import SITE, target_json, targets_text

(WEB,) = parse_stored_targets(targets_text(target_json(checks=["test"])), SITE)


def commit(number: int) -> CommitSha:
    return CommitSha(f"{number:040x}")


def facts(known: int | None, *branch: int) -> TargetFacts:
    """The target was sent the commit `known`; its branch has these commits, newest first."""
    asked = [] if known is None else [replace(ROLL_OUT, commit=commit(known))]
    return TargetFacts(WEB, (), (), asked=asked, commits=[commit(one) for one in branch])


@dataclass
class Git:
    """A repository: the parents of each commit, whose numbers are less than its own."""

    parents: Sequence[Sequence[int]]
    asked: int = 0

    def history(self, number: int) -> set[int]:
        """The commit and all its ancestors."""
        found, left = set(), [number]
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left += self.parents[one]
        return found

    def first_parents(self, tip: int) -> list[int]:
        chain = [tip]
        while self.parents[chain[-1]]:
            chain.append(self.parents[chain[-1]][0])
        return chain

    def merge_base(self, one: CommitSha, other: CommitSha) -> CommitSha | None:
        self.asked += 1
        both = self.history(int(one.sha, 16)) & self.history(int(other.sha, 16))
        return commit(max(both)) if both else None


@st.composite
def repositories(draw: st.DrawFn) -> Git:
    parents: list[list[int]] = [[]]
    for number in range(1, draw(st.integers(2, 14))):
        earlier = st.integers(max(0, number - 4), number - 1)
        parents.append(draw(st.lists(earlier, unique=True, max_size=2)))
    return Git(parents)


class TestNewerCommits:
    def test_target_without_a_commit_may_get_every_commit(self) -> None:
        git = Git([[], [0]])
        assert newer_commits(facts(None, 1, 0), git) == [commit(1), commit(0)]

    def test_commits_before_the_known_one_are_newer_without_a_request(self) -> None:
        git = Git([[], [0], [1]])
        assert newer_commits(facts(1, 2, 1, 0), git) == [commit(2)]
        assert git.asked == 0

    def test_all_listed_commits_are_newer_if_the_known_one_is_further_back(self) -> None:
        git = Git([[], *([one] for one in range(300))])
        listed = range(300, 200, -1)
        assert newer_commits(facts(20, *listed), git) == [commit(one) for one in listed]
        assert git.asked < 10

    def test_error_of_github_is_raised(self) -> None:
        class Away(Git):
            def merge_base(self, one: CommitSha, other: CommitSha) -> CommitSha | None:
                raise UnavailableError("GitHub is not well")

        with pytest.raises(UnavailableError):
            newer_commits(facts(7, 2, 1), Away([]))

    @given(repositories(), st.data())
    def test_no_commit_is_newer_that_the_known_one_has_in_its_history(
        self, git: Git, data: st.DataObject
    ) -> None:
        numbers = st.integers(0, len(git.parents) - 1)
        known, tip = data.draw(numbers), data.draw(numbers)
        listed = git.first_parents(tip)[: data.draw(st.integers(1, 9))]
        newer = [int(one.sha, 16) for one in newer_commits(facts(known, *listed), git)]
        assert newer == listed[: len(newer)]
        assert not set(newer) & git.history(known)
        if known in git.history(tip):
            assert all(known in git.history(one) for one in newer)
        if tip not in git.history(known):
            assert tip in newer
