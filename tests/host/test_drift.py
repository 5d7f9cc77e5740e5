"""A run finds and undoes drift: what somebody moved in the checkout since the last run."""

import fcntl
import shutil
from collections.abc import Callable

import pytest

from chalicelib.core.results import Found
from tests.host.conftest import Site


@pytest.fixture(scope="module")
def like(make_shared_site: Callable[[str], Site]) -> Site:
    """A site whose third commit is deployed, with all steps done."""
    site = make_shared_site("sh")
    for text in ("two\n", "three\n"):
        commit = site.commit({"app.txt": text, "folder/deep.txt": text})
        site.pull(Commit=commit)
    return site


def found_by_check(site: Site) -> Found:
    found = site.pull(Update="check").result.found
    assert found
    return found


class TestRound:
    """A command of a round, most often with nothing new upstream."""

    def test_unmoved_checkout_reports_no_drift(self, site: Site) -> None:
        site.pull(Cause="reconcile").must_be("unchanged", drift=None)

    @pytest.mark.parametrize("update", ["rebase", "reset"])
    def test_checkout_that_was_reset_to_an_older_commit_is_brought_back(
        self, site: Site, update: str
    ) -> None:
        commit = site.head()
        site.git("reset", "-q", "--hard", "HEAD~2")
        site.pull(Cause="reconcile", Update=update).must_be("updated", drift="head", after=commit)
        assert (site.checkout / "app.txt").read_text() == "three\n"
        assert site.pull(Cause="reconcile", Update=update).result.drift is None

    def test_steps_run_again_if_head_or_branch_moved_but_not_for_a_removed_file(
        self, site: Site
    ) -> None:
        built = site.root / "built"
        site.commit({"build": f"#!/bin/sh\necho built >>{built}\n"})
        site.pull(AfterPull="build")
        site.commit({})
        site.pull(AfterPull="build")
        site.git("reset", "-q", "--hard", "HEAD~1")
        site.pull(Cause="reconcile", AfterPull="build").must_be("updated", drift="head")
        assert built.read_text() == "built\n" * 3
        site.git("checkout", "-q", "-b", "experiment")
        site.pull(Cause="reconcile", AfterPull="build").must_be("updated", drift="branch")
        assert built.read_text() == "built\n" * 4
        (site.checkout / "app.txt").unlink()
        site.pull(Cause="reconcile", AfterPull="build").must_be("unchanged", drift="files")
        assert built.read_text() == "built\n" * 4

    def test_checkout_on_another_branch_is_brought_back_and_that_branch_is_kept(
        self, site: Site
    ) -> None:
        commit = site.head()
        site.git("checkout", "-q", "-b", "experiment")
        mine = site.commit({"mine.txt": "mine\n"}, where=site.checkout)
        site.pull(Cause="reconcile").must_be("updated", drift="branch", after=commit)
        assert site.git("symbolic-ref", "HEAD") == "refs/heads/main"
        assert site.git("rev-parse", "experiment") == mine

    def test_removed_files_come_back(self, site: Site) -> None:
        (site.checkout / "app.txt").unlink()
        shutil.rmtree(site.checkout / "folder")
        site.pull(Cause="reconcile").must_be("unchanged", drift="files")
        assert (site.checkout / "app.txt").read_text() == "three\n"
        assert (site.checkout / "folder/deep.txt").read_text() == "three\n"
        assert site.git("status", "--porcelain") == ""

    def test_file_removed_with_git_rm_stays_removed(self, site: Site) -> None:
        site.git("rm", "-q", "app.txt")
        site.pull(Cause="reconcile").must_be("unchanged", drift=None)
        assert not (site.checkout / "app.txt").exists()

    def test_edited_file_and_local_commit_are_no_drift_and_stay(self, site: Site) -> None:
        mine = site.commit({"mine.txt": "mine\n"}, where=site.checkout)
        site.write("app.txt", "mine\n")
        site.pull(Cause="reconcile").must_be("unchanged", drift=None, after=mine, local_commits=1)
        assert (site.checkout / "app.txt").read_text() == "mine\n"

    def test_amended_or_dropped_local_commit_is_no_drift(self, site: Site) -> None:
        site.commit({"mine.txt": "mine\n"}, where=site.checkout)
        commit = site.commit({"app.txt": "four\n"})
        site.pull(Commit=commit)
        for command in (["commit", "--amend", "-qm", "n"], ["reset", "-q", "HEAD~1"]):
            site.git(*command)
            site.pull(Cause="reconcile").must_be(
                "unchanged", drift=None, upstream=commit, after=site.head()
            )

    def test_file_in_place_of_a_folder_stays_and_another_removed_file_comes_back(
        self, site: Site
    ) -> None:
        shutil.rmtree(site.checkout / "folder")
        site.write("folder", "mine\n")
        (site.checkout / "app.txt").unlink()
        site.pull(Cause="reconcile").must_be("unchanged", drift="files")
        assert (site.checkout / "app.txt").read_text() == "three\n"
        assert (site.checkout / "folder").read_text() == "mine\n"
        assert site.pull(Cause="reconcile").result.drift is None

    def test_no_file_is_written_through_a_link_in_place_of_a_folder(self, site: Site) -> None:
        shared = site.checkout.parent / "shared"
        shared.mkdir()
        shutil.rmtree(site.checkout / "folder")
        (site.checkout / "folder").symlink_to(shared)
        assert site.pull(Cause="reconcile").result.drift is None
        assert list(shared.iterdir()) == []
        assert (site.checkout / "folder").is_symlink()

    def test_marker_of_another_target_reports_no_drift(self, site: Site) -> None:
        site.git("reset", "-q", "--hard", "HEAD~1")
        assert site.pull(Cause="reconcile", Target="job").result.drift is None

    def test_push_to_a_reset_checkout_reports_drift_and_deploys(self, site: Site) -> None:
        site.git("reset", "-q", "--hard", "HEAD~2")
        commit = site.commit({"app.txt": "four\n"})
        site.pull(Commit=commit).must_be("updated", drift="head", after=commit)


class TestCheck:
    def test_unmoved_checkout_has_no_drift(self, site: Site) -> None:
        commit = site.head()
        found = found_by_check(site)
        assert (found.deployed, found.drift) == (commit, "")

    def test_checkout_without_a_run_has_nothing_deployed(
        self, make_site: Callable[[str], Site]
    ) -> None:
        site = make_site("sh")
        found = found_by_check(site)
        assert (found.deployed, found.drift) == ("", "")

    def test_drift_is_reported_and_stays(self, site: Site) -> None:
        commit = site.head()
        (site.checkout / "app.txt").unlink()
        assert found_by_check(site).drift == "files"
        assert not (site.checkout / "app.txt").exists()
        site.git("checkout", "-q", "--", "app.txt")
        site.git("reset", "-q", "--hard", "HEAD~1")
        older = site.head()
        found = found_by_check(site)
        assert (found.deployed, found.drift, site.head()) == (commit, "head", older)

    def test_unfinished_git_operation_is_reported_and_stays(self, site: Site) -> None:
        for name in ("index.lock", "HEAD.lock", "rebase-merge", "CHERRY_PICK_HEAD", "sequencer"):
            left = site.checkout / ".git" / name
            left.mkdir() if "-" in name else left.touch()
            assert found_by_check(site).unfinished == name
            left.rmdir() if "-" in name else left.unlink()  # fails if the check removed it

    def test_note_of_a_killed_run_is_reported_as_unfinished(self, site: Site) -> None:
        assert found_by_check(site).unfinished == ""
        for name in ("begun", "moving"):
            left = site.write(f".git/pulley/{name}", "x\n")
            assert found_by_check(site).unfinished == name
            left.unlink()

    def test_commit_that_a_person_pulled_without_steps_is_reported_as_unfinished(
        self, site: Site
    ) -> None:
        commit = site.commit({"app.txt": "four\n"})
        site.as_owner("git", "pull", "-q", "--rebase")
        found = found_by_check(site)
        assert (found.deployed != commit, found.drift, found.unfinished) == (True, "", "marker")
        site.pull(Commit=commit)
        assert found_by_check(site).unfinished == ""

    def test_local_commit_and_newer_upstream_commit_are_not_unfinished(self, site: Site) -> None:
        site.commit({"mine.txt": "mine\n"}, where=site.checkout)
        site.commit({"app.txt": "four\n"})
        site.as_owner("git", "fetch", "-q")
        assert found_by_check(site).unfinished == ""

    def test_run_in_progress_is_not_unfinished(self, site: Site) -> None:
        state = site.checkout / ".git/pulley"
        (state / "begun").write_text("x\n")
        with (state / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert found_by_check(site).unfinished == ""

    def test_checkout_on_another_branch_is_reported_as_drift(self, site: Site) -> None:
        site.git("checkout", "-q", "-b", "experiment")
        assert found_by_check(site).drift == "branch"


class TestSetAside:
    def test_file_whose_edit_does_not_fit_is_named(self, site: Site) -> None:
        site.write("app.txt", "mine\n")
        site.commit({"app.txt": "theirs\n"})
        result = site.pull().must_be("updated", set_aside="app.txt")
        assert result.saved in site.saved()

    def test_edit_that_fits_is_not_set_aside(self, site: Site) -> None:
        site.write("config.txt", "setting = 2\n")
        site.commit({"app.txt": "two\n"})
        assert site.pull().result.set_aside is None

    def test_file_name_that_git_quotes_is_cut_and_the_result_line_stays_valid(
        self, site: Site
    ) -> None:
        names = ["x" * pad + "\u65e5" * 20 for pad in range(5)]
        site.commit(dict.fromkeys(names, "one\n"))
        site.pull()
        for name in names:
            site.write(name, "mine\n")
            site.commit({name: "theirs\n"})
            ref = site.pull().result
            assert "346" in str(ref.set_aside)
            site.git("update-ref", "-d", str(ref.saved))  # else the next run would report this ref


def test_filter_that_hangs_while_a_removed_file_is_restored_is_ended(site: Site) -> None:
    site.commit({".gitattributes": "*.h filter=h\n", "x.h": "one\n"})
    site.pull()
    site.git("config", "filter.h.smudge", "sleep 1000")
    (site.checkout / "x.h").unlink()
    assert site.pull(Cause="reconcile", Timeout="20").result.drift is None
