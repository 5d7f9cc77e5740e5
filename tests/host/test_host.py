"""How a run copes with its host: programs, disk, environment, hooks, filters."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.conftest import AS_OWNER, AS_ROOT, OWNER, Run, Site, held_to_contract
from tests.host.programs import folder_without

as_root_only = pytest.mark.skipif(not AS_ROOT, reason="takes root")


def run_without(site: Site, *programs: str, owner: bool = False) -> Run:
    """Run on a host that has this machine's programs except the given ones."""
    command, environ = site.command()
    drop = [str(shutil.which(AS_OWNER[0])), *AS_OWNER[1:]] if owner and AS_OWNER else []
    done = subprocess.run(
        [*drop, str(shutil.which(command[0])), command[1]],
        env=environ | {"PATH": f"{site.tools}:{folder_without(*programs)}"},
        capture_output=True,
        check=False,
    )
    return held_to_contract(done)


class TestPrograms:
    def test_missing_program_is_named_and_nothing_is_touched(self, site: Site) -> None:
        state = site.state()
        for program in ("git", "flock", "timeout", "sed", "cmp"):
            run_without(site, program).must_be("no_checkout", f"{program} ", "not installed")
        assert site.state() == state

    @as_root_only
    @pytest.mark.parametrize("program", ["setpriv", "getent"])
    def test_run_becomes_the_owner_without_setpriv_or_getent(
        self, site: Site, program: str
    ) -> None:
        commit = site.commit({"app.txt": "two\n"})
        run_without(site, program).must_be("updated", after=commit)
        assert (site.checkout / "app.txt").stat().st_uid == OWNER.pw_uid

    @as_root_only
    def test_host_without_setpriv_and_runuser_is_no_checkout(self, site: Site) -> None:
        run_without(site, "setpriv", "runuser").must_be("no_checkout", "setpriv or runuser")

    def test_git_older_than_2_26_is_refused_and_newer_git_is_used(self, site: Site) -> None:
        state = site.state()
        site.commit({"app.txt": "two\n"})
        for version in ("1.8.3.1", "2.10.0", "2.25.1"):
            self.git_of_version(site, version)
            site.pull().must_be("no_checkout", f"{version} is too old: 2.26 or newer is needed")
        assert site.state() == state
        for version in ("2.26.0", "2.39.5", "2.50.1 (Apple Git-155)", "3.0.0"):
            self.git_of_version(site, version)
            commit = site.commit({"app.txt": f"{version}\n"})
            site.pull().must_be("updated", after=commit)

    def git_of_version(self, site: Site, version: str) -> None:
        site.before_git(f'case " $* " in *" version "*) echo "git version {version}"; exit ;; esac')


@as_root_only
def test_checkout_of_a_uid_without_a_user_is_no_checkout(site: Site) -> None:
    for path in (site.checkout, site.checkout / ".git"):
        os.chown(path, 4242, 4242)
    site.pull().must_be("no_checkout", "4242")


def test_hostile_environment_variables_are_ignored(site: Site) -> None:
    commit = site.commit({"app.txt": "two\n"})
    names = (
        "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE"
        " GIT_EXEC_PATH GIT_EXTERNAL_DIFF GIT_CONFIG_PARAMETERS GIT_QUARANTINE_PATH"
        " GIT_SHALLOW_FILE GIT_PREFIX CDPATH ENV BASH_ENV IFS PULLEY_STARTED PULLEY_ASKS"
    )
    hostile = dict.fromkeys(names.split(), "/nowhere") | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.bare",
        "GIT_CONFIG_VALUE_0": "true",
        "GIT_LITERAL_PATHSPECS": "1",
        "LC_ALL": "xx_XX.UTF-8",
        "POSIXLY_CORRECT": "1",
    }
    site.pull(more_environ=hostile).must_be("updated", after=commit)
    assert not (site.root / "nowhere").exists()


class TestHooks:
    NAMES = ("post-checkout", "pre-rebase", "post-rewrite", "reference-transaction", "post-merge")

    @pytest.mark.parametrize("line", ["exit 1", "exec sleep 60", "sleep 60 &"])
    def test_failing_or_hanging_hook_does_not_stop_the_run(self, site: Site, line: str) -> None:
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        for name in self.NAMES:
            site.write(f".git/hooks/{name}", f"#!/bin/sh\n{line}\n")
        commit = site.commit({"app.txt": "two\n"})
        site.pull(Timeout="20").must_be("updated", upstream=commit)


def test_hanging_smudge_filter_is_a_conflict_and_the_checkout_stays(site: Site) -> None:
    site.git("config", "filter.slow.smudge", "sleep 30")
    site.write("config.txt", "edited\n")
    state = site.state()
    site.commit({".gitattributes": "slow.txt filter=slow\n", "slow.txt": "slow\n"})
    assert site.pull(Timeout="20", late=5).result.outcome == "conflict"
    assert site.state() == state


def test_hanging_clean_filter_is_a_conflict_and_edits_stay(site: Site) -> None:
    site.git("config", "filter.slow.clean", "sleep 30")
    site.write(".git/info/attributes", "config.txt filter=slow\n")
    site.write("config.txt", "edited now\n")
    site.commit({"app.txt": "two\n"})
    site.pull(Timeout="20", late=5).must_be("conflict", "did not save")
    assert (site.checkout / "config.txt").read_text() == "edited now\n"


@pytest.fixture
def small_disk(site: Site) -> Iterator[Path]:
    """The checkout on a file system of 3 MB."""
    disk = site.root / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if not AS_ROOT or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a small file system")
    try:
        shutil.move(site.checkout, disk / "checkout")
        subprocess.run(["chown", "-R", str(OWNER.pw_uid), str(disk)], check=True)
        site.checkout.symlink_to(disk / "checkout")
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


class TestDisk:
    def test_full_disk_is_reported_and_nothing_is_lost(self, site: Site, small_disk: Path) -> None:
        site.write("config.txt", "edited\n")
        site.write("untracked.txt", "untracked\n")
        site.tool("sleep", "exit 0")
        state = site.state()
        site.as_owner("sh", "-c", "head -c 6000000 /dev/urandom >big", cwd=site.upstream)
        site.git("add", "big", cwd=site.upstream)
        site.commit({})
        result = site.pull().must_be("unreachable", before=site.head(), after=site.head())
        assert result.detail == "the disk is full" or "space" in result.detail
        assert site.state() == state

    def test_checkout_is_moved_back_if_the_disk_fills_up_during_a_move(
        self, site: Site, small_disk: Path
    ) -> None:
        site.write("config.txt", "edited\n")
        state = site.state()
        # Small when it is fetched, large when it is checked out.
        site.as_owner("sh", "-c", "yes | head -c 9000000 >big", cwd=site.upstream)
        site.git("add", "big", cwd=site.upstream)
        site.commit({"a.txt": "a\n"})
        assert site.pull().result.outcome == "conflict"
        assert site.state() == state
        commit = site.commit({"big": None})
        site.pull().must_be("updated", after=commit)
        assert (site.checkout / "config.txt").read_text() == "edited\n"

    def test_run_on_a_disk_without_a_free_byte_still_prints_a_result(
        self, site: Site, small_disk: Path
    ) -> None:
        site.pull(Issued="1")
        site.tool("sleep", "exit 0")
        site.commit({"app.txt": "two\n"})
        head = site.head()
        subprocess.run(
            ["/bin/sh", "-c", f"head -c 9000000 /dev/zero >{small_disk}/fill"],
            check=False,
            capture_output=True,
        )
        for issued in ("", "2"):
            result = site.pull(Issued=issued).result
            assert result.outcome in {"no_checkout", "unreachable", "conflict"}
            assert result.after == head
        (small_disk / "fill").unlink()
        assert site.pull().result.outcome == "updated"

    def test_read_only_disk_is_no_checkout(self, site: Site, small_disk: Path) -> None:
        site.commit({"app.txt": "two\n"})
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        site.pull().must_be("no_checkout", "cannot write", after=site.head())


def test_state_folder_is_closed_to_other_users(site: Site) -> None:
    site.pull()
    assert stat.S_IMODE((site.checkout / ".git/pulley").stat().st_mode) == 0o700
