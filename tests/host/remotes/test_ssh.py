"""OpenSSH's own client and server, with real keys: faults are reported with ssh's messages."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.host.conftest import AS_OWNER, OWNER, Run, Site, own
from tests.host.remotes.connections import Port
from tests.host.remotes.news import assert_updated, commit_large
from tests.host.remotes.processes import left_by_runs
from tests.host.remotes.sshd import Sshd, needs_sshd, serving
from tests.host.test_processes import wait_for

pytestmark = needs_sshd
TRIES = 4
AssertUnreachable = Callable[[Run, str], None]


@pytest.fixture
def sshd(site: Site) -> Iterator[Sshd]:
    with serving(site) as sshd:
        yield sshd


@pytest.fixture
def commit(site: Site, sshd: Sshd) -> str:
    return commit_large(site, 1_000_000)


def test_a_host_with_a_deploy_key_is_updated(site: Site, sshd: Sshd, commit: str) -> None:
    assert_updated(site, commit)
    assert sshd.connections.count == 1


def test_first_clone_waits_half_made_until_the_key_is_let_in(site: Site, sshd: Sshd) -> None:
    address, command = (site.git("config", key) for key in ("remote.origin.url", "core.sshCommand"))
    settings = site.write("settings", f"[core]\n\tsshCommand = {command}\n", where=site.root)
    shutil.rmtree(site.checkout)
    site.checkout.mkdir()
    own(site.checkout)
    sshd.make_key("deploy_key")

    def clone() -> Run:
        environ = {"GIT_CONFIG_GLOBAL": str(settings)}
        return site.pull(Clone=address, Owner=OWNER.pw_name, more_environ=environ)

    clone().must_be("unreachable", "Permission denied (publickey).", before=None, after=None)
    assert [path.name for path in site.checkout.iterdir()] == [".git"]
    sshd.authorize("deploy_key")
    clone().must_be("updated", before=None, after=site.tip(site.upstream))


class TestKeys:
    def test_unknown_host_key_is_unreachable_and_not_recorded(
        self, site: Site, sshd: Sshd, commit: str, assert_unreachable: AssertUnreachable
    ) -> None:
        (sshd.folder / "known_hosts").unlink()
        assert_unreachable(site.pull(), "Host key verification failed.")
        assert not (sshd.folder / "known_hosts").exists()
        sshd.know_host()
        assert_updated(site, commit)

    def test_changed_host_key_is_unreachable(
        self, site: Site, sshd: Sshd, commit: str, assert_unreachable: AssertUnreachable
    ) -> None:
        sshd.make_key("host_key")
        run = site.pull()
        assert_unreachable(run, "Host key verification failed.")
        assert "has changed" in run.stderr
        sshd.know_host()
        assert_updated(site, commit)

    def test_refused_deploy_key_is_unreachable_after_all_tries(
        self, site: Site, sshd: Sshd, commit: str, assert_unreachable: AssertUnreachable
    ) -> None:
        sshd.make_key("deploy_key")
        assert_unreachable(site.pull(), "Permission denied (publickey).")
        assert sshd.connections.count == TRIES
        sshd.authorize("deploy_key")
        assert_updated(site, commit)

    def test_ssh_command_of_the_environment_overrides_that_of_the_checkout(
        self, site: Site, sshd: Sshd, commit: str, assert_unreachable: AssertUnreachable
    ) -> None:
        site.git("config", "core.sshCommand", "ssh -F /dev/null")
        assert_unreachable(site.pull(), "Host key verification failed.")
        more = {"GIT_SSH_COMMAND": f"ssh -F {sshd.folder}/config"}
        site.pull(more_environ=more).must_be("updated", after=commit)


class TestConnection:
    def use_silent_port(self, site: Site, sshd: Sshd, port: int, *options: str) -> None:
        site.git("remote", "set-url", "origin", f"ssh://git@127.0.0.1:{port}/octo/site")
        site.git(
            "config", "core.sshCommand", " ".join(["ssh", "-F", f"{sshd.folder}/config", *options])
        )

    def test_silent_connection_is_given_up_by_ssh(
        self, site: Site, sshd: Sshd, commit: str, assert_unreachable: AssertUnreachable
    ) -> None:
        with Port(say_nothing) as port:
            # ssh uses the first of two values: the owner's limit can be shorter than the script's.
            self.use_silent_port(site, sshd, port.number, "-o ConnectTimeout=1")
            assert_unreachable(site.pull(), "timed out")
            assert port.count == TRIES
        sshd.configure_owner()
        assert_updated(site, commit)

    def test_silent_connection_is_given_up_at_the_time_limit(
        self, site: Site, sshd: Sshd, commit: str, assert_unreachable: AssertUnreachable
    ) -> None:
        with Port(say_nothing) as port:
            self.use_silent_port(site, sshd, port.number)
            run = site.pull(Timeout="20", late=9)
            assert_unreachable(run, "the remote did not answer within 1 seconds")
        sshd.configure_owner()
        assert_updated(site, commit)

    def test_connection_that_is_always_cut_in_the_pack_is_unreachable(
        self, site: Site, sshd: Sshd, commit: str, assert_unreachable: AssertUnreachable
    ) -> None:
        sshd.cuts = [300_000] * TRIES
        run = site.pull()
        assert_unreachable(run, "early EOF")
        assert "closed by remote host" in run.stderr
        assert not sshd.cuts
        assert_updated(site, commit)

    def test_connection_that_is_cut_once_is_retried(
        self, site: Site, sshd: Sshd, commit: str
    ) -> None:
        sshd.cuts = [300_000]
        assert_updated(site, commit)
        assert sshd.connections.count == 2


def say_nothing(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


class TestControlPersist:
    """The owner's master connection outlives the run that made it, as the owner configured."""

    @pytest.fixture(autouse=True)
    def control_path(self, site: Site, sshd: Sshd) -> Iterator[Path]:
        path = sshd.folder / "master"
        sshd.configure_owner("ControlMaster auto", f"ControlPath {path}", "ControlPersist yes")
        yield path
        if path.exists():
            site.as_owner("ssh", "-F", str(sshd.folder / "config"), "-O", "exit", "any")
        wait_for(lambda: not left_by_runs(site))

    def test_master_connection_blocks_neither_run_nor_lock_and_serves_the_next_run(
        self, site: Site, sshd: Sshd, commit: str
    ) -> None:
        assert site.pull().result.outcome == "updated"
        assert list(left_by_runs(site).values()) == ["ssh"]
        lock = site.checkout / ".git/pulley/lock"
        subprocess.run([*AS_OWNER, "flock", "-n", lock, "true"], check=True)
        newer = site.commit({"app.txt": "three\n"})
        site.pull().must_be("updated", after=newer)
        assert sshd.connections.count == 1

    def test_master_connection_that_was_cut_is_made_again(
        self, site: Site, sshd: Sshd, commit: str
    ) -> None:
        assert site.pull().result.outcome == "updated"
        sshd.connections.cut()
        newer = site.commit({"app.txt": "three\n"})
        site.pull().must_be("updated", after=newer)
        assert sshd.connections.count == 2

    def test_master_connection_of_a_fetch_that_timed_out_serves_the_next_run(
        self, site: Site, sshd: Sshd, commit: str
    ) -> None:
        state = site.state()
        forced = (sshd.folder / "forced").read_text()
        site.write("ssh/forced", "#!/bin/sh\nexec cat >/dev/null\n", where=site.root)
        run = site.pull(Timeout="20", late=8)
        assert (run.result.outcome, site.state()) == ("unreachable", state)
        assert list(left_by_runs(site).values()) == ["ssh"]
        site.write("ssh/forced", forced, where=site.root)
        site.pull().must_be("updated", after=commit)
        assert sshd.connections.count == 1
