"""tag: hosts go to the commit that a tag points at, and follow a tag that moved."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host.conftest import Run, Site, run_in_own_group
from tests.host.test_contract import in_each_shell
from tests.host.test_kill import kill_at_the_checkout
from tests.host.upstream_commits import BUILD, Commits, built, commits_of, site_with_commits

UPSTREAM_REF = "refs/pulley/tag-.git"
in_both_kinds = pytest.mark.parametrize("kind", ["lightweight", "annotated"])


@pytest.fixture(scope="module")
def like(make_shared_site: Callable[[str], Site]) -> Site:
    return site_with_commits(make_shared_site)


@pytest.fixture
def commits(site: Site) -> Commits:
    return commits_of(site)


def tag(site: Site, name: str, target: str, kind: str = "lightweight") -> None:
    """Set a tag upstream, even if there is one of that name."""
    annotated = ("-a", "-m", "release") if kind == "annotated" else ()
    site.git("tag", "-f", *annotated, name, target, cwd=site.upstream)


def pull(site: Site, name: str, commit: str, *, paths: str = "", checkout: str = "") -> Run:
    return site.pull(
        Update="tag",
        Branch=name,
        Commit=commit,
        AfterPull=BUILD,
        Paths=paths,
        Checkout=checkout or str(site.checkout),
    )


def exact(site: Site, name: str, commit: str) -> Run:
    return site.pull(Update="exact", Branch=name, Commit=commit, AfterPull=BUILD)


def check(site: Site, name: str, commit: str = "") -> Run:
    return site.pull(Update="check-tag", Branch=name, Commit=commit)


def is_detached(site: Site) -> bool:
    return not (site.checkout / ".git/HEAD").read_text().startswith("ref: ")


def marker(site: Site) -> list[str]:
    words = (site.checkout / ".git/pulley/deployed").read_text().split()
    return words[1:4:2]


def commit_in_no_branch(site: Site, text: str) -> str:
    """Make a commit on the second-last one, and leave no branch that has it."""
    site.git("checkout", "-q", "--detach", "main~1", cwd=site.upstream)
    commit = site.commit({"app.txt": text})
    site.git("checkout", "-q", "main", cwd=site.upstream)
    return commit


def git_calls(site: Site, run: Callable[[], Run]) -> int:
    calls = site.write("calls", "", where=site.root)
    site.before_git(f"echo >>{calls}")
    run().must_be("unchanged")
    (site.tools / "git").unlink()
    return len(calls.read_text())


class TestUpdate:
    @in_each_shell
    @in_both_kinds
    def test_host_goes_to_the_tags_commit_and_stays_there(
        self, site: Site, commits: Commits, kind: str
    ) -> None:
        tag(site, "v1", commits.second, kind)
        result = pull(site, "v1", commits.second)
        result.must_be("updated", after=commits.second, upstream=commits.second, local_commits=0)
        assert is_detached(site)
        assert (site.checkout / "app.txt").read_text() == "two\n"
        assert marker(site) == [commits.second, commits.second]
        state = site.state()
        again = pull(site, "v1", commits.second)
        again.must_be("unchanged", after=commits.second, upstream=commits.second, drift=None)
        assert site.state() == state
        assert built(site) == [commits.first, commits.second]
        tag(site, "v2", commits.third, kind)
        result = pull(site, "v2", commits.third)
        result.must_be("updated", after=commits.third, saved=None, drift=None)
        assert built(site) == [commits.first, commits.second, commits.third]

    @in_both_kinds
    def test_run_that_finds_nothing_new_needs_as_few_git_calls_as_exact(
        self, site: Site, commits: Commits, kind: str
    ) -> None:
        tag(site, "v1", commits.tip, kind)
        exact(site, "main", commits.tip).must_be("updated")
        calls = git_calls(site, lambda: exact(site, "main", commits.tip))
        pull(site, "v1", commits.tip).must_be("unchanged")
        assert git_calls(site, lambda: pull(site, "v1", commits.tip)) == calls

    def test_without_a_commit_it_is_refused(self, site: Site) -> None:
        pull(site, "v1", "").must_be("bad_parameter", "tag needs a Commit")

    def test_nested_annotated_tag_is_followed_to_its_commit(
        self, site: Site, commits: Commits
    ) -> None:
        tag(site, "inner", commits.second, "annotated")
        tag(site, "outer", "inner", "annotated")
        pull(site, "outer", commits.second).must_be(
            "updated", after=commits.second, upstream=commits.second
        )
        pull(site, "outer", commits.second).must_be("unchanged")

    @in_both_kinds
    def test_name_with_a_slash_is_a_tag(self, site: Site, commits: Commits, kind: str) -> None:
        tag(site, "release", commits.second, kind)
        pull(site, "release", commits.second).must_be("updated", after=commits.second)
        site.git("tag", "-d", "release", cwd=site.upstream)
        tag(site, "release/1.2", commits.third, kind)
        pull(site, "release/1.2", commits.third).must_be("updated", after=commits.third)
        pull(site, "release/1.2", commits.third).must_be("unchanged")

    @in_both_kinds
    def test_commit_that_is_in_no_branch_is_deployed_and_is_no_local_commit(
        self, site: Site, commits: Commits, kind: str
    ) -> None:
        lost = [commit_in_no_branch(site, text) for text in ("a\n", "b\n")]
        for number, commit in enumerate(lost):
            tag(site, f"v{number}", commit, kind)
            result = pull(site, f"v{number}", commit)
            result.must_be("updated", after=commit, upstream=commit, local_commits=0, saved=None)
        result = site.pull(AfterPull=BUILD)
        result.must_be("updated", after=commits.tip, local_commits=0, saved=None)
        assert site.saved() == []

    def test_commit_in_no_branch_whose_steps_failed_is_no_local_commit(self, site: Site) -> None:
        (site.checkout / ".git/pulley/deployed").unlink()  # as at the first deploy
        bad = commit_in_no_branch(site, "bad\n")
        tag(site, "v1", bad)
        result = site.pull(Update="tag", Branch="v1", Commit=bad, AfterPull="no/such/file")
        result.must_be("broken", after=bad)
        good = commit_in_no_branch(site, "good\n")
        tag(site, "v2", good)
        pull(site, "v2", good).must_be("updated", after=good, saved=None)

    def test_hosts_own_tags_and_tracking_refs_stay_as_they_are(
        self, site: Site, commits: Commits
    ) -> None:
        site.git("tag", "v1", commits.first)  # another commit than upstream
        tag(site, "v1", commits.second, "annotated")
        refs = site.git("for-each-ref", "refs/tags", "refs/remotes", "refs/heads")
        pull(site, "v1", commits.second).must_be("updated", after=commits.second)
        assert site.git("for-each-ref", "refs/tags", "refs/remotes", "refs/heads") == refs
        assert site.git("rev-parse", f"{UPSTREAM_REF}^{{commit}}") == commits.second

    def test_checkout_in_a_linked_work_tree_has_a_ref_of_its_own(
        self, site: Site, commits: Commits
    ) -> None:
        site.git("worktree", "add", "-q", "--detach", "../second")
        second = str(site.root / "second")
        tag(site, "v1", commits.second, "annotated")
        tag(site, "v2", commits.third, "annotated")
        pull(site, "v1", commits.second, checkout=second).must_be("updated", after=commits.second)
        pull(site, "v2", commits.third).must_be("updated", after=commits.third)
        pull(site, "v1", commits.second, checkout=second).must_be("unchanged", after=commits.second)
        refs = site.git("for-each-ref", "--format=%(refname)", "refs/pulley/tag*").split()
        assert refs == [UPSTREAM_REF, "refs/pulley/tag-second"]


class TestMovedTag:
    @in_both_kinds
    def test_host_follows_the_tag_and_reports_its_commit(
        self, site: Site, commits: Commits, kind: str
    ) -> None:
        tag(site, "v1", commits.second, kind)
        pull(site, "v1", commits.second)
        tag(site, "v1", commits.third, kind)
        result = pull(site, "v1", commits.second)
        result.must_be("updated", after=commits.third, upstream=commits.third, drift=None)
        pull(site, "v1", commits.second).must_be("unchanged", upstream=commits.third)
        pull(site, "v1", commits.third).must_be("unchanged", upstream=commits.third)
        tag(site, "v1", commits.second, kind)  # and back
        result = pull(site, "v1", commits.third)
        result.must_be("updated", after=commits.second, upstream=commits.second, saved=None)

    def test_annotated_tag_that_became_lightweight_is_followed(
        self, site: Site, commits: Commits
    ) -> None:
        tag(site, "v1", commits.second, "annotated")
        pull(site, "v1", commits.second)
        tag(site, "v1", commits.third)
        pull(site, "v1", commits.third).must_be("updated", after=commits.third)
        tag(site, "v1", commits.second, "annotated")
        pull(site, "v1", commits.second).must_be("updated", after=commits.second)

    def test_commit_that_the_host_never_saw_is_not_needed(
        self, site: Site, commits: Commits
    ) -> None:
        tag(site, "v1", commits.second)
        result = pull(site, "v1", "1" * 40)
        result.must_be("updated", after=commits.second, upstream=commits.second)

    @pytest.mark.parametrize("content", ["", "half", "1" * 40 + " " + "2" * 40])
    def test_what_a_power_cut_left_of_the_known_tag_does_not_count(
        self, site: Site, commits: Commits, content: str
    ) -> None:
        tag(site, "v1", commits.second, "annotated")
        pull(site, "v1", commits.second)
        (site.checkout / ".git/pulley/tag").write_text(content)
        pull(site, "v1", commits.second).must_be("unchanged", upstream=commits.second)
        object_id = site.git("rev-parse", UPSTREAM_REF)
        known = (site.checkout / ".git/pulley/tag").read_text()
        assert known == f"{object_id} {commits.second}\n"


class TestMissingTag:
    @pytest.fixture(autouse=True)
    def _no_pauses(self, site: Site) -> None:
        site.tool("sleep", "exit 0")

    @in_both_kinds
    def test_deleted_tag_changes_nothing_where_its_commit_was_deployed(
        self, site: Site, commits: Commits, kind: str
    ) -> None:
        tag(site, "v1", commits.second, kind)
        pull(site, "v1", commits.second)
        site.git("tag", "-d", "v1", cwd=site.upstream)
        state = site.state()
        result = site.pull(
            Update="tag", Branch="v1", Commit=commits.second, AfterPull=BUILD, Cause="reconcile"
        )
        result.must_be("unchanged", after=commits.second, upstream=commits.second, drift=None)
        assert site.state() == state

    def test_deleted_tag_of_a_commit_that_was_never_here_is_missing(
        self, site: Site, commits: Commits
    ) -> None:
        result = pull(site, "v1", commits.second)
        result.must_be("missing_commit", "the remote has no tag v1", after=commits.first)
        assert result.result.upstream is None
        tag(site, "v2", commits.third)  # the ref that the next run finds is another tag's
        pull(site, "v2", commits.third).must_be("updated")
        pull(site, "v1", commits.tip).must_be("missing_commit", after=commits.third)

    def test_earlier_commit_is_deployed_again_without_the_remote_and_a_new_one_is_not(
        self, site: Site, commits: Commits
    ) -> None:
        for name, commit in (("v1", commits.second), ("v2", commits.third)):
            tag(site, name, commit, "annotated")
            pull(site, name, commit)
        site.upstream.rename(site.upstream.with_name("gone"))
        pull(site, "v2", commits.third).must_be("unchanged", upstream=commits.third)
        result = pull(site, "v1", commits.second)
        result.must_be("updated", after=commits.second, upstream=commits.second)
        pull(site, "v3", commits.tip).must_be("unreachable", after=commits.second)

    def test_branch_of_that_name_is_no_tag(self, site: Site, commits: Commits) -> None:
        site.git("branch", "v1", commits.second, cwd=site.upstream)
        site.git("fetch", "-q")
        state = site.state()
        result = pull(site, "v1", commits.second)
        result.must_be("missing_commit", "the remote has no tag v1")
        assert site.state() == state

    def test_tag_of_that_name_is_no_branch(self, site: Site, commits: Commits) -> None:
        tag(site, "v1", commits.second)
        site.pull(Branch="v1").must_be("missing_commit", "the remote has no branch v1")

    @pytest.mark.parametrize("object_type", ["tree", "blob"])
    @in_both_kinds
    def test_tag_that_points_at_no_commit_is_missing(
        self, site: Site, commits: Commits, kind: str, object_type: str
    ) -> None:
        target = f"{commits.second}:{'app.txt' if object_type == 'blob' else ''}"
        tag(site, "v1", target, kind)
        state = site.state()
        for _ in range(2):
            result = pull(site, "v1", commits.second)
            result.must_be("missing_commit", f"the tag v1 points at a {object_type}")
            assert site.state() == state
        tag(site, "v1", commits.second, kind)
        pull(site, "v1", commits.second).must_be("updated", after=commits.second)


class TestBranchOfTheSameName:
    @in_both_kinds
    def test_tag_and_branch_are_not_confused(self, site: Site, commits: Commits, kind: str) -> None:
        site.git("branch", "v1", commits.third, cwd=site.upstream)
        tag(site, "v1", commits.second, kind)
        pull(site, "v1", commits.second).must_be("updated", after=commits.second)
        site.pull(Branch="v1").must_be("updated", after=commits.third, upstream=commits.third)
        assert site.git("symbolic-ref", "HEAD") == "refs/heads/v1"
        mine = site.commit({"local.txt": "mine\n"}, where=site.checkout)
        result = pull(site, "v1", commits.second)
        result.must_be("updated", after=commits.second, upstream=commits.second)
        assert is_detached(site)
        assert site.git("rev-parse", "refs/heads/v1") == mine  # a tag moves no branch
        assert mine in [site.git("rev-parse", ref) for ref in site.saved()]
        site.pull(Branch="v1").must_be("updated", upstream=commits.third, local_commits=1)

    def test_branch_with_the_tags_full_name_is_not_confused_in_a_check(
        self, site: Site, commits: Commits
    ) -> None:
        tag(site, "v1", commits.second)
        site.git("update-ref", "refs/heads/refs/tags/v1", commits.third, cwd=site.upstream)
        check(site, "v1").must_be("unchanged", upstream=commits.second)


class TestWorkOfPeople:
    def test_local_commit_and_edits_are_saved(self, site: Site, commits: Commits) -> None:
        tag(site, "v1", commits.second, "annotated")
        pull(site, "v1", commits.second)
        mine = site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.write("config.txt", "setting = 2\n")
        tag(site, "v2", commits.third, "annotated")
        result = pull(site, "v2", commits.third)
        result.must_be("updated", after=commits.third, upstream=commits.third, local_commits=0)
        assert mine in [site.git("rev-parse", ref) for ref in site.saved()]
        assert result.result.saved
        assert site.git("show", f"{result.result.saved}:config.txt") == "setting = 2"
        assert site.git("status", "--porcelain", "-uno") == ""
        pull(site, "v2", commits.third).must_be("unchanged")

    def test_edits_stay_where_they_are_while_nothing_is_new(
        self, site: Site, commits: Commits
    ) -> None:
        tag(site, "v1", commits.second)
        pull(site, "v1", commits.second)
        site.write("config.txt", "setting = 2\n")
        pull(site, "v1", commits.second).must_be("unchanged", saved=None)
        assert (site.checkout / "config.txt").read_text() == "setting = 2\n"

    @pytest.mark.parametrize("where", ["third", "first"])
    def test_another_commit_that_was_checked_out_is_drift_and_the_steps_run_again(
        self, site: Site, commits: Commits, where: str
    ) -> None:
        tag(site, "v1", commits.second)
        pull(site, "v1", commits.second)
        site.git("fetch", "-q")
        site.git("checkout", "-q", "--detach", getattr(commits, where), "--")
        result = pull(site, "v1", commits.second)
        result.must_be("updated", after=commits.second, saved=None, drift="head")
        assert built(site) == [commits.first, commits.second, commits.second]
        pull(site, "v1", commits.second).must_be("unchanged", drift=None)

    def test_branch_that_was_checked_out_is_drift(self, site: Site, commits: Commits) -> None:
        tag(site, "v1", commits.second)
        pull(site, "v1", commits.second)
        site.git("checkout", "-q", "-b", "experiment")
        result = pull(site, "v1", commits.second)
        result.must_be("updated", after=commits.second, drift="branch")
        assert is_detached(site)
        assert built(site) == [commits.first, commits.second, commits.second]

    def test_tag_that_was_checked_out_in_advance_gets_its_steps(
        self, site: Site, commits: Commits
    ) -> None:
        tag(site, "v1", commits.second)
        pull(site, "v1", commits.second)
        tag(site, "v2", commits.third)
        site.git("fetch", "-q", "--tags")
        site.git("checkout", "-q", "v2", "--")
        result = pull(site, "v2", commits.third)
        result.must_be("updated", after=commits.third, saved=None, drift=None)
        assert built(site) == [commits.first, commits.second, commits.third]


class TestOtherWaysOfUpdating:
    @pytest.mark.parametrize("update", ["rebase", "reset", "rebase-to", "reset-to"])
    def test_host_goes_from_a_tag_to_the_branch_and_back(
        self, site: Site, commits: Commits, update: str
    ) -> None:
        tag(site, "v1", commits.second, "annotated")
        pull(site, "v1", commits.second)
        to = commits.third if update.endswith("-to") else commits.tip
        for _ in range(2):
            result = site.pull(Update=update, Commit=to, AfterPull=BUILD)
            result.must_be("updated", after=to, upstream=to, local_commits=0, saved=None)
            assert site.git("symbolic-ref", "HEAD") == "refs/heads/main"
            site.pull(Update=update, Commit=to, AfterPull=BUILD).must_be("unchanged")
            result = pull(site, "v1", commits.second)
            result.must_be("updated", after=commits.second, upstream=commits.second, saved=None)
            assert is_detached(site)
            pull(site, "v1", commits.second).must_be("unchanged")

    def test_local_commit_of_the_branch_is_on_it_after_a_tag(
        self, site: Site, commits: Commits
    ) -> None:
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.pull().must_be("updated", local_commits=1)
        tag(site, "v1", commits.second)
        assert pull(site, "v1", commits.second).must_be("updated").saved
        site.pull().must_be("updated", upstream=commits.tip, local_commits=1)
        assert (site.checkout / "local.txt").read_text() == "mine\n"

    def test_pinned_host_goes_back_to_an_earlier_tags_commit(
        self, site: Site, commits: Commits
    ) -> None:
        site.tool("sleep", "exit 0")
        for name, commit in (("v1", commits.second), ("v2", commits.third)):
            tag(site, name, commit, "annotated")
            pull(site, name, commit)
        # A pin of a target that follows tags has the tag's name as Branch.
        result = exact(site, "v2", commits.second)
        result.must_be("updated", after=commits.second, upstream=commits.second, saved=None)
        exact(site, "v2", commits.second).must_be("unchanged", drift=None)
        never = exact(site, "v2", commits.tip)
        never.must_be("missing_commit", "the remote has no branch v2", after=commits.second)
        pull(site, "v2", commits.third).must_be("updated", after=commits.third, drift=None)

    def test_paths_compare_the_commits_of_two_tags(self, site: Site, commits: Commits) -> None:
        tag(site, "v1", commits.second)
        pull(site, "v1", commits.second, paths="other/**")
        tag(site, "v2", commits.third)
        result = pull(site, "v2", commits.third, paths="other/**")
        result.must_be("updated", after=commits.third, steps_not_needed=True)
        tag(site, "v3", commits.tip)
        result = pull(site, "v3", commits.tip, paths="*.txt")
        result.must_be("updated", after=commits.tip, steps_not_needed=False)
        assert built(site)[-1] == commits.tip


class TestRollBack:
    @in_both_kinds
    def test_failed_step_returns_to_the_last_tags_commit(
        self, site: Site, commits: Commits, kind: str
    ) -> None:
        bad = site.commit({BUILD: "#!/bin/sh\nexit 1\n"})
        tag(site, "v1", commits.second, kind)
        pull(site, "v1", commits.second)
        main = site.git("rev-parse", "main")
        tag(site, "v2", bad, kind)
        for attempt in (1, 2):
            result = pull(site, "v2", bad)
            result.must_be("rolled_back", after=commits.second, upstream=bad, attempt=attempt)
            assert (result.result.step, result.result.saved) == ("after_pull", None)
            assert is_detached(site)
            assert marker(site) == [commits.second, commits.second]
        assert site.git("rev-parse", "main") == main
        pull(site, "v1", commits.second).must_be("unchanged", drift=None)

    def test_first_tag_that_fails_returns_to_the_branchs_commit(
        self, site: Site, commits: Commits
    ) -> None:
        bad = site.commit({BUILD: "#!/bin/sh\nexit 1\n"})
        tag(site, "v1", bad)
        pull(site, "v1", bad).must_be("rolled_back", after=commits.first, upstream=bad)
        assert site.git("rev-parse", "main") == commits.first
        site.pull(Update="rebase-to", Commit=commits.tip, AfterPull=BUILD).must_be(
            "updated", after=commits.tip, saved=None
        )


class TestKill:
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("next_run", ["v1", "v2", "main"])
    def test_next_run_takes_a_killed_move_back_and_touches_no_branch(
        self, site: Site, commits: Commits, when: str, next_run: str
    ) -> None:
        tag(site, "v1", commits.second, "annotated")
        tag(site, "v2", commits.third)
        site.git("branch", "v1")  # branches of people, with the tags' names
        site.git("branch", "v2")
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.pull(AfterPull=BUILD).must_be("updated", local_commits=1)
        mine = site.head()
        branches = site.git("for-each-ref", "refs/heads/v*")
        site.git("checkout", "-q", "--detach")
        site.write("config.txt", "setting = 2\n")
        kill_at_the_checkout(site, when, Update="tag", Branch="v1", Commit=commits.second)
        if next_run == "main":
            result = site.pull(AfterPull=BUILD)
            result.must_be("unchanged", after=mine, upstream=commits.tip, local_commits=1)
            assert site.git("symbolic-ref", "HEAD") == "refs/heads/main"
            assert (site.checkout / "config.txt").read_text() == "setting = 2\n"
        else:
            to = {"v1": commits.second, "v2": commits.third}[next_run]
            pull(site, next_run, to).must_be("updated", after=to, upstream=to)
            pull(site, next_run, to).must_be("unchanged")
            saved = [site.git("show", f"{ref}:config.txt") for ref in site.saved()]
            assert "setting = 2" in saved
        assert site.git("rev-parse", "main") == mine
        assert site.git("for-each-ref", "refs/heads/v*") == branches

    def test_run_after_a_kill_during_the_steps_does_them(
        self, site: Site, commits: Commits
    ) -> None:
        commit = site.commit({"deploy/dies": "#!/bin/sh\nkill -9 -$PULLEY_GROUP\n"})
        tag(site, "v1", commit, "annotated")
        parameters = {"Update": "tag", "Branch": "v1", "Commit": commit}
        assert not run_in_own_group(site, AfterPull="deploy/dies", **parameters)
        assert site.head() == commit
        pull(site, "v1", commit).must_be("updated", after=commit, saved=None, drift=None)
        assert built(site) == [commits.first, commit]

    def test_lock_of_a_killed_fetch_is_removed(self, site: Site, commits: Commits) -> None:
        tag(site, "v1", commits.second)
        site.write(f".git/{UPSTREAM_REF}.lock", "")
        pull(site, "v1", commits.second).must_be("updated", after=commits.second)


class TestPowerCut:
    @pytest.mark.parametrize("what", ["the ref", "the tag", "the commit"])
    def test_what_a_power_cut_emptied_is_fetched_again(
        self, site: Site, commits: Commits, what: str
    ) -> None:
        site.tool("sleep", "exit 0")
        commit = commit_in_no_branch(site, "new\n")
        tag(site, "v1", commit, "annotated")
        git_dir = site.checkout / ".git"
        site.git("fetch", "-q", "--no-tags", "origin", f"refs/tags/v1:{UPSTREAM_REF}")
        object_id = site.git("rev-parse", UPSTREAM_REF)
        emptied = {
            "the ref": git_dir / UPSTREAM_REF,
            "the tag": loose(git_dir, object_id),
            "the commit": loose(git_dir, commit),
        }[what]
        emptied.chmod(0o644)
        emptied.write_text("")
        pull(site, "v1", commit).must_be("updated", after=commit, upstream=commit)
        assert commits.first in built(site)

    def test_folder_in_the_refs_place_is_removed(self, site: Site, commits: Commits) -> None:
        site.tool("sleep", "exit 0")
        site.git("update-ref", f"{UPSTREAM_REF}/x", commits.first)
        tag(site, "v1", commits.second)
        pull(site, "v1", commits.second).must_be("updated", after=commits.second)


def loose(git_dir: Path, object_id: str) -> Path:
    return git_dir / "objects" / object_id[:2] / object_id[2:]


class TestToCommit:
    """tag-to: a moved tag must not bring a commit that has not passed the target's gates."""

    def pull(self, site: Site, name: str, commit: str) -> Run:
        return site.pull(Update="tag-to", Branch=name, Commit=commit, AfterPull=BUILD)

    @in_both_kinds
    def test_host_goes_to_the_tags_commit(self, site: Site, commits: Commits, kind: str) -> None:
        tag(site, "v1", commits.second, kind)
        result = self.pull(site, "v1", commits.second)
        result.must_be("updated", after=commits.second, upstream=commits.second)
        self.pull(site, "v1", commits.second).must_be("unchanged", upstream=commits.second)

    @in_both_kinds
    def test_host_stays_where_it_is_if_the_tag_moves(
        self, site: Site, commits: Commits, kind: str
    ) -> None:
        tag(site, "v1", commits.second, kind)
        self.pull(site, "v1", commits.second)
        for moved in (commits.third, commits.first):
            tag(site, "v1", moved, kind)
            self.pull(site, "v1", commits.second).must_be("unchanged", upstream=commits.second)

    @in_both_kinds
    def test_host_goes_to_a_commit_that_the_moved_tag_has_and_to_no_other(
        self, site: Site, commits: Commits, kind: str
    ) -> None:
        tag(site, "v1", commits.third, kind)
        result = self.pull(site, "v1", commits.second)
        result.must_be("updated", after=commits.second, upstream=commits.second)
        before = site.head()
        for name in (commits.tip, "f" * 40):
            result = self.pull(site, "v1", name)
            result.must_be("missing_commit", f"commit {name} is not in v1")
        assert site.head() == before

    def test_without_a_commit_it_is_refused(self, site: Site) -> None:
        result = site.pull(Update="tag-to", Branch="v1", Commit="")
        result.must_be("bad_parameter", "tag-to needs a Commit")


class TestCheck:
    @in_both_kinds
    def test_check_compares_the_tags_commit_with_the_deployed_one(
        self, site: Site, commits: Commits, kind: str
    ) -> None:
        tag(site, "v1", commits.second, kind)
        state = site.state()
        result = check(site, "v1")
        result.must_be("unchanged", f"would update to {commits.second}", upstream=commits.second)
        assert site.state() == state
        pull(site, "v1", commits.second)
        for commit in ("", commits.second):
            result = check(site, "v1", commit)
            result.must_be("unchanged", upstream=commits.second)
            assert result.result.found
            found = result.result.found
            assert (found.would_update, found.deployed) == (False, commits.second)
            assert (found.drift, found.unfinished, result.result.detail) == ("", "", "")
        tag(site, "v1", commits.third, kind)
        result = check(site, "v1")
        result.must_be("unchanged", f"would update to {commits.third}", upstream=commits.third)

    def test_nested_tag_is_peeled(self, site: Site, commits: Commits) -> None:
        tag(site, "inner", commits.second, "annotated")
        tag(site, "outer", "inner", "annotated")
        check(site, "outer").must_be("unchanged", upstream=commits.second)

    def test_missing_tag_and_branch_of_its_name_are_told_apart(
        self, site: Site, commits: Commits
    ) -> None:
        site.git("branch", "v1", commits.third, cwd=site.upstream)
        check(site, "v1").must_be("missing_commit", "the remote has no tag v1")
        site.pull(Update="check", Branch="v1").must_be("unchanged", upstream=commits.third)
        tag(site, "v2", commits.second)
        site.pull(Update="check", Branch="v2").must_be("missing_commit", "has no branch v2")

    def test_commit_that_was_checked_out_is_drift(self, site: Site, commits: Commits) -> None:
        tag(site, "v1", commits.second)
        pull(site, "v1", commits.second)
        site.git("fetch", "-q")
        for commit, drift in ((commits.third, "head"), (commits.second, "")):
            site.git("checkout", "-q", "--detach", commit, "--")
            for named in ("", commits.second):
                found = check(site, "v1", named).result.found
                assert found
                assert found.drift == drift
        site.git("checkout", "-q", "-b", "experiment")
        found = check(site, "v1").result.found
        assert found
        assert found.drift == "branch"

    def test_killed_steps_are_unfinished(self, site: Site, commits: Commits) -> None:
        tag(site, "v1", commits.second)
        pull(site, "v1", commits.second)
        tag(site, "v2", commits.third)
        pull(site, "v2", commits.third)
        site.write(".git/pulley/begun", f"{commits.third}\n")
        found = check(site, "v2").result.found
        assert found
        assert (found.unfinished, found.drift) == ("begun", "")
