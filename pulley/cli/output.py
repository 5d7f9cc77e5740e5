"""Print for people and programs. Results go to stdout, all else to stderr."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from chalicelib.core.decisions import Decision
from chalicelib.status.as_json import plain
from chalicelib.status.safe_text import printable
from pulley.cli.group import INTERRUPTED, NOT_CONFIRMED

if TYPE_CHECKING:
    from rich.console import Console


def out() -> "Console":
    """A console for results. Without a terminal its tables have a fixed, large width."""
    return _console()


def err() -> "Console":
    """A console on stderr, for all that is not the result."""
    return _console(stderr=True)


def say(words: str, *, style: str = "", console: "Console | None" = None) -> None:
    """Print a line of a result. Markup in it is not interpreted.

    Pass `console` if another console is drawing meanwhile, such as a progress bar.
    """
    _print(console or out(), words, style)


def note(words: str, *, style: str = "") -> None:
    """Print a line on stderr, beside the result."""
    _print(err(), words, style)


def cell(words: str) -> str:
    """Escape words for a cell of a rich table: no markup, and no terminal codes."""
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
    """Print a warning. The command goes on."""
    note(f"Warning: {words}", style="yellow")


def say_json(value: object) -> None:
    """Print the one JSON document of a command. Times are RFC 3339 in UTC."""
    click.echo(json.dumps(plain(value), indent=2))


def confirm(question: str, *, yes: bool) -> None:
    """Ask the operator. Returns if the answer is yes, else exits with NOT_CONFIRMED.

    Without a terminal on stdin nobody is asked, and `--yes` is required.
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
    """A command's journal. It warns the operator of what Lambda would log."""

    def note(self, decision: Decision) -> None:
        """Print a decision that is a problem. The command itself prints the others."""
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

    # Make a new console each time, because a stream may be redirected after the import.
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 200)
