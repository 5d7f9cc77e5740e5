"""The update modes: what each does to the checkout, and what it keeps."""

import shutil

import pytest

from tests.host.conftest import OWNER, Site


class TestRebase:
    def test_a_new_commit_is_pulled_and_a_run_with_nothing_new_changes_nothing(
        self, site: Site
    ) -> None:
        before = site.head()
        site.pull().must_be("unchanged", after=before)
        commit = site.commit({"app.txt": "two\n"})
        site.pull(Commit=commit).must_be("updated", before=before, after=commit, upstream=commit)
        assert (site.checkout / "app.txt").read_text() == "two\n"
        state = site.state()
        site.pull().must_be("unchanged")
        assert site.state() == state

    def test_local_commits_stay_and_are_rebased_and_edits_are_carried_over(
        self, site: Site
    ) -> None:
        local = site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.write("config.txt", "setting = 2\n")
        site.pull().must_be("unchanged", after=local, local_commits=1)
        commit = site.commit({"app.txt": "two\n"})
        site.pull().must_be("updated", upstream=commit, local_commits=1, saved=None)
        assert site.git("rev-parse", "HEAD~1") == commit
        assert (site.checkout / "local.txt").read_text() == "mine\n"
        assert (site.checkout / "config.txt").read_text() == "setting = 2\n"
        site.pull().must_be("unchanged")

    def test_edits_of_other_files_are_carried_over_and_of_a_changed_file_merged(
        self, site: Site
    ) -> None:
        lines = "".join(f"{n}\n" for n in range(20))
        site.commit({"long.txt": lines})
        site.pull()
        site.write("config.txt", "setting = 2\n")
        site.write("long.txt", lines + "mine\n")
        site.commit({"long.txt": "theirs\n" + lines})
        site.pull().must_be("updated", saved=None)
        assert (site.checkout / "config.txt").read_text() == "setting = 2\n"
        assert (site.checkout / "long.txt").read_text() == "theirs\n" + lines + "mine\n"
        assert site.saved() == []

    def test_edits_that_conflict_are_saved_and_named(self, site: Site) -> None:
        site.write("app.txt", "mine\n")
        commit = site.commit({"app.txt": "theirs\n"})
        result = site.pull().must_be("updated", after=commit)
        assert (site.checkout / "app.txt").read_text() == "theirs\n"
        assert site.git("status", "--porcelain") == ""
        assert site.saved() == [result.saved]
        assert site.git("show", f"{result.saved}:app.txt") == "mine"

    def test_a_conflict_leaves_all_as_it_was(self, site: Site) -> None:
        site.commit({"app.txt": "mine\n"}, where=site.checkout)
        site.write("config.txt", "setting = 2\n")
        site.write("untracked.txt", "untracked\n")
        state = site.state()
        upstream = site.commit({"app.txt": "theirs\n"})
        run = site.pull()
        run.must_be("conflict", "conflict in app.txt", upstream=upstream)
        assert site.state() == state
        assert site.saved() == []

    def test_a_force_push_keeps_local_commits_and_only_those(self, site: Site) -> None:
        site.commit({"gone.txt": "gone\n"})
        site.pull()
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.pull()
        site.git("reset", "-q", "--hard", "HEAD~1", cwd=site.upstream)
        commit = site.commit({"app.txt": "other two\n"})
        site.pull().must_be("updated", upstream=commit, local_commits=1)
        assert not (site.checkout / "gone.txt").exists()
        assert (site.checkout / "local.txt").exists()

    @pytest.mark.parametrize("ignored", [False, True])
    def test_an_untracked_file_in_the_way_is_a_conflict(self, site: Site, *, ignored: bool) -> None:
        if ignored:
            site.write(".git/info/exclude", "new.txt\n")
        site.write("new.txt", "the host's own\n")
        site.commit({"new.txt": "theirs\n", "app.txt": "two\n"})
        state = site.state()
        assert site.pull().result.outcome == "conflict"
        assert site.state() == state

    def test_a_checkout_on_another_branch_is_brought_back(self, site: Site) -> None:
        site.git("checkout", "-q", "-b", "debugging")
        site.write("config.txt", "setting = 2\n")
        commit = site.commit({"app.txt": "two\n"})
        site.pull().must_be("updated", after=commit)
        assert site.git("symbolic-ref", "HEAD") == "refs/heads/main"
        assert (site.checkout / "config.txt").read_text() == "setting = 2\n"

    def test_a_commit_on_a_detached_head_is_saved(self, site: Site) -> None:
        site.git("checkout", "-q", "--detach")
        lost = site.commit({"local.txt": "mine\n"}, where=site.checkout)
        commit = site.commit({"app.txt": "two\n"})
        result = site.pull().must_be("updated", after=commit)
        assert result.saved
        assert site.git("rev-parse", result.saved) == lost

    def test_missing_local_branch_is_created(self, site: Site) -> None:
        site.git("checkout", "-q", "-b", "release/1.2", cwd=site.upstream)
        commit = site.commit({"app.txt": "release\n"})
        site.pull(Branch="release/1.2").must_be("updated", after=commit)
        assert site.git("symbolic-ref", "HEAD") == "refs/heads/release/1.2"

    def test_a_remote_branch_that_became_a_folder_is_fetched(self, site: Site) -> None:
        site.git("checkout", "-q", "-b", "feature", cwd=site.upstream)
        site.pull(Branch="feature")
        site.git("checkout", "-q", "main", cwd=site.upstream)
        site.git("branch", "-qm", "feature", "feature/x", cwd=site.upstream)
        site.git("checkout", "-q", "feature/x", cwd=site.upstream)
        commit = site.commit({"app.txt": "x\n"})
        site.git("checkout", "-q", "main")
        site.git("branch", "-qD", "feature")
        site.pull(Branch="feature/x").must_be("updated", after=commit)

    def test_branch_that_was_reset_to_an_older_commit_is_followed(self, site: Site) -> None:
        first = site.head()
        site.commit({"app.txt": "two\n"})
        site.pull()
        site.git("reset", "-q", "--hard", first, cwd=site.upstream)
        site.pull().must_be("updated", after=first, local_commits=0)

    def test_branch_that_was_reset_to_an_older_commit_keeps_only_local_commits(
        self, site: Site
    ) -> None:
        first = site.head()
        site.commit({"gone.txt": "gone\n"})
        site.pull()
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.git("reset", "-q", "--hard", first, cwd=site.upstream)
        site.pull().must_be("updated", upstream=first, local_commits=1)
        assert site.git("rev-parse", "HEAD~1") == first
        assert (site.checkout / "local.txt").exists()

    def test_unrelated_new_history_keeps_local_commits(self, site: Site) -> None:
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.git("checkout", "-q", "--orphan", "anew", cwd=site.upstream)
        commit = site.commit({"app.txt": "anew\n"})
        site.git("branch", "-qM", "main", cwd=site.upstream)
        site.pull().must_be("updated", upstream=commit, local_commits=1)
        assert site.git("rev-parse", "HEAD~1") == commit

    def test_rebase_backend_setting_of_the_owner_is_ignored(self, site: Site) -> None:
        site.git("config", "rebase.backend", "apply")
        site.commit({"app.txt": "mine\n"}, where=site.checkout)
        state = site.state()
        site.commit({"app.txt": "theirs\n"})
        assert site.pull().result.outcome == "conflict"
        assert site.state() == state

    def test_local_tags_survive_a_fetch_that_is_set_to_prune(self, site: Site) -> None:
        site.git("config", "fetch.prune", "true")
        site.git("config", "fetch.pruneTags", "true")
        site.git("tag", "mine")
        site.commit({"app.txt": "two\n"})
        assert site.pull().result.outcome == "updated"
        assert site.git("tag") == "mine"

    def test_odd_file_names_are_pulled(self, site: Site) -> None:
        names = ["with space.txt", "new\nline.txt", "-rf.txt", "$(touch pwned).txt", "ü.txt"]
        commit = site.commit(dict.fromkeys(names, "odd\n"), message='"; touch pwned; $(id) `id`')
        assert site.pull().result.after == commit
        assert all((site.checkout / name).read_text() == "odd\n" for name in names)
        assert not list(site.checkout.rglob("pwned"))


class TestReset:
    def test_edits_and_local_commits_are_saved_and_named(self, site: Site) -> None:
        site.commit({"app.txt": "one and a half\n"})
        site.pull(Update="reset").must_be("updated", saved=None)  # of a clean checkout
        local = site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.write("app.txt", "edited\n")
        site.write("untracked.txt", "untracked\n")
        commit = site.commit({"app.txt": "two\n"})
        result = site.pull(Update="reset").must_be("updated", after=commit, local_commits=0)
        assert result.saved
        assert site.git("show", f"{result.saved}:app.txt") == "edited"
        assert site.git("merge-base", local, result.saved) == local
        assert (site.checkout / "untracked.txt").exists()
        assert site.git("status", "--porcelain", "-uno") == ""

    def test_local_commit_is_saved_and_the_outcome_is_updated_without_a_new_upstream_commit(
        self, site: Site
    ) -> None:
        tip = site.head()
        site.pull()
        local = site.commit({"local.txt": "mine\n"}, where=site.checkout)
        result = site.pull(Update="reset").must_be("updated", before=local, after=tip)
        assert result.saved
        assert site.git("rev-parse", result.saved) == local


class TestExact:
    def test_older_commit_is_deployed_and_the_next_rebase_returns_to_the_tip(
        self, site: Site
    ) -> None:
        first = site.head()
        tip = site.commit({"app.txt": "two\n"})
        site.pull()
        site.pull(Update="exact", Commit=first).must_be("updated", after=first, upstream=first)
        assert site.pull(Update="exact", Commit=first).result.outcome == "unchanged"
        site.pull().must_be("updated", after=tip)
        assert site.git("symbolic-ref", "HEAD") == "refs/heads/main"

    def test_local_commits_are_saved_and_come_back_with_the_branch(self, site: Site) -> None:
        first = site.head()
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.commit({"app.txt": "two\n"})
        site.pull()
        result = site.pull(Update="exact", Commit=first).result
        assert result.saved
        assert not (site.checkout / "local.txt").exists()
        assert site.pull().result.local_commits == 1
        assert (site.checkout / "local.txt").exists()

    def test_deployed_commit_that_left_the_branch_is_deployed_again(self, site: Site) -> None:
        deployed = site.commit({"app.txt": "two\n"})
        site.pull()
        site.git("reset", "-q", "--hard", "HEAD~1", cwd=site.upstream)
        tip = site.commit({"app.txt": "other\n"})
        site.pull().must_be("updated", after=tip, local_commits=0)
        assert site.pull(Update="exact", Commit=deployed).result.after == deployed
        back = site.pull().result
        assert (back.after, back.local_commits) == (tip, 0)

    def test_a_commit_of_another_branch_is_missing(self, site: Site) -> None:
        site.tool("sleep", "exit 0")
        site.git("checkout", "-q", "-b", "other", cwd=site.upstream)
        commit = site.commit({"app.txt": "other\n"})
        site.git("checkout", "-q", "main", cwd=site.upstream)
        site.git("fetch", "-q", "origin", "other")
        state = site.state()
        assert site.pull(Update="exact", Commit=commit).result.outcome == "missing_commit"
        assert site.state() == state

    def test_deployed_commit_is_deployed_again_without_the_remote(self, site: Site) -> None:
        site.tool("sleep", "exit 0")
        first = site.head()
        site.pull()
        site.commit({"app.txt": "two\n"})
        site.pull()
        site.upstream.rename(site.upstream.with_name("gone"))
        assert site.pull().result.outcome == "unreachable"
        site.pull(Update="exact", Commit=first).must_be("updated", after=first, upstream=first)


class TestCommit:
    def test_ancestor_of_the_tip_deploys_the_tip(self, site: Site) -> None:
        older = site.commit({"app.txt": "two\n"})
        tip = site.commit({"app.txt": "three\n"})
        assert site.pull(Commit=older).result.after == tip

    def test_commit_that_a_force_push_removed_is_superseded_by_the_tip(self, site: Site) -> None:
        gone = site.commit({"app.txt": "two\n"})
        site.pull()
        site.git("reset", "-q", "--hard", "HEAD~1", cwd=site.upstream)
        tip = site.commit({"app.txt": "other\n"})
        site.pull(Commit=gone).must_be("superseded", after=tip)

    def test_unknown_commit_is_missing_and_nothing_moves(self, site: Site) -> None:
        site.tool("sleep", "exit 0")
        site.commit({"app.txt": "two\n"})
        state = site.state()
        site.pull(Commit="1" * 40, Timeout="20").must_be("missing_commit")
        assert site.state() == state


class TestCheck:
    def test_check_reports_what_a_run_would_do_and_changes_nothing(self, site: Site) -> None:
        commit = site.commit({"app.txt": "two\n"})
        state = site.state()
        result = site.pull(Update="check").must_be("unchanged", upstream=commit)
        assert result.found
        assert (result.found.would_update, result.found.lfs) == (
            True,
            bool(shutil.which("git-lfs")),
        )
        assert result.found.owner == OWNER.pw_name
        assert result.found.git in site.git("--version")
        assert result.found.free_mib > 0
        assert site.state() == state
        assert not (site.checkout / ".git/pulley").exists()
