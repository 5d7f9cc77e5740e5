"""What somebody moved in a checkout since the last run is seen, and brought back."""

import fcntl
import shutil

import pytest

from chalicelib.core.results import Found
from tests.host.conftest import Site


def deployed(site: Site) -> str:
    """A commit on which all steps are done; there are two older ones."""
    for text in ("two\n", "three\n"):
        commit = site.commit({"app.txt": text, "folder/deep.txt": text})
        site.pull(Commit=commit)
    return commit


def found_by_check(site: Site) -> Found:
    found = site.pull(Update="check").result.found
    assert found
    return found


class TestRound:
    """What a round of the schedule sends, where nothing is new."""

    def test_where_nothing_was_moved_nothing_is_told(self, site: Site) -> None:
        deployed(site)
        site.pull(Cause="reconcile").must_be("unchanged", drift=None)

    @pytest.mark.parametrize("update", ["rebase", "reset"])
    def test_checkout_that_was_reset_to_an_older_commit_is_brought_back(
        self, site: Site, update: str
    ) -> None:
        commit = deployed(site)
        site.git("reset", "-q", "--hard", "HEAD~2")
        site.pull(Cause="reconcile", Update=update).must_be("updated", drift="head", after=commit)
        assert (site.checkout / "app.txt").read_text() == "three\n"
        assert site.pull(Cause="reconcile", Update=update).result.drift is None

    @pytest.mark.parametrize(
        "moved", [["reset", "-q", "--hard", "HEAD~1"], ["checkout", "-q", "-b", "experiment"]]
    )
    def test_steps_run_again_because_somebody_may_have_built_there(
        self, site: Site, moved: list[str]
    ) -> None:
        built = site.root / "built"
        site.commit({"build": f"#!/bin/sh\necho built >>{built}\n"})
        site.as_owner("touch", str(built), cwd=site.root)
        site.pull(AfterPull="build")
        site.commit({})
        site.pull(AfterPull="build")
        site.git(*moved)
        result = site.pull(Cause="reconcile", AfterPull="build").must_be("updated")
        assert result.drift
        assert built.read_text() == "built\n" * 3
        (site.checkout / "app.txt").unlink()
        assert site.pull(Cause="reconcile", AfterPull="build").result.drift == "files"
        assert built.read_text() == "built\n" * 3

    def test_other_branch_that_was_checked_out_is_left_and_kept(self, site: Site) -> None:
        commit = deployed(site)
        site.git("checkout", "-q", "-b", "experiment")
        mine = site.commit({"mine.txt": "mine\n"}, where=site.checkout)
        site.pull(Cause="reconcile").must_be("updated", drift="branch", after=commit)
        assert site.git("symbolic-ref", "HEAD") == "refs/heads/main"
        assert site.git("rev-parse", "experiment") == mine

    def test_removed_files_come_back(self, site: Site) -> None:
        deployed(site)
        (site.checkout / "app.txt").unlink()
        shutil.rmtree(site.checkout / "folder")
        site.pull(Cause="reconcile").must_be("unchanged", drift="files")
        assert (site.checkout / "app.txt").read_text() == "three\n"
        assert (site.checkout / "folder/deep.txt").read_text() == "three\n"
        assert site.git("status", "--porcelain") == ""

    def test_file_that_git_was_told_to_remove_stays_away(self, site: Site) -> None:
        deployed(site)
        site.git("rm", "-q", "app.txt")
        site.pull(Cause="reconcile").must_be("unchanged", drift=None)
        assert not (site.checkout / "app.txt").exists()

    def test_edited_file_is_no_drift_and_stays(self, site: Site) -> None:
        deployed(site)
        site.write("app.txt", "mine\n")
        site.pull(Cause="reconcile").must_be("unchanged", drift=None)
        assert (site.checkout / "app.txt").read_text() == "mine\n"

    def test_local_commit_is_no_drift(self, site: Site) -> None:
        deployed(site)
        mine = site.commit({"mine.txt": "mine\n"}, where=site.checkout)
        result = site.pull(Cause="reconcile").result
        assert (result.drift, result.after, result.local_commits) == (None, mine, 1)

    @pytest.mark.parametrize(
        "command", [["commit", "--amend", "-qm", "n"], ["reset", "-q", "HEAD~1"]]
    )
    def test_local_commit_that_was_changed_or_dropped_is_no_drift(
        self, site: Site, command: list[str]
    ) -> None:
        deployed(site)
        site.commit({"mine.txt": "mine\n"}, where=site.checkout)
        commit = site.commit({"app.txt": "four\n"})
        site.pull(Commit=commit)
        site.git(*command)
        site.pull(Cause="reconcile").must_be(
            "unchanged", drift=None, upstream=commit, after=site.head()
        )

    def test_file_in_a_folder_s_place_stays_and_what_else_was_removed_comes_back(
        self, site: Site
    ) -> None:
        deployed(site)
        shutil.rmtree(site.checkout / "folder")
        site.write("folder", "mine\n")
        (site.checkout / "app.txt").unlink()
        site.pull(Cause="reconcile").must_be("unchanged", drift="files")
        assert (site.checkout / "app.txt").read_text() == "three\n"
        assert (site.checkout / "folder").read_text() == "mine\n"
        assert site.pull(Cause="reconcile").result.drift is None

    def test_files_behind_a_link_in_a_folder_s_place_are_not_written(self, site: Site) -> None:
        deployed(site)
        shared = site.checkout.parent / "shared"
        shared.mkdir()
        shutil.rmtree(site.checkout / "folder")
        (site.checkout / "folder").symlink_to(shared)
        assert site.pull(Cause="reconcile").result.drift is None
        assert list(shared.iterdir()) == []
        assert (site.checkout / "folder").is_symlink()

    def test_another_target_s_marker_tells_no_drift(self, site: Site) -> None:
        deployed(site)
        site.git("reset", "-q", "--hard", "HEAD~1")
        assert site.pull(Cause="reconcile", Target="job").result.drift is None

    def test_push_brings_back_what_was_reset_too(self, site: Site) -> None:
        deployed(site)
        site.git("reset", "-q", "--hard", "HEAD~2")
        commit = site.commit({"app.txt": "four\n"})
        site.pull(Commit=commit).must_be("updated", drift="head", after=commit)


class TestCheck:
    def test_checkout_as_it_was_left_has_not_drifted(self, site: Site) -> None:
        commit = deployed(site)
        found = found_by_check(site)
        assert (found.deployed, found.drift) == (commit, "")

    def test_checkout_without_a_run_has_nothing_deployed(self, site: Site) -> None:
        found = found_by_check(site)
        assert (found.deployed, found.drift) == ("", "")

    def test_what_was_moved_is_told_and_stays(self, site: Site) -> None:
        commit = deployed(site)
        (site.checkout / "app.txt").unlink()
        assert found_by_check(site).drift == "files"
        assert not (site.checkout / "app.txt").exists()
        site.git("checkout", "-q", "--", "app.txt")
        site.git("reset", "-q", "--hard", "HEAD~1")
        older = site.head()
        found = found_by_check(site)
        assert (found.deployed, found.drift, site.head()) == (commit, "head", older)

    @pytest.mark.parametrize(
        "name", ["index.lock", "HEAD.lock", "rebase-merge", "CHERRY_PICK_HEAD", "sequencer"]
    )
    def test_what_git_left_in_the_middle_is_told_and_stays(self, site: Site, name: str) -> None:
        deployed(site)
        left = site.checkout / ".git" / name
        left.mkdir() if "-" in name else left.touch()
        assert found_by_check(site).unfinished == name
        assert left.exists()

    @pytest.mark.parametrize("name", ["begun", "moving"])
    def test_what_a_killed_run_left_in_the_middle_is_told(self, site: Site, name: str) -> None:
        deployed(site)
        assert found_by_check(site).unfinished == ""
        (site.checkout / ".git/pulley" / name).write_text("x\n")
        assert found_by_check(site).unfinished == name

    def test_branch_s_commit_without_its_steps_is_told(self, site: Site) -> None:
        deployed(site)
        commit = site.commit({"app.txt": "four\n"})
        site.as_owner("git", "pull", "-q", "--rebase")
        found = found_by_check(site)
        assert (found.deployed != commit, found.drift, found.unfinished) == (True, "", "marker")
        site.pull(Commit=commit)
        assert found_by_check(site).unfinished == ""

    def test_local_commit_and_a_branch_that_has_moved_on_are_not_unfinished(
        self, site: Site
    ) -> None:
        deployed(site)
        site.commit({"mine.txt": "mine\n"}, where=site.checkout)
        site.commit({"app.txt": "four\n"})
        site.as_owner("git", "fetch", "-q")
        assert found_by_check(site).unfinished == ""

    def test_run_that_is_at_work_is_not_unfinished(self, site: Site) -> None:
        deployed(site)
        state = site.checkout / ".git/pulley"
        (state / "begun").write_text("x\n")
        with (state / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert found_by_check(site).unfinished == ""

    def test_other_branch_is_told(self, site: Site) -> None:
        deployed(site)
        site.git("checkout", "-q", "-b", "experiment")
        assert found_by_check(site).drift == "branch"


class TestSetAside:
    def test_file_whose_edit_does_not_fit_any_more_is_named(self, site: Site) -> None:
        site.write("app.txt", "mine\n")
        site.commit({"app.txt": "theirs\n"})
        result = site.pull().must_be("updated", set_aside="app.txt")
        assert result.saved in site.saved()

    def test_edit_that_fits_is_not(self, site: Site) -> None:
        site.write("config.txt", "setting = 2\n")
        site.commit({"app.txt": "two\n"})
        assert site.pull().result.set_aside is None

    @pytest.mark.parametrize("pad", range(5))
    def test_name_that_git_quotes_is_cut_without_breaking_the_line(
        self, site: Site, pad: int
    ) -> None:
        name = "x" * pad + "\u65e5" * 20
        site.commit({name: "one\n"})
        site.pull()
        site.write(name, "mine\n")
        site.commit({name: "theirs\n"})
        assert "346" in str(site.pull().result.set_aside)


def test_a_filter_that_hangs_where_a_file_is_brought_back_is_ended(site: Site) -> None:
    site.commit({".gitattributes": "*.h filter=h\n", "x.h": "one\n"})
    site.pull()
    site.git("config", "filter.h.smudge", "sleep 1000")
    (site.checkout / "x.h").unlink()
    assert site.pull(Cause="reconcile", Timeout="20").result.drift is None
