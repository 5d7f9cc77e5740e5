"""No user becomes root: root stays root only in its own closed checkout.

Each test is an attack, or a permitted case that resembles one. The attacker is the user nobody;
root's checkout is below a folder that root alone may write to, as /srv on a host.
"""

import ctypes
import errno
import os
import pty
import pwd
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from chalicelib.core.units import MACHINE_UNIT_PREFIXES, MACHINE_UNITS
from tests.host.conftest import AS_OWNER, AS_ROOT, SHELLS, Run, Site, held_to_contract
from tests.host.programs import folder_without

as_root_only = pytest.mark.skipif(not AS_ROOT, reason="takes root")

ATTACKER = pwd.getpwnam("nobody")
GIT = shutil.which("git")
SEEN = Path(f"/var/lib/pulley-root-seen-{os.getpid()}")
ANOTHER = pwd.getpwnam("daemon")


@dataclass(frozen=True)
class RootSite(Site):
    """A site that root owns. Its after_pull writes down the uid that runs it."""

    @property
    def seen(self) -> Path:
        return SEEN

    def root_git(self, *arguments: str, where: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=where or self.checkout,
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def deploy(
        self, checkout: Path | None = None, *, update: str = "rebase", timeout: str = "600"
    ) -> Run:
        return self.pull(
            Checkout=str(checkout or self.checkout),
            AfterPull="after",
            Issued="1",
            Update=update,
            Timeout=timeout,
        )

    def ran_as(self) -> set[str]:
        return set(self.seen.read_text().split())

    def traces(self) -> dict[str, tuple[int, ...]]:
        """Inode, owner, mode, size and time of each file of root's checkout."""
        return {
            str(path): (info.st_ino, info.st_uid, info.st_mode, info.st_size, info.st_mtime_ns)
            for path in self.checkout.rglob("*")
            for info in [path.lstat()]
        }


@pytest.fixture(scope="module")
def first_root_site(first_site: Site) -> Iterator[RootSite]:
    """Root's checkout, with a lock that a run would remove and a commit that it would deploy."""
    with copied_by_root(first_site) as site:
        subprocess.run(["chown", "-R", "0:0", site.root], check=True)
        site.tools.mkdir(exist_ok=True)
        after = site.upstream / "after"
        after.write_text(f"#!/bin/sh\nid -u >>{SEEN}\n")
        after.chmod(0o755)
        site.root_git("add", "after", where=site.upstream)
        site.root_git("commit", "-qm", "after", where=site.upstream)
        (site.checkout / ".git/index.lock").touch()
        yield site
    SEEN.unlink()


@pytest.fixture
def site(first_root_site: RootSite) -> Iterator[RootSite]:
    SEEN.write_text("")
    SEEN.chmod(0o666)
    with copied_by_root(first_root_site) as site:
        yield site


@contextmanager
def copied_by_root(like: Site) -> Iterator[RootSite]:
    root = Path(tempfile.mkdtemp(prefix="pulley-root-", dir="/var/lib"))
    root.chmod(0o755)
    subprocess.run(["cp", "-a", f"{like.root}/.", root], check=True)
    site = RootSite(root, "dash")
    config = site.checkout / ".git/config"
    config.write_text(config.read_text().replace(str(like.root), str(root)))
    yield site
    shutil.rmtree(root)


def give(path: Path, uid: int = ATTACKER.pw_uid) -> Path:
    subprocess.run(["chown", "-hR", f"{uid}:{ATTACKER.pw_gid}", path], check=True)
    return path


def folder_of_attacker(site: RootSite, name: str = "attacker") -> Path:
    (site.root / name).mkdir()
    return give(site.root / name)


def checkout_of_attacker(site: RootSite, where: Path) -> Path:
    """A checkout with its own upstream, and with a program that a fetch would run."""
    upstream = where.parent / "octo/site"
    shutil.copytree(site.upstream, upstream)
    shutil.copytree(site.checkout, where)
    (where / ".git/index.lock").unlink()
    config = where / ".git/config"
    text = config.read_text().replace(str(site.upstream), str(upstream))
    program = f"id -u >>{site.seen}; git-upload-pack"
    config.write_text(text + f'[remote "origin"]\n\tuploadpack = "{program}"\n')
    give(where.parent)
    return where


@as_root_only
class TestFoldersOfTheRepository:
    """The owner of one can redirect git's writes, or give a submodule other settings."""

    @pytest.fixture
    def plugin(self, site: RootSite) -> Path:
        (site.upstream / "web/plugin").mkdir(parents=True)
        (site.upstream / "web/plugin/job").write_text("one\n")
        site.root_git("add", "web", where=site.upstream)
        site.root_git("commit", "-qm", "plugin", where=site.upstream)
        assert site.deploy().result.outcome == "updated"
        site.seen.write_text("")
        return site.checkout / "web/plugin"

    @pytest.mark.parametrize("given", ["web", "web/plugin"])
    def test_root_refuses_if_another_user_owns_a_tracked_folder(
        self, site: RootSite, plugin: Path, given: str
    ) -> None:
        assert plugin.is_dir()
        give(site.checkout / given)
        site.root_git("commit", "-q", "--allow-empty", "-m", "next", where=site.upstream)
        site.deploy().must_be("no_checkout", f"others own {given} ")
        assert site.ran_as() == set()

    def test_root_refuses_a_commit_with_files_in_another_users_folder(
        self, site: RootSite, plugin: Path
    ) -> None:
        assert plugin.is_dir()
        (site.checkout / "uploads").mkdir()
        give(site.checkout / "uploads")
        assert site.deploy().result.outcome == "unchanged"
        (site.upstream / "uploads").mkdir()
        (site.upstream / "uploads/job").write_text("one\n")
        site.root_git("add", "uploads", where=site.upstream)
        site.root_git("commit", "-qm", "uploads", where=site.upstream)
        before = site.root_git("rev-parse", "HEAD")
        site.deploy().must_be("no_checkout", after=before)

    @pytest.mark.parametrize("is_committed", [False, True])
    def test_root_refuses_if_its_staged_or_committed_file_is_in_another_users_folder(
        self, site: RootSite, plugin: Path, *, is_committed: bool
    ) -> None:
        assert plugin.is_dir()
        before = site.root_git("rev-parse", "HEAD")
        (site.checkout / "uploads").mkdir()
        (site.checkout / "uploads/job").write_text("one\n")
        site.root_git("add", "uploads")
        if is_committed:  # and HEAD is not on the branch: a pin, say
            site.root_git("commit", "-qm", "local")
            site.root_git("checkout", "-q", "--detach", before)
            (site.checkout / "uploads").mkdir()
        give(site.checkout / "uploads")
        site.root_git("commit", "-q", "--allow-empty", "-m", "next", where=site.upstream)
        site.deploy().must_be("no_checkout", "others own uploads ", after=before)

    def test_root_refuses_if_another_user_owns_a_folder_in_a_submodule(
        self, site: RootSite
    ) -> None:
        part = site.root / "octo/part"
        subprocess.run(["cp", "-a", site.upstream, part], check=True)
        allowed = ["-c", "protocol.file.allow=always"]
        site.tool("git", f'exec {shutil.which("git")} {" ".join(allowed)} "$@"')
        for arguments in (
            ["submodule", "--quiet", "add", str(part), "part"],
            ["commit", "-qm", "s"],
        ):
            site.root_git(*allowed, *arguments, where=site.upstream)
        assert site.deploy().result.outcome == "updated"
        (site.checkout / "part/uploads").mkdir()
        give(site.checkout / "part/uploads")
        site.deploy().must_be("no_checkout", "others own ./part/uploads ")


@as_root_only
class TestClosedCheckout:
    @pytest.mark.parametrize("shell", SHELLS)
    def test_in_a_closed_checkout_root_deploys_as_root(self, site: RootSite, shell: str) -> None:
        name = shell
        if shell == "busybox":
            name = str(site.tools / "sh")
            Path(name).symlink_to(str(shutil.which(shell)))
        site = RootSite(site.root, name)
        assert site.deploy().result.outcome == "updated"
        assert site.ran_as() == {"0"}
        assert site.pull(AfterPull="after", Issued="2").result.outcome == "unchanged"

    @pytest.mark.parametrize("target", ["checkout", "../{}/checkout", "{}/./link2"])
    def test_root_deploys_through_its_own_links_in_closed_folders(
        self, site: RootSite, target: str
    ) -> None:
        (site.root / "link2").symlink_to("checkout")
        link = site.root / "link"
        link.symlink_to(target.format(site.root if "link2" in target else site.root.name))
        assert site.deploy(link).result.outcome == "updated"
        assert site.ran_as() == {"0"}

    def test_root_deploys_in_a_linked_work_tree(self, site: RootSite) -> None:
        (site.checkout / ".git/index.lock").unlink()
        site.root_git("checkout", "-q", "-b", "side")
        site.root_git("worktree", "add", "-q", str(site.root / "linked"), "main")
        assert site.deploy(site.root / "linked").result.outcome == "updated"
        assert site.ran_as() == {"0"}

    def test_root_makes_releases_of_its_own(self, site: RootSite) -> None:
        def deploy() -> Run:
            return site.pull(AfterPull="after", Releases="3")

        deploy().must_be("updated")
        assert site.ran_as() == {"0"}
        deploy().must_be("unchanged")
        release = (site.checkout / "current").resolve()
        assert release.stat().st_uid == 0
        give(release / "app.txt")
        give(release)
        site.root_git("commit", "-q", "--allow-empty", "-m", "next", where=site.upstream)
        deploy().must_be("no_checkout", "others own")
        assert (site.checkout / "current").resolve() == release

    def test_root_writes_no_release_where_another_may_write(self, site: RootSite) -> None:
        (site.checkout / "releases").mkdir()
        give(site.checkout / "releases")
        site.pull(Releases="3").must_be("no_checkout", "others own")
        assert list((site.checkout / "releases").iterdir()) == []

    def test_root_makes_nothing_in_shared(self, site: RootSite) -> None:
        (site.checkout / "shared").mkdir()
        (site.root / "elsewhere").mkdir()
        (site.checkout / "shared/var").symlink_to(site.root / "elsewhere")
        give(site.checkout / "shared")
        site.pull(Releases="3,var/log/").must_be("conflict", "var/log/ is missing in shared")
        assert list((site.root / "elsewhere").iterdir()) == []

    @pytest.mark.parametrize(
        ("folder", "mode", "outcome"),
        [
            (".", 0o700, "updated"),
            (".git", 0o700, "updated"),
            (".", 0o775, "no_checkout"),
            (".", 0o1777, "no_checkout"),
            (".git", 0o757, "no_checkout"),
            (".git", 0o720, "no_checkout"),
            (".git/pulley", 0o770, "no_checkout"),
            (".git/config", 0o664, "no_checkout"),
            ("..", 0o775, "no_checkout"),
            ("..", 0o757, "no_checkout"),
            ("..", 0o1777, "updated"),
        ],
    )
    def test_checkout_is_refused_if_others_may_write_to_a_folder_in_or_above_it(
        self, site: RootSite, folder: str, mode: int, outcome: str
    ) -> None:
        (site.checkout / ".git/pulley").mkdir(mode=0o700)
        place = Path(os.path.normpath(site.checkout / folder))
        place.chmod(mode)
        before = site.traces()
        result = site.deploy().must_be(outcome)
        if outcome == "no_checkout":
            assert str(place.relative_to(site.checkout.parent.parent)) in result.detail
            assert "go-w" in result.detail
            assert str(place) in result.detail
            assert (site.traces(), site.ran_as()) == (before, set())


@as_root_only
class TestAttacks:
    """No code of the repository runs as root, and root's repository stays unchanged."""

    @pytest.fixture(autouse=True)
    def assert_roots_repository_is_unchanged(self, site: RootSite) -> Iterator[None]:
        before = site.traces()
        yield
        if site.checkout.is_dir():
            assert site.traces() == before
        assert "0" not in site.ran_as()

    def test_parent_folder_of_the_attacker_is_refused(self, site: RootSite) -> None:
        os.chown(site.root, ATTACKER.pw_uid, 0)
        result = site.deploy().result
        os.chown(site.root, 0, 0)
        assert result.outcome == "no_checkout"
        assert f"{site.root} belongs to the uid {ATTACKER.pw_uid}" in result.detail
        assert f"chown -h root {site.root};" in result.detail

    @pytest.mark.parametrize("target", ["{}/checkout", "../checkout", "{}/attacker/second"])
    def test_attackers_link_to_roots_checkout_is_refused(self, site: RootSite, target: str) -> None:
        attacker = folder_of_attacker(site)
        link = attacker / "site"
        link.symlink_to(target.format(site.root))
        (attacker / "second").symlink_to(site.checkout)
        give(attacker)
        site.deploy(link).must_be("no_checkout", f"{attacker} belongs")

    def test_attackers_link_in_a_closed_folder_is_refused(self, site: RootSite) -> None:
        link = site.root / "site"
        link.symlink_to("checkout")
        give(link)
        site.deploy(link).must_be("no_checkout", f"{link} belongs")

    def test_roots_link_through_an_attackers_folder_is_refused(self, site: RootSite) -> None:
        attacker = folder_of_attacker(site)
        (attacker / "x").symlink_to("../checkout")
        (site.root / "site").symlink_to("attacker/x")
        site.deploy(site.root / "site").must_be("no_checkout", f"{attacker} belongs")

    @pytest.mark.parametrize("way", ["cwd", "root"])
    def test_attackers_link_through_proc_to_roots_checkout_is_refused(
        self, site: RootSite, way: str
    ) -> None:
        attacker = folder_of_attacker(site)
        sleep = subprocess.Popen([*AS_OWNER, "sleep", "60"], cwd=site.checkout)
        try:
            rest = {"cwd": "cwd", "root": f"root{site.checkout}"}[way]
            (attacker / "site").symlink_to(f"/proc/{sleep.pid}/{rest}")
            assert site.deploy(attacker / "site").result.outcome == "no_checkout"
        finally:
            sleep.kill()
            sleep.wait()

    def test_roots_link_through_proc_is_refused(self, site: RootSite) -> None:
        (site.root / "site").symlink_to(f"/proc/self/root{site.checkout}")
        site.deploy(site.root / "site").must_be("no_checkout", "through /proc")

    @pytest.mark.parametrize("folder_is", [0, ATTACKER.pw_uid])
    def test_git_directory_that_is_a_link_is_refused(self, site: RootSite, folder_is: int) -> None:
        folder = site.root / "site"
        folder.mkdir()
        (folder / ".git").symlink_to(site.checkout / ".git")
        give(folder, folder_is)
        assert site.deploy(folder).result.outcome == "no_checkout"

    def test_link_to_roots_git_directory_in_roots_folder_is_refused(self, site: RootSite) -> None:
        folder = site.root / "site"
        folder.mkdir()
        (folder / ".git").symlink_to("../checkout/.git")
        site.deploy(folder).must_be("no_checkout", ".git is a link")

    @pytest.mark.parametrize("kind", ["absolute", "relative", "common"])
    def test_git_file_that_points_to_the_attackers_repository_is_refused(
        self, site: RootSite, kind: str
    ) -> None:
        where = checkout_of_attacker(site, folder_of_attacker(site) / "site")
        folder = site.root / "site"
        folder.mkdir()
        shutil.copy(where / "app.txt", folder)
        there = {"absolute": str(where / ".git"), "relative": "../attacker/site/.git"}.get(
            kind, "../dir"
        )
        (folder / ".git").write_text(f"gitdir: {there}\n")
        if kind == "common":
            (site.root / "dir").mkdir()
            shutil.copy(where / ".git/HEAD", site.root / "dir")
            (site.root / "dir/commondir").write_text("../attacker/site/.git\n")
        site.deploy(folder).must_be("no_checkout", "attacker belongs to")

    def test_racing_renames_leave_roots_checkout_unchanged(self, site: RootSite) -> None:
        """In a folder of the attacker, the attacker can rename root's checkout too."""
        attacker = folder_of_attacker(site)
        checkout_of_attacker(site, attacker / "his")
        shutil.copytree(site.checkout, attacker / "roots", copy_function=shutil.copy2)
        before = snapshot(attacker / "roots")
        turn = "mv -T {0} site && mv -T site {0}"
        loop = f"while :; do {turn.format('roots')}; {turn.format('his')}; done"
        race = subprocess.Popen(
            [*AS_OWNER, "sh", "-c", loop], cwd=attacker, stderr=subprocess.DEVNULL, process_group=0
        )
        try:
            for _ in range(50 if "PULLEY_KILLS" in os.environ else 25):
                site.deploy(attacker / "site", timeout="20")
        finally:
            os.killpg(race.pid, signal.SIGKILL)
            race.wait()
        (roots,) = (path for path in attacker.iterdir() if path.stat().st_uid == 0)
        assert snapshot(roots) == before


class Fuse:
    """A FUSE file system of the attacker: a folder and .git, which pretend to have any owner."""

    def __init__(self, folder: Path, owner: int) -> None:
        self.folder, self.owner = folder, owner
        self.device = os.open("/dev/fuse", os.O_RDWR)
        options = (
            f"fd={self.device},rootmode=40000,user_id={ATTACKER.pw_uid},"
            f"group_id={ATTACKER.pw_gid},allow_other"
        )
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"fuse", str(folder).encode(), b"fuse.lies", 6, options.encode()):
            os.close(self.device)
            pytest.skip(f"no FUSE here: {os.strerror(ctypes.get_errno())}")
        threading.Thread(target=self._answer, daemon=True).start()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def _answer(self) -> None:
        with suppress(OSError):  # until it is unmounted
            while request := os.read(self.device, 1 << 17):
                _, code, unique = struct.unpack_from("<IIQ", request)
                error, body = self._answer_to(code, request[40:])
                if code not in {2, 42}:  # FORGET, BATCH_FORGET
                    head = struct.pack("<IiQ", 16 + len(body), error, unique)
                    os.write(self.device, head + body)

    def _answer_to(self, code: int, body: bytes) -> tuple[int, bytes]:
        attributes = struct.pack("<QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, *[0] * 3, 0o40755, 2,
                                 self.owner, 0, 0, 4096, 0)  # fmt: skip
        if code == 26:  # INIT
            return 0, struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0, *[0] * 7)
        if code == 1 and body == b".git\0":  # LOOKUP
            return 0, struct.pack("<QQQQII", 2, 0, 0, 0, 0, 0) + attributes
        if code == 3:  # GETATTR
            return 0, struct.pack("<QII", 0, 0, 0) + attributes
        if code == 27:  # OPENDIR
            return 0, struct.pack("<QII", 0, 0, 0)
        if code in {28, 29}:  # READDIR, RELEASEDIR
            return 0, b""
        return -(errno.ENOENT if code == 1 else errno.ENOSYS), b""


@as_root_only
@pytest.mark.parametrize("owner", [0, ANOTHER.pw_uid])
def test_fuse_file_system_that_another_user_mounted_is_refused(site: RootSite, owner: int) -> None:
    folder = site.root / "mounted"
    folder.mkdir()
    fuse = Fuse(folder, owner)
    try:
        assert {folder.stat().st_uid, (folder / ".git").stat().st_uid} == {owner}
        result = site.deploy(folder).result
    finally:
        fuse.close()
    assert result.outcome == "no_checkout"
    assert f"a file system that the uid {ATTACKER.pw_uid} mounted (FUSE)" in result.detail


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {
        str(path.relative_to(folder)): (info.st_ino, info.st_uid, info.st_mtime_ns)
        for path in folder.rglob("*")
        for info in [path.lstat()]
    }


@as_root_only
class TestContentOfTheGitDirectory:
    @pytest.mark.parametrize(
        "place", ["config", "HEAD", "objects/info", "refs/heads/main", "pulley", "pulley/lock"]
    )
    def test_file_or_folder_of_another_user_is_refused(self, site: RootSite, place: str) -> None:
        (site.checkout / ".git/pulley").mkdir()
        (site.checkout / ".git/pulley/lock").touch()
        os.chown(site.checkout / ".git" / place, ATTACKER.pw_uid, 0)
        before = site.traces()
        site.deploy().must_be("no_checkout", f"/.git/{place}", "chown -R root")
        assert (site.traces(), site.ran_as()) == (before, set())

    @pytest.mark.parametrize("place", ["pulley", "pulley/lock", "objects/info"])
    def test_link_is_refused(self, site: RootSite, place: str) -> None:
        precious = site.root / "precious"
        precious.mkdir()
        link = site.checkout / ".git" / place
        link.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            shutil.rmtree(link)
        link.symlink_to(precious)
        site.deploy().must_be("no_checkout", f"/.git/{place} is a link")
        assert not list(precious.iterdir())

    @pytest.mark.parametrize("uid", [0, ATTACKER.pw_uid])
    @pytest.mark.parametrize("relative", ["", "relative"])
    def test_alternate_object_folders_must_belong_to_root(
        self, site: RootSite, uid: int, relative: str
    ) -> None:
        other = site.root / "other"
        shutil.copytree(site.checkout / ".git/objects", other / "objects")
        first = "../../../other/objects" if relative else str(other / "objects")
        (site.checkout / ".git/objects/info/alternates").write_text(f"# a comment\n{first}\n")
        nested = site.root / "nested"
        nested.mkdir()
        (other / "objects/info/alternates").write_text(f"{nested}\n")
        give(nested, uid)
        result = site.deploy().must_be("no_checkout" if uid else "updated")
        assert (f"{nested} belongs" in result.detail) == bool(uid)

    def test_alternates_that_form_a_loop_are_refused(self, site: RootSite) -> None:
        objects = site.checkout / ".git/objects"
        (objects / "info/alternates").write_text(f"{objects}\n")
        assert site.deploy().result.outcome == "no_checkout"

    @pytest.mark.parametrize(
        ("place", "outcome"), [("bin", "no_checkout"), ("bin/after", "broken")]
    )
    def test_root_runs_no_after_pull_that_another_user_may_write(
        self, site: RootSite, place: str, outcome: str
    ) -> None:
        (site.upstream / "bin").mkdir()
        shutil.copy(site.upstream / "after", site.upstream / "bin/after")
        site.root_git("add", "bin", where=site.upstream)
        site.root_git("commit", "-qm", "bin", where=site.upstream)
        assert site.pull(Issued="1").result.outcome == "updated"
        os.chown(site.checkout / place, ATTACKER.pw_uid, 0)
        site.pull(AfterPull="bin/after", Issued="2").must_be(outcome, f"others own {place}")
        assert site.ran_as() == set()


@contextmanager
def user_namespace(script: str, cwd: Path, uid: int = ATTACKER.pw_uid) -> Iterator[int]:
    """A process of an unprivileged user. It is root in its own namespace and mounts there."""
    process = subprocess.Popen(
        [
            *("setpriv", f"--reuid={uid}", f"--regid={ATTACKER.pw_gid}", "--clear-groups", "--"),
            *("unshare", "-Urm", "sh", "-ec", f"{script}\necho ready\nexec sleep 60"),
        ],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if said != "ready\n":
            pytest.skip(f"the kernel allows no mounts in a user namespace: {said.strip()}")
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@as_root_only
class TestMountNamespaces:
    """In an own namespace, the attacker mounts what looks like another user's, and links to it."""

    @pytest.fixture(params=[0, ANOTHER.pw_uid])
    def victim(self, request: pytest.FixtureRequest) -> int:
        return int(request.param)

    @pytest.mark.parametrize("through", ["root", "cwd"])
    @pytest.mark.parametrize("planted", ["lock", "run.log", "config"])
    def test_attackers_overlay_with_another_users_top_folder_is_refused(
        self, site: RootSite, tmp_path: Path, victim: int, planted: str, through: str
    ) -> None:
        precious = site.root / "precious"
        precious.write_text("precious\n")
        give(precious, victim)
        empty = site.root / "empty"
        empty.mkdir()
        give(empty, victim)
        attacker = folder_of_attacker(site)
        his = checkout_of_attacker(site, attacker / "his")
        state = his / ".git/pulley"
        state.mkdir()
        if planted != "config":
            (state / planted).symlink_to(precious)
        give(his)
        overlay = "mount -t overlay overlay -o lowerdir={}:{} {}"
        script = "\n".join(
            [
                "mkdir m",
                overlay.format(empty, "his", "m"),
                overlay.format(empty, "his/.git", "m/.git"),
                *(f"mount --bind his/.git/{name} m/.git/{name}" for name in ("refs", "objects")),
                "cd m",
            ]
        )
        with user_namespace(script, attacker) as pid:
            rest = {"root": f"root{attacker}/m", "cwd": "cwd"}[through]
            link = attacker / "site"
            link.symlink_to(f"/proc/{pid}/{rest}")
            for place in (link, link / ".git"):
                assert place.stat().st_uid == victim
            result = site.deploy(link, timeout="20").result
        assert result.outcome == "no_checkout"
        assert site.ran_as() <= {str(ATTACKER.pw_uid)}
        assert precious.read_text() == "precious\n"
        words = "belongs to the uid" if victim == 0 else "may replace the link"
        assert words in result.detail

    def test_attackers_bind_mount_over_a_file_of_another_users_checkout_is_refused(
        self, site: RootSite, victim: int
    ) -> None:
        """Each folder on the path has the host's inode; only a file in one of them has another."""
        attacker = folder_of_attacker(site)
        his = checkout_of_attacker(site, attacker / "his")
        give(site.checkout, victim)
        before = site.traces()
        script = f"mount --bind {his}/.git/config {site.checkout}/.git/config"
        with user_namespace(script, attacker) as pid:
            link = attacker / "site"
            link.symlink_to(f"/proc/{pid}/root{site.checkout}")
            assert "id -u" in (link / ".git/config").read_text()
            result = site.deploy(link).result
        assert result.outcome == "no_checkout"
        assert (site.traces(), site.ran_as()) == (before, set())

    def test_attackers_bind_mount_of_an_own_checkout_is_refused(self, site: RootSite) -> None:
        attacker = folder_of_attacker(site)
        checkout_of_attacker(site, attacker / "his")
        with user_namespace("mkdir m; mount --bind his m", attacker) as pid:
            (attacker / "site").symlink_to(f"/proc/{pid}/root{attacker}/m")
            result = site.deploy(attacker / "site").result
        assert (result.outcome, "through /proc" in result.detail) == ("no_checkout", True)

    def test_bind_mount_of_the_host_is_accepted(self, site: RootSite) -> None:
        mounted = site.root / "mounted"
        mounted.mkdir()
        mount = ["mount", "--bind", str(site.root), str(mounted)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("takes the right to mount")
        try:
            assert site.deploy(mounted / "checkout").result.outcome == "updated"
        finally:
            subprocess.run(["umount", str(mounted)], check=True)


@as_root_only
class TestRemoteIsCheckedFirst:
    @pytest.mark.parametrize("owner", [0, ATTACKER.pw_uid])
    @pytest.mark.parametrize("update", ["rebase", "reset", "check"])
    def test_checkout_of_another_repository_stays_unchanged(
        self, site: RootSite, owner: int, update: str
    ) -> None:
        state = site.checkout / ".git/pulley"
        state.mkdir(mode=0o700)
        for name in ("run.log", "lock", "log"):
            (state / name).write_text("0\n")
        site.root_git("config", "remote.origin.url", "https://github.com/octo/other.git")
        give(site.checkout, owner)
        before = site.traces()
        site.deploy(update=update).must_be(
            "no_checkout", detail="origin is octo/other, not octo/site"
        )
        assert site.traces() == before

    def test_check_writes_nothing_after_a_run(self, site: RootSite) -> None:
        assert site.deploy().result.outcome == "updated"
        before = site.traces()
        assert site.deploy(update="check").result.outcome == "unchanged"
        assert site.traces() == before


@as_root_only
class TestWhatRootCannotList:
    """Root treats what it cannot list as another user's."""

    @pytest.fixture
    def uploads(self, site: RootSite) -> Path:
        assert site.deploy().result.outcome == "updated"
        site.seen.write_text("")
        (site.checkout / "uploads").mkdir()
        return site.checkout / "uploads"

    def test_another_users_folder_is_refused_if_a_file_name_is_not_utf_8(
        self, site: RootSite, uploads: Path
    ) -> None:
        Path(os.fsdecode(os.fsencode(uploads) + b"/\xff")).write_text("staged\n")
        site.root_git("add", "uploads")
        give(uploads)
        site.root_git("commit", "-q", "--allow-empty", "-m", "next", where=site.upstream)
        run = site.pull(AfterPull="after", Issued="2", more_environ={"LANG": "C.UTF-8"})
        run.must_be("no_checkout", "others own uploads ")
        assert site.ran_as() == set()

    def test_root_refuses_a_host_without_xargs(self, site: RootSite, uploads: Path) -> None:
        (uploads / "job").write_text("staged\n")
        site.root_git("add", "uploads")
        give(uploads)
        site.root_git("commit", "-q", "--allow-empty", "-m", "next", where=site.upstream)
        path = {"PATH": str(folder_without("xargs"))}
        site.pull(AfterPull="after", Issued="2", more_environ=path).must_be("no_checkout", "xargs")
        assert site.ran_as() == set()

    def test_root_refuses_if_git_cannot_list_local_commits(
        self, site: RootSite, uploads: Path
    ) -> None:
        give(uploads)
        fails = 'case " $* " in *" log "*) exit 128 ;; esac'
        site.before_git(fails)
        site.root_git("commit", "-q", "--allow-empty", "-m", "next", where=site.upstream)
        site.deploy().must_be("no_checkout", "cannot list")
        assert site.ran_as() == set()

    def test_half_made_submodule_in_another_users_folder_is_not_removed(
        self, site: RootSite, uploads: Path
    ) -> None:
        """A link to root's work tree replaces it, and root would remove that work tree's .git."""
        victim = site.root / "victim"
        site.root_git("worktree", "add", "-q", str(victim), "-b", "victim")
        (uploads / "mine").mkdir()
        (uploads / "mine/.git").write_text("gitdir: /nowhere/.git/modules/mine\n")
        give(uploads)
        swap = f"mv mine ../was; ln -s {victim} mine"
        site.tool("git", f'cd ../../uploads 2>/dev/null && {{ {swap}; exit 1; }}\nexec {GIT} "$@"')
        modules = '[submodule "part"]\n\tpath = part\n\turl = /nowhere\n'
        (site.upstream / ".gitmodules").write_text(modules)
        site.root_git("add", ".gitmodules", where=site.upstream)
        link = f"160000,{site.root_git('rev-parse', 'HEAD')},part"
        site.root_git("update-index", "--add", "--cacheinfo", link, where=site.upstream)
        site.root_git("commit", "-qm", "part", where=site.upstream)
        assert site.deploy().result.step == "submodules"
        assert (victim / ".git").exists()


@as_root_only
@pytest.mark.parametrize("has_setpriv", [True, False])
def test_owners_code_has_no_controlling_terminal(
    make_site: Callable[[str], Site], *, has_setpriv: bool
) -> None:
    site = make_site("dash")
    if not has_setpriv:
        site.tool("setpriv", "exit 1")
    site.commit({"after": "#!/bin/sh\n! (: </dev/tty)\n"})
    command, environ = site.command(AfterPull="after")
    master, terminal = pty.openpty()
    by_hand = 'exec 0<>"$0" && exec setsid -c "$@"'
    done = subprocess.run(
        ["sh", "-c", by_hand, os.ttyname(terminal), *command],
        env=environ,
        cwd="/",
        capture_output=True,
        check=False,
    )
    os.close(master)
    os.close(terminal)
    assert held_to_contract(done).result.outcome == "updated"


@as_root_only
class TestRunningGit:
    @pytest.fixture
    def git(self, tmp_path: Path, site: RootSite) -> Path:
        """A program called git that only sleeps."""
        return Path(shutil.copy(str(shutil.which("sleep")), site.root / "git"))

    @pytest.fixture
    def waits(self, site: RootSite) -> Path:
        """A file with a line for each second that the script waited for another git."""
        waits = site.root / "waits"
        waits.touch()
        waits.chmod(0o666)
        site.tool("sleep", f'echo "$@" >>{waits}\nexec {shutil.which("sleep")} "$@"')
        return waits

    @pytest.mark.parametrize(
        ("uid", "outcome"), [(ATTACKER.pw_uid, "updated"), (ANOTHER.pw_uid, "updated"), (0, "busy")]
    )
    def test_only_roots_git_keeps_roots_checkout_busy(
        self, site: RootSite, git: Path, waits: Path, uid: int, outcome: str
    ) -> None:
        with running_in(git, site.checkout, uid):
            result = site.deploy(timeout="25").result
        assert result.outcome == outcome, result.detail
        assert (site.checkout / ".git/index.lock").exists() == (outcome == "busy")
        assert bool(waits.read_text()) == (outcome == "busy")

    @pytest.mark.parametrize("uid", [ATTACKER.pw_uid, 0])
    def test_run_in_a_users_checkout_waits_for_the_owners_and_for_roots_git(
        self, site: RootSite, git: Path, waits: Path, uid: int
    ) -> None:
        give(site.checkout)
        give(site.upstream)
        with running_in(git, site.checkout, uid):
            site.deploy(timeout="25")
        assert waits.read_text()


@contextmanager
def running_in(program: Path, where: Path, uid: int) -> Iterator[None]:
    process = subprocess.Popen(
        ["setpriv", f"--reuid={uid}", "--clear-groups", "--", str(program), "60"], cwd=where
    )
    try:
        while Path(f"/proc/{process.pid}/comm").read_text() != "git\n":
            time.sleep(0.01)
        yield
    finally:
        process.kill()
        process.wait()


class TestUnits:
    def test_units_of_the_machine_are_refused(self, make_site: Callable[[str], Site]) -> None:
        site = make_site("dash")
        words = "Restart takes no unit that stops the machine, isolates it or opens a root shell: "
        for unit in (
            *("rescue.service", "rescue.timer", "rescue@a.service", "a.service,debug-shell"),
            *("initrd-switch-root.service", "dracut-emergency", "systemd-poweroff@x.y.service"),
        ):
            named = unit.rpartition(",")[2]
            site.pull(Restart=unit).must_be("bad_parameter", detail=words + named)

    def test_script_refuses_the_same_units_as_the_operators_file(
        self, make_site: Callable[[str], Site]
    ) -> None:
        site = make_site("dash")
        names = [*MACHINE_UNITS, *(f"{prefix}a" for prefix in MACHINE_UNIT_PREFIXES)]
        for name in names:
            assert site.pull(Restart=name).result.outcome == "bad_parameter", name
        script = (Path(__file__).parents[2] / "pulley/host/parameters.sh").read_text()
        case = script[script.index("case ${name%%@*} in") :].split(" in", 1)[1].split(")", 1)[0]
        assert set(re.split(r"[|\\\s]+", case.strip())) == {
            *MACHINE_UNITS,
            *(f"{prefix}*" for prefix in MACHINE_UNIT_PREFIXES),
        }

    def test_unit_with_a_similar_name_is_restarted(self, make_site: Callable[[str], Site]) -> None:
        site = make_site("dash")
        site.tool("systemctl", "exit 0")
        for unit in (
            "rescue-boat.service",
            "my-emergency",
            "rescue.timer.service",
            "reboots@1.timer",
        ):
            site.pull(Restart=unit).must_be("updated")

    @as_root_only
    @pytest.mark.parametrize("unit", ["{}.service", "{}", "{}@a.service"])
    @pytest.mark.parametrize("template", ["", "@"])
    def test_alias_of_a_unit_of_the_machine_is_refused(
        self, make_site: Callable[[str], Site], unit: str, template: str
    ) -> None:
        folder = Path("/etc/systemd/system")
        if not folder.is_dir():
            pytest.skip("systemd is not installed")
        name = f"pulley-test-{os.getpid()}"
        alias = folder / f"{name}{template}.service"
        alias.symlink_to("/lib/systemd/system/debug-shell.service")
        try:
            result = make_site("dash").pull(Restart=unit.format(name)).result
        finally:
            alias.unlink()
        refused = bool(template) == ("@" in unit)
        assert (result.outcome == "bad_parameter") == refused
        assert ("opens a root shell" in result.detail) == refused
