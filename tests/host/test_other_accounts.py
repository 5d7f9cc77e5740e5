"""What an account on the host cannot do through root's run to other users and to root's shell.

The attacker is daemon; the checkout is root's, or of the user nobody.
"""

import os
import pty
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.conftest import AS_ROOT, OWNER, Site, held_to_contract
from tests.host.test_processes import is_alive
from tests.host.test_root import RootSite, first_root_site, give, running_in  # noqa: F401 - a fixture
from tests.host.test_root import site as root_site  # noqa: F401 - a fixture
from tests.processes import HANG_SECONDS

pytestmark = pytest.mark.skipif(not AS_ROOT, reason="takes root")
ATTACKER = pwd.getpwnam("daemon")


@pytest.fixture
def attackers(site: Site) -> Path:
    """A folder that the attacker owns."""
    (folder := site.root / "attackers").mkdir()
    return give(folder, ATTACKER.pw_uid)


def link(path: Path, target: str | Path, uid: int) -> Path:
    path.symlink_to(target)
    return give(path, uid)


class TestLinksToAnothersCheckout:
    """Who makes the link would choose in which of the owner's checkouts root deploys."""

    def test_link_of_the_attacker_is_refused(self, site: Site, attackers: Path) -> None:
        site.commit({"new": "new\n"})
        theirs = link(attackers / "site", site.checkout, ATTACKER.pw_uid)
        result = site.pull(Checkout=str(theirs)).result
        assert result.outcome == "no_checkout"
        assert f"the link {theirs} belongs to the uid {ATTACKER.pw_uid}" in result.detail
        assert f"chown -h root {theirs}" in result.detail
        assert not (site.checkout / "new").exists()

    def test_link_through_proc_is_refused(self, site: Site) -> None:
        theirs = link(site.root / "site", f"/proc/self/root{site.checkout}", OWNER.pw_uid)
        result = site.pull(Checkout=str(theirs)).result
        assert (result.outcome, "through /proc" in result.detail) == ("no_checkout", True)

    def test_link_that_a_folder_replaces_during_the_check_is_refused(
        self, site: Site, attackers: Path
    ) -> None:
        theirs = link(attackers / "site", site.checkout, ATTACKER.pw_uid)
        swap = f"[ ! -L {theirs} ] || {{ rm {theirs}; mkdir {theirs}; }}"
        site.tool("stat", f'case $4 in /) {swap} ;; esac\nexec {shutil.which("stat")} "$@"')
        result = site.pull(Checkout=str(theirs)).result
        assert (result.outcome, "elsewhere by now" in result.detail) == ("no_checkout", True)

    @pytest.mark.parametrize("uid", [0, OWNER.pw_uid])
    @pytest.mark.parametrize("mode", [0o700, 0o770])
    def test_link_that_others_may_replace_is_refused(
        self, site: Site, attackers: Path, uid: int, mode: int
    ) -> None:
        site.commit({"new": "new\n"})
        made = link(attackers / "site", site.checkout, uid)
        attackers.chmod(mode)
        if mode == 0o770:
            os.chown(attackers, 0, ATTACKER.pw_gid)
        result = site.pull(Checkout=str(made)).result
        assert (result.outcome, (site.checkout / "new").exists()) == ("no_checkout", False)
        assert f"others own {attackers} or may write to it" in result.detail

    @pytest.mark.parametrize("uid", [0, OWNER.pw_uid])
    def test_link_of_root_or_of_the_owner_is_followed(self, site: Site, uid: int) -> None:
        site.commit({"new": "new\n"})
        result = site.pull(Checkout=str(link(site.root / "site", "checkout", uid))).result
        assert (result.outcome, (site.checkout / "new").exists()) == ("updated", True)


def test_process_whose_name_forges_another_process_gets_no_bystander_killed(
    site: Site, attackers: Path
) -> None:
    """What follows a line break in its name looks like another process in /proc/PID/stat."""
    site.write("child", "", where=site.root)
    wait = f"until [ -e {attackers}/forged ]; do sleep 0.02; done"
    site.commit({"after": f"#!/bin/sh\nsleep 60 &\necho $! >{site.root}/child\n{wait}\nexit 1\n"})
    command, environ = site.command(AfterPull="after")
    become = ("setpriv", f"--reuid={OWNER.pw_uid}", "--clear-groups", "--")
    bystander = subprocess.Popen([*become, "sleep", "600"])
    run = subprocess.Popen(
        command, env=environ, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        child = _read_when_written(site.root / "child")
        for pid in (child, str(bystander.pid)):
            shutil.copy(str(shutil.which("sleep")), attackers / f"x\n{pid} (a")
        script = f'for one in "{attackers}"/x*; do "$one" 60 & done; : >{attackers}/forged'
        become = ("setpriv", f"--reuid={ATTACKER.pw_uid}", "--clear-groups", "--")
        subprocess.run([*become, "setsid", "sh", "-c", script], check=True)
        stdout, stderr = run.communicate(timeout=HANG_SECONDS)
        done = subprocess.CompletedProcess(command, run.returncode, stdout, stderr)
        assert held_to_contract(done).result.step == "after_pull"
        assert bystander.poll() is None
        assert not is_alive(int(child))
    finally:
        subprocess.run(["pkill", "-U", str(ATTACKER.pw_uid), "-f", str(attackers)], check=False)
        bystander.kill()
        bystander.wait()


def test_process_with_a_line_break_in_its_name_is_ended_with_its_step(site: Site) -> None:
    name = site.root / "x\ny"
    shutil.copy(str(shutil.which("sleep")), name)
    start = f"env -i '{name}' 60 &\necho $! >{site.root}/child"
    site.write("child", "", where=site.root)
    site.commit({"after": f"#!/bin/sh\n{start}\nexit 1\n"})
    assert site.pull(AfterPull="after").result.step == "after_pull"
    assert not is_alive(int((site.root / "child").read_text()))


def _read_when_written(path: Path) -> str:
    deadline = time.monotonic() + HANG_SECONDS
    while not path.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text().strip()


class TestRootsCheckout:
    @pytest.fixture
    def precious(self, root_site: RootSite) -> Iterator[Path]:  # noqa: F811 - the fixture above
        """A file of root to which links in the checkout point. Nothing must write to it."""
        assert root_site.deploy().result.outcome == "updated"
        (path := root_site.root / "precious").write_text("precious\n")
        yield path
        assert path.read_text() == "precious\n"

    def test_root_does_not_roll_back_through_a_folder_that_a_step_gave_away(
        self,
        root_site: RootSite,  # noqa: F811 - the fixture above
    ) -> None:
        (folder := root_site.upstream / "web").mkdir()
        (folder / "page").write_text("one\n")
        root_site.root_git("add", "web", where=root_site.upstream)
        root_site.root_git("commit", "-qm", "one", where=root_site.upstream)
        assert root_site.deploy().result.outcome == "updated"
        (folder / "page").write_text("two\n")
        after = root_site.upstream / "after"
        after.write_text(f"#!/bin/sh\nchown {ATTACKER.pw_uid} web\nexit 1\n")
        root_site.root_git("commit", "-qam", "two", where=root_site.upstream)
        result = root_site.pull(AfterPull="after", Issued="2").result
        assert result.outcome == "broken"
        assert "others own web or may write to it" in result.detail
        assert (root_site.checkout / "web/page").read_text() == "two\n"

    @pytest.mark.parametrize("status", [0, 1])
    @pytest.mark.parametrize("opened", [".", ".git", ".git/pulley"])
    def test_root_writes_nothing_after_a_step_opened_the_checkout(
        self,
        root_site: RootSite,  # noqa: F811 - the fixture above
        precious: Path,
        opened: str,
        status: int,
    ) -> None:
        plant = (
            f"for one in begun step kept log failed; do ln -sf {precious} .git/pulley/$one; done"
        )
        after = root_site.upstream / "after"
        after.write_text(f"#!/bin/sh\n{plant}\nchmod 777 {opened}\nexit {status}\n")
        root_site.root_git("commit", "-qam", "two", where=root_site.upstream)
        result = root_site.pull(AfterPull="after", Issued="2").result
        assert (result.outcome, result.step) == ("broken", "after_pull")
        assert "others" in result.detail

    def test_root_writes_nothing_after_a_unit_opened_the_checkout_in_the_health_check(
        self,
        root_site: RootSite,  # noqa: F811 - the fixture above
        precious: Path,
    ) -> None:
        root_site.tool("curl", f"ln -sf {precious} .git/pulley/failed; chmod 777 .; exit 22")
        root_site.root_git("commit", "-q", "--allow-empty", "-m", "two", where=root_site.upstream)
        url = "http://127.0.0.1:1/"
        result = root_site.pull(Issued="2", HealthCheck=url, Timeout="20").result
        assert (result.outcome, result.step) == ("broken", "health_check")
        assert "others" in result.detail

    def test_setuid_git_of_another_user_does_not_keep_the_checkout_busy(
        self,
        root_site: RootSite,  # noqa: F811 - the fixture above
    ) -> None:
        shutil.copy(str(shutil.which("sleep")), git := root_site.root / "git")
        git.chmod(0o4755)
        with running_in(git, root_site.checkout, ATTACKER.pw_uid):
            assert root_site.deploy(timeout="25").result.outcome == "updated"


class TestRootsShell:
    def test_run_with_roots_terminal_on_stderr_is_refused(self, site: Site) -> None:
        command, environ = site.command()
        master, terminal = pty.openpty()
        done = subprocess.run(
            command, env=environ, cwd="/", stdout=subprocess.PIPE, stderr=terminal, check=False
        )
        os.close(terminal)
        os.close(master)
        done.stderr = b""
        result = held_to_contract(done).result
        assert (result.outcome, "add 2>&1 | cat" in result.detail) == ("no_checkout", True)

    def test_open_files_of_the_caller_are_closed_for_steps(self, site: Site) -> None:
        site.commit({"after": "#!/bin/sh\nls -l /proc/self/fd >&2\nexit 1\n"})
        command, environ = site.command(AfterPull="after")
        (secret := site.root / "secret-of-root").write_text("secret\n")
        opened = ["sh", "-c", f'exec 5<{secret} 7<{secret} 8>>{secret}; exec "$@"', "sh", *command]
        done = subprocess.run(opened, env=environ, cwd="/", capture_output=True, check=False)
        assert held_to_contract(done).result.step == "after_pull"
        log = (site.checkout / ".git/pulley/run.log").read_text()
        assert " -> " in log
        assert "secret-of-root" not in log

    def test_owners_process_can_ask_root_for_two_restarts_at_most(self, site: Site) -> None:
        """The owner's code may have taken over that process, so root counts the restarts."""
        ask = f"echo restart 0 >&4; read -r answer <&5; echo $answer >>{site.root}/answers"
        answers = f"for one in 1 2 3 4; do {ask}; done; echo exit 0 >&4"
        site.tool("setpriv", f'case "$*" in *" -c :") ;; *) {answers} ;; esac')
        site.tool("timeout", f'echo "$*" >>{site.root}/restarts')
        command, environ = site.command(Restart="site.service")
        subprocess.run(command, env=environ, cwd="/", capture_output=True, check=False)
        asked = (site.root / "restarts").read_text().splitlines()
        assert asked == ["--foreground -k 5 60 systemctl reload-or-restart -- site.service"] * 2
        assert (site.root / "answers").read_text().split() == ["0", "0", "1", "1"]


def test_relative_library_paths_of_root_are_unset(site: Site) -> None:
    """Root enters the checkout, so "." would be a folder of the owner's."""
    names = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT")
    shown = " ".join(f"${{{name}-unset}}" for name in names)
    site.tool("stat", f'echo "{shown}" >>{site.root}/seen\nexec {shutil.which("stat")} "$@"')
    site.pull(more_environ=dict.fromkeys(names, ":")).must_be("unchanged")
    assert set((site.root / "seen").read_text().splitlines()) == {"unset unset unset"}
