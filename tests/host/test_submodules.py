"""Submodules are updated and verified, and refused if git would fail on them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host.conftest import AS_ROOT, Site, own


@pytest.fixture(scope="module")
def like(make_shared_site: Callable[[str], Site]) -> Site:
    return with_submodule(make_shared_site("sh"))


@pytest.fixture
def part(site: Site) -> Path:
    """The repository behind the submodule."""
    return site.root / "octo/part"


@pytest.fixture
def plain_site(make_site: Callable[[str], Site], shell: str) -> Site:
    """A site without a submodule."""
    return make_site(shell)


class TestSubmodules:
    def test_submodule_is_updated_and_a_local_commit_in_it_is_kept_under_a_ref(
        self, site: Site, part: Path
    ) -> None:
        local = site.checkout / "part"
        assert (local / "part.txt").read_text() == "one\n"
        commit = site.commit({"mine.txt": "mine\n"}, where=local)
        move(site, part)
        site.pull().must_be("updated")
        assert (local / "part.txt").read_text() == "two\n"
        assert not (local / "mine.txt").exists()
        assert commit in site.git("for-each-ref", "refs/pulley/saved", cwd=local)

    def test_edit_that_was_staged_or_stashed_before_stays(self, site: Site) -> None:
        for steps in ("add part.txt; reset -q", "stash -q; stash pop -q", "stash -q; stash apply"):
            site.write("part/part.txt", f"{steps}\n")
            for step in steps.split("; "):
                site.git(*step.split(), cwd=site.checkout / "part")
            site.commit({})
            site.pull().must_be("updated")
            assert (site.checkout / "part/part.txt").read_text() == f"{steps}\n"

    def test_half_made_submodule_is_made_again(self, plain_site: Site) -> None:
        site = plain_site
        submodule(site)
        modules = site.checkout / ".git/modules"
        site.as_owner("mkdir", str(modules))
        site.git("init", "-q", "--bare", str(modules / "part"))
        site.write("part/.git", "gitdir: ../.git/modules/part\n")
        site.pull().must_be("updated")
        assert (site.checkout / "part/part.txt").read_text() == "one\n"

    def test_dead_lock_in_a_submodule_is_cleared_with_or_without_one_in_the_checkout(
        self, site: Site, part: Path
    ) -> None:
        for text, is_alone in (("two\n", True), ("three\n", False)):
            site.write(".git/modules/part/index.lock", "")
            if not is_alone:
                site.write(".git/index.lock", "")
            move(site, part, text)
            site.pull().must_be("updated")
            assert (site.checkout / "part/part.txt").read_text() == text

    def test_submodule_that_is_itself_the_checkout_is_updated(self, site: Site, part: Path) -> None:
        site.git("checkout", "-q", "main", cwd=site.checkout / "part")
        commit = site.commit({"part.txt": "two\n"}, where=part)
        site.pull(Checkout=str(site.checkout / "part"), Repository="octo/part").must_be(
            "updated", after=commit
        )

    def test_linked_work_tree_has_a_dead_lock_cleared_and_a_half_made_submodule_made_again(
        self, site: Site, part: Path
    ) -> None:
        site.git("checkout", "-q", "-b", "side")
        linked = site.root / "linked"
        site.git("worktree", "add", "-q", str(linked), "main")
        site.pull(Checkout=str(linked))
        module = site.checkout / ".git/worktrees/linked/modules/part"
        site.write(str((module / "index.lock").relative_to(site.checkout)), "")
        move(site, part)
        site.pull(Checkout=str(linked)).must_be("updated")
        assert (linked / "part/part.txt").read_text() == "two\n"
        shutil.rmtree(module)
        site.git("init", "-q", "--bare", str(module))
        (linked / "part/part.txt").unlink()
        shutil.rmtree(linked / "part/deep")
        move(site, part, "three\n")
        site.pull(Checkout=str(linked)).must_be("updated")
        assert (linked / "part/part.txt").read_text() == "three\n"


@pytest.mark.skipif(not AS_ROOT, reason="takes a folder that the owner cannot open again")
class TestVerification:
    """Git reports that it updated a submodule even if it could not write a file of it."""

    @pytest.fixture
    def part(self, site: Site) -> Path:
        """The submodule has a folder that is closed on the host, and a newer commit upstream."""
        os.chown(site.checkout / "part/deep", 0, 0)
        part = site.root / "octo/part"
        site.commit({"deep/old.txt": "two\n", "deep/new.txt": "new\n"}, where=part)
        return part

    def assert_rolled_back(self, site: Site, part: Path) -> None:
        before, modules = site.head(), site.git("submodule", "status", "--recursive")
        record_newest_commit(site, part)
        site.pull().must_be(
            "rolled_back", "part/deep/", "Permission denied", after=before, step="submodules"
        )
        assert site.git("submodule", "status", "--recursive") == modules
        assert site.git("status", "--porcelain", cwd=site.checkout / "part") == ""

    def test_unwritable_file_is_rolled_back_and_written_once_it_is_writable(
        self, site: Site, part: Path
    ) -> None:
        self.assert_rolled_back(site, part)
        (site.checkout / ".git/pulley/deployed").unlink()
        for _ in range(2):
            site.pull().must_be("broken", step="submodules")
        open_again(site)
        site.pull().must_be("unchanged")
        deep = site.checkout / "part/deep"
        assert [(deep / name).read_text() for name in ("old.txt", "new.txt")] == ["two\n", "new\n"]
        assert site.git("status", "--porcelain", cwd=site.checkout / "part") == ""

    def test_unwritable_file_is_rolled_back_with_a_git_older_than_2_30(
        self, site: Site, part: Path
    ) -> None:
        git = f"{shutil.which('git')} -c protocol.file.allow=always"
        succeed = '*" checkout-index "*) status=0 ;;'
        site.tool("git", f'{git} "$@"; status=$?\ncase " $* " in {succeed} esac\nexit $status')
        self.assert_rolled_back(site, part)

    def test_edit_of_a_person_is_no_failure_and_stays(self, site: Site, part: Path) -> None:
        open_again(site)
        site.write("part/part.txt", "mine\n")
        (site.checkout / "part/deep/old.txt").unlink()
        site.git("reset", "-q", "--hard", "HEAD~1", cwd=part)
        site.commit({"other.txt": "three\n"}, where=part)
        record_newest_commit(site, part)
        site.pull().must_be("updated")
        assert (site.checkout / "part/part.txt").read_text() == "mine\n"
        assert not (site.checkout / "part/deep/old.txt").exists()

    def test_submodule_at_another_commit_than_the_recorded_is_broken(
        self, site: Site, part: Path
    ) -> None:
        open_again(site)
        record_newest_commit(site, part)
        git = shutil.which("git")
        site.tool(
            "git",
            f'{git} -c protocol.file.allow=always "$@" || exit\ncase "$*" in '
            f'*" update --init") {git} -C part checkout -q --detach HEAD~1 ;; esac',
        )
        site.pull().must_be("broken", "part is not at", step="submodules")

    def test_submodule_with_update_none_stays_at_its_commit(self, site: Site, part: Path) -> None:
        open_again(site)
        site.git("config", "submodule.part.update", "none")
        record_newest_commit(site, part)
        site.pull().must_be("updated")
        assert (site.checkout / "part/deep/old.txt").read_text() == "one\n"


def open_again(site: Site) -> None:
    """Give the closed folder back to the checkout's owner."""
    own(site.checkout / "part/deep")


def record_newest_commit(site: Site, part: Path) -> None:
    """Commit upstream that the submodule is at its newest commit."""
    link(site, "part", site.tip(part))
    commit_index(site)


SUBMODULE = '[submodule "part"]\n\tpath = part\n\turl = ../part\n'


REFUSED_BY_GIT = (
    "<<<<<<< HEAD\n",
    "* text\n",
    '[submodule "part"\n',
    SUBMODULE + "\tupdate = !touch pwned\n",
    SUBMODULE + "\tupdate = Merge\n",
    SUBMODULE + "\tupdate =\n",
    SUBMODULE + "\tupdate\n",
    SUBMODULE + "\tpath\n",
    SUBMODULE + "\turl\n",
    SUBMODULE + "\tignore\n",
    SUBMODULE + "\tshallow = perhaps\n",
    SUBMODULE + "\tshallow = on-demand\n",
    SUBMODULE + "\tfetchRecurseSubmodules = perhaps\n",
    SUBMODULE + "[fetch]\n\trecurseSubmodules = perhaps\n",
    SUBMODULE + "[submodule]\n\tfetchJobs = perhaps\n",
    SUBMODULE + '[submodule "a.url=b\tc"]\n\tupdate = !x\n',
    SUBMODULE + '[submodule "a\\"b"]\n\tupdate = none\\nnone\n',
)


class TestGitmodules:
    """A .gitmodules that makes git fail would block the host, so no run moves to it."""

    def test_gitmodules_that_git_refuses_is_a_conflict_and_the_next_commit_is_deployed(
        self, plain_site: Site
    ) -> None:
        site = plain_site
        state = site.state()
        link(site, "part", site.head())
        for content in REFUSED_BY_GIT:
            commit_gitmodules(site, content)
            run = site.pull()
            assert run.result.outcome == "conflict", content
            assert ".gitmodules" in run.result.detail
        assert site.state() == state
        site.git("update-index", "--force-remove", "part", cwd=site.upstream)
        good = commit_gitmodules(site, None)
        site.pull().must_be("updated", after=good)

    def test_bad_gitmodules_in_a_submodule_is_rolled_back_and_the_next_commit_is_deployed(
        self, site: Site, part: Path
    ) -> None:
        before = site.head()
        good = site.commit({"part.txt": "two\n"}, where=part)
        link(site, "deeper", good, where=part)
        modules = '[submodule "deeper"]\n\tpath = deeper\n\tupdate = !x\n'
        link(site, "part", commit_gitmodules(site, modules, where=part))
        commit_index(site)
        site.pull().must_be("rolled_back", after=before)
        assert (site.checkout / "part/part.txt").read_text() == "one\n"
        link(site, "part", good)
        commit = commit_index(site)
        site.pull().must_be("updated", after=commit)
        assert (site.checkout / "part/part.txt").read_text() == "two\n"

    def test_gitmodules_that_git_accepts_is_deployed(self, site: Site) -> None:
        for more in (
            "\tupdate = rebase\n\tbranch = .\n\tignore = dirty\n",
            "\tshallow\n\tfetchRecurseSubmodules = on-demand\n",
            "\tshallow = No\n\tfetchRecurseSubmodules = TRUE\n[submodule]\n\tfetchJobs = 4\n",
            '[submodule "a.update=b"]\n\tpath = a.update\n\turl = ../a\\nsubmodule.a.update\n',
        ):
            site.commit({".gitmodules": SUBMODULE + more})
            site.pull().must_be("updated")
        assert (site.checkout / "part/part.txt").read_text() == "one\n"


def link(site: Site, path: str, commit: str, *, where: Path | None = None) -> None:
    """Record a submodule's commit in the index."""
    entry = f"160000,{commit},{path}"
    site.git("update-index", "--add", "--cacheinfo", entry, cwd=where or site.upstream)


def commit_gitmodules(site: Site, content: str | None, *, where: Path | None = None) -> str:
    """Commit it in a way that does not parse it, since git would fail here too."""
    tree = where or site.upstream
    if content is None:
        site.git("update-index", "--force-remove", ".gitmodules", cwd=tree)
    else:
        written = site.write("modules", content, where=site.root)
        blob = site.git("hash-object", "-w", str(written), cwd=tree)
        entry = f"100644,{blob},.gitmodules"
        site.git("update-index", "--add", "--cacheinfo", entry, cwd=tree)
    return commit_index(site, where=tree)


def commit_index(site: Site, *, where: Path | None = None) -> str:
    at = where or site.upstream
    tree = site.git("write-tree", cwd=at)
    commit = site.git("commit-tree", "-p", "HEAD", "-m", "change", tree, cwd=at)
    site.git("update-ref", "HEAD", commit, cwd=at)
    return commit


def submodule(site: Site) -> Path:
    """A submodule `part` upstream; returns the repository behind it."""
    part = site.root / "octo/part"
    site.new_repository(part)
    commit = site.commit({"part.txt": "one\n", "deep/old.txt": "one\n"}, where=part)
    site.tool("git", f'exec {shutil.which("git")} -c protocol.file.allow=always "$@"')
    link(site, "part", commit)
    commit_gitmodules(site, SUBMODULE)
    return part


def with_submodule(site: Site) -> Site:
    """Deploy the submodule `part` at the recorded commit."""
    submodule(site)
    site.pull().must_be("updated")
    return site


def move(site: Site, part: Path, text: str = "two\n") -> None:
    """Make a new commit in the submodule's repository, and record it upstream."""
    site.commit({"part.txt": text}, where=part)
    record_newest_commit(site, part)


def test_gitmodules_of_a_submodule_with_recursive_fetch_is_deployed(
    plain_site: Site,
) -> None:
    site = plain_site
    module = '[submodule "submodule"]\n\tpath = submodule\n\turl = ../x\n'
    commit = site.commit({".gitmodules": module + "\tfetchRecurseSubmodules = true\n"})
    site.pull().must_be("updated", after=commit)


class TestReplacedSubmodule:
    """Git deletes a submodule's folder, with its content, if a file replaces it."""

    def replace(self, site: Site) -> str:
        site.git("update-index", "--force-remove", "part", ".gitmodules", cwd=site.upstream)
        shutil.rmtree(site.upstream / "part", ignore_errors=True)
        return site.commit({"part": "a file\n"})

    def test_submodule_with_a_persons_work_is_a_conflict_and_without_it_is_replaced(
        self, site: Site
    ) -> None:
        site.write(".git/modules/part/info/exclude", "ignored.txt\n")
        commit = self.replace(site)
        for mine in ("part.txt", "new.txt", "ignored.txt", "deeper/new.txt"):
            site.write(f"part/{mine}", "mine\n")
            before = site.state()
            for update in ("rebase", "reset", "exact"):
                result = site.pull(Update=update, Commit=commit).must_be("conflict")
                assert result.detail.startswith("the submodule part has files or edits of its own")
            assert site.state() == before
            site.git("clean", "-qfdx", cwd=site.checkout / "part")
            site.git("checkout", "-q", ".", cwd=site.checkout / "part")
        site.pull().must_be("updated", after=commit)
        assert (site.checkout / "part").read_text() == "a file\n"

    def test_submodule_with_its_own_git_directory_is_a_conflict(self, plain_site: Site) -> None:
        site = plain_site
        site.new_repository(site.checkout / "part")
        site.commit({"part.txt": "mine\n"}, where=site.checkout / "part")
        site.git("add", "part")
        site.git("commit", "-qm", "part")
        site.git("push", "-q", "origin", "HEAD:refs/heads/pushed")
        site.git("merge", "-q", "--ff-only", "pushed", cwd=site.upstream)
        self.replace(site)
        assert site.pull().result.outcome == "conflict"
        assert (site.checkout / "part/.git").is_dir()

    def test_roll_back_keeps_files_that_failed_steps_left_in_the_submodule(
        self, plain_site: Site
    ) -> None:
        site = plain_site
        site.commit({"part": "a file\n"})
        after = "#!/bin/sh\n[ -f part ] || { echo built >part/built; false; }\n"
        before = site.commit({"after": after})
        site.pull(AfterPull="after")
        site.git("rm", "-q", "part", cwd=site.upstream)
        submodule(site)
        site.pull(AfterPull="after").must_be("rolled_back", after=before)
        assert (site.checkout / "part").read_text() == "a file\n"
        assert (site.checkout / ".git/pulley/made/part/built").read_text() == "built\n"
