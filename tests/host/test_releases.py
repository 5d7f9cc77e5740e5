"""Release folders: each commit is built aside, and `current` is switched by one rename."""

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.host.conftest import SHELLS, Run, Site, own, run_in_own_group
from tests.host.test_clone import clone, empty
from tests.host.test_kill import kill
from tests.host.test_submodules import with_submodule

KILLS = int(os.environ.get("PULLEY_KILLS", "12"))
# A build that leaves a file of the commit's, and notes that it ran and where.
BUILD = """#!/bin/sh
cp app.txt built.txt
pwd >>"$(git rev-parse --git-common-dir)/builds"
"""


class Releases:
    """A site whose target has `layout = "releases"`."""

    def __init__(self, site: Site, settings: str = "3") -> None:
        self.site = site
        self.settings = settings

    def pull(self, **parameters: str) -> Run:
        usual = {"Releases": self.settings, "AfterPull": "build"}
        return self.site.pull(late=0, more_environ=None, **(usual | parameters))

    def commit(self, content: str, **files: str | None) -> str:
        named = {name.replace("_", "."): text for name, text in files.items()}
        return self.site.commit({"app.txt": f"{content}\n"} | named)

    @property
    def current(self) -> Path:
        return self.site.checkout / "current"

    @property
    def link(self) -> str:
        return str(self.current.readlink())

    @property
    def running(self) -> str:
        """What `current` has: the commit's content as its build has left it."""
        return (self.current / "built.txt").read_text().strip()

    @property
    def folders(self) -> Sequence[str]:
        return sorted(path.name for path in (self.site.checkout / "releases").iterdir())

    @property
    def builds(self) -> int:
        notes = self.site.checkout / ".git/builds"
        return len(notes.read_text().splitlines()) if notes.exists() else 0

    def in_current(self, *arguments: str) -> str:
        return self.site.git(*arguments, cwd=self.current.resolve())


@pytest.fixture
def releases(shell: str, make_site: Callable[..., Site]) -> Releases:
    """Two commits are upstream; none of them is deployed."""
    made = Releases(make_site(shell))
    made.site.commit({"build": BUILD})
    made.commit("two")
    return made


def is_whole(link: Path) -> bool:
    """Whether `current` leads to a release whose build has ended."""
    folder = link.resolve(strict=True)
    return (folder / "built.txt").read_text() == (folder / "app.txt").read_text()


class TestDeploy:
    def test_first_run_makes_a_release_and_the_link(self, releases: Releases) -> None:
        releases.pull().must_be("updated", after=releases.site.tip(releases.site.upstream))
        assert releases.running == "two"
        assert releases.link == f"releases/{releases.folders[0]}"
        assert f"-{releases.site.tip(releases.site.upstream)[:7]}-" in releases.folders[0]

    def test_clone_beside_the_releases_stays_as_it_is(self, releases: Releases) -> None:
        before = releases.site.head()
        releases.pull()
        assert releases.site.head() == before
        assert (releases.site.checkout / "app.txt").read_text() == "one\n"

    def test_each_commit_is_built_in_a_folder_of_its_own(self, releases: Releases) -> None:
        releases.pull()
        first = releases.current.resolve()
        commit = releases.commit("three")
        releases.pull(Commit=commit).must_be("updated", upstream=commit, after=commit)
        assert releases.running == "three"
        assert (first / "built.txt").read_text() == "two\n"
        assert len(releases.folders) == releases.builds == 2

    def test_run_with_nothing_new_changes_nothing_and_builds_nothing(
        self, releases: Releases
    ) -> None:
        releases.pull()
        folder = releases.link
        releases.pull(Cause="reconcile").must_be("unchanged", drift=None)
        assert releases.link == folder
        assert releases.builds == 1

    def test_release_is_a_work_tree_in_which_git_works(self, releases: Releases) -> None:
        releases.pull()
        assert releases.in_current("log", "-1", "--format=%s") == "change"
        assert releases.in_current("status", "--porcelain", "--untracked-files=no") == ""

    def test_steps_run_even_if_no_path_fits(self, releases: Releases) -> None:
        releases.pull(Paths="other/")
        releases.commit("three")
        releases.pull(Paths="other/").must_be("updated")
        assert releases.running == "three"

    def test_other_shared_paths_make_another_release_of_the_same_commit(
        self, releases: Releases
    ) -> None:
        releases.pull()
        releases.settings = "3,uploads/"
        releases.pull().must_be("updated")
        assert len(releases.folders) == 2
        assert (releases.current / "uploads").is_dir()

    def test_tag_is_deployed(self, releases: Releases) -> None:
        site = releases.site
        site.git("tag", "v1", cwd=site.upstream)
        commit = site.tip(site.upstream)
        releases.pull(Update="tag", Branch="v1", Commit=commit).must_be("updated", after=commit)
        assert releases.running == "two"

    def test_check_tells_what_runs_and_makes_nothing(self, releases: Releases) -> None:
        releases.pull()
        commit = releases.commit("three")
        found = releases.pull(Update="check").must_be("unchanged", "would update").found
        assert found is not None
        assert found.would_update
        assert found.unfinished == ""
        assert found.drift == ""
        assert found.deployed != commit
        assert len(releases.folders) == 1


class TestFailures:
    def test_failed_build_never_touches_the_link(self, releases: Releases) -> None:
        first = releases.pull().result.after
        folder = releases.link
        releases.commit("three", build="#!/bin/sh\necho no; exit 3\n")
        releases.pull().must_be("rolled_back", "no", step="after_pull", after=first)
        assert releases.link == folder
        assert releases.running == "two"

    def test_failed_build_restarts_nothing(self, releases: Releases) -> None:
        restarts = releases.site.root / "restarts"
        releases.site.tool("systemctl", f"echo >>{restarts}")
        own(releases.site.root)
        releases.pull(Restart="site.service")
        before = restarts.read_text()
        releases.commit("three", build="#!/bin/sh\nexit 3\n")
        releases.pull(Restart="site.service").must_be("rolled_back")
        assert restarts.read_text() == before

    def test_failed_health_check_brings_the_link_back_without_a_build(
        self, releases: Releases
    ) -> None:
        first = releases.pull().result.after
        folder = releases.link
        self.be_ill_at(releases, "three")
        commit = releases.commit("three")
        result = releases.pull(
            HealthCheck="http://127.0.0.1:1/", Timeout="20", Commit=commit
        ).must_be("rolled_back", step="health_check", after=first, upstream=commit)
        assert result.attempt == 1
        assert releases.link == folder
        assert releases.builds == 2

    def be_ill_at(self, releases: Releases, content: str) -> None:
        """A stand-in for curl that looks at what runs, as a site would."""
        releases.site.tool(
            "curl",
            f"grep -q {content} {releases.current}/built.txt && echo 500 || echo 200",
        )

    def test_next_attempt_builds_again(self, releases: Releases) -> None:
        releases.pull()
        self.be_ill_at(releases, "three")
        releases.commit("three")
        check = {"HealthCheck": "http://127.0.0.1:1/", "Timeout": "20"}
        releases.pull(**check).must_be("rolled_back")
        releases.site.tool("curl", "echo 200")
        releases.pull(**check).must_be("updated")
        assert releases.running == "three"
        assert releases.builds == 3

    def test_failure_of_the_very_first_release_is_broken(self, releases: Releases) -> None:
        releases.commit("three", build="#!/bin/sh\nexit 3\n")
        releases.pull().must_be("broken", "no other commit was deployed here")
        assert not releases.current.is_symlink()

    def test_failed_settings_go_back_to_the_release_of_the_same_commit(
        self, releases: Releases
    ) -> None:
        releases.pull()
        folder = releases.link
        self.be_ill_at(releases, "two")
        check = {"HealthCheck": "http://127.0.0.1:1/", "Timeout": "20"}
        releases.settings = "3,uploads/"
        releases.pull(**check).must_be("broken")
        assert releases.link == folder

    def test_half_made_release_is_removed_by_the_next_deploy(self, releases: Releases) -> None:
        releases.pull()
        releases.commit("three", build="#!/bin/sh\nexit 3\n")
        releases.pull()
        assert len(releases.folders) == 2  # to look at
        releases.commit("four", build=BUILD)
        releases.pull().must_be("updated")
        assert [is_whole(releases.current / "../" / name) for name in releases.folders] == [
            True,
            True,
        ]

    def test_commit_that_cannot_be_written_leaves_nothing(self, releases: Releases) -> None:
        releases.pull()
        folder = releases.link
        releases.commit("three")
        releases.site.before_git(
            'case "$*" in *"worktree add"*) echo "fatal: No space left" >&2; exit 128 ;; esac'
        )
        releases.pull().must_be("conflict", "No space left")
        assert releases.link == folder
        assert len(releases.folders) == 1

    def test_current_that_is_a_folder_is_refused(self, releases: Releases) -> None:
        releases.site.write("current/index.html", "mine\n")
        releases.pull().must_be("no_checkout", "current must be a link")
        assert (releases.current / "index.html").read_text() == "mine\n"

    @pytest.mark.parametrize(
        "value", ["0", "x", "3,", "3,/etc", "3,../x", "3,a/../b", "3,.git/x", "3,a,,b", "3,x/.git"]
    )
    def test_odd_setting_is_refused(self, releases: Releases, value: str) -> None:
        releases.pull(Releases=value).must_be("bad_parameter", "Releases")


class TestBack:
    def test_pin_to_a_commit_that_is_still_there_takes_its_folder(self, releases: Releases) -> None:
        first = releases.pull().result.after
        assert first
        folder = releases.link
        releases.commit("three")
        releases.pull()
        releases.pull(Update="exact", Commit=first).must_be("updated", after=first)
        assert releases.link == folder
        assert releases.builds == 2

    def test_pin_to_a_commit_whose_folder_is_gone_builds_it_again(self, releases: Releases) -> None:
        first = releases.pull().result.after
        assert first
        folder = releases.current.resolve()
        releases.commit("three")
        releases.pull()
        shutil.rmtree(folder)
        releases.pull(Update="exact", Commit=first).must_be("updated", after=first)
        assert releases.running == "two"
        assert releases.builds == 3

    def test_pin_without_a_build_takes_the_folder_too(self, releases: Releases) -> None:
        first = releases.pull(AfterPull="").result.after
        assert first
        folder = releases.link
        releases.commit("three")
        releases.pull(AfterPull="")
        releases.pull(AfterPull="", Update="exact", Commit=first).must_be("updated")
        assert releases.link == folder

    def test_folder_that_somebody_has_changed_is_not_taken_again(self, releases: Releases) -> None:
        first = releases.pull().result.after
        assert first
        folder = releases.current.resolve()
        releases.commit("three")
        releases.pull()
        releases.site.write("app.txt", "odd\n", where=folder)
        releases.pull(Update="exact", Commit=first).must_be("updated")
        assert releases.current.resolve() != folder
        assert (releases.current / "app.txt").read_text() == "two\n"


class TestKeep:
    @pytest.fixture(autouse=True)
    def _a_second_each(self, releases: Releases) -> None:
        """Releases are sorted by the second in which they were made."""
        count = releases.site.write("seconds", "0\n", where=releases.site.root)
        releases.site.tool(
            "date",
            f'case $* in *%Y%m%dT*) ;; *) exec {shutil.which("date")} "$@" ;; esac\n'
            f"read -r n <{count}; n=$((n + 1)); echo $n >{count}; printf 20260101T%06d $n",
        )

    def test_oldest_releases_are_removed(self, releases: Releases) -> None:
        for number in range(5):
            releases.commit(f"number {number}")
            releases.pull().must_be("updated")
        assert len(releases.folders) == 3
        assert releases.running == "number 4"
        trees = releases.site.git("worktree", "list", "--porcelain")
        assert trees.count("worktree ") == 1 + 3

    def test_folder_with_somebodys_changes_stays(self, releases: Releases) -> None:
        releases.pull()
        folder = releases.current.resolve()
        releases.commit("three")
        releases.pull()
        releases.site.write("app.txt", "odd\n", where=folder)
        for number in range(4):
            releases.commit(f"number {number}")
            releases.pull().must_be("updated")
        assert (folder / "app.txt").read_text() == "odd\n"
        assert len(releases.folders) == 4

    def test_one_release_beside_the_one_that_runs_is_enough(self, releases: Releases) -> None:
        releases.settings = "1"
        releases.pull()
        releases.commit("three")
        releases.pull().must_be("updated")
        releases.commit("four")
        releases.pull().must_be("updated")
        assert len(releases.folders) == 2

    def test_read_only_folders_of_a_build_go_with_their_release(self, releases: Releases) -> None:
        lock = "mkdir -p mod/a && touch mod/a/b && chmod -R a-w mod\n"
        releases.commit("zero", build=BUILD + lock)
        for number in range(4):
            releases.commit(f"number {number}")
            releases.pull(Releases="2").must_be("updated")
        assert len(releases.folders) == 2

    def test_folder_of_somebody_else_is_left_alone(self, releases: Releases) -> None:
        releases.site.write("releases/mine/file.txt", "mine\n")
        releases.settings = "1"
        for number in range(3):
            releases.commit(f"number {number}")
            releases.pull().must_be("updated")
        assert "mine" in releases.folders


class TestOthers:
    """What is not this script's is neither used nor removed."""

    def test_folders_and_work_trees_of_others_stay(self, releases: Releases) -> None:
        releases.settings = "1"
        releases.pull()
        site, made = releases.site, releases.folders[0]
        site.as_owner("cp", "-a", f"releases/{made}", f"releases/{made}.bak")
        site.write("releases/2026 Team - photos/a.png", "a")
        own_clone = site.checkout / "releases/20300101T000000-1234567-1"
        site.git("clone", "-q", str(site.upstream), str(own_clone))
        elsewhere = site.root / "2026-Test-branch"
        site.git("worktree", "add", "-q", "--detach", str(elsewhere))
        commit = site.commit({"mine.txt": "mine\n"}, where=elsewhere)
        for number in range(3):
            releases.commit(f"number {number}")
            releases.pull().must_be("updated")
        left = set(releases.folders)
        assert {f"{made}.bak", "2026 Team - photos", own_clone.name} <= left
        assert site.git("rev-parse", "HEAD", cwd=elsewhere) == commit

    def test_work_tree_that_somebody_made_is_no_release(self, releases: Releases) -> None:
        releases.pull()
        releases.site.git("worktree", "add", "-q", "--detach", "releases/mine", "origin/main")
        TestDrift().link(releases, "releases/mine")
        releases.pull().must_be("updated", drift="head")
        assert is_whole(releases.current)

    def test_release_that_a_person_removed_is_no_harm(self, releases: Releases) -> None:
        releases.pull()
        shutil.rmtree(releases.current.resolve())
        releases.pull().must_be("updated", drift="head")
        assert releases.running == "two"


class TestShared:
    def test_shared_paths_are_linked_into_each_release(self, releases: Releases) -> None:
        releases.settings = "3,uploads/,.env,var/log/"
        releases.site.write("shared/.env", "KEY=1\n")
        releases.pull().must_be("updated")
        (releases.current / "uploads/a.png").write_text("a")
        releases.commit("three")
        releases.pull().must_be("updated")
        assert (releases.current / "uploads/a.png").read_text() == "a"
        assert (releases.current / ".env").read_text() == "KEY=1\n"
        assert str((releases.current / "var/log").readlink()) == str(
            releases.site.checkout / "shared/var/log"
        )

    def test_shared_file_that_is_not_there_is_named(self, releases: Releases) -> None:
        releases.settings = "3,.env"
        releases.pull().must_be("conflict", ".env is missing in shared")
        assert releases.folders == []

    def test_shared_path_that_the_repository_has_too_is_named(self, releases: Releases) -> None:
        releases.pull()
        folder = releases.link
        releases.settings = "3,config.txt"
        releases.site.write("shared/config.txt", "mine\n")
        words = "config.txt is in the repository, too"
        releases.pull().must_be("conflict", words)
        assert releases.link == folder
        assert len(releases.folders) == 1


class TestDrift:
    def test_link_that_leads_elsewhere_is_drift(self, releases: Releases) -> None:
        releases.pull()
        first = releases.link
        releases.commit("three")
        releases.pull()
        second = releases.link
        self.link(releases, first)
        releases.pull(Cause="reconcile").must_be("updated", drift="head")
        assert releases.link == second
        assert releases.builds == 2

    def link(self, releases: Releases, where: str) -> None:
        releases.current.unlink(missing_ok=True)
        releases.site.as_owner("ln", "-s", where, "current")

    @pytest.mark.parametrize("where", ["", "/srv", "releases/../..", "releases/none", "gone"])
    def test_link_that_is_gone_or_leads_nowhere_is_made_again(
        self, releases: Releases, where: str
    ) -> None:
        releases.pull()
        folder = releases.link
        releases.current.unlink()
        if where:
            self.link(releases, where)
        releases.pull(Cause="reconcile").must_be("updated")
        assert releases.link == folder
        assert releases.builds == 1

    @pytest.mark.parametrize("spelling", ["{base}/releases/{name}", "releases/{name}/", "other"])
    def test_link_that_is_spelled_in_another_way_leads_to_the_same_release(
        self, releases: Releases, spelling: str
    ) -> None:
        releases.settings = "1"
        commit = releases.pull().result.after
        name = releases.folders[0]
        releases.site.as_owner("ln", "-s", f"releases/{name}", "other")
        self.link(releases, spelling.format(base=releases.site.checkout, name=name))
        releases.pull().must_be("unchanged", drift=None)
        releases.commit("three", build="#!/bin/sh\nexit 3\n")
        releases.pull().must_be("rolled_back", after=commit)
        assert releases.running == "two"

    def test_link_that_is_gone_is_made_again_even_if_the_next_build_fails(
        self, releases: Releases
    ) -> None:
        site = releases.site
        site.pull(AfterPull="build")  # so the clone itself is at the commit
        first = releases.pull().result.after
        releases.current.unlink()
        found = releases.pull(Update="check").must_be("unchanged").found
        assert found is not None
        assert found.drift == "head"
        releases.commit("three", build="#!/bin/sh\nexit 3\n")
        releases.pull().must_be("rolled_back", after=first)
        assert releases.running == "two"

    def test_branch_that_somebody_checked_out_is_left_once(self, releases: Releases) -> None:
        releases.pull()
        releases.in_current("checkout", "-q", "-b", "hotfix")
        releases.pull(Cause="reconcile").must_be("updated", drift="branch")
        releases.pull(Cause="reconcile").must_be("unchanged", drift=None)

    def test_commit_that_somebody_checked_out_in_the_release_is_drift(
        self, releases: Releases
    ) -> None:
        wanted = releases.pull().result.after
        releases.in_current("checkout", "-q", "HEAD^")
        releases.pull(Cause="reconcile").must_be("updated", drift="head", after=wanted)
        assert releases.running == "two"

    def test_file_that_somebody_removed_is_brought_back(self, releases: Releases) -> None:
        releases.pull()
        (releases.current / "config.txt").unlink()
        releases.pull(Cause="reconcile").must_be("unchanged", drift="files")
        assert (releases.current / "config.txt").exists()


class TestEdits:
    def test_edits_and_commits_in_the_release_are_saved(self, releases: Releases) -> None:
        releases.pull()
        tree = releases.current.resolve()
        local = releases.site.commit({"local.txt": "mine\n"}, where=tree)
        releases.site.write("config.txt", "setting = 2\n", where=tree)
        commit = releases.commit("three")
        result = releases.pull().must_be("updated", after=commit)
        assert result.saved
        git = releases.site.git
        assert git("show", f"{result.saved}:config.txt") == "setting = 2"
        assert git("rev-parse", f"{result.saved}^") == local
        assert (releases.current / "config.txt").read_text() == "setting = 1\n"

    def test_local_commit_with_nothing_new_upstream_stays(self, releases: Releases) -> None:
        releases.pull()
        local = releases.site.commit({"local.txt": "mine\n"}, where=releases.current.resolve())
        for cause in ("push", "reconcile"):
            releases.pull(Cause=cause).must_be("unchanged", after=local, saved=None, drift=None)
        assert releases.site.saved() == []

    def test_edits_and_commits_in_submodules_stay_in_their_release(
        self, make_site: Callable[..., Site], shell: str
    ) -> None:
        releases = Releases(with_submodule(make_site(shell)), "1")
        releases.site.commit({"build": BUILD})
        releases.pull().must_be("updated")
        folder = releases.current.resolve()
        commit = releases.site.commit({"mine.txt": "mine\n"}, where=folder / "part")
        for number in range(3):
            releases.commit(f"number {number}")
            releases.pull().must_be("updated")
        assert releases.site.git("rev-parse", "HEAD", cwd=folder / "part") == commit

    def test_program_called_edited_is_no_way_to_use_a_changed_folder(
        self, releases: Releases
    ) -> None:
        releases.commit("two", edited=BUILD)
        first = releases.pull(AfterPull="edited").result.after
        assert first
        releases.site.write("app.txt", "odd\n", where=releases.current.resolve())
        releases.commit("three")
        releases.pull(AfterPull="edited").must_be("updated")
        releases.pull(AfterPull="edited", Update="exact", Commit=first).must_be("updated")
        assert (releases.current / "app.txt").read_text() == "two\n"

    def test_same_edits_are_saved_once(self, releases: Releases) -> None:
        releases.pull()
        releases.site.write("config.txt", "odd\n", where=releases.current.resolve())
        releases.commit("three", build="#!/bin/sh\nexit 3\n")
        for _ in range(3):
            releases.pull().must_be("rolled_back", saved=None)
        assert releases.site.saved() == []  # nothing was left
        assert (releases.current / "config.txt").read_text() == "odd\n"
        local = releases.site.commit({"local.txt": "mine\n"}, where=releases.current.resolve())
        releases.site.write("config.txt", "odder\n", where=releases.current.resolve())
        TestFailures().be_ill_at(releases, "four")
        commit = releases.commit("four", build=BUILD)
        for _ in range(3):
            result = releases.pull(HealthCheck="http://127.0.0.1:1/", Timeout="20")
            result.must_be("rolled_back", upstream=commit)
        assert len(releases.site.saved()) == 2
        assert releases.site.git("rev-parse", f"{releases.site.saved()[0]}") == local

    def test_what_the_build_itself_changes_is_nobodys_edit(self, releases: Releases) -> None:
        releases.commit("three", build=BUILD + "echo built >>config.txt\n")
        first = releases.pull().must_be("updated", saved=None).after
        assert first
        releases.commit("four")
        releases.pull().must_be("updated", saved=None)
        releases.pull(Update="exact", Commit=first).must_be("updated", saved=None)
        assert releases.builds == 2


class TestConversion:
    def test_checkout_becomes_releases_and_a_checkout_again(self, releases: Releases) -> None:
        site = releases.site
        site.pull(AfterPull="build").must_be("updated")
        releases.commit("three")
        releases.pull().must_be("updated")
        assert releases.running == "three"
        assert (site.checkout / "built.txt").read_text() == "two\n"
        for name in ("app.txt", "config.txt", "build", "built.txt"):
            (site.checkout / name).unlink()  # as docs/targets.md says
        releases.commit("three and a half")
        releases.pull().must_be("updated")
        site.git("reset", "-q", "--hard")
        commit = releases.commit("four")
        site.pull(AfterPull="build").must_be("updated", after=commit)
        assert (site.checkout / "built.txt").read_text() == "four\n"
        assert site.head() == commit
        site.as_owner("rm", "-r", "current", "releases")
        site.git("worktree", "prune")
        site.pull(AfterPull="build").must_be("unchanged")

    def test_edits_of_the_checkout_stay_there_and_are_saved(self, releases: Releases) -> None:
        site = releases.site
        site.pull(AfterPull="build")
        site.write("config.txt", "setting = 2\n")
        result = releases.pull().must_be("updated")
        assert result.saved
        assert site.git("show", f"{result.saved}:config.txt") == "setting = 2"
        assert (site.checkout / "config.txt").read_text() == "setting = 2\n"

    def test_first_release_that_fails_goes_back_to_the_commit_of_the_checkout(
        self, releases: Releases
    ) -> None:
        first = releases.site.pull(AfterPull="build").result.after
        releases.commit("three", build="#!/bin/sh\nexit 3\n")
        releases.pull().must_be("rolled_back", after=first)
        assert not releases.current.is_symlink()

    def test_conversion_of_a_checkout_whose_move_was_killed_leaves_the_note(
        self, releases: Releases
    ) -> None:
        """The note is the clone's: a release knows nothing of that move."""
        releases.pull()
        head = releases.site.head()
        note = releases.site.write(".git/pulley/moving", f"HEAD {head} {head} - - - x whole\n")
        releases.commit("three")
        releases.pull().must_be("updated")
        assert releases.running == "three"
        assert note.read_text().endswith("whole\n")


class TestFirstClone:
    def test_first_clone_makes_the_first_release(self, releases: Releases) -> None:
        site = empty(releases.site)
        site.write("shared/.env", "KEY=1\n")
        commit = site.tip(site.upstream)
        result = clone(site, Releases="3,.env", AfterPull="build").must_be("updated", after=commit)
        assert result.before is None
        assert releases.running == "two"
        assert (releases.current / ".env").read_text() == "KEY=1\n"
        commit = releases.commit("three")
        clone(site, Releases="3,.env", AfterPull="build").must_be("updated", after=commit)
        assert releases.running == "three"


class TestKilled:
    @pytest.fixture
    def watched(self, releases: Releases) -> Iterator[list[str]]:
        """Look at `current` all the time; the list gets what was wrong."""
        releases.pull()
        wrong: list[str] = []
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                try:
                    if not is_whole(releases.current):
                        wrong.append(releases.link)
                except OSError as error:
                    wrong.append(str(error))

        watcher = threading.Thread(target=watch)
        watcher.start()
        yield wrong
        done.set()
        watcher.join()

    def test_link_is_whole_after_a_kill_at_any_time(
        self, releases: Releases, watched: list[str]
    ) -> None:
        site = releases.site
        script = BUILD.replace("#!/bin/sh\n", "#!/bin/sh\nsleep 0.0$(($$ % 5))\n")
        chance = random.Random(20)  # noqa: S311 - nothing to guess
        for number in range(KILLS):
            commit = releases.commit(f"number {number}", build=f"{script}# {number}\n")
            kill(site, chance.uniform(0.02, 0.5), Releases="2", AfterPull="build")
            assert is_whole(releases.current), number
            if number % 4 == 0:
                result = releases.pull(Releases="2").result
                assert result.outcome in {"updated", "unchanged"}
                assert result.after == commit
                assert releases.running == f"number {number}"
        releases.pull()
        assert releases.running == f"number {KILLS - 1}"
        assert watched == []
        site.git("fsck", "--strict", "--no-dangling")

    def test_next_run_converges_after_a_kill_before_each_call_of_git_ln_mv_and_rm(
        self, make_site: Callable[..., Site], releases: Releases
    ) -> None:
        releases.pull()
        commit = releases.commit("three")
        killed = 0
        for call in range(1, 90, 1 if "PULLEY_KILLS" in os.environ else 2):
            site = make_site(SHELLS[call % len(SHELLS)], releases.site)
            for link in (site.checkout / "releases").glob("*/.git"):
                link.write_text(link.read_text().replace(str(releases.site.root), str(site.root)))
            for back in (site.checkout / ".git/worktrees").glob("*/gitdir"):
                back.write_text(back.read_text().replace(str(releases.site.root), str(site.root)))
            count = site.write("count", "0\n", where=site.root)
            for name in ("git", "ln", "mv", "rm", "readlink"):
                site.tool(
                    name,
                    f"read -r n <{count}; n=$((n + 1)); echo $n >{count}\n"
                    f"[ $n -ne {call} ] || kill -9 -$PULLEY_GROUP\n"
                    f'exec {shutil.which(name)} "$@"',
                )
            ended = run_in_own_group(site, Releases="3", AfterPull="build")
            shutil.rmtree(site.tools)
            site.tools.mkdir()
            assert is_whole(site.checkout / "current"), call
            site = Site(site.root, SHELLS[0])
            again = Releases(site)
            result = again.pull().result
            assert result.outcome in {"updated", "unchanged"}, (call, result)
            assert again.running == "three", call
            assert result.after == commit
            if ended:
                break
            killed += 1
        assert killed > 5
        assert ended
