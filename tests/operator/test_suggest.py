"""Suggested commands have the running command's options, and one module makes them."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import pulley
from pulley.cli import main
from pulley.operator.suggest import ON_A_STAGE, acting_at, options_of, suggest

FOLDER = Path(pulley.__file__).parent


def commands(path: str = "", command: click.Command = main) -> Iterator[tuple[str, click.Command]]:
    """Every command, by the words that call it."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner
        yield from commands(f"{path} {name}".strip(), inner)


class TestOptionsOf:
    @pytest.mark.parametrize(
        ("stage", "environ", "options"),
        [
            ("dev", {}, ()),
            ("prod", {}, ("--stage", "prod")),
            ("prod", {"PULLEY_STAGE": "prod"}, ()),
            ("dev", {"PULLEY_STAGE": "prod"}, ("--stage", "dev")),
            ("prod", {"PULLEY_STAGE": ""}, ("--stage", "prod")),
        ],
    )
    def test_stage_option_is_given_unless_the_environment_has_it(
        self, stage: str, environ: dict[str, str], options: tuple[str, ...]
    ) -> None:
        assert options_of(stage, profile=None, region=None, environ=environ) == options

    def test_profile_and_region_are_given_if_the_command_had_them(self) -> None:
        found = options_of("dev", profile="my own", region="eu-west-1", environ={})
        assert found == ("--profile", "my own", "--region", "eu-west-1")


class TestSuggest:
    def test_line_has_the_arguments_in_their_order(self) -> None:
        line = suggest("logs", "web", "--command-id", "0a1b2c3d")
        assert str(line) == "pulley logs web --command-id 0a1b2c3d"

    def test_each_argument_is_quoted_as_one_word(self) -> None:
        names = ["a b", "$(reboot)", "it's", "--", ""]
        assert shlex.split(str(suggest("connect", *names))) == ["pulley", "connect", *names]

    def test_line_has_the_stage_and_profile_of_the_running_command(self) -> None:
        with acting_at(("--stage", "prod", "--profile", "my own")):
            assert str(suggest("unpin", "web")) == (
                "pulley unpin --stage prod --profile 'my own' web"
            )
            assert str(suggest("sandbox")) == "pulley sandbox"
        assert str(suggest("unpin", "web")) == "pulley unpin web"

    def test_options_are_forgotten_after_an_error(self) -> None:
        with pytest.raises(ValueError, match="why"), acting_at(("--stage", "prod")):
            raise ValueError("why")
        assert str(suggest("setup")) == "pulley setup"


class TestOnAStage:
    def test_list_has_every_command_with_a_stage_option(self) -> None:
        found = {
            path
            for path, command in commands()
            if any(one.name == "stage_name" for one in command.params)
        }
        assert set(ON_A_STAGE) == found

    @pytest.mark.parametrize("command", ON_A_STAGE)
    def test_suggested_line_is_a_valid_command_line(self, command: str) -> None:
        with acting_at(("--stage", "prod", "--profile", "p", "--region", "r")):
            line = str(suggest(command, "--help"))  # type: ignore[arg-type] # of the Literal
        assert CliRunner().invoke(main, shlex.split(line)[1:]).exit_code == 0


def texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """Every text in a module that is no docstring."""
    docstrings = {
        id(one.body[0].value)
        for one in ast.walk(tree)
        if isinstance(one, ast.Module | ast.ClassDef | ast.FunctionDef)
        and isinstance(one.body[0], ast.Expr)
    }
    for one in ast.walk(tree):
        if isinstance(one, ast.Constant) and id(one) not in docstrings:
            yield one


def test_no_module_writes_a_suggested_command_as_plain_text() -> None:
    known = "|".join(re.escape(path) for path, _ in commands())
    line = re.compile(rf"\bpulley ({known})\b")
    found = [
        f"{path.relative_to(FOLDER)}: {one.value}"
        for path in sorted([*FOLDER.glob("cli/*.py"), *FOLDER.glob("operator/**/*.py")])
        for one in texts(ast.parse(path.read_text()))
        if isinstance(one.value, str) and line.search(one.value)
    ]
    assert found == []
