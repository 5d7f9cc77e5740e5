"""`pulley doctor`: find what is wrong, and say how to fix it."""

import sys
from collections import Counter

import click

from chalicelib.core.errors import UnavailableError
from chalicelib.status.safe_text import one_line
from pulley.cli.group import FAILED, NOT_WELL
from pulley.cli.options import json_option, stage_command, yes_option
from pulley.cli.output import confirm, err, note, out, say, say_json, warn
from pulley.cli.stored_changes import say_overwritten
from pulley.fit import fitted, width_of
from pulley.operator.doctor.examine import Doctor
from pulley.operator.doctor.row import FAIL, PASS, UNKNOWN, WARN, Row
from pulley.operator.setup.apply import Setup, build_own_document
from pulley.operator.setup.plan import SECRET, ParameterChange, WantedStage
from pulley.operator.stage.stage import Stage, utc_now
from pulley.operator.webhook.connect import connect_again

_COLOURS = {PASS: "green", WARN: "yellow", FAIL: "red", UNKNOWN: "magenta"}
_LOOKED = "Looked at {} ..."
_LEAST_ROOM = 40  # columns for a row's words; with less, they begin below its name


@stage_command
@click.option("--fix", is_flag=True, help="Fix what is safe to fix, then check again.")
@yes_option
@json_option
def doctor(stage: Stage, *, fix: bool, yes: bool, as_json: bool) -> None:
    """Check all parts, from secret to hosts, and say what to fix.

    The command checks the secret, the document, the targets, Lambda, GitHub and every host. It
    changes nothing: on hosts it runs only a check. It exits with 3 if something has to be fixed;
    each such row says how. It exits with 1 if AWS cannot be asked at all.

    --fix asks, then repairs the webhook's secret, the document and its pin. If it makes a new
    secret, it says how to give that to GitHub.
    """
    rows = _examine(stage)
    if fix:
        if not as_json:
            _show(rows)
        if any(row.fix for row in rows):
            _check_release(rows)
            _fix(stage, yes=yes)
            rows = _examine(stage)
            if not as_json:
                _show(rows)
        elif not all(row.outcome == PASS for row in rows):
            note("--fix can do nothing here. Each row says what a person has to do.")
    elif not as_json:
        _show(rows)
    if as_json:
        say_json(
            {
                "stage": stage.name,
                "account": stage.identity.account if rows[0].outcome == PASS else None,
                "region": stage.region or None,
                "rows": rows,
            }
        )
    if rows[0].outcome != PASS:  # AWS could not be asked
        raise click.exceptions.Exit(FAILED)
    if not all(row.is_well for row in rows):
        raise click.exceptions.Exit(NOT_WELL)


def _check_release(rows: list[Row]) -> None:
    """Raise UnavailableError if this command must not replace the stored document."""
    for row in rows:
        if row.what == "document" and not row.is_well and not row.fix:
            raise UnavailableError(
                f"nothing was fixed: {row.words}. --fix would replace the stored document with "
                f"this command's own. Do this first: {row.mend}"
            )


def _fix(stage: Stage, *, yes: bool) -> None:
    """Store what is missing or wrong, as `pulley setup` does."""
    work = Setup(stage, WantedStage(stage.name, content=build_own_document()))
    changes = work.plan()
    for change in changes:
        note(f"{change.what}: {change.name}: {change.why}")
    if not changes:
        return
    confirm("Fix this?", yes=yes)
    for change in changes:
        done = work.apply(change)
        note(f"Done: {change.what}: {done.words}")
        if done.written and isinstance(change, ParameterChange):
            say_overwritten(stage.parameters, done.written, yes=yes, is_secret=change.is_secret)
        if change.what == SECRET:
            for line in connect_again(stage):
                warn(f"until GitHub has the new secret, pushes are refused: {line}")


def _examine(stage: Stage) -> list[Row]:
    """Collect every row. Meanwhile the terminal shows what was checked last."""
    rows = []
    from rich.markup import escape

    room = (width_of(sys.stderr) or 80) - len("- ")
    with err().status("Looking ...", spinner="line") as status:
        for row in Doctor(stage, now=utc_now).examine():
            looked = _LOOKED.format(one_line(row.what))
            status.update(escape(looked) if len(looked) <= room else "Looking ...")
            rows.append(row)
    return rows


def _show(rows: list[Row]) -> None:
    from rich.text import Text

    console, width = out(), width_of(sys.stdout)
    outcomes = max(len(row.outcome) for row in rows)
    names = max(len(one_line(row.what)) for row in rows)
    left = outcomes + 2 + names + 2
    is_below = width is not None and width - left < _LEAST_ROOM
    left = outcomes + 2 if is_below else left
    for row in rows:
        begin = f"{row.outcome:{outcomes}}  {one_line(row.what):{names}}"
        begin = f"{begin.rstrip()}\n{' ' * left}" if is_below else f"{begin}  "
        shown = [fitted(f"{begin}{one_line(row.words)}", width, hang=left)]
        if row.mend:
            shown.append(fitted(f"{' ' * left}fix: {one_line(row.mend)}", width, hang=left))
        text = Text("\n".join(shown))
        text.stylize(_COLOURS[row.outcome], end=outcomes)
        console.print(text, soft_wrap=True, highlight=False)
    counted = Counter(row.outcome for row in rows)
    words = ", ".join(f"{counted[one]} {one}" for one in _COLOURS if counted[one])
    say(f"\n{words}.")
