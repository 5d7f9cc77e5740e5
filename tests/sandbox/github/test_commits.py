"""Commits and comparisons through GitHub's API: git decides their order and relation."""

from pathlib import Path

import pytest

from pulley.sandbox.github.server import GitHubServer
from tests.sandbox.github.shapes import COMMIT, COMPARISON, check_shape
from tests.sandbox.repository import Call, Commits, commit, git

pytestmark = pytest.mark.timeout(30)

SITE = "/repos/octo/site"
COMMITS = f"{SITE}/commits"
NO_COMMIT = "0123456789abcdef0123456789abcdef01234567"


class TestList:
    def test_answer_has_the_fields_of_commits(self, call: Call, commits: Commits) -> None:
        newest, oldest = call("GET", COMMITS).json()
        for one in (newest, oldest):
            check_shape(one, COMMIT)
        assert (newest["sha"], oldest["sha"]) == (commits["second"], commits["first"])
        assert [one["sha"] for one in newest["parents"]] == [commits["first"]]
        assert oldest["parents"] == []
        assert newest["commit"]["message"] == "second"
        assert (newest["commit"]["author"]["name"], newest["commit"]["author"]["email"]) == (
            "a",
            "a@b",
        )

    def test_ref_may_be_a_branch_with_a_slash_or_a_sha(self, call: Call, commits: Commits) -> None:
        for ref, expected in (
            ("feature/x", ("ahead", "second", "first")),
            (commits["ahead"], ("ahead", "second", "first")),
            ("behind", ("behind", "first")),
            (commits["first"], ("first",)),
        ):
            listed = call("GET", COMMITS, sha=ref).json()
            assert [one["sha"] for one in listed] == [commits[name] for name in expected]

    def test_order_is_that_of_git_log_with_a_merge(
        self, call: Call, repository: Path, commits: Commits
    ) -> None:
        merge = commit(repository, "merge", commits["ahead"], commits["behind"])
        git(repository, "update-ref", "refs/heads/main", merge)
        listed = call("GET", COMMITS).json()
        assert [one["sha"] for one in listed] == git(
            repository, "log", "--format=%H", "main"
        ).split()
        parents = [one["sha"] for one in listed[0]["parents"]]
        assert parents == [commits["ahead"], commits["behind"]]

    def test_message_of_several_lines_and_of_any_letters_is_kept(
        self, call: Call, repository: Path, commits: Commits
    ) -> None:
        message = "Añade «esto»\n\n%H %x00 body\n  indented"
        tip = commit(repository, message, commits["second"])
        git(repository, "update-ref", "refs/heads/main", tip)
        assert call("GET", COMMITS, per_page=1).json()[0]["commit"]["message"] == message

    def test_pages_link_to_each_other(self, call: Call, commits: Commits) -> None:
        answer = call("GET", COMMITS, sha="feature/x", per_page=2, page=2)
        assert [one["sha"] for one in answer.json()] == [commits["first"]]
        assert 'rel="prev"' in answer.headers["Link"]
        assert call("GET", COMMITS, page=9).json() == []

    @pytest.mark.parametrize("ref", ["none", NO_COMMIT, "main~1", "--all", "feature"])
    def test_unknown_ref_is_404(self, call: Call, ref: str) -> None:
        answer = call("GET", COMMITS, sha=ref)
        assert (answer.status, answer.json()["message"]) == (404, "Not Found")


class TestCompare:
    def test_answer_has_the_fields_of_a_comparison(self, call: Call, commits: Commits) -> None:
        shown = call("GET", f"{SITE}/compare/behind...feature/x").json()
        check_shape(shown, COMPARISON)
        assert shown["base_commit"]["sha"] == commits["behind"]
        assert shown["merge_base_commit"]["sha"] == commits["first"]
        listed = [one["sha"] for one in shown["commits"]]
        assert listed == [commits["second"], commits["ahead"]]
        assert shown["total_commits"] == 2

    @pytest.mark.parametrize(
        ("base", "head", "status", "ahead_by", "behind_by"),
        [
            ("main", "main", "identical", 0, 0),
            ("main", "v1", "identical", 0, 0),
            ("main", "feature/x", "ahead", 1, 0),
            ("feature/x", "main", "behind", 0, 1),
            ("main", "behind", "diverged", 1, 1),
            ("feature/x", "behind", "diverged", 1, 2),
        ],
    )
    def test_status_and_counts_are_the_head_s(
        self,
        call: Call,
        commits: Commits,
        base: str,
        head: str,
        status: str,
        ahead_by: int,
        behind_by: int,
    ) -> None:
        tips = {"main": "second", "v1": "second", "feature/x": "ahead", "behind": "behind"}
        shas = (commits[tips[base]], commits[tips[head]])
        for first, second in ((base, head), shas):
            shown = call("GET", f"{SITE}/compare/{first}...{second}").json()
            found = (shown["status"], shown["ahead_by"], shown["behind_by"])
            assert found == (status, ahead_by, behind_by)

    def test_pages_have_a_part_of_the_commits_and_the_whole_count(
        self, call: Call, commits: Commits
    ) -> None:
        answer = call("GET", f"{SITE}/compare/behind...feature/x", per_page=1, page=2)
        assert [one["sha"] for one in answer.json()["commits"]] == [commits["ahead"]]
        assert answer.json()["ahead_by"] == 2
        assert 'rel="prev"' in answer.headers["Link"]

    @pytest.mark.parametrize("both", ["main", "main..behind", "none...main", "main...none"])
    def test_unknown_ref_is_404(self, call: Call, both: str) -> None:
        assert call("GET", f"{SITE}/compare/{both}").status == 404

    def test_unrelated_commits_are_404(
        self, call: Call, repository: Path, github: GitHubServer
    ) -> None:
        git(repository, "update-ref", "refs/heads/alien", commit(repository, "alien"))
        answer = call("GET", f"{SITE}/compare/main...alien")
        assert answer.status == 404
        assert answer.json()["message"] == "No common ancestor between main and alien."
