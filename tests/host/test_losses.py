"""A run keeps what git itself would lose: ignored files, unreadable commits, submodules."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host.conftest import AS_ROOT, Site
from tests.host.test_submodules import move, with_submodule

MINE = "typed by hand\n"


class TestIgnoredFiles:
    """A rebase overwrites ignored files when it applies local commits again."""

    @pytest.mark.parametrize("removed", [False, True])
    def test_ignored_file_that_a_local_commit_contains_is_a_conflict(
        self, site: Site, *, removed: bool
    ) -> None:
        site.commit({".gitignore": ".env\n"})
        site.pull()
        site.commit({".env": "by mistake\n"}, where=site.checkout)
        if removed:
            site.git("rm", "-q", "--cached", ".env")
            site.git("commit", "-qm", "no .env")
            site.write(".env", MINE)
        else:
            site.pull(Update="exact", Commit=site.git("rev-parse", "HEAD~1"))
            site.write(".env", MINE)
        site.commit({"app.txt": "two\n"})
        site.pull().must_be("conflict", detail=".env is untracked, where a local commit has it")
        assert (site.checkout / ".env").read_text() == MINE

    @pytest.mark.parametrize("kind", ["file", "link"])
    def test_ignored_file_or_link_in_place_of_a_local_commits_folder_is_a_conflict(
        self, site: Site, kind: str
    ) -> None:
        site.commit({".gitignore": "env\n"})
        site.pull()
        site.commit({"env/deep/file": "by mistake\n"}, where=site.checkout)
        site.pull(Update="exact", Commit=site.git("rev-parse", "HEAD~1"))
        if kind == "file":
            site.write("env", MINE)
        else:
            site.write("shared/file", MINE, where=site.root)
            (site.checkout / "env").symlink_to(site.root / "shared")
        site.commit({"app.txt": "two\n"})
        site.pull().must_be("conflict", detail="env is untracked, where a local commit has it")
        assert (site.checkout / "env").is_symlink() == (kind == "link")

    def test_failing_git_log_is_a_conflict_and_nothing_moves(self, site: Site) -> None:
        site.commit({"local": MINE}, where=site.checkout)
        site.commit({"app.txt": "two\n"})
        fails = 'case " $* " in *" log "*) exit 128 ;; esac'
        site.before_git(fails)
        state = site.state()
        site.pull().must_be("conflict", "cannot list")
        assert site.state() == state

    def test_local_commit_of_fifty_files_takes_as_many_git_calls_as_a_commit_of_one(
        self, site: Site
    ) -> None:
        calls = site.root / "calls"
        taken = []
        for number, files in enumerate((1, 1, 50)):
            local = {f"local{number}-{file}": MINE for file in range(files)}
            site.commit(local, where=site.checkout)
            site.commit({"app.txt": f"{number}\n"})
            calls.write_text("")
            calls.chmod(0o666)
            site.before_git(f"echo >>{calls}")
            assert site.pull().result.outcome == "updated"
            (site.tools / "git").unlink()
            taken.append(len(calls.read_text()))
        assert taken[1] == taken[2]  # the first run has no marker yet


class TestKilledPullOfAPerson:
    def kill_pull(self, site: Site, *options: str) -> None:
        """Kill a person's `git pull --rebase` after it has checked out the new tip."""
        hook = site.write(".git/hooks/post-checkout", "#!/bin/sh\nkill -9 $PPID\n")
        site.as_owner("git", "pull", "-q", "--rebase", *options, check=False)
        hook.unlink()
        assert (site.checkout / ".git/rebase-merge").is_dir()

    def test_file_that_the_new_commit_deleted_and_a_person_recreated_is_saved(
        self, site: Site
    ) -> None:
        site.commit({"local": "1\n"}, where=site.checkout)
        site.commit({"config.txt": None})
        self.kill_pull(site)
        site.write("config.txt", MINE)
        result = site.pull().must_be("updated")
        assert result.saved
        assert site.git("show", f"{result.saved}:config.txt") + "\n" == MINE

    def test_run_after_a_kill_during_stash_apply_restores_the_edit(self, site: Site) -> None:
        site.commit({"local": "1\n"}, where=site.checkout)
        site.commit({"app.txt": "two\n"})
        site.write("config.txt", MINE)
        self.kill_pull(site, "--autostash")
        kill = 'case "$*" in *"stash apply"*) kill -9 0 ;; esac'
        site.before_git(kill)
        command, environ = site.command()
        subprocess.run(["setsid", *command], env=environ, cwd="/", check=False, capture_output=True)
        (site.tools / "git").unlink()
        site.pull()
        assert (site.checkout / "config.txt").read_text() == MINE


class TestUnreadableCommits:
    def test_reset_saves_local_commits_that_it_cannot_count(self, site: Site) -> None:
        for number in (1, 2, 3):
            site.commit({f"local{number}": MINE}, where=site.checkout)
        tip, broken = site.head(), site.git("rev-parse", "HEAD~2")
        path = site.checkout / ".git/objects" / broken[:2] / broken[2:]
        path.chmod(0o644)
        path.write_bytes(b"")
        site.commit({"app.txt": "two\n"})
        result = site.pull(Update="reset").must_be("updated")
        assert result.saved
        assert site.git("rev-parse", result.saved) == tip

    def test_result_is_well_formed_if_local_commits_cannot_be_counted(self, site: Site) -> None:
        site.commit({"local1": MINE}, where=site.checkout)
        site.commit({"local2": MINE}, where=site.checkout)
        site.pull()
        broken = site.git("rev-parse", "HEAD~1")
        path = site.checkout / ".git/objects" / broken[:2] / broken[2:]
        path.chmod(0o644)
        path.write_bytes(b"")
        assert site.pull().result.outcome in {"unchanged", "conflict"}


class TestSubmodules:
    @pytest.fixture(scope="class")
    @classmethod
    def like(cls, make_shared_site: Callable[[str], Site]) -> Site:
        return with_submodule(make_shared_site("sh"))

    @pytest.fixture
    def part(self, site: Site) -> Path:
        return site.root / "octo/part"

    def test_stashes_survive_an_unreachable_submodule_remote(self, site: Site, part: Path) -> None:
        local = site.checkout / "part"
        for text in ("first\n", "second\n"):
            site.write("part/part.txt", text)
            site.git("stash", "-q", cwd=local)
        move(site, part)
        away = part.rename(part.with_name("away"))
        assert site.pull().result.outcome in {"rolled_back", "broken"}
        away.rename(part)
        assert site.pull().result.outcome == "updated"
        assert site.git("stash", "list", cwd=local).count("stash@") == 2

    def test_branch_survives_if_a_power_cut_emptied_another_branch(
        self, site: Site, part: Path
    ) -> None:
        local = site.checkout / "part"
        site.git("checkout", "-q", "-b", "work", cwd=local)
        mine = site.commit({"mine.txt": MINE}, where=local)
        module = site.checkout / ".git/modules/part"
        site.git("checkout", "-q", "main", cwd=local)
        (module / "refs/heads/main").write_text("")
        move(site, part)
        site.pull()
        assert (module / "refs/heads/work").read_text().strip() == mine


@pytest.mark.skipif(not AS_ROOT, reason="takes namespaces of its own")
def test_saved_ref_is_never_overwritten(site: Site) -> None:
    """Two containers can have the same process ids and save in the same second."""
    site.tool("date", "echo 20300101T000000Z")
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]
    kept = []
    for number in (1, 2):
        site.commit({"local": f"{number}\n"}, where=site.checkout)
        command, environ = site.command(Update="reset")
        run = subprocess.run([*alone, *command], env=environ, check=False, capture_output=True)
        kept.append({ref: site.git("rev-parse", ref) for ref in site.saved()})
    assert kept[0]
    assert kept[1] | kept[0] == kept[1]
    assert len(kept[1]) == 2 or json.loads(run.stdout)["outcome"] == "conflict"
