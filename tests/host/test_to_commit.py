"""rebase-to and reset-to: hosts go to the commit, and not past it to the branch's tip."""

from collections.abc import Callable

import pytest

from tests.host.conftest import Site
from tests.host.test_contract import in_each_shell
from tests.host.upstream_commits import BUILD, Commits, built, commits_of, site_with_commits

in_both_ways = pytest.mark.parametrize("update", ["rebase-to", "reset-to"])


@pytest.fixture(scope="module")
def like(make_shared_site: Callable[[str], Site]) -> Site:
    return site_with_commits(make_shared_site)


@pytest.fixture
def commits(site: Site) -> Commits:
    return commits_of(site)


def is_on_branch(site: Site) -> bool:
    return site.git("symbolic-ref", "HEAD") == "refs/heads/main"


def replace_history(site: Site, kept: str) -> str:
    """Force-push a branch without the commits after `kept`; returns its tip."""
    site.git("reset", "-q", "--hard", kept, cwd=site.upstream)
    return site.commit({"other.txt": "other\n"})


class TestUpdate:
    @in_each_shell
    @in_both_ways
    def test_host_goes_to_the_commit_and_not_to_the_tip(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        result = site.pull(Update=update, Commit=commits.second, AfterPull=BUILD)
        result.must_be("updated", after=commits.second, upstream=commits.second, local_commits=0)
        assert is_on_branch(site)
        assert (site.checkout / "app.txt").read_text() == "two\n"
        marker = (site.checkout / ".git/pulley/deployed").read_text().split()
        assert marker[:4] == ["commit", commits.second, "upstream", commits.second]
        state = site.state()
        again = site.pull(Update=update, Commit=commits.second, AfterPull=BUILD)
        again.must_be("unchanged", after=commits.second, upstream=commits.second)
        assert site.state() == state
        assert built(site) == [commits.first, commits.second]
        later = site.pull(AfterPull=BUILD, Commit=commits.tip)
        later.must_be("updated", after=commits.tip, upstream=commits.tip)

    @in_both_ways
    def test_without_a_commit_it_is_refused(self, site: Site, update: str) -> None:
        site.pull(Update=update).must_be("bad_parameter", f"{update} needs a Commit")

    def test_local_commits_are_rebased_onto_the_commit_and_edits_are_carried_over(
        self, site: Site, commits: Commits
    ) -> None:
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.write("config.txt", "setting = 2\n")
        for commit in (commits.second, commits.third):
            result = site.pull(Update="rebase-to", Commit=commit)
            result.must_be("updated", upstream=commit, local_commits=1, saved=None)
            assert site.git("rev-parse", "HEAD~1") == commit
            again = site.pull(Update="rebase-to", Commit=commit)
            again.must_be("unchanged", upstream=commit, local_commits=1)
        assert (site.checkout / "local.txt").read_text() == "mine\n"
        assert (site.checkout / "config.txt").read_text() == "setting = 2\n"
        site.pull().must_be("updated", upstream=commits.tip, local_commits=1)

    def test_reset_to_saves_local_commits_and_edits(self, site: Site, commits: Commits) -> None:
        local = site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.write("config.txt", "setting = 2\n")
        result = site.pull(Update="reset-to", Commit=commits.second)
        result.must_be("updated", after=commits.second, upstream=commits.second, local_commits=0)
        assert local in [site.git("rev-parse", ref) for ref in site.saved()]
        assert result.result.saved
        assert site.git("show", f"{result.result.saved}:config.txt") == "setting = 2"
        assert site.git("status", "--porcelain", "-uno") == ""
        again = site.pull(Update="reset-to", Commit=commits.second)
        again.must_be("unchanged", upstream=commits.second)

    @in_both_ways
    def test_two_commits_in_a_row_are_deployed_and_then_an_older_one(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        for commit in (commits.second, commits.third, commits.second):
            result = site.pull(Update=update, Commit=commit, AfterPull=BUILD)
            result.must_be("updated", after=commit, upstream=commit, drift=None)
        assert built(site) == [commits.first, commits.second, commits.third, commits.second]

    @in_both_ways
    def test_pinned_host_returns_to_the_branch_at_the_commit(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.pull(Update=update, Commit=commits.third)
        site.pull(Update="exact", Commit=commits.second).must_be("updated", after=commits.second)
        result = site.pull(Update=update, Commit=commits.third)
        local_commits = 1 if update == "rebase-to" else 0
        result.must_be("updated", upstream=commits.third, local_commits=local_commits)
        assert is_on_branch(site)
        assert any("mine" in site.git("log", "-p", ref) for ref in ("HEAD", *site.saved()))
        site.pull(Update=update, Commit=commits.third).must_be("unchanged")

    @in_both_ways
    def test_step_that_fetches_a_newer_tip_does_not_break_the_run(
        self, site: Site, update: str
    ) -> None:
        author = "-c user.name=x -c user.email=x@x"
        push = f"git -C {site.upstream} {author} commit -q --allow-empty -m late"
        commit = site.commit({"deploy/fetch": f"#!/bin/sh\n{push} && git fetch -q\n"})
        result = site.pull(Update=update, Commit=commit, AfterPull="deploy/fetch")
        result.must_be("updated", after=commit, upstream=commit)
        assert site.git("rev-parse", "origin/main~1") == commit


@in_both_ways
class TestMissingCommit:
    def test_commit_that_a_force_push_removed_is_missing_and_nothing_moves(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        site.tool("sleep", "exit 0")
        site.git("fetch", "-q")  # the host has the commit
        replace_history(site, commits.first)
        state = site.state()
        site.pull(Update=update, Commit=commits.second).must_be("missing_commit", commits.second)
        assert site.state() == state

    def test_commit_of_another_branch_that_contains_the_tip_is_missing(
        self, site: Site, update: str
    ) -> None:
        site.tool("sleep", "exit 0")
        site.git("checkout", "-q", "-b", "other", cwd=site.upstream)
        commit = site.commit({"app.txt": "other\n"})
        site.git("checkout", "-q", "main", cwd=site.upstream)
        site.git("fetch", "-q", "origin", "other")
        state = site.state()
        site.pull(Update=update, Commit=commit).must_be("missing_commit")
        assert site.state() == state

    def test_deployed_commit_that_a_force_push_removed_is_deployed_again(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        site.pull(Update=update, Commit=commits.second)
        tip = replace_history(site, commits.first)
        site.pull().must_be("updated", after=tip, local_commits=0)
        result = site.pull(Update=update, Commit=commits.second)
        result.must_be("updated", after=commits.second, upstream=commits.second, local_commits=0)
        assert is_on_branch(site)
        site.pull(Update=update, Commit=commits.second).must_be("unchanged")
        site.pull().must_be("updated", after=tip, upstream=tip, local_commits=0, saved=None)

    def test_commit_that_a_force_push_removed_later_is_no_local_commit(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        site.pull(Update=update, Commit=commits.second)
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        tip = replace_history(site, commits.first)
        result = site.pull().must_be("updated", upstream=tip, local_commits=1)
        assert result.before != result.after
        assert site.git("rev-parse", "HEAD~1") == tip
        assert (site.checkout / "app.txt").read_text() == "one\n"

    def test_deployed_commit_is_deployed_again_without_the_remote(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        site.tool("sleep", "exit 0")
        site.pull(Update=update, Commit=commits.second)
        site.pull(Update=update, Commit=commits.third)
        site.upstream.rename(site.upstream.with_name("gone"))
        result = site.pull(Update=update, Commit=commits.second)
        result.must_be("updated", after=commits.second, upstream=commits.second)
        never = site.pull(Update=update, Commit=commits.tip)
        never.must_be("unreachable", after=commits.second)


class TestPulledByHand:
    """Somebody pulled commits that the host may not have yet."""

    @pytest.mark.parametrize("back", [0, 1], ids=["tip", "between"])
    @in_both_ways
    def test_host_is_brought_back_and_the_steps_run_again(
        self, site: Site, commits: Commits, update: str, back: int
    ) -> None:
        site.pull(Update=update, Commit=commits.second, AfterPull=BUILD)
        site.git("pull", "-q", "--rebase", "origin", "main")
        site.git("reset", "-q", "--hard", f"HEAD~{back}")
        result = site.pull(Update=update, Commit=commits.second, AfterPull=BUILD)
        result.must_be("updated", after=commits.second, local_commits=0, saved=None, drift="head")
        assert is_on_branch(site)
        assert built(site) == [commits.first, commits.second, commits.second]
        again = site.pull(Update=update, Commit=commits.second, AfterPull=BUILD)
        again.must_be("unchanged", drift=None)

    @pytest.mark.parametrize("back", [0, 1], ids=["tip", "between"])
    def test_only_local_commits_come_along(self, site: Site, commits: Commits, back: int) -> None:
        site.pull(Update="rebase-to", Commit=commits.second)
        site.git("pull", "-q", "--rebase", "origin", "main")
        site.git("reset", "-q", "--hard", f"HEAD~{back}")
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        result = site.pull(Update="rebase-to", Commit=commits.second)
        result.must_be("updated", upstream=commits.second, local_commits=1, saved=None)
        assert site.git("rev-parse", "HEAD~1") == commits.second
        assert (site.checkout / "local.txt").read_text() == "mine\n"
        site.pull().must_be("updated", upstream=commits.tip, local_commits=1)

    def test_pinned_host_is_brought_back_and_the_steps_run_again(
        self, site: Site, commits: Commits
    ) -> None:
        site.pull(Update="exact", Commit=commits.second, AfterPull=BUILD)
        site.git("pull", "-q", "--rebase", "origin", "main")
        result = site.pull(Update="exact", Commit=commits.second, AfterPull=BUILD)
        result.must_be("updated", after=commits.second, saved=None, drift="head")
        assert built(site) == [commits.first, commits.second, commits.second]

    @in_both_ways
    def test_commit_that_was_pulled_in_advance_gets_its_steps(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        site.git("pull", "-q", "--rebase", "origin", "main")
        site.git("reset", "-q", "--hard", commits.second)
        result = site.pull(Update=update, Commit=commits.second, AfterPull=BUILD)
        result.must_be("updated", after=commits.second, drift=None)
        assert built(site) == [commits.first, commits.second]

    def test_local_commit_on_a_deployed_commit_that_is_taken_away_is_no_drift(
        self, site: Site, commits: Commits
    ) -> None:
        site.pull()
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        result = site.pull(Update="rebase-to", Commit=commits.second)
        result.must_be("updated", upstream=commits.second, local_commits=1, drift=None)


class TestRollBack:
    @in_both_ways
    def test_failed_step_returns_to_the_last_commit_on_the_branch(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        bad = site.commit({BUILD: "#!/bin/sh\nexit 1\n"})
        site.commit({BUILD: "#!/bin/sh\n"})
        site.pull(Update=update, Commit=commits.second, AfterPull=BUILD)
        result = site.pull(Update=update, Commit=bad, AfterPull=BUILD)
        result.must_be("rolled_back", after=commits.second, upstream=bad, step="after_pull")
        assert is_on_branch(site)
        assert site.git("rev-parse", "main") == commits.second
        good = site.pull(Update=update, Commit=commits.third, AfterPull=BUILD)
        good.must_be("updated", after=commits.third, upstream=commits.third)


class TestCheck:
    @in_both_ways
    def test_host_at_the_commit_needs_no_update_and_is_not_unfinished(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.pull(Update=update, Commit=commits.second)
        site.git("fetch", "-q")
        result = site.pull(Update="check", Commit=commits.second).result
        assert result.upstream == commits.tip
        assert result.found
        found = result.found
        assert (found.would_update, found.deployed) == (False, commits.second)
        assert (found.drift, found.unfinished, result.detail) == ("", "", "")

    def test_host_that_is_not_at_the_commit_needs_an_update(
        self, site: Site, commits: Commits
    ) -> None:
        site.pull(Update="rebase-to", Commit=commits.second)
        result = site.pull(Update="check", Commit=commits.third)
        result.must_be("unchanged", f"would update to {commits.third}")
        assert result.result.found
        assert result.result.found.would_update

    def test_host_that_was_pulled_past_the_commit_is_unfinished(
        self, site: Site, commits: Commits
    ) -> None:
        site.pull(Update="rebase-to", Commit=commits.second)
        site.git("pull", "-q", "--rebase", "origin", "main")
        found = site.pull(Update="check", Commit=commits.second).result.found
        assert found
        assert (found.would_update, found.unfinished) == (True, "marker")
