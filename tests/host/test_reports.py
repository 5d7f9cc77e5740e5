"""Situations in which other tools that deploy git checkouts failed, as their users reported."""

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.host.conftest import AS_OWNER, AS_ROOT, Site, run_in_own_group, set_up_lfs

SECRET = "ghp_SECRET0123"
as_another_user = pytest.mark.skipif(not AS_ROOT, reason="the owner may write everywhere")
with_lfs = pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not here")


def kill_in_a_move(site: Site) -> str:
    """Kill a run with its whole group while it moves; returns the commit that it moved to."""
    site.commit({"old.txt": "old\n"})
    site.pull()
    git = shutil.which("git")
    commit = site.commit({"new.txt": "new\n", "app.txt": "two\n", "old.txt": None})
    site.tool(
        "git",
        f'{git} "$@"; status=$?\ncase " $* " in *" checkout "*) kill -9 -$PULLEY_GROUP ;; esac\n'
        "exit $status",
    )
    assert not run_in_own_group(site)
    (site.tools / "git").unlink()
    assert (site.checkout / ".git/pulley/moving").read_text()
    return commit


class TestVerifiedMove:
    """Git can report a switch without having written the files, and a step can move HEAD."""

    @pytest.fixture(scope="class")
    @classmethod
    def like(cls, make_shared_site: Callable[[str], Site]) -> Site:
        """A site with a file in a folder."""
        site = make_shared_site("sh")
        site.commit({"pages/a.html": "one\n"})
        site.pull()
        return site

    @as_another_user
    def test_unwritable_folder_is_a_conflict_until_it_is_writable(self, site: Site) -> None:
        before = site.head()
        commit = site.commit({"pages/a.html": "two\n"})
        (site.checkout / "pages").chmod(0o555)
        site.pull().must_be(
            "conflict", "could not write pages/a.html", "Permission denied", after=before
        )
        (site.checkout / "pages").chmod(0o755)
        site.pull().must_be("updated", after=commit, saved=None)
        assert (site.checkout / "pages/a.html").read_text() == "two\n"

    @as_another_user
    @pytest.mark.parametrize("update", ["rebase", "reset", "exact"])
    def test_each_update_mode_reports_an_unwritable_folder_as_a_conflict(
        self, site: Site, update: str
    ) -> None:
        commit = site.commit({"pages/a.html": "two\n"})
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        (site.checkout / "pages").chmod(0o555)
        result = site.pull(Update=update, Commit=commit if update == "exact" else "").result
        (site.checkout / "pages").chmod(0o755)
        assert result.outcome == "conflict"
        assert (site.checkout / "local.txt").exists()

    def test_step_that_moves_head_is_broken_and_the_result_names_the_new_commit(
        self, site: Site
    ) -> None:
        after = "#!/bin/sh\n[ ! -e ../newer ] || git pull -q --rebase origin main\n"
        site.commit({"after": after})
        site.pull(AfterPull="after")
        site.commit({"app.txt": "two\n"})
        git = shutil.which("git")
        # The newer commit comes while the steps run.
        site.write("newer", "", where=site.root)
        site.commit({"app.txt": "three\n"}, message="newer")
        newer = site.git("rev-parse", "HEAD", cwd=site.upstream)
        site.git("branch", "-f", "later", newer, cwd=site.upstream)
        site.git("reset", "-q", "--hard", "HEAD~1", cwd=site.upstream)
        site.before_git(
            f'case " $* " in *" pull "*) {git} -C {site.upstream} merge -q --ff-only later ;; esac'
        )
        result = site.pull(AfterPull="after").result
        (site.tools / "git").unlink()
        assert (result.outcome, result.after, result.step) == ("broken", newer, "after_pull")
        assert newer in result.detail
        site.pull(AfterPull="after").must_be("updated", after=newer, upstream=newer)

    @pytest.mark.parametrize("then", ["", "git pack-refs --all"])
    def test_step_that_fetches_a_newer_commit_is_broken_and_the_result_names_it(
        self, site: Site, then: str
    ) -> None:
        """Else a reader of the result believes that the host has that commit."""
        after = "#!/bin/sh\n[ ! -e ../newer ] || { push-newer && git fetch -q; %s; }\n"
        site.commit({"after": after % (then or ":")})
        site.pull(AfterPull="after")
        commit = site.commit({"app.txt": "two\n"})
        site.git("checkout", "-q", "-b", "later", cwd=site.upstream)
        newer = site.commit({"app.txt": "three\n"})
        site.git("checkout", "-q", "--detach", cwd=site.upstream)
        site.write("newer", "", where=site.root)
        site.tool("push-newer", f"git -C ../octo/site branch -f main {newer}")
        site.pull(AfterPull="after").must_be("broken", newer, after=commit, upstream=newer)
        site.pull(AfterPull="after").must_be("updated", after=newer, upstream=newer)


class TestModifiedWithoutAnEdit:
    @pytest.fixture(scope="class")
    @classmethod
    def like(cls, make_shared_site: Callable[[str], Site]) -> Site:
        """A site with a file that is `modified` in each fresh clone."""
        site = make_shared_site("sh")
        (site.upstream / "win.txt").write_bytes(b"a\r\nb\r\n")
        site.git("add", "win.txt", cwd=site.upstream)
        site.commit({".gitattributes": "*.txt text\n"})
        site.pull()
        assert site.git("diff", "--name-only") == "win.txt"
        return site

    @pytest.mark.parametrize("update", ["rebase", "reset"])
    def test_line_endings_that_git_itself_writes_do_not_block_an_update(
        self, site: Site, update: str
    ) -> None:
        commit = site.commit({"win.txt": "put right\n"})
        site.pull(Update=update).must_be("updated", after=commit, saved=None)
        assert (site.checkout / "win.txt").read_text() == "put right\n"

    def test_line_endings_stay_if_another_file_changes(self, site: Site) -> None:
        site.commit({"app.txt": "two\n"})
        assert site.pull().result.outcome == "updated"
        assert (site.checkout / "win.txt").read_bytes() == b"a\r\nb\r\n"

    def test_edit_of_another_file_is_carried_over(self, site: Site) -> None:
        site.write("config.txt", "mine\n")
        commit = site.commit({"win.txt": "put right\n"})
        site.pull().must_be("updated", after=commit, saved=None)
        assert (site.checkout / "config.txt").read_text() == "mine\n"

    def test_change_by_a_filter_that_does_not_round_trip_is_no_edit(self, site: Site) -> None:
        site.git("config", "filter.upper.smudge", "tr a-z A-Z")
        site.commit({"x.up": "abc\n", ".gitattributes": "*.up filter=upper\n"})
        site.pull()
        os.utime(site.checkout / "x.up", (0, 0))
        assert (site.checkout / "x.up").read_text() == "ABC\n"
        commit = site.commit({"x.up": "def\n"})
        site.pull().must_be("updated", after=commit, saved=None)
        assert (site.checkout / "x.up").read_text() == "DEF\n"

    def test_file_that_was_made_executable_is_an_edit_and_kept(self, site: Site) -> None:
        (site.checkout / "win.txt").chmod(0o755)
        site.commit({"app.txt": "two\n"})
        site.pull()
        mode = (site.checkout / "win.txt").stat().st_mode
        assert mode & 0o111 or site.saved()


def test_files_with_names_of_revisions_do_not_block_an_update(site: Site) -> None:
    site.commit(dict.fromkeys(("HEAD", "main", "origin"), "x\n"))
    site.pull()
    site.write("config.txt", "mine\n")
    site.commit({"local.txt": "mine\n"}, where=site.checkout)
    site.commit({"app.txt": "two\n"})
    site.pull().must_be("updated", local_commits=1)
    assert (site.checkout / "config.txt").read_text() == "mine\n"


class TestLinks:
    """A link to shared data in place of a tracked folder, as Capistrano makes it."""

    @pytest.fixture(scope="class")
    @classmethod
    def like(cls, make_shared_site: Callable[[str], Site]) -> Site:
        """A site with such a link."""
        site = make_shared_site("sh")
        site.commit({"uploads/.gitkeep": "", "uploads/note.txt": "one\n"})
        site.pull()
        site.write("shared/photo", "photo\n", where=site.root)
        shutil.rmtree(site.checkout / "uploads")
        site.as_owner("ln", "-s", "../shared", "uploads")
        return site

    @pytest.mark.parametrize("update", ["rebase", "reset"])
    def test_linked_folder_does_not_block_other_changes(self, site: Site, update: str) -> None:
        commit = site.commit({"app.txt": "two\n"})
        site.pull(Update=update).must_be("updated", after=commit, saved=None)
        assert (site.checkout / "uploads").is_symlink()
        assert (site.checkout / "uploads/photo").read_text() == "photo\n"
        assert site.pull().result.outcome == "unchanged"

    def test_edit_of_another_file_is_carried_over_and_the_link_stays(self, site: Site) -> None:
        site.write("config.txt", "mine\n")
        site.commit({"app.txt": "two\n"})
        site.pull().must_be("updated")
        assert (site.checkout / "config.txt").read_text() == "mine\n"
        assert (site.checkout / "uploads").is_symlink()

    def test_change_behind_the_link_is_a_conflict_that_names_it(self, site: Site) -> None:
        site.commit({"uploads/note.txt": "two\n"})
        site.pull().must_be("conflict", "uploads/note.txt")
        assert (site.checkout / "uploads").is_symlink()


def test_local_merge_with_changes_of_its_own_is_saved_under_a_ref(site: Site) -> None:
    site.git("checkout", "-q", "-b", "fix")
    site.commit({"fix.txt": "fix\n"}, where=site.checkout)
    site.git("checkout", "-q", "main")
    site.git("merge", "-q", "--no-ff", "--no-commit", "fix")
    site.write("config.txt", "setting = 7\n")
    site.git("commit", "-qam", "merge, and the setting that this host needs")
    merge = site.head()
    site.commit({"other.txt": "x\n"})
    result = site.pull().must_be("updated")
    assert result.saved
    assert site.git("rev-parse", result.saved) == merge


class TestAfterAKill:
    @pytest.fixture(scope="class")
    @classmethod
    def like(cls, make_shared_site: Callable[[str], Site]) -> Site:
        """A site whose run was killed in a move."""
        site = make_shared_site("sh")
        kill_in_a_move(site)
        return site

    @pytest.mark.parametrize("how", ["add", "add -N", "mv"])
    def test_file_that_is_staged_after_a_kill_is_kept(self, site: Site, how: str) -> None:
        (site.checkout / ".git/index.lock").unlink(missing_ok=True)
        if how == "mv":
            site.git("mv", "config.txt", "moved.txt")
            site.write("moved.txt", "precious\n")
        else:
            site.write("mine.txt", "precious\n")
            site.git(*how.split(), "mine.txt")
        result = site.pull().must_be("updated")
        assert kept(site, "precious"), result

    def test_file_that_upstream_removed_and_a_person_recreated_after_a_kill_is_kept(
        self, site: Site
    ) -> None:
        site.write("old.txt", "precious\n")
        site.pull()
        assert kept(site, "precious")

    @as_another_user
    def test_unreadable_edit_after_a_kill_is_a_conflict_until_it_can_be_saved(
        self, site: Site
    ) -> None:
        edited = site.write("config.txt", "precious\n")
        edited.chmod(0o000)
        site.pull().must_be("conflict", "cannot be saved")
        edited.chmod(0o644)
        assert edited.read_text() == "precious\n"
        assert site.pull().result.outcome == "updated"
        assert kept(site, "precious")

    @pytest.mark.skipif(not AS_ROOT, reason="only root can mount a small disk")
    def test_edit_after_a_kill_on_a_full_disk_is_not_lost(self, site: Site) -> None:
        small = site.root / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small], check=True)
        try:
            subprocess.run(["cp", "-a", site.checkout, small / "checkout"], check=True)
            shutil.rmtree(site.checkout)
            site.checkout.symlink_to(small / "checkout")
            site.write("config.txt", "precious\n")
            fill = small / "fill"
            subprocess.run(["dd", "if=/dev/zero", f"of={fill}"], check=False, capture_output=True)
            assert site.pull().exit_code != 0
            fill.unlink()
            site.pull()
            assert kept(site, "precious")
        finally:
            site.checkout.unlink(missing_ok=True)
            subprocess.run(["umount", small], check=True)


def kept(site: Site, word: str) -> bool:
    """Whether the word is in a file of the checkout, or under a saved ref."""
    for path in site.checkout.rglob("*"):
        if ".git" not in path.parts and path.is_file() and word in path.read_text():
            return True
    return any(word in site.git("grep", "-h", "-e", "", ref, "--") for ref in site.saved())


class TestRecovery:
    def test_tracking_ref_that_a_power_cut_emptied_is_fetched_again(self, site: Site) -> None:
        site.pull()
        for content in ("", "\0" * 41, "0123\n"):
            commit = site.commit({"app.txt": f"before {content!r}\n"})
            (site.checkout / ".git/refs/remotes/origin/main").write_text(content)
            site.pull().must_be("updated", after=commit)

    def test_refs_of_pulley_and_origin_that_a_power_cut_emptied_do_not_block_a_fetch(
        self, site: Site
    ) -> None:
        site.pull()
        site.write("config.txt", "mine\n")
        site.commit({"app.txt": "two\n"})
        site.pull(Update="reset")
        site.write(".git/refs/remotes/origin/other", "")
        for kind in ("pulley/deployed", "pulley/saved", "remotes/origin"):
            refs = list((site.checkout / ".git/refs" / kind).iterdir())
            assert refs
            for ref in refs:
                ref.write_text("")
        commit = site.commit({"app.txt": "three\n"})
        site.pull().must_be("updated", after=commit)

    def test_pack_that_a_power_cut_emptied_is_fetched_again(self, site: Site) -> None:
        site.git("config", "fetch.unpackLimit", "1")
        commit = site.commit({"app.txt": "two\n"})
        site.git("fetch", "-q")
        packs = [
            path
            for path in (site.checkout / ".git/objects/pack").iterdir()
            if path.suffix in {".pack", ".idx"}
        ]
        assert len(packs) == 2
        for path in packs:
            path.chmod(0o644)
            path.write_text("")
        site.pull().must_be("updated", after=commit)
        site.git("fsck", "--strict", "--no-dangling")

    def test_index_that_a_power_cut_emptied_is_rebuilt_and_edits_stay(self, site: Site) -> None:
        site.pull()
        site.write("config.txt", "mine\n")
        site.write("new.txt", "mine too\n")
        (site.checkout / ".git/index").write_text("")
        commit = site.commit({"app.txt": "two\n"})
        site.pull().must_be("updated", after=commit)
        assert site.git("status", "--porcelain") == "M config.txt\n?? new.txt"

    @pytest.mark.parametrize("local_commits", [0, 1])
    def test_object_that_a_power_cut_emptied_is_fetched_again(
        self, site: Site, local_commits: int
    ) -> None:
        site.pull()
        if local_commits:
            site.commit({"local.txt": "mine\n"}, where=site.checkout)
        commit = site.commit({"app.txt": "two\n"})
        site.git("fetch", "-q")
        blob = site.git("rev-parse", f"{commit}:app.txt")
        path = site.checkout / ".git/objects" / blob[:2] / blob[2:]
        path.chmod(0o644)
        path.write_text("")
        result = site.pull().must_be("updated", upstream=commit)
        assert (site.checkout / "app.txt").read_text() == "two\n"
        assert result.local_commits == local_commits
        site.git("fsck", "--strict", "--no-dangling")

    def test_object_that_stays_unreadable_is_fetched_again_once(self, site: Site) -> None:
        site.pull()
        state = site.state()
        site.commit({"app.txt": "two\n"})
        fetches = site.write("fetches", "", where=site.root)
        site.before_git(
            'case " $* " in\n'
            '*" checkout "*) echo "error: unable to read sha1 file of app.txt" >&2; exit 1 ;;\n'
            f'*" fetch "*) echo >>{fetches} ;;\n'
            "esac"
        )
        site.pull().must_be("conflict", "unable to read")
        assert len(fetches.read_text().splitlines()) == 2
        assert site.state() == state

    def test_roll_back_moves_build_output_of_the_failed_step_aside(self, site: Site) -> None:
        after = "#!/bin/sh\nmkdir -p dist && echo built >dist/app.js\n[ ! -e bad ]\n"
        good = site.commit({"after": after, "dist/app.js": "tracked\n"})
        site.pull(AfterPull="after")
        site.git("-C", str(site.checkout), "checkout", "-q", "--", ".")
        site.commit({"dist/app.js": None, ".gitignore": "dist\n", "bad": "x\n"})
        site.pull(AfterPull="after").must_be("rolled_back", after=good)
        assert (site.checkout / ".git/pulley/made/dist/app.js").read_text() == "built\n"

    def test_edits_that_cannot_be_restored_stay_saved_and_the_next_run_succeeds(
        self, site: Site
    ) -> None:
        site.write("config.txt", "mine\n")
        kill_in_a_move(site)
        moving = site.checkout / ".git/pulley/moving"
        words = moving.read_text().split()
        # As after a disk error: the saved edits are not a stash.
        tree = site.git("rev-parse", "HEAD")
        moving.write_text(" ".join([*words[:4], tree, *words[5:]]) + "\n")
        assert site.pull().exit_code in {0, 70}
        refs = len(site.saved())
        assert site.pull().result.outcome in {"updated", "unchanged"}
        assert len(site.saved()) <= refs + 1


class TestMessages:
    def test_part_of_an_address_that_could_be_a_credential_is_hidden(self, site: Site) -> None:
        site.tool("sleep", "exit 0")
        log = site.checkout / ".git/pulley/log"
        both = (
            f"https//user:{SECRET}@github.com/octo/site.git",
            f"https://127.0.0.1:9/octo/site?private_token={SECRET}",
            f"https://user:{SECRET}@127.0.0.1:9/octo/site.git",
        )
        for address, update in (
            *((address, update) for address in both for update in ("rebase", "check")),
            (f"user:{SECRET}@github.com/octo/site.git", "rebase"),
            (f"https:/user:{SECRET}@github.com/octo/site.git", "rebase"),
            (f"https://{SECRET}@127.0.0.1:9/octo/site.git", "rebase"),
            (f"https://user:{SECRET}/more@127.0.0.1:9/octo/site.git", "rebase"),
            (f"ssh://{SECRET}:x@127.0.0.1:9/octo/site.git", "rebase"),
        ):
            site.git("remote", "set-url", "origin", address)
            done = site.pull(Update=update, Timeout="20")
            assert done.exit_code in {66, 69}, address
            assert SECRET not in done.result.detail, address
            assert SECRET not in done.stderr, address
            assert not log.exists() or SECRET not in log.read_text(), address

    def test_secret_is_redacted_before_the_log_is_cut(self, site: Site) -> None:
        site.git("remote", "set-url", "origin", f"https://user:{SECRET}@127.0.0.1:9/octo/site")
        # The last 4,000 bytes of the log may begin anywhere in an address.
        site.before_git(
            f'case " $* " in *" fetch "*) for n in 1 2 3 4 5 6 7 8 9 0; do '
            f"printf 'https://user:{SECRET}@h/%0400d\\n' $n; done >&2; exit 1 ;; esac"
        )
        site.tool("sleep", "exit 0")
        done = site.pull(Timeout="20")
        assert not any(SECRET[at : at + 6] in done.stderr for at in range(len(SECRET) - 5))

    def test_secret_in_the_output_of_a_step_is_redacted_before_the_reason_is_cut(
        self, site: Site
    ) -> None:
        secret = "Hunter2-and-more"  # it does not begin as a token does
        address = f"https://bot:{secret}@example.invalid/octo/site"
        site.git("remote", "set-url", "origin", address)
        site.git("config", f"url.{site.upstream}.insteadOf", address)
        # The reason may end anywhere in the address.
        for length in range(95, 140, 5):
            words = f"{'x' * length} {address}: refused"
            site.commit({"step": f"#!/bin/sh\necho '{words}'\nexit 1\n"})
            result = site.pull(AfterPull="step").result
            detail = result.detail
            assert result.step == "after_pull"
            assert not any(secret[at : at + 6] in detail for at in range(len(secret) - 5)), detail

    def test_reason_is_the_message_of_ssh_or_github(self, site: Site) -> None:
        site.git("remote", "set-url", "origin", "git@github.com:octo/site.git")
        site.git("config", "core.sshCommand", str(site.tools / "ssh"))
        site.tool("sleep", "exit 0")
        for words, *updates in (
            ("ERROR: Repository not found.", "rebase", "check"),
            ("Host key verification failed.", "rebase", "check"),
            ("git@github.com: Permission denied (publickey).", "rebase"),
            ("ssh: Could not resolve hostname github.com: Try again", "rebase"),
            ("ssh: connect to host github.com port 22: Connection timed out", "rebase", "check"),
            ("Bad owner or permissions on /home/deploy/.ssh/config", "rebase"),
            ("Connection closed by 140.82.121.3 port 22", "rebase"),
        ):
            site.tool("ssh", f"echo '{words}' >&2\nexit 255")
            for update in updates:
                site.pull(Update=update, Timeout="20").must_be("unreachable", detail=words)

    def test_broken_git_configuration_is_reported_with_the_message_of_git(self, site: Site) -> None:
        config = site.checkout / ".git/config"
        config.write_text(config.read_text() + "<<<<<<< mine\n")
        site.pull().must_be("no_checkout", "bad config line")

    def test_origin_of_another_repository_is_named(self, site: Site) -> None:
        site.git("remote", "set-url", "origin", "git@github.com:octo/other.git")
        site.pull().must_be(
            "no_checkout", fault="origin", detail="origin is octo/other, not octo/site"
        )


@with_lfs
class TestRealLfs:
    def test_lfs_files_come_with_the_commit_and_a_missing_object_moves_nothing(
        self, site: Site
    ) -> None:
        """With the settings of `git lfs install`, and with a folder in place of a server."""
        for where in (site.upstream, site.checkout):
            set_up_lfs(site, where)
        site.git("remote", "set-url", "origin", f"file://{site.upstream}")
        attributes = {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"}
        commit = site.commit(attributes | {"a.bin": "big\n"})
        site.pull().must_be("updated", after=commit)
        assert (site.checkout / "a.bin").read_text() == "big\n"
        site.commit({"a.bin": "bigger\n"})
        shutil.rmtree(site.upstream / ".git/lfs/objects")
        state = site.state()
        site.pull().must_be("unreachable", "git-lfs")
        assert site.state() == state

    def test_lfs_filter_in_a_comment_is_ignored(self, site: Site) -> None:
        site.tool("git-lfs", "exit 1")
        commit = site.commit({".gitattributes": "# *.bin filter=lfs is for later\n*.md text\n"})
        site.pull().must_be("updated", after=commit)


class TestTools:
    @pytest.mark.skipif(not AS_ROOT, reason="only root becomes another user")
    @pytest.mark.parametrize("tools", [["setpriv"], ["setpriv", "runuser"]])
    def test_root_falls_back_to_runuser_or_names_both_missing_tools(
        self, site: Site, tools: list[str]
    ) -> None:
        commit = site.commit({"app.txt": "two\n"})
        for name in tools:
            site.tool(name, "echo 'unrecognized option: reuid' >&2; exit 1")
        result = site.pull().result
        for name in tools:
            (site.tools / name).unlink()
        if len(tools) == 1:
            assert (result.outcome, result.after) == ("updated", commit)
        else:
            assert result.outcome == "no_checkout"
            assert "setpriv or runuser" in result.detail

    @pytest.mark.parametrize(
        ("key", "value"), [("refStorage", "reftable"), ("objectFormat", "sha256")]
    )
    def test_unknown_format_of_a_repository_is_no_checkout(
        self, site: Site, key: str, value: str
    ) -> None:
        config = site.checkout / ".git/config"
        more = f"[core]\n\trepositoryformatversion = 1\n[extensions]\n\t{key} = {value}\n"
        config.write_text(config.read_text() + more)
        result = site.pull().must_be("no_checkout")
        # Git names an extension that it does not know itself.
        assert value in result.detail or key.lower() in result.detail

    def test_dead_lock_is_cleared_while_another_git_only_reads(self, site: Site) -> None:
        site.pull()
        commit = site.commit({"app.txt": "two\n"})
        (site.checkout / ".git/index.lock").touch()
        reader = subprocess.Popen(
            [*AS_OWNER, "git", "-c", "core.pager=cat", "cat-file", "--batch-check"],
            cwd=site.checkout,
            env=site.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert reader.stdin
        assert reader.stdout
        reader.stdin.write(b"HEAD\n")
        reader.stdin.flush()
        assert reader.stdout.readline()
        try:
            site.pull().must_be("updated", after=commit)
            assert reader.poll() is None
        finally:
            reader.kill()
            reader.communicate()
