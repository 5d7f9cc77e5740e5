"""Print for people and programs. Results go to stdout, all else to stderr."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from chalicelib.core.decisions import Decision
from chalicelib.status.as_json import plain
from chalicelib.status.safe_text import printable
from pulley.cli.group import INTERRUPTED, NOT_CONFIRMED
from pulley.fit import fitted, width_of

if TYPE_CHECKING:
    from rich.console import Console


def out() -> "Console":
    """A console for results. Without a terminal its tables have a fixed, large width."""
    return _console()


def err() -> "Console":
    """A console on stderr, for all that is not the result."""
    return _console(stderr=True)


def say(words: str, *, style: str = "", console: "Console | None" = None) -> None:
    """Print a line of a result, between words in several if the terminal is narrow.

    Markup in it is not interpreted. Pass `console` if another console is drawing meanwhile, such as
    a progress bar.
    """
    _print(console or out(), fitted(printable(words), width_of(sys.stdout)), style)


def note(words: str, *, style: str = "") -> None:
    """Print a line on stderr, beside the result."""
    _print(err(), fitted(printable(words), width_of(sys.stderr)), style)


def say_whole(line: str) -> None:
    """Print a line as it is, however long: other programs wrote it, or a person copies it."""
    _print(out(), printable(line), "")


def note_whole(line: str) -> None:
    """Print a line on stderr as it is, however long, so that a person can copy it."""
    _print(err(), printable(line), "")


def warn(words: str) -> None:
    """Print a warning. The command goes on."""
    note(f"Warning: {words}", style="yellow")


def say_json(value: object) -> None:
    """Print the one JSON document of a command. Times are RFC 3339 in UTC."""
    click.echo(json.dumps(plain(value), indent=2))


def _ask(question: str) -> bool:
    return click.confirm(question, err=True)


def confirm(question: str, *, yes: bool, ask: Callable[[str], bool] = _ask) -> None:
    """Ask the operator. Returns if the answer is yes, else exits with NOT_CONFIRMED.

    Without a terminal on stdin nobody is asked, and `--yes` is required. `ask` puts the question.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        note("Nothing was changed: there is no terminal to ask on. Pass --yes to do it.")
        raise click.exceptions.Exit(NOT_CONFIRMED)
    if not _is_agreed(question, ask):
        note("Nothing was changed.")
        raise click.exceptions.Exit(NOT_CONFIRMED)


def confirm_by_name(question: str, name: str, *, yes: bool) -> None:
    """Ask for what cannot be undone: as `confirm`, but the answer is the name of what goes."""
    asked = f"{question} To confirm, type {name}"
    confirm(asked, yes=yes, ask=lambda words: bool(click.prompt(words, err=True) == name))


def _is_agreed(question: str, ask: Callable[[str], bool]) -> bool:
    try:
        return ask(fitted(question, width_of(sys.stderr)))
    except click.Abort:  # Ctrl-C: the prompt's line has not ended
        note("\nNothing was changed.")
        raise click.exceptions.Exit(INTERRUPTED) from None


def when(at: datetime | None) -> str:
    """A time for people, in UTC as on GitHub and in AWS's logs, or "-"."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago a time was, for people: "5 m ago"; "-" for no time."""
    if at is None:
        return "-"
    minutes = max(0, int((now - at).total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} m ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} d ago"


class Warnings:
    """A command's journal. It warns the operator of what Lambda would log.

    `where` begins each warning, if a command is about several stages.
    """

    def __init__(self, where: str = "") -> None:
        self._where = f"{where}: " if where else ""

    def note(self, decision: Decision) -> None:
        """Print a decision that is a problem. The command itself prints the others."""
        if decision.level != "info":
            about = decision.facts.get("target") or decision.facts.get("repository") or ""
            reason = f"{about}: {decision.facts.get('reason', decision.outcome)}".lstrip(": ")
            warn(f"{self._where}{reason}")


def _print(console: "Console", words: str, style: str) -> None:
    console.print(
        words,
        style=style or None,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
    )


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    # Make a new console each time, because a stream may be redirected after the import.
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 200)
