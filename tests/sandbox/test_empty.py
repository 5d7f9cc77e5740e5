"""An empty sandbox, and what a person needs to set Pulley up in it."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from io import StringIO

import boto3
import pytest
import urllib3
from rich.console import Console

from pulley.sandbox import interactive
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1"], empty=True) as opened:
        yield opened


class TestEmpty:
    def test_account_stores_nothing_and_github_has_no_webhook(self, sandbox: Sandbox) -> None:
        ssm = sandbox.account.ssm
        assert ssm.describe_parameters()["Parameters"] == []
        assert (
            ssm.list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])[
                "DocumentIdentifiers"
            ]
            == []
        )
        assert sandbox.github.hooks(FULL_NAME) == []
        assert not (sandbox.directory / "webhook-secret").exists()
        assert sandbox.secret == b""

    def test_deployed_app_answers_that_the_secret_is_missing(self, sandbox: Sandbox) -> None:
        names = [
            one["FunctionName"] for one in sandbox.deployed.functions.list_functions()["Functions"]
        ]
        assert f"pulley-{STAGE}" in names
        answer = urllib3.request(
            "POST",
            sandbox.webhook.url,
            body=b"{}",
            headers={"X-GitHub-Event": "ping", "X-Hub-Signature-256": "sha256=" + "0" * 64},
        )
        assert (answer.status, answer.json()["error"]) == (503, "no webhook secret is stored")

    def test_host_is_online_with_its_checkout(self, sandbox: Sandbox) -> None:
        (machine,) = sandbox.machines
        assert machine.head() == sandbox.developer.head.commit.hexsha
        (shown,) = sandbox.account.ssm.describe_instance_information()["InstanceInformationList"]
        assert shown["PingStatus"] == "Online"

    def test_push_sends_no_command(self, sandbox: Sandbox) -> None:
        sandbox.commit({"index.html": "early\n"}, "Early")
        done = subprocess.run(
            ["git", "push", "-q"],
            cwd=sandbox.developer.working_dir,
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        assert sandbox.account.run_command.commands() == []

    def test_round_has_no_targets_and_prints_nothing(
        self, sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert sandbox.reconcile()["targets"] == 0
        assert capfd.readouterr() == ("", "")


class TestFiles:
    def test_only_the_owner_can_read_the_token(self, sandbox: Sandbox) -> None:
        file = sandbox.directory / "github-token"
        assert file.read_text() == sandbox.token == sandbox.github.token
        assert file.stat().st_mode & 0o777 == 0o600

    def test_sourced_environment_points_to_the_sandbox(self, sandbox: Sandbox) -> None:
        elsewhere = {
            "AWS_PROFILE": "production",
            "AWS_REGION": "us-east-1",
            "AWS_SESSION_TOKEN": "x",
            "GITHUB_TOKEN": "x",
            "GH_TOKEN": "x",
            "NO_PROXY": "example.com",
        }
        done = subprocess.run(
            ["sh", "-c", f". {sandbox.directory}/environment && env"],
            env=os.environ | elsewhere,
            check=True,
            capture_output=True,
            text=True,
        )
        lines = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        assert sandbox.environ.items() <= lines.items()
        assert elsewhere.keys() & lines.keys() == {"NO_PROXY"}
        assert lines["NO_PROXY"] == "127.0.0.1,example.com"

    def test_environ_names_the_account_the_stage_github_and_the_webhook(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environ = sandbox.environ
        assert environ["PULLEY_STAGE"] == STAGE
        assert environ["PULLEY_GITHUB_API"] == sandbox.github.api_url
        assert environ["PULLEY_WEBHOOK_URL"] == sandbox.webhook.url
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        client = boto3.Session().client("sts")
        assert client.get_caller_identity()["Account"] == sandbox.account.id
        client.close()


class TestOutput:
    """What `pulley sandbox` prints; tests/cli pushes to its repository."""

    @pytest.fixture
    def printed(self, sandbox: Sandbox) -> str:
        output = StringIO()
        Console(file=output, width=80).print(
            interactive._describe_empty(sandbox), markup=False, soft_wrap=True
        )
        return output.getvalue()

    def test_empty_sandbox_prints_where_to_start(self, sandbox: Sandbox, printed: str) -> None:
        assert "docs/getting-started.md" in printed
        assert f"\n  . {sandbox.directory}/environment\n" in printed
        assert f"{sandbox.directory}/github-token" in printed
        assert str(sandbox.target["health_check"]) in printed

    def test_no_secret_is_printed(self, sandbox: Sandbox, printed: str) -> None:
        assert sandbox.token not in printed
        ready = interactive._describe_ready(sandbox)
        assert sandbox.token not in ready
        assert f"\n  . {sandbox.directory}/environment\n" in ready


class TestRun:
    """Runs in this process; tests/cli starts `pulley sandbox` itself and ends it by Ctrl-C."""

    def test_rounds_of_an_empty_sandbox_print_nothing(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(interactive, "ROUND_SECONDS", 0.05)
        monkeypatch.setattr(interactive, "Sandbox", lambda *_, **__: nullcontext(sandbox))
        rounds = sandbox.directory / "reconcile.log"
        enough = rounds.read_text().count("\n") + 3

        def interrupt() -> None:
            while rounds.read_text().count("\n") < enough:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        before = {number: signal.getsignal(number) for number in ENDING}
        output = StringIO()
        thread = threading.Thread(target=interrupt, daemon=True)
        thread.start()
        try:
            interactive.run_sandbox(Console(file=output), 1, empty=True)
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
        _, ending = output.getvalue().split("Ctrl-C stops it and cleans up.\n")
        assert ending.split() == ["Cleaning", "up", "..."]
        assert capfd.readouterr() == ("", "")
