"""after_pull, restart and health_check: in order, reported, and rolled back if one fails."""

import http.server
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from chalicelib.core.results import parse_result
from tests.host.conftest import AS_ROOT, Site, held_to_contract, run_in_own_group
from tests.host.test_host import run_without
from tests.processes import HANG_SECONDS

AFTER = "deploy/after"


def after_pull(site: Site, *lines: str) -> str:
    """Commit an after_pull that writes its commit to `seen` and then runs the lines."""
    told = "$PULLEY_TARGET $PULLEY_COMMIT ${PULLEY_PREVIOUS_COMMIT:--} $PULLEY_CAUSE"
    script = "\n".join(
        [
            "#!/bin/sh",
            f'echo "{told}" >>../seen',
            *lines,
        ]
    )
    return site.commit({AFTER: script + "\n"})


def seen(site: Site) -> list[list[str]]:
    return [line.split() for line in (site.root / "seen").read_text().splitlines()]


@pytest.fixture
def health() -> Iterator[Callable[[int], str]]:
    """Serves an address that answers with the given status."""
    servers = []

    def serve(status: int) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/health"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


class TestAfterPull:
    def test_after_pull_gets_commits_and_cause_and_runs_once_for_a_commit(self, site: Site) -> None:
        first = after_pull(site)
        site.pull(AfterPull=AFTER, Cause="push")
        second = site.commit({"app.txt": "two\n"})
        site.pull(AfterPull=AFTER, Cause="reconcile")
        site.pull(AfterPull=AFTER).must_be("unchanged")
        assert seen(site) == [["web", first, "-", "push"], ["web", second, first, "reconcile"]]

    def test_after_pull_runs_if_the_steps_changed(self, site: Site) -> None:
        after_pull(site)
        site.pull()
        assert site.pull(AfterPull=AFTER).result.outcome == "updated"
        assert len(seen(site)) == 1

    def test_output_stays_out_of_the_result_and_is_logged_on_the_host(self, site: Site) -> None:
        after_pull(site, 'echo "{}"', "echo oops >&2")
        run = site.pull(AfterPull=AFTER)
        assert "oops" in run.stderr
        assert "oops" in (site.checkout / ".git/pulley/log").read_text()

    def test_end_of_a_long_output_reaches_the_agent(self, site: Site) -> None:
        after_pull(site, "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i + 1)); done")
        run = site.pull(AfterPull=AFTER)
        assert "line 4999" in run.stderr
        assert len(run.stderr) < 8000

    @pytest.mark.parametrize("content", [None, "not executable\n"])
    def test_missing_or_not_executable_after_pull_is_broken(
        self, site: Site, content: str | None
    ) -> None:
        if content:
            site.commit({AFTER: content})
        site.pull(AfterPull=AFTER).must_be("broken", "not an executable file", step="after_pull")

    def test_long_reason_with_quotes_and_a_secret_fits_the_result_without_the_secret(
        self, site: Site
    ) -> None:
        reason = r"""printf 'ä"\\ https://me:hunter2@host/x %0400d' 7 | tr 0 '"'"""
        site.commit({AFTER: f"#!/bin/sh\n{reason}\necho; echo; exit 3\n"})
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        result = site.pull(AfterPull=AFTER, Target="a" * 50).must_be(
            "broken", "exit code 3", step="after_pull", attempt=1
        )
        assert "hunter2" not in result.detail

    def test_log_stays_bounded_with_very_long_output(self, site: Site) -> None:
        after_pull(site, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end; exit 3")
        for _ in range(3):
            site.pull(AfterPull=AFTER)
        state = site.checkout / ".git/pulley"
        assert "the end" in (state / "log").read_text()
        assert (state / "log").stat().st_size < 3_000_000
        assert (state / "log.1").stat().st_size < 3_000_000

    def test_after_pull_that_deletes_the_state_folder_is_deployed_once(self, site: Site) -> None:
        after_pull(site, "rm -rf .git/pulley")
        assert site.pull(AfterPull=AFTER).result.outcome == "updated"
        assert site.pull(AfterPull=AFTER).result.outcome == "unchanged"

    @pytest.mark.parametrize("line", ["rm -rf .git", "rm -rf .git/pulley; echo >.git/pulley"])
    def test_after_pull_that_destroys_the_checkout_is_broken(self, site: Site, line: str) -> None:
        after_pull(site, line)
        assert site.pull(AfterPull=AFTER).result.outcome == "broken"

    @pytest.mark.parametrize("restart", ["", "a.service"])
    def test_after_pull_that_kills_the_run_is_reported_as_broken(
        self, site: Site, restart: str
    ) -> None:
        if not AS_ROOT:
            pytest.skip("root tells")
        after_pull(site, "read -r _ _ _ parent _ </proc/$PPID/stat; kill -9 $parent")
        site.pull(AfterPull=AFTER, Restart=restart).must_be("broken", "killed")

    def test_signal_during_after_pull_is_in_the_result(self, site: Site) -> None:
        after_pull(site, "read -r _ _ _ parent _ </proc/$PPID/stat; kill -TERM $parent")
        site.pull(AfterPull=AFTER).must_be("broken", "signal", step="after_pull")
        assert site.pull(AfterPull=AFTER, Timeout="20").result.outcome == "broken"  # it runs again


class TestSignal:
    @pytest.mark.parametrize("restart", ["", "a.service"])
    @pytest.mark.parametrize("has_setpriv", [True, False])  # else runuser, which reports less
    def test_signal_to_the_whole_group_ends_in_one_result_line(
        self, site: Site, restart: str, *, has_setpriv: bool
    ) -> None:
        site.tool("systemctl", "exit 0")
        if not has_setpriv:
            site.tool("setpriv", "exit 1")
        after_pull(site, f"echo >{site.root}/begun; exec sleep 60")
        command, environ = site.command(AfterPull=AFTER, Restart=restart)
        run = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
        )
        while not (site.root / "begun").exists():
            assert run.poll() is None
        os.killpg(run.pid, signal.SIGTERM)
        stdout, stderr = run.communicate(timeout=HANG_SECONDS)
        done = subprocess.CompletedProcess(command, run.returncode, stdout, stderr)
        assert held_to_contract(done).result.detail == "stopped by a signal"


class TestMarker:
    def test_cut_off_or_nonsensical_marker_leads_to_a_new_deploy(self, site: Site) -> None:
        for marker in (
            "",
            "commit ",
            "\0\0\0",
            "commit zzz\nupstream $(id)\nslot x\n",
            f"commit {'1' * 40}\nupstream {'1' * 40}\ntarget web\nslot 9\nsteps ||\n",
            f"commit {'1' * 40} upstream {'1' * 40} target web slot 9 steps ||\n",
        ):
            site.write(".git/pulley/deployed", marker)
            commit = site.commit({"app.txt": f"{marker!r}\n"})
            site.pull().must_be("updated", after=commit)
            assert f"commit {commit}" in (site.checkout / ".git/pulley/deployed").read_text()
        site.pull().must_be("unchanged")

    def test_marker_of_release_0_2_0_is_read(self, site: Site) -> None:
        after_pull(site)
        site.pull(AfterPull=AFTER)
        head = site.head()
        lines = f"commit {head}\nupstream {head}\ntarget web\nslot 1\nsteps {AFTER}||\n"
        site.write(".git/pulley/deployed", lines)
        site.pull(AfterPull=AFTER).must_be("unchanged")
        assert seen(site) == [["web", head, "-", "manual"]]

    def test_shorter_marker_is_one_line_before_the_rest_of_the_longer(self, site: Site) -> None:
        after_pull(site)
        site.pull(AfterPull=AFTER).must_be("updated")
        site.pull()  # without steps, which makes it shorter
        head = site.head()
        marker = (site.checkout / ".git/pulley/deployed").read_text()
        line = f"commit {head} upstream {head} target web slot 1 steps ||\n"
        assert marker == line + f"{AFTER}||\n"[3:]
        site.pull(AfterPull=AFTER)
        site.pull(AfterPull=AFTER).must_be("unchanged")
        assert seen(site) == [["web", head, "-", "manual"], ["web", head, head, "manual"]]

    def test_last_ten_deployed_commits_have_a_ref(self, site: Site) -> None:
        commits = [site.commit({"app.txt": f"{n}\n"}) for n in range(12) if site.pull()]
        site.pull()
        refs = site.git("for-each-ref", "--format=%(objectname)", "refs/pulley/deployed").split()
        assert set(refs) == set(commits[-10:])


class TestRestart:
    def test_restart_runs_after_after_pull(self, site: Site) -> None:
        site.tool("systemctl", f'echo "restart $3" >>{site.root}/seen')
        (site.root / "seen").touch()
        (site.root / "seen").chmod(0o666)
        commit = after_pull(site)
        site.pull(AfterPull=AFTER, Restart="a.service")
        assert seen(site) == [["web", commit, "-", "manual"], ["restart", "a.service"]]

    def test_failing_restart_is_named_in_the_result(self, site: Site) -> None:
        site.tool("systemctl", "exit 5")
        site.pull(Restart="a.service").must_be("broken", "5", step="restart")


class TestHealthCheck:
    def test_an_answer_in_the_two_hundreds_passes(
        self, site: Site, health: Callable[[int], str]
    ) -> None:
        site.commit({"app.txt": "two\n"})
        assert site.pull(HealthCheck=health(204)).result.outcome == "updated"

    @pytest.mark.parametrize("status", [302, 500])
    def test_any_other_answer_fails_at_the_time_limit(
        self, site: Site, health: Callable[[int], str], status: int
    ) -> None:
        site.pull(HealthCheck=health(status), Timeout="20", late=7).must_be(
            "broken", str(status), step="health_check"
        )

    def test_application_that_comes_up_late_passes(self, site: Site) -> None:
        count = site.write("count", "0\n", where=site.root)
        count.chmod(0o666)
        site.tool("sleep", "exit 0")
        site.tool(
            "curl",
            f"read -r n <{count}; echo $((n + 1)) >{count}; [ $n -lt 2 ] && echo 503 || echo 200",
        )
        site.commit({"app.txt": "two\n"})
        assert site.pull(HealthCheck="http://127.0.0.1:1/").result.outcome == "updated"

    def test_host_without_curl_and_wget_is_no_checkout_and_nothing_moves(self, site: Site) -> None:
        commit = site.commit({"app.txt": "two\n"})
        command, environ = site.command(HealthCheck="http://127.0.0.1:1/")
        assert commit != site.head()
        tools = (
            "git stat getent setpriv flock timeout date cat rm mv cp mkdir head tail wc sed tr cut "
            "grep sort uniq find cmp readlink df"
        )
        for tool in tools.split():  # all that the script needs except curl and wget
            (site.tools / tool).symlink_to(str(shutil.which(tool)))
        shell = str(shutil.which(site.shell))
        if not (site.tools / "sh").exists():
            (site.tools / "sh").symlink_to(shell)
        done = subprocess.run(
            [shell, command[1]],
            env=environ | {"PATH": str(site.tools)},
            capture_output=True,
            check=False,
        )
        result = parse_result(done.stdout.decode())
        assert result.outcome == "no_checkout"
        assert "curl or wget" in result.detail
        assert commit != site.head()


class TestRollBack:
    @pytest.fixture(scope="class")
    @classmethod
    def like(cls, make_shared_site: Callable[[str], Site]) -> Site:
        """The deployed commit has an after_pull that fails if a file `bad` exists."""
        site = make_shared_site("sh")
        after_pull(site, "[ ! -e bad ]")
        site.pull(AfterPull=AFTER)
        return site

    def test_failed_step_rolls_back_to_the_last_deployed_commit_at_each_attempt(
        self, site: Site
    ) -> None:
        good, bad = site.head(), site.commit({"bad": "bad\n"})
        for attempt in (1, 2):
            site.pull(AfterPull=AFTER).must_be(
                "rolled_back", step="after_pull", after=good, upstream=bad, attempt=attempt
            )
            assert seen(site)[-1] == ["web", good, bad, "rollback"]
            assert site.head() == good
            assert not (site.checkout / "bad").exists()
            assert site.git("symbolic-ref", "HEAD") == "refs/heads/main"
        fixed = site.commit({"bad": None})
        site.pull(AfterPull=AFTER).must_be("updated", after=fixed)

    def test_failed_roll_back_is_broken(self, site: Site) -> None:
        after_pull(site, f"[ ! -e {site.root}/down ]")
        site.pull(AfterPull=AFTER)
        site.write("down", "", where=site.root)
        site.commit({"app.txt": "two\n"})
        site.pull(AfterPull=AFTER).must_be("broken", "going back", step="after_pull")

    def test_steps_of_the_deployed_commit_run_again_after_a_failed_roll_back(
        self, site: Site
    ) -> None:
        good = after_pull(site, f"[ ! -e {site.root}/down ] && cp app.txt {site.root}/built")
        site.pull(AfterPull=AFTER)
        bad = site.commit(
            {"app.txt": "two\n", AFTER: f"#!/bin/sh\ncp app.txt {site.root}/built\nexit 1\n"}
        )
        site.write("down", "", where=site.root)
        assert site.pull(AfterPull=AFTER).result.outcome == "broken"
        (site.root / "down").unlink()
        # The marker and HEAD name the good commit, but the bad commit's build is in place.
        assert (site.head(), (site.root / "built").read_text()) == (good, "two\n")
        site.pull(AfterPull=AFTER, Update="exact", Commit=good).must_be("updated", after=good)
        assert (site.root / "built").read_text() == "one\n"
        site.pull(AfterPull=AFTER, Update="exact", Commit=good).must_be("unchanged")
        assert site.git("rev-parse", "refs/remotes/origin/main") == bad

    def test_steps_of_the_deployed_commit_run_again_after_a_kill_in_the_steps(
        self, site: Site
    ) -> None:
        good = after_pull(site, f"cp app.txt {site.root}/built")
        site.pull(AfterPull=AFTER)
        killed = f"#!/bin/sh\ncp app.txt {site.root}/built\nkill -9 -$PULLEY_GROUP\n"
        site.commit({"app.txt": "two\n", AFTER: killed})
        assert not run_in_own_group(site, AfterPull=AFTER)
        assert (site.root / "built").read_text() == "two\n"
        site.pull(AfterPull=AFTER, Update="exact", Commit=good).must_be("updated", after=good)
        assert (site.root / "built").read_text() == "one\n"

    def test_roll_back_saves_a_local_commit_that_was_never_deployed_and_keeps_edits(
        self, site: Site
    ) -> None:
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.write("config.txt", "setting = 2\n")
        site.commit({"bad": "bad\n"})
        result = site.pull(AfterPull=AFTER).must_be("rolled_back")
        assert result.saved
        assert site.git("show", f"{result.saved}:local.txt") == "mine"
        assert (site.checkout / "config.txt").read_text() == "setting = 2\n"

    def test_hanging_step_is_ended_in_time_for_a_roll_back(self, site: Site) -> None:
        good = after_pull(site, "[ ! -e bad ] || exec sleep 1000")
        site.pull(AfterPull=AFTER)
        site.commit({"bad": "bad\n"})
        site.pull(AfterPull=AFTER, Timeout="20", late=5).must_be(
            "rolled_back", "longer than", after=good
        )


class TestLfs:
    def test_without_git_lfs_nothing_moves(self, site: Site) -> None:
        site.commit({"big/.gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
        state = site.state()
        run_without(site, "git-lfs").must_be("no_checkout", "git-lfs")
        assert site.state() == state

    def test_with_git_lfs_the_files_are_fetched(self, site: Site) -> None:
        site.tool("git-lfs", f'echo "$*" >>{site.root}/lfs')
        site.commit({"big/.gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
        assert site.pull().result.outcome == "updated"
        fetched = f"fetch origin {site.head()}"
        assert (site.root / "lfs").read_text().splitlines() == [fetched, "pull"]


def test_roll_back_removes_no_file_behind_a_link(site: Site) -> None:
    site.commit({"shared/a.txt": "same\n"})
    site.pull()
    kept = site.write("elsewhere/a.txt", "same\n", where=site.root)
    site.commit({"shared/a.txt": None, "after": "#!/bin/sh\nln -s ../elsewhere shared; exit 1\n"})
    site.pull(AfterPull="after")
    assert kept.read_text() == "same\n"
