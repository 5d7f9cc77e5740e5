"""Show commands while they run: a line for each host that ends, and a bar on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from chalicelib.core.errors import PulleyError
from chalicelib.core.observations import FAILED, judge_host
from chalicelib.edges.command_output import CommandOutput
from chalicelib.status.safe_text import one_line, tail
from chalicelib.status.words import host_words
from pulley.cli.output import note, out, say
from pulley.cli.wording import host_style
from pulley.operator.deploy.follow import Ended, Follower, FollowStep

if TYPE_CHECKING:
    from rich.progress import Progress

LAST_LINES = 20  # of a failed host's output; `pulley logs` shows all of it


def follow(follower: Follower, outputs: CommandOutput, *, as_json: bool) -> None:
    """Show commands until they are over. With JSON, print on stderr and without a bar.

    Raises RefusedError and UnavailableError.
    """
    trouble = ""
    with _bar(is_shown=not as_json and sys.stdout.isatty()) as bar:
        tell = note if as_json else partial(say, console=bar.console if bar else None)
        for step in follower.steps():
            for ended in step.ended:
                name = f"{ended.target} " if len(follower.sent) > 1 else ""
                for line, style in _lines(ended, outputs, with_output=not as_json):
                    tell(f"{name}{line}" if style else line, style=style)
            if step.trouble and step.trouble != trouble:
                tell(f"{one_line(step.trouble)}. The deploy goes on.", style="yellow")
            trouble = step.trouble
            if bar:
                _draw(bar, step)


def _draw(bar: "Progress", step: FollowStep) -> None:
    runs = step.runs.values()
    total = sum(max(run.command.target_count, len(run.invocations)) for run in runs)
    done = sum(one.is_over for run in runs for one in run.invocations)
    bar.update(bar.task_ids[0], total=total or None, completed=done)


@contextmanager
def _bar(*, is_shown: bool) -> "Iterator[Progress | None]":
    if not is_shown:
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (TextColumn("deploying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out(), transient=True) as bar:
        bar.add_task("deploying", total=None)
        yield bar


def _lines(ended: Ended, outputs: CommandOutput, *, with_output: bool) -> Iterator[tuple[str, str]]:
    """Yield the lines to print for a host that has ended, each with its style."""
    verdict = judge_host(ended.invocation, ended.run.roll_out)
    words = host_words(verdict, ended.run.roll_out.commit.short)
    yield f"{one_line(verdict.host)}: {words}", host_style(verdict)
    if verdict.kind != FAILED or not with_output:
        return
    try:
        output = outputs.read(ended.run.command.id, ended.invocation.instance_id)
    except PulleyError as error:
        yield f"    its output could not be read: {one_line(error.in_full)}", ""
        return
    for line in tail(output.stderr, LAST_LINES):
        yield f"    {line}", ""
