"""The lines that a command names act where it does."""

import io
import sys

import boto3
import click
import pytest
from click import termui
from click.testing import CliRunner

from pulley.cli import main
from pulley.cli.group import INTERRUPTED, CommandGroup, Listed
from pulley.cli.output import confirm
from pulley.cli.where import NAMES, options_of, with_options


class TestOptionsOf:
    @pytest.mark.parametrize(
        ("stage", "environ", "options"),
        [
            ("dev", {}, ""),
            ("prod", {}, " --stage prod"),
            ("prod", {"PULLEY_STAGE": "prod"}, ""),
            ("dev", {"PULLEY_STAGE": "prod"}, " --stage dev"),
            ("prod", {"PULLEY_STAGE": ""}, " --stage prod"),
        ],
    )
    def test_stage_is_named_where_the_environment_does_not(
        self, stage: str, environ: dict[str, str], options: str
    ) -> None:
        assert options_of(stage, profile=None, region=None, environ=environ) == options

    def test_profile_and_region_are_named_where_they_were_given(self) -> None:
        found = options_of("dev", profile="my own", region="eu-west-1", environ={})
        assert found == " --profile 'my own' --region eu-west-1"


class TestWithOptions:
    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ("mend: pulley setup", "mend: pulley setup --stage prod"),
            ("pulley unpin web, then it", "pulley unpin --stage prod web, then it"),
            ("pulley targets apply: do", "pulley targets apply --stage prod: do"),
            (
                "`pulley plan`; pulley status",
                "`pulley plan --stage prod`; pulley status --stage prod",
            ),
            ("pulley setup --stage prod", "pulley setup --stage prod"),
            ("pulley targets check", "pulley targets check"),
            ("chalice deploy, pulley document", "chalice deploy, pulley document"),
            ("/pulley/dev/x, pulley planned", "/pulley/dev/x, pulley planned"),
        ],
    )
    def test_each_line_on_a_stage_has_them(self, words: str, told: str) -> None:
        assert with_options(words, " --stage prod") == told

    def test_every_command_of_a_stage_is_known(self) -> None:
        def of_a_stage(path: str, command: click.Command) -> set[str]:
            if isinstance(command, click.Group):
                context = click.Context(command)
                found = set()
                for name in command.list_commands(context):
                    inner = command.get_command(context, name)
                    assert inner
                    found |= of_a_stage(f"{path} {name}".strip(), inner)
                return found
            return {path} if any(one.name == "stage_name" for one in command.params) else set()

        assert set(NAMES) == of_a_stage("", main)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@click.command()
def asking() -> None:
    confirm("Do it?", yes=False)


@click.command()
def prompting() -> None:
    click.prompt("Which?", err=True)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell without anything of AWS."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name in ("PROFILE", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("REGION", "DEFAULT_REGION", "ENDPOINT_URL"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.delenv("PULLEY_STAGE", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", "/dev/null")


@pytest.mark.usefixtures("nowhere")
class TestNowhere:
    def test_no_region_is_one_line(self) -> None:
        done = CliRunner().invoke(main, ["status"])
        assert done.exit_code == 1
        words = "there is no region: set AWS_DEFAULT_REGION, or give --region"
        assert done.stderr.endswith(f": {words}\n")
        assert done.stderr.count("\n") == 1

    def test_no_credentials_are_one_line(self) -> None:
        done = CliRunner().invoke(main, ["status", "--region", "eu-west-1"])
        words = "there are no credentials: set AWS_PROFILE, or run aws configure"
        assert done.exit_code == 1
        assert done.stderr.endswith(f": {words}\n")
        assert done.stderr.count("\n") == 1

    def test_doctor_says_so_in_its_first_row(self) -> None:
        done = CliRunner().invoke(main, ["doctor", "--region", "eu-west-1"])
        assert done.exit_code == 3
        assert "there are no credentials: set AWS_PROFILE" in done.stdout
        assert done.stdout.rstrip().endswith("1 fail.")


class TestCtrlC:
    @pytest.fixture
    def group(self, monkeypatch: pytest.MonkeyPatch) -> CommandGroup:
        """Whose commands ask, on a terminal where somebody presses Ctrl-C."""

        def interrupted(_question: str) -> str:
            raise KeyboardInterrupt

        monkeypatch.setattr(termui, "visible_prompt_func", interrupted)
        monkeypatch.setattr(sys, "stdin", Terminal())
        return CommandGroup(
            name="pulley", listed={name: Listed(__name__, "") for name in ("asking", "prompting")}
        )

    @pytest.mark.parametrize(
        ("command", "words"),
        [("asking", "\nNothing was changed.\n"), ("prompting", "\nInterrupted.\n")],
    )
    def test_at_a_question_ends_it_with_its_code(
        self, group: CommandGroup, capsys: pytest.CaptureFixture[str], command: str, words: str
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            group.main([command])
        assert ended.value.code == INTERRUPTED
        assert capsys.readouterr().err.endswith(words)
