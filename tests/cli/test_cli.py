"""The demo and the sandbox, run as processes: they need no AWS account."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from pulley.cli import main
from pulley.host.document import PARAMETERS
from tests.processes import HANG_SECONDS, running

PULLEY = str(Path(sys.executable).with_name("pulley"))
# One signal for each command; `make soak` sends all. A start takes seconds.
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
ALL_SIGNALS = os.environ.get("PULLEY_SIGNALS") == "all"


def test_document_is_printed_as_ssm_takes_it() -> None:
    done = CliRunner().invoke(main, ["document"])
    assert done.exit_code == 0
    assert set(json.loads(done.stdout)["parameters"]) == set(PARAMETERS)
    assert len(done.stdout.encode()) < 64 * 1024


class TestDemo:
    """`make demo`, which .ci/run runs, tries the whole demo."""

    def test_failing_host_fails_the_demo_and_settings_of_the_shell_are_ignored(
        self, tmp_path: Path
    ) -> None:
        elsewhere = "http://127.0.0.1:9"
        environ = {
            "AWS_PROFILE": "nobody",
            "AWS_ENDPOINT_URL_SSM": elsewhere,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
            "GIT_DIR": str(tmp_path),
            "http_proxy": elsewhere,
        }
        done = subprocess.run(
            [PULLEY, "demo", "--break", "web-2"],
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
            env={**os.environ, **environ},
        )
        assert done.returncode == 1
        assert "2 of 3 hosts of web are at" in done.stdout, done.stdout + done.stderr
        assert re.search(r"web-2 .*conflict", done.stdout)

    @pytest.mark.parametrize("number", SIGNALS if ALL_SIGNALS else SIGNALS[:1])
    def test_signal_ends_the_demo_and_its_files_are_removed(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        (folder := tmp_path / "tmp").mkdir()
        with running(
            [PULLEY, "demo"], stdout=subprocess.DEVNULL, env={"TMPDIR": str(folder)}
        ) as demo:
            while not list(folder.glob("pulley-sandbox-*")) and demo.poll() is None:
                time.sleep(0.01)
            demo.send_signal(number)
            assert demo.wait(HANG_SECONDS) == 130
        assert list(folder.iterdir()) == []

    def test_an_unknown_host_is_a_wrong_command_line(self) -> None:
        done = CliRunner().invoke(main, ["demo", "--break", "nobody"])
        assert done.exit_code == 2
        assert "web-1" in done.stderr


class TestSandbox:
    def test_push_to_it_deploys_and_repeated_signals_do_not_stop_its_clean_up(
        self, tmp_path: Path
    ) -> None:
        log = tmp_path / "output"
        with (
            log.open("w") as output,
            running([PULLEY, "sandbox", "--hosts", "1"], stdout=output) as sandbox,
        ):
            clone = _wait_for(sandbox, log, r"cd (/\S+)")
            folder = Path(clone).parent
            (Path(clone) / "index.html").write_text("mine\n")
            nobody = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
            commit_it = [
                "git",
                "commit",
                "-qam",
                "Mine",
            ]  # the printed command, without a git identity
            subprocess.run(commit_it, cwd=clone, check=True, env=nobody)
            pushed = subprocess.run(
                ["git", "push"], cwd=clone, check=True, capture_output=True, text=True
            )
            assert "Pulley answered 202" in pushed.stderr
            commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=clone, text=True)
            _wait_for(sandbox, log, rf"(web-1  {commit[:7]}  updated)")
            for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP] * 300:
                sandbox.send_signal(number)
            assert sandbox.wait(HANG_SECONDS) == 0
        assert not folder.exists()

    @pytest.mark.parametrize("number", SIGNALS if ALL_SIGNALS else SIGNALS[-1:])
    def test_signal_while_it_starts_ends_it_and_its_files_are_removed(
        self, number: signal.Signals
    ) -> None:
        # Not below pytest's own folder, which the hosts' owner may not enter.
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            folder.chmod(0o755)
            command = [PULLEY, "sandbox", "--hosts", "1"]
            with running(command, stdout=subprocess.DEVNULL, env={"TMPDIR": temporary}) as sandbox:
                while not list(folder.glob("pulley-sandbox-*")) and sandbox.poll() is None:
                    time.sleep(0.01)
                sandbox.send_signal(number)
                assert sandbox.wait(HANG_SECONDS) == 0
            assert list(folder.iterdir()) == []


def _wait_for(sandbox: subprocess.Popen[str], log: Path, pattern: str) -> str:
    """Wait for this output of the sandbox. Fails if the sandbox ends before."""
    while True:
        is_over = sandbox.poll() is not None
        if found := re.search(pattern, log.read_text()):
            return found[1]
        assert not is_over, f"{pattern} did not come: {log.read_text()}"
        time.sleep(0.05)
