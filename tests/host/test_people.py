"""A person's work in the checkout is kept, carried over, or left alone and reported."""

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.host.conftest import AS_OWNER, Site, own, run_in_own_group

LONG = "".join(f"line {n}\n" for n in range(40))


def conflicting_branch(site: Site) -> None:
    """Make a branch `other` that conflicts with main."""
    site.git("checkout", "-q", "-b", "other")
    site.commit({"app.txt": "other\n"}, where=site.checkout)
    site.git("checkout", "-q", "main")
    site.commit({"app.txt": "mine\n"}, where=site.checkout)


def stopped_merge(site: Site) -> None:
    conflicting_branch(site)
    site.as_owner("git", "merge", "-q", "other", check=False)


def stopped_cherry_pick(site: Site) -> None:
    conflicting_branch(site)
    site.as_owner("git", "cherry-pick", "other", check=False)


def resolved_cherry_pick(site: Site) -> None:
    stopped_cherry_pick(site)
    site.write("app.txt", "resolved\n")
    site.git("add", "app.txt")


def stopped_revert(site: Site) -> None:
    site.commit({"app.txt": "two\n"}, where=site.checkout)
    site.commit({"app.txt": "three\n"}, where=site.checkout)
    site.as_owner("git", "revert", "HEAD~1", check=False)


def stopped_rebase(site: Site) -> None:
    conflicting_branch(site)
    site.as_owner("git", "rebase", "-q", "other", check=False)


def resolved_rebase_by_patches(site: Site) -> None:
    conflicting_branch(site)
    site.as_owner("git", "rebase", "-q", "--apply", "other", check=False)
    site.write("app.txt", "resolved\n")
    site.git("add", "app.txt")


def rebase_at_a_break(site: Site) -> None:
    site.commit({"local.txt": "mine\n"}, where=site.checkout)
    site.git("-c", "sequence.editor=sed -i 1ibreak", "rebase", "-q", "-i", "HEAD~1")


def rebase_at_an_edit(site: Site) -> None:
    site.commit({"local.txt": "mine\n"}, where=site.checkout)
    site.git("-c", "sequence.editor=sed -i s/pick/edit/", "rebase", "-q", "-i", "HEAD~1")


def rebase_at_a_failed_exec(site: Site) -> None:
    site.commit({"local.txt": "mine\n"}, where=site.checkout)
    site.as_owner("git", "rebase", "-q", "--exec", "false", "HEAD~1", check=False)


def stopped_am(site: Site) -> None:
    conflicting_branch(site)
    site.git("format-patch", "-q", "-1", "other", "-o", str(site.root / "patches"))
    patch = next((site.root / "patches").iterdir())
    site.as_owner("git", "am", "-q", str(patch), check=False)


def stopped_stash_pop(site: Site) -> None:
    site.write("app.txt", "stashed\n")
    site.git("stash", "-q")
    site.commit({"app.txt": "mine\n"}, where=site.checkout)
    site.as_owner("git", "stash", "pop", "-q", check=False)


def bisect(site: Site) -> None:
    first = site.head()
    for n in range(3):
        site.commit({"app.txt": f"{n}\n"}, where=site.checkout)
    site.git("bisect", "start", "HEAD", first)


@pytest.mark.parametrize(
    "begin",
    [
        stopped_merge,
        stopped_cherry_pick,
        resolved_cherry_pick,
        stopped_revert,
        stopped_rebase,
        resolved_rebase_by_patches,
        rebase_at_a_break,
        rebase_at_an_edit,
        rebase_at_a_failed_exec,
        stopped_am,
        stopped_stash_pop,
        bisect,
    ],
)
def test_unfinished_git_operation_is_a_conflict_and_stays_untouched(
    site: Site, begin: Callable[[Site], None]
) -> None:
    begin(site)
    site.commit({"new.txt": "new\n"})
    state, git_dir = site.state(), names_in_git_dir(site)
    site.pull().must_be("conflict", "middle of")
    assert site.state() == state
    assert names_in_git_dir(site) - {"FETCH_HEAD", "pulley"} == git_dir


def names_in_git_dir(site: Site) -> set[str]:
    return {path.name for path in (site.checkout / ".git").iterdir()}


class TestUntracked:
    """Content that no commit holds: git's own `reset --hard` would delete each of these."""

    def assert_kept(self, site: Site, precious: str, *updates: str) -> None:
        site.commit({"other.txt": "two\n"})
        state = site.state()
        for update in updates or ("rebase",):
            site.pull(Update=update).must_be("conflict", precious)
        assert site.state() == state
        assert site.saved() == []

    @pytest.mark.parametrize(
        "remove", [["rm"], ["git", "rm", "-q"], ["git", "rm", "-q", "--cached"]]
    )
    def test_a_file_that_became_a_folder_is_kept(self, site: Site, remove: list[str]) -> None:
        site.as_owner(*remove, "app.txt")
        (site.checkout / "app.txt").unlink(missing_ok=True)
        site.write("app.txt/precious.txt", "precious\n")
        self.assert_kept(site, "app.txt/precious.txt", "rebase", "reset")

    def test_a_file_that_became_an_ignored_folder_is_kept(self, site: Site) -> None:
        site.write(".git/info/exclude", "precious.txt\n")
        (site.checkout / "app.txt").unlink()
        site.write("app.txt/precious.txt", "precious\n")
        self.assert_kept(site, "app.txt/precious.txt")

    def test_a_link_that_became_a_folder_is_kept(self, site: Site) -> None:
        site.as_owner("ln", "-s", "config.txt", "link", cwd=site.upstream)
        site.git("add", "link", cwd=site.upstream)
        site.commit({})
        site.pull()
        (site.checkout / "link").unlink()
        site.write("link/precious.txt", "precious\n")
        self.assert_kept(site, "link/precious.txt")

    def test_a_folder_that_became_a_file_is_kept(self, site: Site) -> None:
        site.commit({"folder/a.txt": "a\n"})
        site.pull()
        shutil.rmtree(site.checkout / "folder")
        site.write("folder", "precious\n")
        self.assert_kept(site, "folder")

    def test_untracked_file_with_the_content_of_upstreams_is_kept_on_a_conflict(
        self, site: Site
    ) -> None:
        site.write("new.txt", "same\n")
        site.commit({"new.txt": "same\n"})
        self.assert_kept(site, "new.txt")

    def test_a_file_made_while_the_run_fetched_is_kept(self, site: Site) -> None:
        site.before_git(
            f'case " $* " in *" fetch "*) echo precious >{site.checkout}/new.txt ;; esac'
        )
        site.commit({"new.txt": "theirs\n"})
        assert site.pull().result.outcome == "conflict"
        assert (site.checkout / "new.txt").read_text() == "precious\n"

    @pytest.mark.parametrize("ignored", [False, True])
    def test_folder_that_upstream_replaced_by_a_file_keeps_its_untracked_files(
        self, site: Site, *, ignored: bool
    ) -> None:
        site.commit({"folder/a.txt": "a\n"})
        site.pull()
        if ignored:
            site.write(".git/info/exclude", "precious.txt\n")
        site.write("folder/precious.txt", "precious\n")
        site.commit({"folder/a.txt": None, "folder": "a file\n"})
        self.assert_kept(site, "folder")


class TestIndex:
    def test_a_file_that_was_only_touched_is_no_edit(self, site: Site) -> None:
        commit = site.commit({"new.txt": "new\n"})
        os.utime(site.checkout / "app.txt", (0, 0))
        site.pull().must_be("updated", after=commit, saved=None)

    def test_staged_changes_stay_staged(self, site: Site) -> None:
        site.write("app.txt", "staged\n")
        site.write("new.txt", "staged\n")
        site.git("add", "app.txt", "new.txt")
        site.write("app.txt", "staged, then edited\n")
        site.commit({"other.txt": "two\n"})
        site.pull().must_be("updated", saved=None)
        assert site.git("show", ":app.txt") == "staged"
        assert (site.checkout / "app.txt").read_text() == "staged, then edited\n"
        assert site.git("status", "--porcelain") == "MM app.txt\nA  new.txt"

    def test_staged_content_that_does_not_fit_is_saved(self, site: Site) -> None:
        site.commit({"long.txt": LONG})
        site.pull()
        site.write("long.txt", "only staged\n" + LONG)
        site.git("add", "long.txt")
        site.write("long.txt", LONG + "edited\n")
        site.commit({"long.txt": "theirs\n" + LONG})
        result = site.pull().result
        assert (site.checkout / "long.txt").read_text() == "theirs\n" + LONG + "edited\n"
        assert result.saved
        assert site.git("show", f"{result.saved}^2:long.txt").startswith("only staged")

    def test_file_added_with_intent_to_add_is_a_conflict_that_names_it(self, site: Site) -> None:
        site.write("new.txt", "half\n")
        site.git("add", "-N", "new.txt")
        site.commit({"app.txt": "two\n"})
        state = site.state()
        for update in ("rebase", "reset"):
            site.pull(Update=update).must_be("conflict", "new.txt is only half added")
        assert site.state() == state

    @pytest.mark.parametrize(
        ("mark", "edits"),
        [("--assume-unchanged", True), ("--skip-worktree", True), ("--skip-worktree", False)],
    )
    def test_file_marked_assume_unchanged_or_skip_worktree_is_left_alone(
        self, site: Site, mark: str, *, edits: bool
    ) -> None:
        site.git("update-index", mark, "config.txt")
        site.write("config.txt", "the host's own\n")
        if edits:
            site.write("app.txt", "mine\n")
        site.commit({"new.txt": "new\n"})
        assert site.pull().result.outcome == "updated"
        site.commit({"config.txt": "theirs\n"})
        site.pull().must_be("conflict", "config.txt")
        assert (site.checkout / "config.txt").read_text() == "the host's own\n"

    def test_edits_with_odd_file_names_and_modes_are_carried_over(self, site: Site) -> None:
        site.write("with\nnewline $(id).txt", "#!/bin/sh\n")
        site.git("add", ".")
        (site.checkout / "app.txt").chmod(0o755)
        site.commit({"new.txt": "new\n"})
        assert site.pull().result.outcome == "updated"
        assert (site.checkout / "with\nnewline $(id).txt").read_text() == "#!/bin/sh\n"
        assert (site.checkout / "app.txt").stat().st_mode & 0o111
        assert (site.checkout / "with\nnewline $(id).txt").stat().st_mode & 0o111


class TestAfterAKill:
    @pytest.fixture(scope="class")
    @classmethod
    def like(cls, make_shared_site: Callable[[str], Site]) -> Site:
        """A site whose run was killed with the edits stashed and the new commit checked out."""
        site = make_shared_site("sh")
        site.pull()
        site.write("app.txt", "edited before\n")
        site.commit({"new.txt": "new\n"})
        kill = 'case "$*" in *"stash apply"*) kill -9 -$PULLEY_GROUP ;; esac'
        site.before_git(kill)
        assert not run_in_own_group(site)
        (site.tools / "git").unlink()
        assert (site.checkout / "new.txt").exists()
        return site

    def test_edits_after_the_kill_are_saved_and_edits_before_it_come_back(self, site: Site) -> None:
        site.write("config.txt", "edited since\n")
        site.write("new.txt", "edited since too\n")
        result = site.pull().must_be("updated")
        assert (site.checkout / "app.txt").read_text() == "edited before\n"
        assert result.saved
        assert site.git("show", f"{result.saved}:config.txt") == "edited since"
        assert site.git("show", f"{result.saved}:new.txt") == "edited since too"

    def test_commit_made_after_the_kill_is_saved(self, site: Site) -> None:
        commit = site.commit({"mine.txt": "since\n"}, where=site.checkout)
        result = site.pull().must_be("updated")
        assert result.saved
        assert site.git("merge-base", commit, result.saved) == commit

    def test_nothing_is_saved_if_nobody_worked_after_the_kill(self, site: Site) -> None:
        assert site.pull().result.saved is None
        assert site.saved() == []


def test_half_written_note_of_a_move_means_that_nothing_moved(site: Site) -> None:
    site.pull()
    site.write("config.txt", "edited\n")
    for half in ("refs/heads/main", "refs/heads/main 1234 56", "\n"):
        site.write(".git/pulley/moving", half)
        commit = site.commit({"app.txt": f"{half}\n"})
        site.pull().must_be("updated", after=commit, saved=None)
        assert (site.checkout / "config.txt").read_text() == "edited\n"


class TestLocks:
    LOCKS = (
        "index.lock",
        "HEAD.lock",
        "config.lock",
        "shallow.lock",
        "packed-refs.lock",
        "packed-refs.new",
        "refs/heads/main.lock",
        "refs/remotes/origin/main.lock",
        "refs/pulley/deployed/1.lock",
        "refs/pulley/deployed/2.lock",
    )

    def test_dead_locks_are_cleared(self, site: Site) -> None:
        site.pull()
        site.git("pack-refs", "--all")
        for lock in self.LOCKS:
            site.write(f".git/{lock}", "")
        site.write("config.txt", "edited\n")
        commit = site.commit({"app.txt": "two\n"})
        site.pull().must_be("updated", after=commit)
        assert not [lock for lock in self.LOCKS if (site.checkout / ".git" / lock).exists()]

    def test_lock_of_a_running_git_is_busy_and_stays(self, site: Site) -> None:
        site.pull()
        git = site.root / "git"  # the script knows git by its name
        shutil.copy(str(shutil.which("sleep")), git)
        own(git)
        site.write(".git/index.lock", "")
        at_work = subprocess.Popen([*AS_OWNER, str(git), "60"], cwd=site.checkout)
        try:
            result = site.pull(Timeout="20").result
        finally:
            at_work.kill()
            at_work.wait()
        assert (result.outcome, "another git" in result.detail) == ("busy", True)
        assert (site.checkout / ".git/index.lock").exists()


class TestWorkTrees:
    def test_linked_work_tree_is_updated_and_the_main_one_keeps_its_branch(
        self, site: Site
    ) -> None:
        site.git("checkout", "-q", "-b", "side")
        linked = site.root / "linked"
        site.git("worktree", "add", "-q", str(linked), "main")
        commit = site.commit({"app.txt": "two\n"})
        site.pull(Checkout=str(linked)).must_be("updated", after=commit)
        assert site.git("symbolic-ref", "HEAD") == "refs/heads/side"

    def test_branch_that_another_work_tree_has_checked_out_is_a_conflict(self, site: Site) -> None:
        site.git("checkout", "-q", "-b", "side")
        site.git("worktree", "add", "-q", str(site.root / "linked"), "main")
        site.commit({"app.txt": "two\n"})
        state = site.state()
        assert site.pull().result.outcome == "conflict"
        assert site.state() == state

    def test_a_checkout_behind_a_link_is_updated(self, site: Site) -> None:
        link = site.root / "a+b@c=d,e"
        site.as_owner("ln", "-s", str(site.checkout), str(link))
        commit = site.commit({"app.txt": "two\n"})
        assert site.pull(Checkout=str(link)).result.after == commit


class TestClones:
    def clone(self, site: Site, *options: str) -> None:
        shutil.rmtree(site.checkout)
        url = f"file://{site.upstream}"
        site.git("clone", "-q", *options, url, str(site.checkout), cwd=site.root)

    def test_shallow_clone_stays_shallow(self, site: Site) -> None:
        site.commit({"app.txt": "two\n"})
        self.clone(site, "--depth", "1")
        commit = site.commit({"app.txt": "three\n"})
        assert site.pull().result.after == commit
        assert site.git("rev-list", "--count", "HEAD") == "2"
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.commit({"new.txt": "new\n"})
        assert site.pull().result.local_commits == 1
        assert site.git("rev-parse", "--is-shallow-repository") == "true"

    def test_partial_clone_stays_partial(self, site: Site) -> None:
        site.git("config", "uploadpack.allowFilter", "true", cwd=site.upstream)
        site.git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=site.upstream)
        site.commit({"app.txt": "two\n"})
        self.clone(site, "--filter=blob:none")
        commit = site.commit({"app.txt": "three\n"})
        assert site.pull().result.after == commit
        missing = site.git("rev-list", "--objects", "--all", "--missing=print")
        assert "\n?" in missing

    def test_sparse_checkout_stays_sparse(self, site: Site) -> None:
        site.commit({"in/a.txt": "a\n", "out/b.txt": "b\n"})
        site.pull()
        site.git("sparse-checkout", "set", "in")
        site.write("app.txt", "edited\n")
        commit = site.commit({"in/a.txt": "a2\n", "out/b.txt": "b2\n"})
        assert site.pull().result.after == commit
        assert (site.checkout / "in/a.txt").read_text() == "a2\n"
        assert (site.checkout / "app.txt").read_text() == "edited\n"
        assert not (site.checkout / "out").exists()

    def test_clone_without_a_commit_is_no_checkout(self, site: Site) -> None:
        shutil.rmtree(site.checkout)
        site.git("init", "-q", str(site.checkout), cwd=site.root)
        site.git("remote", "add", "origin", str(site.upstream))
        site.pull().must_be("no_checkout", "clone it again", before=None)

    def test_clone_that_converts_line_endings_is_clean_after_an_update(self, site: Site) -> None:
        site.git("config", "core.autocrlf", "true")
        site.git("rm", "-q", "--cached", "-r", ".")
        site.git("reset", "-q", "--hard")
        site.write("config.txt", "edited\r\n")
        commit = site.commit({"app.txt": "two\n"})
        assert site.pull().result.after == commit
        assert (site.checkout / "app.txt").read_bytes() == b"two\r\n"
        assert site.git("status", "--porcelain") == "M config.txt"
