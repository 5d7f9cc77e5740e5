"""What a caller relies on: parameters, the result line, exit codes, the lock, the owner."""

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.host.conftest import AS_OWNER, AS_ROOT, SCRIPT, SHELLS, Site, own

as_root_only = pytest.mark.skipif(not AS_ROOT, reason="becoming the owner takes root")


# Hosts have different shells, and each parses, counts, redirects and reads files in its own way.
# If only git or another tool can make a difference, one shell is enough.
in_each_shell = pytest.mark.parametrize("shell", SHELLS)


@pytest.fixture(params=SHELLS, scope="module")
def untouched(
    request: pytest.FixtureRequest, make_shared_site: Callable[[str], Site]
) -> Iterator[Site]:
    """A site for runs that are refused; at the end, nothing in it has changed."""
    site = make_shared_site(request.param)
    state = site.state()
    yield site
    assert site.state() == state


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Target", ""),
            ("Target", "We b"),
            ("Target", "-web"),
            ("Repository", "octo"),
            ("Repository", "octo/site/more"),
            ("Repository", "octo/.."),
            ("Checkout", "srv/site"),
            ("Checkout", "/srv/../etc"),
            ("Checkout", "/srv/$(touch pwned)"),
            ("Branch", "--upload-pack=touch pwned"),
            ("Branch", "-x"),
            ("Branch", "a..b"),
            ("Branch", "refs/heads/main"),
            ("Branch", "main\nmain"),
            ("Branch", "main.lock"),
            ("Branch", "a'b"),
            ("Commit", "abc"),
            ("Commit", "Z" * 40),
            ("Update", "merge"),
            ("AfterPull", "/bin/true"),
            ("AfterPull", "../true"),
            ("AfterPull", ".git/hooks/x"),
            ("AfterPull", "-x"),
            ("Restart", "a b"),
            ("Restart", "-x"),
            ("Restart", "a;b"),
            ("Restart", "a,-x"),
            ("Restart", "a,,b"),
            ("Restart", "poweroff.target"),
            ("Restart", "a.service,poweroff.target,b.service"),
            ("Restart", "a.service.mount"),
            ("HealthCheck", "file:///etc/passwd"),
            ("HealthCheck", "http://"),
            ("HealthCheck", "http://x/`id`"),
            *(
                ("Paths", value)
                for value in ("-x", "a,", ",a", "a,,b", "a,-x", ":!", ":!-x", "a,:!")
            ),
            *(
                ("Paths", value)
                for value in ("a b", "!a", "a:b", ":(top)a", ":!!a", "a!", "::!a", ":/")
            ),
            *(("Paths", value) for value in (",".join("abcdefghijk"), "[a]", "'a'", "a" * 402)),
            ("Timeout", "5"),
            ("Timeout", "010"),
            ("Timeout", "1e3"),
            ("Issued", "soon"),
            ("Cause", "spite"),
        ],
    )
    def test_bad_parameter_is_refused_before_anything_is_touched(
        self, untouched: Site, name: str, value: str
    ) -> None:
        untouched.pull(more_environ={f"SSM_{name}": value}).must_be("bad_parameter", name)
        assert not (untouched.checkout / ".git/pulley").exists()
        assert not list(untouched.root.rglob("pwned"))

    def test_exact_without_a_commit_is_refused(self, site: Site) -> None:
        assert site.pull(Update="exact").result.outcome == "bad_parameter"

    @in_each_shell
    def test_text_substitution_by_an_old_agent_works_without_environment_variables(
        self, site: Site
    ) -> None:
        commit = site.commit({"app.txt": "two\n"})
        values = {
            "Target": "web",
            "Repository": "octo/site",
            "Checkout": str(site.checkout),
            "Branch": "main",
            "Commit": commit,
            "Update": "rebase",
            "AfterPull": "",
            "Restart": "",
            "HealthCheck": "",
            "Paths": "*.txt,:!app/**",
            "Timeout": "60",
            "Issued": "1",
            "Cause": "push",
        }
        text = SCRIPT.read_text()
        for name, value in values.items():
            text = text.replace("{{ " + name + " }}", value)
        script = site.root / "_script.sh"
        script.write_text(text)
        environ = {"PATH": os.environ["PATH"]}
        assert commit_after([site.shell, str(script)], environ) == commit


class TestCheckout:
    def test_missing_folder_is_no_checkout(self, site: Site) -> None:
        site.pull(Checkout=str(site.root / "nowhere")).must_be("no_checkout", before=None)

    def test_a_folder_that_is_no_work_tree_is_no_checkout(self, site: Site) -> None:
        folder = site.checkout / "folder"  # in a work tree, but not one
        folder.mkdir()
        own(folder)
        assert site.pull(Checkout=str(folder)).result.outcome == "no_checkout"

    @in_each_shell
    def test_checkout_of_another_repository_is_no_checkout(self, site: Site) -> None:
        for url in (
            "git@github.com:octo/other.git",
            "https://someone:hunter2@github.com/octo/other",
            "ssh://git@github.com/octo/site/more",
        ):
            site.git("remote", "set-url", "origin", url)
            run = site.pull()
            run.must_be("no_checkout")
            assert "hunter2" not in run.result.detail + run.stderr

    @pytest.mark.parametrize(
        "url",
        [
            "git@127.0.0.1:Octo/Site.git",
            "ssh://git@127.0.0.1:1/octo/site.git",
            "http://someone:hunter2@127.0.0.1:1/octo/site.git/",
        ],
    )
    def test_a_remote_that_refuses_is_unreachable(self, site: Site, url: str) -> None:
        site.tool("sleep", "exit 0")
        site.git("remote", "set-url", "origin", url)
        state = site.state()
        run = site.pull()
        assert run.must_be("unreachable").detail
        assert "hunter2" not in run.result.detail + run.stderr
        assert site.state() == state

    def test_origin_that_git_rewrites_is_judged_by_the_rewritten_address(self, site: Site) -> None:
        site.tool("sleep", "exit 0")
        for written, instead, outcome in (
            ("https://github.com/octo/site", "git@127.0.0.1:octo/other", "no_checkout"),
            ("short:octo", "git@127.0.0.1:octo/site.git", "unreachable"),
        ):
            site.git("remote", "set-url", "origin", written)
            site.git("config", f"url.{instead}.insteadOf", written)
            assert site.pull().result.outcome == outcome

    def test_origin_with_two_addresses_is_no_checkout(self, site: Site) -> None:
        site.git("config", "--add", "remote.origin.url", "https://github.com/octo/site")
        state = site.state()
        site.pull().must_be("no_checkout", "more than one")
        assert site.state() == state

    def test_a_remote_that_hangs_is_unreachable_in_time(self, site: Site) -> None:
        site.tool("ssh", "exec /bin/sleep 1000")
        site.git("remote", "set-url", "origin", "git@127.0.0.1:octo/site.git")
        site.pull(Timeout="20", late=8).must_be("unreachable", "did not answer")

    def test_a_changed_host_key_is_unreachable_with_the_reason(self, site: Site) -> None:
        site.tool("sleep", "exit 0")
        site.tool(
            "ssh",
            "echo '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @' >&2\n"
            "echo 'Host key verification failed.' >&2; exit 255",
        )
        site.git("remote", "set-url", "origin", "git@127.0.0.1:octo/site.git")
        site.pull().must_be("unreachable", detail="Host key verification failed.")

    def test_ssh_runs_in_batch_mode_and_keeps_the_deploy_key(self, site: Site) -> None:
        site.tool("sleep", "exit 0")
        seen = site.write("seen", "", where=site.root)
        site.tool("ssh", f'echo "$*" >>{seen}; exit 255')
        site.git("remote", "set-url", "origin", "git@127.0.0.1:octo/site.git")
        site.git("config", "core.sshCommand", "ssh -i /etc/deploy_key")
        site.pull()
        assert "-i /etc/deploy_key" in seen.read_text()
        assert "BatchMode=yes" in seen.read_text()

    def test_a_branch_that_is_gone_is_a_missing_commit(self, site: Site) -> None:
        site.tool("sleep", "exit 0")
        site.pull(Branch="gone").must_be("missing_commit", detail="the remote has no branch gone")


class TestLock:
    @in_each_shell
    def test_a_lock_that_is_held_is_busy(self, site: Site) -> None:
        site.pull()
        with (site.checkout / ".git/pulley/lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert site.pull(Timeout="20", late=8).result.outcome == "busy"

    def test_twenty_simultaneous_runs_run_the_steps_once(self, site: Site) -> None:
        count = site.write("count", "", where=site.root)
        site.commit({"deploy/after": f"#!/bin/sh\necho $PULLEY_COMMIT >>{count}\n"})
        with ThreadPoolExecutor(20) as pool:
            runs = list(pool.map(lambda _: site.pull(AfterPull="deploy/after"), range(20)))
        outcomes = sorted(run.result.outcome for run in runs)
        assert outcomes == ["unchanged"] * 19 + ["updated"]
        assert count.read_text().count("\n") == 1

    @in_each_shell
    def test_daemon_of_a_step_blocks_neither_the_run_nor_the_lock(self, site: Site) -> None:
        daemon = site.write("daemon.pid", "", where=site.root)
        site.commit({"deploy/after": f"#!/bin/sh\nsleep 60 &\necho $! >{daemon}\n"})
        assert site.pull(AfterPull="deploy/after").result.outcome == "updated"
        site.commit({"app.txt": "three\n"})
        result = site.pull().result
        os.kill(int(daemon.read_text()), 9)
        assert result.outcome == "updated"


@in_each_shell
class TestIssued:
    def test_command_with_an_older_issued_is_superseded_and_others_run(self, site: Site) -> None:
        site.pull(Issued="999")
        for issued in ("2000", "2000", "2001", ""):
            commit = site.commit({"app.txt": f"{issued}\n"})
            site.pull(Issued=issued).must_be("updated", after=commit)
        site.commit({"app.txt": "newest\n"})
        site.pull(Issued="2000").must_be("superseded", after=commit)

    @pytest.mark.parametrize(
        ("ahead", "outcome"), [(300, "superseded"), (1200, "updated"), (10**11, "updated")]
    )
    def test_issued_from_the_future_blocks_other_commands_for_ten_minutes_at_most(
        self, site: Site, ahead: int, outcome: str
    ) -> None:
        now = int(time.time())
        assert site.pull(Issued=f"{now + ahead}999").result.outcome == "unchanged"
        site.commit({"app.txt": "two\n"})
        assert site.pull(Issued=f"{now}000").result.outcome == outcome
        assert site.pull(Issued=f"{now - 1}000").result.outcome == "superseded"


class TestOwner:
    def test_all_files_belong_to_the_owner_after_a_run(self, site: Site) -> None:
        site.commit({"app.txt": "two\n", "new/file.txt": "new\n"})
        site.pull()
        owners = {path.lstat().st_uid for path in site.checkout.rglob("*")}
        assert owners == {site.checkout.stat().st_uid}

    def test_owner_can_run_the_script_by_hand(self, site: Site) -> None:
        commit = site.commit({"app.txt": "two\n"})
        command, environ = site.command()
        assert commit_after([*AS_OWNER, *command], environ) == commit

    @as_root_only
    @in_each_shell
    def test_script_that_the_owner_may_not_read_runs(self, site: Site) -> None:
        commit = site.commit({"app.txt": "two\n"})
        closed = site.root / "closed"
        closed.mkdir(mode=0o700)
        os.chown(closed, 0, 0)
        script = closed / "_script.sh"
        script.write_text(SCRIPT.read_text())
        command, environ = site.command()
        assert commit_after([command[0], str(script)], environ) == commit

    @as_root_only
    @pytest.mark.parametrize("planted", ["lock", "deployed", "since", "run.log", "moving", "log"])
    def test_root_writes_nothing_through_a_planted_link(self, site: Site, planted: str) -> None:
        precious = Path(f"{site.root}-precious")
        precious.write_text("precious\n")
        precious.chmod(0o600)
        try:
            state = site.checkout / ".git/pulley"
            site.as_owner("mkdir", str(state))
            site.as_owner("ln", "-s", str(precious), str(state / planted))
            site.commit({"app.txt": "two\n"})
            site.pull()
            assert precious.read_text() == "precious\n"
            assert precious.stat().st_uid == 0
        finally:
            precious.unlink()

    @as_root_only
    @pytest.mark.parametrize("link_to", ["the owner's .git", "root's .git"])
    def test_checkout_replaced_by_a_link_to_roots_folder_is_refused_and_nothing_is_written(
        self, site: Site, link_to: str
    ) -> None:
        """As if root's folder were /tmp, open to all, and the checkout in its owner's home."""
        precious = make_roots_folder(site.root / "precious", 0o700) / "keys"
        precious.write_text("precious\n")
        shared = make_roots_folder(site.root / "shared", 0o1777)
        if link_to == "root's .git":
            make_roots_folder(shared / ".git", 0o777)
        site.as_owner("mkdir", "-p", str(shared / ".git/pulley"))
        for planted in ("lock", "run.log", "log"):
            site.as_owner("ln", "-s", str(precious), str(shared / ".git/pulley" / planted))
        site.as_owner("mv", str(site.checkout), f"{site.checkout}.old", cwd=site.root)
        site.as_owner("ln", "-s", str(shared), str(site.checkout), cwd=site.root)
        assert site.pull(Issued="1").result.outcome == "no_checkout"
        assert precious.read_text() == "precious\n"
        assert [path.name for path in precious.parent.iterdir()] == ["keys"]

    @as_root_only
    @pytest.mark.parametrize(
        ("program", "restart", "outcome"),
        [
            ("stat", "", "no_checkout"),
            ("getent", "", "updated"),
            ("getent", "a.service", "updated"),
        ],
    )
    def test_checkout_swapped_during_the_run_is_refused_or_the_entered_one_is_deployed(
        self, site: Site, program: str, restart: str, outcome: str
    ) -> None:
        """The swap happens when root looks up the owner's uid, or the owner's name."""
        other = site.root / "other"
        site.git("clone", "-q", str(site.upstream), str(other), cwd=site.root)
        head = other / ".git/refs/heads/main"
        if program == "stat":
            subprocess.run(["chown", "-R", "0:0", str(other)], check=True)
        commit = site.commit({"app.txt": "two\n"})
        site.tool("systemctl", "exit 0")
        site.tool(
            program,
            f"[ -L {site.checkout} ] || {{ mv {site.checkout} {site.root}/entered\n"
            f"ln -s {other} {site.checkout}; }}\n"
            f'exec {shutil.which(program)} "$@"',
        )
        assert site.pull(Restart=restart).result.outcome == outcome
        entered = site.git("rev-parse", "HEAD", cwd=site.root / "entered")
        assert (entered == commit) == (outcome == "updated")
        assert head.read_text().strip() != commit

    @as_root_only
    def test_checkout_with_another_users_git_folder_is_no_checkout(self, site: Site) -> None:
        precious = make_roots_folder(site.root / "closed", 0o700) / "precious"
        precious.write_text("precious\n")
        site.as_owner("mkdir", ".git/pulley")
        site.as_owner("ln", "-s", str(precious), ".git/pulley/run.log")
        os.chown(site.checkout, 0, 0)
        assert site.pull().result.outcome == "no_checkout"
        assert precious.read_text() == "precious\n"

    @as_root_only
    @in_each_shell
    def test_root_runs_no_program_from_the_checkout(self, site: Site) -> None:
        seen = site.write("seen", "", where=site.root)
        seen.chmod(0o666)
        for name in ("stat", "getent", "setpriv", "mktemp", "timeout", "systemctl"):
            site.write(name, f"#!/bin/sh\necho {name} >>{seen}\n")
        path = f".::{os.environ['PATH']}"
        site.pull(Restart="a.service", more_environ={"PATH": path})
        assert seen.read_text() == ""

    @as_root_only
    @in_each_shell
    def test_script_named_by_a_relative_path_runs(self, site: Site) -> None:
        commit = site.commit({"app.txt": "two\n"})
        (site.root / "pull.sh").write_text(SCRIPT.read_text())
        command, environ = site.command()
        assert commit_after([command[0], "pull.sh"], environ, cwd=site.root) == commit

    @as_root_only
    @in_each_shell
    def test_after_pull_runs_as_the_owner_and_restart_as_root(self, site: Site) -> None:
        seen = site.write("seen", "", where=site.root)
        seen.chmod(0o666)
        site.tool("systemctl", f'echo "$(id -u) $*" >>{seen}')
        site.commit({"deploy/after": f'#!/bin/sh\necho "$(id -u) $HOME" >>{seen}\n'})
        run = site.pull(AfterPull="deploy/after", Restart="a.service,b@1.service")
        assert run.result.outcome == "updated"
        home = "/nonexistent"
        assert seen.read_text().splitlines() == [
            f"65534 {home}",
            "0 reload-or-restart -- a.service b@1.service",
        ]


def commit_after(command: list[str], environ: dict[str, str], cwd: Path = Path("/")) -> object:
    """Run the script with this command; returns the commit that it ended at."""
    done = subprocess.run(command, env=environ, cwd=cwd, capture_output=True, check=True)
    return json.loads(done.stdout)["after"]


def make_roots_folder(folder: Path, mode: int) -> Path:
    """Make a folder that belongs to root."""
    folder.mkdir()
    os.chown(folder, 0, 0)
    folder.chmod(mode)
    return folder


def test_a_run_starts_few_processes(make_site: Callable[[str], Site]) -> None:
    """With nothing new, it starts six programs at most, git fetch's children not counted."""
    site = make_site("dash")
    site.pull(Issued="1")
    log = site.root / "strace.log"
    command, environ = site.command(Issued="2")
    if subprocess.run(["which", "strace"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not installed")
    subprocess.run(
        [*AS_OWNER, "strace", "-f", "-qq", "-e", "trace=execve", "-o", str(log), *command],
        env=environ,
        check=True,
        capture_output=True,
    )
    started = [line for line in log.read_text().splitlines() if line.endswith("= 0")]
    ours = [line for line in started if "git-core" not in line and "upload-pack" not in line]
    assert len(ours) <= 6, "\n".join(started)
