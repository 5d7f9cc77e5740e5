"""How commands end: each refusal has one exit code, whichever command meets it."""

import io
import sys

import click
import pytest
from click import termui

from pulley.cli.group import INTERRUPTED, CommandGroup, Listed
from pulley.cli.output import confirm


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
