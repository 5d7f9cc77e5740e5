"""How commands end: each refusal has one exit code, in every command."""

import io
import sys
from pathlib import Path

import click
import pytest
from click import termui
from click.testing import CliRunner

from pulley.cli import main
from pulley.cli.group import FAILED, INTERRUPTED, NOT_CONFIRMED, NOT_WELL, CommandGroup, Listed
from pulley.cli.output import confirm
from pulley.operator.suggest import ON_A_STAGE
from tests.cli.conftest import Pulley
from tests.cli.test_unreachable import ARGUMENTS

WRONG_LINE = 2  # as click ends it
TARGET = """
[targets.{name}]
repository = "{repository}"
branch = "main"
checkout = "{checkout}"
environment = "{name}"
instances = {{ tags = {{ role = "web" }} }}
"""


def target(name: str, repository: str = "octo/site", checkout: str = "/srv/site") -> str:
    return TARGET.format(name=name, repository=repository, checkout=checkout)


# The stage has the target web of octo/site, in /srv/site.
FILES = {
    "folder/inside": "",
    "not-toml": "x = [",
    "no-targets": "",
    "unknown-key": target("web") + "nmae = 1",
    "one-checkout": target("one") + target("two"),
    "stored-checkout": target("other", "octo/other"),
    "stored-name": target("web", "octo/other", "/srv/other"),
    "good": target("web"),
}
NO_TARGET = [
    "deploy nosuch",
    "cancel nosuch",
    "plan nosuch",
    "status nosuch",
    "history nosuch",
    "logs nosuch",
    "saved nosuch",
    f"pin nosuch {'a' * 40} --reason x",
    "freeze nosuch --reason x",
    "unpin nosuch",
    "rollback nosuch --yes",
    "targets show nosuch",
]
UNREADABLE = [
    f"{command} {path}"
    for command in (
        "targets check",
        "targets apply --yes",
        "simulate",
        "setup --dry-run --github-token-file",
    )
    for path in ("nosuch", "folder")
]
NOT_VALID = [
    *(
        f"{command} {path}"
        for command in ("targets check", "targets apply --yes")
        for path in ("not-toml", "no-targets", "unknown-key", "one-checkout")
    ),
    "targets apply --yes stored-checkout",
    "targets apply --yes stored-name",
    "document --cloudformation --stage nosuch",
    "simulate not-toml",
]
NO_REPOSITORY = [
    "connect octo",
    "secret rotate --repository octo",
    "setup --repository octo --github-token-file good",
    "targets apply good --repository octo",
]
NO_MEANING = [
    "pin web nosuch --reason x",
    "deploy web --commit nosuch",
    f"pin web {'a' * 40} --reason x --until yesterday",
    "freeze web --reason x --until yesterday",
    "logs web --command-id x",
    "saved web web-1 main",
    "connect octo/site --wait nan",
    "secret rotate --wait nan",
    "connect --url http://example.com octo/site",
]
NOT_AGREED = [
    "targets apply --prune --repository octo/site gone",
    "secret rotate",
    f"pin web {'a' * 40} --reason x",
    "connect octo/site --force",
]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        *((line, FAILED) for line in [*NO_TARGET, *UNREADABLE]),
        *((line, NOT_WELL) for line in NOT_VALID),
        *((line, WRONG_LINE) for line in [*NO_REPOSITORY, *NO_MEANING]),
        *((line, NOT_CONFIRMED) for line in NOT_AGREED),
    ],
)
def test_refusal_has_one_code_in_every_command(
    line: str, code: int, pulley: Pulley, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (FILES | {"gone": target("new")}).items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    assert pulley(*line.split()).exit_code == code


@pytest.mark.parametrize("environ", [{}, {"PULLEY_STAGE": "a b"}], ids=["option", "variable"])
@pytest.mark.parametrize("command", [*ON_A_STAGE, "document"])
def test_invalid_stage_name_is_shown_with_the_option_or_variable_that_gave_it(
    command: str, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("push.json").touch()
    given = [] if environ else ["--stage", "a b"]
    line = [*command.split(), *given, *ARGUMENTS.get(command, [])]
    done = CliRunner().invoke(main, line, env=environ)
    assert done.exit_code == WRONG_LINE
    assert ("PULLEY_STAGE" if environ else "'--stage'") in done.stderr
    assert "'a b' is no stage's name" in done.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@click.command()
def asking() -> None:
    confirm("Do it?", yes=False)


@click.command()
def prompting() -> None:
    click.prompt("Which?", err=True)


class TestCtrlC:
    @pytest.fixture
    def group(self, monkeypatch: pytest.MonkeyPatch) -> CommandGroup:
        """Commands that ask, on a terminal where somebody presses Ctrl-C."""

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
    def test_at_a_question_exits_with_the_code_for_interrupted(
        self, group: CommandGroup, capsys: pytest.CaptureFixture[str], command: str, words: str
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            group.main([command])
        assert ended.value.code == INTERRUPTED
        assert capsys.readouterr().err.endswith(words)
