"""What a person, or a program, is shown. Results go to stdout, all else to stderr."""

import json
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from chalicelib.core.decisions import Decision
from chalicelib.core.refs import Branch, CommitSha, Repository
from pulley.cli.group import INTERRUPTED, NOT_CONFIRMED
from pulley.cli.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console


def out() -> "Console":
    """A console for results. Its tables are as wide as need be where nobody looks."""
    return _console()


def err() -> "Console":
    """A console for what a program that reads the results is not to see."""
    return _console(stderr=True)


def say(words: str, *, style: str = "", console: "Console | None" = None) -> None:
    """Print a line of a result as it is: nothing in it is markup.

    The console is one that draws something else meanwhile, such as a bar.
    """
    _print(console or out(), words, style)


def note(words: str, *, style: str = "") -> None:
    """Print a line beside the result."""
    _print(err(), words, style)


def cell(words: str) -> str:
    """Words as rich's tables take them: nothing in them is markup, or a terminal's code."""
    from rich.markup import escape

    return escape(printable(words))


def say_values(values: Mapping[str, str]) -> None:
    """Print values, each with its name, in two columns."""
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 1))
    for name, value in values.items():
        table.add_row(name, cell(value))
    out().print(table, soft_wrap=True)


def warn(words: str) -> None:
    """Print what the operator should know, and that stops nothing."""
    note(f"Warning: {words}", style="yellow")


def say_json(value: object) -> None:
    """Print the one JSON document of a command. Times are RFC 3339 in UTC."""
    click.echo(json.dumps(plain(value), indent=2))


def plain(value: object) -> object:
    """A value as JSON has it: dataclasses by their fields, names and whatever else by its words."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, Repository | Branch | CommitSha):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value) if one.repr}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def confirm(question: str, *, yes: bool) -> None:
    """Return where the operator agrees. Ends the command with NOT_CONFIRMED where not.

    Nobody is asked where stdin is not a terminal: then it takes `--yes`.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        note("Nothing was changed: there is no terminal to ask on. Pass --yes to do it.")
        raise click.exceptions.Exit(NOT_CONFIRMED)
    if not _is_agreed(question):
        note("Nothing was changed.")
        raise click.exceptions.Exit(NOT_CONFIRMED)


def _is_agreed(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort:  # Ctrl-C: the question's line has not ended
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
    """The journal of a command: what would be a line in Lambda's log is said to the operator."""

    def note(self, decision: Decision) -> None:
        """Say what went wrong; what went right is told by the command itself."""
        if decision.level != "info":
            about = decision.facts.get("target") or decision.facts.get("repository") or ""
            warn(f"{about}: {decision.facts.get('reason', decision.outcome)}".lstrip(": "))


def _print(console: "Console", words: str, style: str) -> None:
    console.print(
        printable(words),
        style=style or None,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
    )


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    # Made anew: whoever redirects the output does so after the import.
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 200)
