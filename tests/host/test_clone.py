"""The first clone: made as the owner if the target has `clone` and the checkout is not there."""

import os
import pwd
import random
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.host.conftest import (
    AS_OWNER,
    AS_ROOT,
    OWNER,
    SHELLS,
    Run,
    Site,
    held_to_contract,
    own,
    run_in_own_group,
    set_up_lfs,
)
from tests.host.programs import folder_without
from tests.host.test_kill import RANDOM_KILLS, kill
from tests.host.test_submodules import with_submodule
from tests.processes import HANG_SECONDS

takes_root = pytest.mark.skipif(not AS_ROOT, reason="takes root")
in_each_shell = pytest.mark.parametrize("shell", SHELLS)


def given(site: Site, **more: str) -> dict[str, str]:
    """The parameters of a target with `clone` and `owner`. Pauses between tries take no time."""
    site.tool("sleep", "exit 0")
    return {"Clone": f"file://{site.upstream}", "Owner": OWNER.pw_name, "Timeout": "60"} | more


def run(
    site: Site,
    parameters: Mapping[str, str],
    *,
    as_user: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Run:
    command, usual = site.command(**parameters)
    done = subprocess.run(
        [*as_user, *command],
        cwd="/",
        env=usual | dict(environ or {}),
        capture_output=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    return held_to_contract(done)


def clone(site: Site, **more: str) -> Run:
    return run(site, given(site, **more))


def empty(site: Site) -> Site:
    """The site with an empty folder of the owner's in place of its checkout."""
    shutil.rmtree(site.checkout)
    site.checkout.mkdir()
    own(site.checkout)
    return site


def closed(site: Site) -> Site:
    """The site without a checkout, in a folder of root's."""
    shutil.rmtree(site.checkout)
    os.chown(site.root, 0, 0)
    return site


@pytest.fixture
def site(site: Site) -> Site:
    site.commit({"app.txt": "two\n", "after": "#!/bin/sh\necho $PULLEY_PREVIOUS_COMMIT. >>ran\n"})
    return empty(site)


@pytest.fixture
def closed_site(site: Site) -> Site:
    return closed(site)


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def assert_cloned(site: Site, done: Run) -> None:
    """The whole of main is there and nothing else, the work tree is clean, the owner has it all."""
    commit = site.tip(site.upstream)
    done.must_be("updated", before=None, after=commit, upstream=commit, local_commits=0)
    done.must_be("updated", saved=None, drift=None, set_aside=None, fault=None)
    assert site.saved() == []
    assert site.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert_whole(site)
    site.pull().must_be("unchanged", before=commit, after=commit)


def assert_whole(site: Site) -> None:
    assert site.git("status", "--porcelain", "--ignored") == ""
    assert not list(site.checkout.glob(".git.*"))
    site.git("fsck", "--strict", "--no-dangling")
    assert {path.lstat().st_uid for path in site.checkout.rglob("*")} == {OWNER.pw_uid}


class TestFirstClone:
    @in_each_shell
    def test_empty_folder_of_the_owner_becomes_the_checkout(self, site: Site) -> None:
        assert_cloned(site, clone(site))
        assert (site.checkout / "app.txt").read_text() == "two\n"

    def test_steps_run_once_without_a_previous_commit(self, site: Site) -> None:
        clone(site, AfterPull="after").must_be("updated", before=None)
        clone(site, AfterPull="after").must_be("unchanged")
        assert (site.checkout / "ran").read_text() == ".\n"

    def test_next_commit_comes_as_usual(self, site: Site) -> None:
        first = clone(site).result.after
        commit = site.commit({"app.txt": "three\n"})
        clone(site).must_be("updated", before=first, after=commit)

    @pytest.mark.parametrize("update", ["reset", "rebase-to", "reset-to"])
    def test_other_ways_of_updating_clone_too(self, site: Site, update: str) -> None:
        assert_cloned(site, clone(site, Update=update, Commit=site.tip(site.upstream)))

    def test_pin_to_an_older_commit_is_cloned_detached(self, site: Site) -> None:
        older = site.git("rev-parse", "HEAD~1", cwd=site.upstream)
        done = clone(site, Update="exact", Commit=older)
        done.must_be("updated", before=None, after=older, saved=None)
        assert (site.checkout / ".git/HEAD").read_text().strip() == older
        assert_whole(site)

    @pytest.mark.parametrize("update", ["tag", "tag-to"])
    def test_tag_is_cloned_detached(self, site: Site, update: str) -> None:
        site.git("tag", "-a", "-m", "one", "v1", cwd=site.upstream)
        tagged = site.tip(site.upstream)
        site.commit({"app.txt": "three\n"})
        done = clone(site, Update=update, Branch="v1", Commit=tagged)
        done.must_be("updated", before=None, after=tagged, upstream=tagged, saved=None)
        assert_whole(site)

    def test_round_clones_and_finds_no_drift(self, site: Site) -> None:
        assert_cloned(site, clone(site, Cause="reconcile"))

    def test_failing_step_is_broken_and_is_tried_again(self, site: Site) -> None:
        site.commit({"after": "#!/bin/sh\n[ -e ready ]\n"})
        done = clone(site, AfterPull="after")
        done.must_be("broken", "no other commit was deployed here", before=None, step="after_pull")
        site.write("ready", "")
        clone(site, AfterPull="after").must_be("updated", after=site.tip(site.upstream))

    def test_checkout_that_is_there_needs_neither(self, site: Site) -> None:
        clone(site)
        site.commit({"app.txt": "three\n"})
        done = clone(site, Clone="git@example.invalid:octo/site.git", Owner="nobody-of-this-name")
        done.must_be("updated", after=site.tip(site.upstream))

    def test_address_that_the_owner_s_git_replaces_is_cloned(self, site: Site) -> None:
        settings = f'[url "file://{site.root}/"]\n\tinsteadOf = git@github.com:\n'
        file = site.write("settings", settings, where=site.root)
        parameters = given(site, Clone="git@github.com:octo/site")
        done = run(site, parameters, environ={"GIT_CONFIG_GLOBAL": str(file)})
        done.must_be("updated", before=None, after=site.tip(site.upstream))
        assert "git@github.com:octo/site" in (site.checkout / ".git/config").read_text()

    def test_two_runs_at_once_make_one_clone(self, site: Site) -> None:
        command, environ = site.command(**given(site))
        runs = [
            subprocess.Popen(command, env=environ, cwd="/", stdout=subprocess.PIPE)
            for _ in range(4)
        ]
        outputs = [run.communicate(timeout=HANG_SECONDS)[0] for run in runs]
        done = [
            held_to_contract(subprocess.CompletedProcess(command, run.returncode, output, b""))
            for run, output in zip(runs, outputs, strict=True)
        ]
        outcomes = sorted(run.result.outcome for run in done)
        assert outcomes == ["unchanged", "unchanged", "unchanged", "updated"]
        assert_whole(site)

    def test_submodule_comes_with_it(self, make_site: Callable[[str], Site]) -> None:
        site = empty(with_submodule(make_site(SHELLS[0])))
        assert_cloned(site, clone(site))
        assert (site.checkout / "part/part.txt").read_text() == "one\n"

    @pytest.mark.skipif(not shutil.which("git-lfs"), reason="takes git-lfs: install git-lfs")
    def test_lfs_object_comes_with_it(self, site: Site) -> None:
        """The host has the settings that `git lfs install --system` makes."""
        settings = site.root / "settings"
        (settings / ".git").mkdir(parents=True)
        set_up_lfs(site, settings)
        set_up_lfs(site, site.upstream)
        site.commit({".gitattributes": "*.bin filter=lfs -text\n", "a.bin": "large\n" * 1000})
        environ = {"GIT_CONFIG_GLOBAL": str(settings / ".git/config")}
        run(site, given(site), environ=environ).must_be("updated", before=None)
        assert (site.checkout / "a.bin").read_text() == "large\n" * 1000


class TestWithoutAClone:
    @pytest.mark.parametrize("update", ["check", "check-tag", "saved", "drop"])
    def test_run_that_only_looks_makes_nothing(self, site: Site, update: str) -> None:
        commit = site.tip(site.upstream)
        done = clone(site, Update=update, Commit=commit)
        done.must_be("no_checkout", "is not a git work tree", before=None, after=None)
        assert contents(site.checkout) == set()
        site.checkout.rmdir()
        done = clone(site, Update=update, Commit=commit)
        done.must_be("no_checkout", "cannot enter", "it is not cloned yet")
        assert not site.checkout.exists()

    @pytest.mark.parametrize("name", ["mine.txt", ".mine", ".git"])
    def test_folder_with_somebodys_files_is_refused(self, site: Site, name: str) -> None:
        if name == ".git":
            (site.checkout / name).symlink_to("nowhere")
            os.chown(site.checkout / name, OWNER.pw_uid, OWNER.pw_gid, follow_symlinks=False)
        else:
            site.write(name, "mine\n")
        clone(site).must_be("no_checkout", "is not a git work tree", after=None)
        assert contents(site.checkout) == {name}

    def test_address_of_another_repository_is_refused(self, site: Site) -> None:
        for address in ("git@example.invalid:octo/other", "https://example.invalid/octo/site/x"):
            clone(site, Clone=address).must_be("no_checkout", "not octo/site", fault="origin")
            assert contents(site.checkout) == set()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("Clone", value) for value in ("-x", "a b", "a;b", "a`id`", "/srv/site", "a" * 181)),
            *(("Owner", value) for value in ("", "-x", "0", "a b", "a:b", "a/b", "a" * 33)),
        ],
    )
    def test_bad_value_is_refused(self, site: Site, name: str, value: str) -> None:
        clone(site, **{name: value}).must_be("bad_parameter", name)
        assert contents(site.checkout) == set()

    def test_host_without_git_is_refused(self, site: Site) -> None:
        done = run(site, given(site), environ={"PATH": str(folder_without("git"))})
        done.must_be("no_checkout", "git: not found")
        assert contents(site.checkout) == set()


class TestHalfMade:
    """A clone whose first run ended before its work tree was there."""

    @pytest.fixture
    def half_made(self, site: Site) -> Site:
        """A site whose remote does not answer, after its first run."""
        site.upstream.rename(site.root / "away")
        done = clone(site)
        done.must_be("unreachable", "does not appear to be a git repo", before=None, after=None)
        return site

    def come_back(self, site: Site) -> None:
        (site.root / "away").rename(site.upstream)

    def test_next_run_goes_on(self, half_made: Site) -> None:
        assert {path.name for path in half_made.checkout.iterdir()} == {".git"}
        clone(half_made).must_be("unreachable", before=None, after=None)
        self.come_back(half_made)
        assert_cloned(half_made, clone(half_made))

    def test_run_without_clone_goes_on_too(self, half_made: Site) -> None:
        self.come_back(half_made)
        assert_cloned(half_made, half_made.pull())

    def test_check_says_what_a_run_would_do(self, half_made: Site) -> None:
        self.come_back(half_made)
        result = clone(half_made, Update="check").must_be("unchanged", before=None, after=None)
        assert result.found
        assert (result.found.would_update, result.found.deployed) == (True, "")
        assert (result.found.drift, result.found.unfinished) == ("", "")

    def test_missing_branch_is_named_and_can_come_later(self, site: Site) -> None:
        clone(site, Branch="dev").must_be("missing_commit", "no branch dev", after=None)
        site.git("branch", "dev", cwd=site.upstream)
        clone(site, Branch="dev").must_be("updated", before=None, after=site.tip(site.upstream))

    def test_half_made_clone_of_another_repository_is_refused(self, half_made: Site) -> None:
        half_made.git("remote", "set-url", "origin", "git@example.invalid:octo/other")
        clone(half_made).must_be("no_checkout", "origin is octo/other", fault="origin")

    def test_file_that_somebody_put_there_stays(self, half_made: Site) -> None:
        half_made.write("mine.txt", "mine\n")
        half_made.write("app.txt", "mine\n")
        self.come_back(half_made)
        clone(half_made).must_be("conflict", "app.txt", before=None, after=None)
        assert (half_made.checkout / "app.txt").read_text() == "mine\n"
        (half_made.checkout / "app.txt").unlink()
        clone(half_made).must_be("updated", before=None, after=half_made.tip(half_made.upstream))
        assert (half_made.checkout / "mine.txt").read_text() == "mine\n"

    def test_branch_that_somebody_has_checked_out_meanwhile_is_updated(
        self, half_made: Site
    ) -> None:
        self.come_back(half_made)
        half_made.git("fetch", "-q")
        half_made.git("checkout", "-q", "-B", "main", "origin/main~1")
        before = half_made.head()
        clone(half_made).must_be("updated", before=before, after=half_made.tip(half_made.upstream))


class TestKilled:
    """As root the folders are missing; else there is an empty folder."""

    @pytest.fixture
    def prepared(self, make_site: Callable[..., Site]) -> Site:
        site = make_site("sh")
        site.commit({f"new/{n}.txt": f"{n}\n" * 50 for n in range(20)})
        return site

    def new_site(self, make_site: Callable[..., Site], prepared: Site, number: int) -> Site:
        site = make_site(SHELLS[number % len(SHELLS)], prepared)
        if not AS_ROOT:
            return empty(site)
        closed(site)
        return _At(site.root, site.shell)

    def assert_converged(self, site: Site, *, must_be: str = "") -> None:
        done = clone(site)
        assert done.result.outcome in {must_be or "updated", "unchanged"}, done
        # A file that git was writing when it was killed may be saved, cut off.
        done.must_be(done.result.outcome, after=site.tip(site.upstream), drift=None)
        assert_whole(site)
        assert (site.checkout / "new/7.txt").read_text() == "7\n" * 50
        clone(site).must_be("unchanged")

    def test_next_run_finishes_a_clone_that_was_killed_before_any_change(
        self, make_site: Callable[..., Site], prepared: Site
    ) -> None:
        """Before each call of a program that changes something, root's calls and the owner's."""
        programs, ended, killed = ("git", "mkdir", "chown", "mv", "rm", "find"), False, 0
        while not ended:
            site = self.new_site(make_site, prepared, killed)
            count = site.write("count", "0\n", where=site.root)
            for name in programs:
                site.tool(
                    name,
                    f"read -r n <{count}; n=$((n + 1)); echo $n >{count}\n"
                    f"[ $n -ne {killed + 1} ] || kill -9 -$PULLEY_GROUP\n"
                    f'exec {shutil.which(name)} "$@"',
                )
            ended = run_in_own_group(site, **given(site))
            for name in programs:
                (site.tools / name).unlink()
            self.assert_converged(site, must_be="unchanged" if ended else "")
            killed += not ended
        assert killed > 10

    def test_next_run_finishes_a_clone_that_was_killed_at_random_instants(
        self, make_site: Callable[..., Site], prepared: Site
    ) -> None:
        choose, killed = random.Random(5), 0  # noqa: S311 - not for secrets
        for trial in range(RANDOM_KILLS // 3):
            site = self.new_site(make_site, prepared, trial)
            for _ in range(3):  # a run that goes on may be killed as well
                killed += kill(site, choose.uniform(0.005, 0.09), **given(site))
            self.assert_converged(site)
        assert killed

    def test_edit_that_somebody_makes_after_the_kill_is_saved(
        self, make_site: Callable[..., Site], prepared: Site
    ) -> None:
        site = self.new_site(make_site, prepared, 0)
        site.tool(
            "git",
            f'{shutil.which("git")} "$@"; status=$?\n'
            'case "$*" in *no-overwrite-ignore*) kill -9 -$PULLEY_GROUP ;; esac\nexit $status',
        )
        assert not run_in_own_group(site, **given(site))
        (site.tools / "git").unlink()
        site.write("app.txt", "mine\n")
        result = clone(site).must_be("updated", before=None, after=site.tip(site.upstream))
        assert result.saved
        assert site.git("show", f"{result.saved}:app.txt") == "mine"


class _At(Site):
    """A site whose checkout is in folders that root made."""

    @property
    def checkout(self) -> Path:
        return self.root / "a/b"


@takes_root
class TestPlace:
    """Where root makes the folder, and for whom."""

    ATTACKER = pwd.getpwnam("daemon")

    def refused(self, site: Site, place: Path, *reasons: str, **more: str) -> None:
        """Nothing is made, and nobody gets a folder."""
        parameters = given(site, Checkout=str(place), **more)
        before = self.owners(site.root)
        run(site, parameters).must_be("no_checkout", *reasons, after=None)
        assert self.owners(site.root) == before

    def owners(self, folder: Path) -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.lstat().st_uid, path.lstat().st_mode)
            for path in [folder, *folder.rglob("*")]
        }

    def test_missing_folders_are_made_and_only_the_last_is_the_owners(
        self, closed_site: Site
    ) -> None:
        made = _At(closed_site.root, closed_site.shell)
        clone(made, Checkout=str(made.checkout)).must_be("updated", before=None)
        assert_whole(made)
        info, above = made.checkout.stat(), made.checkout.parent.stat()
        assert (info.st_uid, info.st_gid) == (OWNER.pw_uid, OWNER.pw_gid)
        assert (above.st_uid, stat.S_IMODE(above.st_mode)) == (0, 0o755)

    def test_empty_folder_of_roots_is_given_to_the_owner(self, closed_site: Site) -> None:
        closed_site.checkout.mkdir()
        assert_cloned(closed_site, clone(closed_site))

    def test_folder_of_roots_with_files_is_refused(self, closed_site: Site) -> None:
        closed_site.checkout.mkdir()
        (closed_site.checkout / "theirs").touch()
        self.refused(closed_site, closed_site.checkout, "make an empty folder: install -d -o ")

    def test_folder_of_another_user_is_refused(self, closed_site: Site) -> None:
        closed_site.checkout.mkdir()
        os.chown(closed_site.checkout, self.ATTACKER.pw_uid, 0)
        self.refused(closed_site, closed_site.checkout, "make an empty folder")

    @pytest.mark.parametrize(
        ("uid", "mode"), [(ATTACKER.pw_uid, 0o755), (0, 0o777), (0, 0o775), (0, 0o1777)]
    )
    def test_nothing_is_made_where_others_may_write(
        self, closed_site: Site, uid: int, mode: int
    ) -> None:
        (parent := closed_site.root / "theirs").mkdir()
        parent.chmod(mode)
        os.chown(parent, uid, self.ATTACKER.pw_gid)
        self.refused(closed_site, parent / "site", "make an empty folder")
        self.refused(closed_site, parent / "more/site", "make an empty folder")

    def test_nothing_is_made_in_a_folder_of_the_owners(self, closed_site: Site) -> None:
        """The owner could put a link there at any time."""
        (parent := closed_site.root / "mine").mkdir()
        own(parent)
        self.refused(closed_site, parent / "site", f"install -d -o {OWNER.pw_name} {parent}/site")

    @pytest.mark.parametrize("to", ["folder", "folder/missing", "missing"])
    @pytest.mark.parametrize("uid", [ATTACKER.pw_uid, OWNER.pw_uid])
    def test_planted_link_is_not_followed(self, closed_site: Site, to: str, uid: int) -> None:
        (closed_site.root / "folder").mkdir()
        link = closed_site.root / "link"
        link.symlink_to(closed_site.root / to)
        os.chown(link, uid, 0, follow_symlinks=False)
        self.refused(closed_site, link, "make an empty folder")
        self.refused(closed_site, link / "site", "make an empty folder")

    def test_link_of_the_attacker_to_an_empty_folder_of_the_owner_is_refused(
        self, closed_site: Site
    ) -> None:
        own_folder = closed_site.root / "mine"
        own_folder.mkdir()
        own(own_folder)
        link = closed_site.root / "link"
        link.symlink_to(own_folder)
        os.chown(link, self.ATTACKER.pw_uid, 0, follow_symlinks=False)
        self.refused(closed_site, link, f"the link {link} belongs to the uid")

    def test_roots_own_link_is_followed(self, closed_site: Site) -> None:
        (closed_site.root / "disk").mkdir()
        (closed_site.root / "link").symlink_to("disk")
        clone(closed_site, Checkout=f"{closed_site.root}/link/site").must_be("updated")
        assert (closed_site.root / "disk/site/app.txt").exists()

    @pytest.mark.parametrize("above", ["/etc", "/usr/lib", "/var/lib", "/root", "/var"])
    def test_nothing_is_made_where_roots_programs_look(self, site: Site, above: str) -> None:
        place = Path(above) / f"pulley-{os.getpid()}.d"
        clone(site, Checkout=str(place)).must_be("no_checkout", "make an empty folder")
        (link := site.root / "link").symlink_to(above)
        clone(site, Checkout=f"{link}/{place.name}").must_be("no_checkout")
        assert not place.exists()

    def test_unknown_owner_is_named(self, closed_site: Site) -> None:
        self.refused(closed_site, closed_site.checkout, "there is no user gone", Owner="gone")

    def test_root_is_no_owner(self, closed_site: Site) -> None:
        self.refused(closed_site, closed_site.checkout, "root can become root", Owner="root")

    @pytest.mark.parametrize("group", ["sudo", "wheel", "admin", "root"])
    def test_user_who_can_become_root_is_no_owner(self, closed_site: Site, group: str) -> None:
        closed_site.tool("id", f"echo users {group} more")
        self.refused(closed_site, closed_site.checkout, "can become root: clone")


class TestByTheOwner:
    """The script is run by the owner, and not by root."""

    def clone(self, site: Site, **more: str) -> Run:
        environ = {"HOME": str(site.root)}
        return run(site, given(site, **more), as_user=AS_OWNER, environ=environ)

    def test_owner_makes_missing_folders(self, site: Site) -> None:
        made = _At(site.root, site.shell)
        self.clone(site, Checkout=str(made.checkout)).must_be("updated", before=None)
        assert_whole(made)

    def test_another_user_is_refused(self, site: Site) -> None:
        other = "daemon" if OWNER.pw_name != "daemon" else "nobody"
        self.clone(site, Owner=other).must_be("no_checkout", f"install -d -o {other}")
        assert contents(site.checkout) == set()
