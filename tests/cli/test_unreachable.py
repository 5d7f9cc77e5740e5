"""If AWS cannot be reached, each command prints one line with the cause and a hint."""

import json
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner, Result

from pulley.cli import local, main
from pulley.operator.suggest import ON_A_STAGE

EXPIRED = {"__type": "ExpiredTokenException", "message": "The security token is expired"}
EXPIRED_XML = b"<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>"
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "PULLEY_WEBHOOK_URL": "https://api.example.com/dev/github",
}
TARGETS = (
    '[targets.web]\nrepository = "octo/site"\nbranch = "main"\ncheckout = "/srv/site"\n'
    'instances = { tags = { role = "web" } }\n'
)
ARGUMENTS: Mapping[str, list[str]] = {
    "targets apply": ["pulley.toml"],
    "targets launch-hook": ["web"],
    "targets host-policy": ["web"],
    "connect": ["octo/site"],
    "logs": ["web"],
    "saved": ["web"],
    "pin": ["web", "a" * 40, "--reason", "why"],
    "freeze": ["web", "--reason", "why"],
    "unpin": ["web"],
    "promote": ["web"],
    "rollback": ["web"],
    "simulate": ["push.json"],
}


class Refuses(BaseHTTPRequestHandler):
    """AWS, as it answers expired credentials."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        is_json = "X-Amz-Target" in self.headers
        body = json.dumps(EXPIRED).encode() if is_json else EXPIRED_XML
        self.send_response(400)
        self.send_header("Content-Type", "application/x-amz-json-1.1" if is_json else "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def expired() -> Iterator[str]:
    """The address of an AWS that refuses every call."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def ended() -> Iterator[str]:
    """The address of a sandbox that has ended: its port is taken, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A shell without AWS settings, in a folder with the files that the commands read."""
    monkeypatch.chdir(tmp_path)
    Path("pulley.toml").write_text(TARGETS)
    Path("push.json").write_text(json.dumps({"repository": {"full_name": "octo/site"}}))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in ("PROFILE", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "PULLEY_STAGE", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    config = tmp_path / "config"
    config.write_text("[profile prod]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


def run(command: str, *options: str, **environ: str) -> Result:
    arguments = [*command.split(), *ARGUMENTS.get(command, []), *options]
    done = CliRunner().invoke(main, arguments, env=environ)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def said(done: Result) -> str:
    """The only line printed by a command that failed."""
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("command", ON_A_STAGE)
class TestEveryCommand:
    def test_sandbox_that_has_ended_is_named(self, ended: str, command: str) -> None:
        done = run(command, **KEYS, AWS_ENDPOINT_URL=ended)
        words = done.stdout if command == "doctor" else said(done)  # its table has the words
        assert done.exit_code == 1
        assert f"the sandbox at {ended} has ended" in words
        assert "start another one (pulley sandbox)" in words
        assert "open a new shell: this one has the sandbox's addresses and keys" in words

    def test_unknown_profile_is_answered_with_the_nearest_name(self, command: str) -> None:
        words = said(run(command, "--profile", "prdo"))
        assert words == (
            "Error: AWS's configuration has no profile prdo (did you mean prod?); there is prod\n"
        )

    def test_expired_credentials_give_the_hint_to_sign_in(self, expired: str, command: str) -> None:
        done = run(command, **KEYS, AWS_ENDPOINT_URL=expired)
        if command == "doctor":  # its table has the words
            assert done.exit_code == 1
            assert "the credentials have expired: sign in again" in done.stdout
        else:
            assert "(ExpiredTokenException): the credentials have expired: sign in" in said(done)


class TestProfile:
    def test_unknown_profile_of_the_environment_is_refused(self) -> None:
        words = said(run("status", AWS_PROFILE="nobody"))
        assert words == "Error: AWS's configuration has no profile nobody; there is prod\n"

    def test_without_any_profile_the_command_that_makes_one_is_named(self) -> None:
        words = said(run("status", AWS_PROFILE="prod", AWS_CONFIG_FILE="/dev/null"))
        assert words.endswith("has no profile prod, nor any other: aws configure makes one\n")


class TestWithoutSettings:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ([], "there is no region: set AWS_DEFAULT_REGION, or give --region"),
            (
                ["--region", "eu-west-1"],
                "there are no credentials: set AWS_PROFILE, or run aws configure",
            ),
        ],
    )
    def test_missing_region_or_credentials_give_one_line(
        self, options: list[str], words: str
    ) -> None:
        assert said(run("status", *options)).endswith(f": {words}\n")

    def test_doctor_reports_missing_credentials_as_its_only_failure(self) -> None:
        done = run("doctor", "--region", "eu-west-1")
        assert done.exit_code == 1
        assert "there are no credentials: set AWS_PROFILE" in done.stdout
        assert done.stdout.rstrip().endswith("1 fail.")


class TestEndpoint:
    def test_doctor_reports_only_the_ended_sandbox_and_how_to_start_another(
        self, ended: str
    ) -> None:
        done = run("doctor", "--json", **KEYS, AWS_ENDPOINT_URL=ended)
        (row,) = json.loads(done.stdout)["rows"]
        assert row["words"] == f"the sandbox at {ended} has ended"
        assert row["mend"].startswith("start another one (pulley sandbox)")

    def test_expired_keys_of_an_ended_sandbox_give_the_hint_to_open_a_new_shell(
        self, ended: str, expired: str
    ) -> None:
        done = run("doctor", "--json", **KEYS, AWS_ENDPOINT_URL=expired, PULLEY_GITHUB_API=ended)
        (row,) = json.loads(done.stdout)["rows"]
        assert "open a new shell" in row["mend"]

    def test_invalid_address_in_a_variable_is_reported_with_the_variable(self) -> None:
        words = said(run("status", **KEYS, PULLEY_GITHUB_API="x"))
        assert "in the environment: PULLEY_GITHUB_API must be like" in words

    @pytest.mark.parametrize("url", ["http://[", "http://127.0.0.1:port", "not an address"])
    def test_invalid_endpoint_is_reported_in_one_line(self, url: str) -> None:
        said(run("status", **KEYS, AWS_ENDPOINT_URL=url))


class TestDidYouMean:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["depoly"], "there is no command depoly (did you mean deploy?)"),
            (["targets", "aply"], "there is no command aply (did you mean apply?)"),
            (["secret", "rotat"], "there is no command rotat (did you mean rotate?)"),
            (["zzz"], "there is no command zzz\n"),
            (["deploy", "--no-wiat"], "--no-wait"),
            (["--verson"], "--version"),
        ],
    )
    def test_mistyped_command_or_option_is_answered_with_the_nearest(
        self, arguments: list[str], words: str
    ) -> None:
        done = CliRunner().invoke(main, arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert words in done.stderr


@pytest.mark.parametrize("command", ["demo", "sandbox"])
class TestOnThisMachine:
    """These commands check what they need before they print anything."""

    def test_without_a_clone_of_pulley_the_command_fails(
        self, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("pulley.project._HERE", tmp_path)
        assert "this needs a clone of Pulley" in said(run(command))

    def test_without_chalice_the_command_fails(
        self, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(local, "CHALICE", tmp_path / "chalice")
        assert f"there is no {tmp_path}/chalice" in said(run(command))

    def test_missing_programs_are_named(self, command: str, tmp_path: Path) -> None:
        words = said(run(command, PATH=str(tmp_path)))
        assert words.startswith("Error: the hosts need git, flock, timeout, setpriv")

    def test_unusable_temporary_folder_gives_the_hint_to_set_tmpdir(
        self, command: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", None)  # as in a new process
        (folder := Path("with space").absolute()).mkdir()
        assert "set TMPDIR" in said(run(command, TMPDIR=str(folder)))
