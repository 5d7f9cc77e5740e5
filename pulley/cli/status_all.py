"""`pulley status --all`: the targets of several stages in one table."""

from collections.abc import Sequence

import click

from chalicelib.status.overview import Standing
from chalicelib.status.safe_text import one_line
from chalicelib.status.state import is_well
from pulley.cli.group import FAILED, NOT_WELL
from pulley.cli.output import Warnings, note, say_json, warn
from pulley.cli.table import Cell, say_rows
from pulley.operator.status.look_all import Seen, look_at_all
from pulley.operator.status.stages_file import read_places

VERSION = 1  # of the JSON document's shape
_OF_ONE_STAGE = {"stage_name": "--stage", "profile": "--profile", "region": "--region"}


def show_all(file: str, *, check: bool, as_json: bool) -> None:
    """Show the stages of a file. Exits with the worst of their exit codes."""
    seen = look_at_all(read_places(file), with_state=as_json)
    if as_json:
        say_json({"version": VERSION, "stages": [_facts(one) for one in seen]})
    else:
        _show(seen)
    for one in seen:
        _tell_trouble(one, with_hints=not as_json)
    if any(one.standings is None or one.standings.failed for one in seen):
        raise click.exceptions.Exit(FAILED)
    if check and not all(_is_well(one) for one in seen):
        raise click.exceptions.Exit(NOT_WELL)


def refuse_beside_all(context: click.Context) -> None:
    """Raise UsageError for what --all does not take: its file names the stages."""
    given = [
        option
        for name, option in _OF_ONE_STAGE.items()
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    given += [
        word for name, word in (("target", "TARGET"), ("live", "--live")) if context.params[name]
    ]
    if given:
        raise click.UsageError(
            f"--all takes no {' and no '.join(given)}: its file names the stages, and every target "
            "is shown"
        )


def _show(seen: Sequence[Seen]) -> None:
    rows = [
        _row(one, standing) for one in seen if one.standings for standing in one.standings.standings
    ]
    if rows:
        say_rows(("where", "target", "wanted", "at it", "its newest command"), rows)


def _row(seen: Seen, standing: Standing) -> tuple[Cell, ...]:
    wanted, newest = standing.plan.wanted, standing.newest
    there = sum(one.is_there for one in standing.hosts)
    said = f"{newest.status.state}: {one_line(newest.status.description)}" if newest else "none"
    return (
        seen.place.name,
        standing.target.name,
        wanted.commit.short if wanted else "-",
        (f"{there} of {len(standing.hosts)}", "green" if is_well(standing) else "red"),
        said,
    )


def _tell_trouble(seen: Seen, *, with_hints: bool) -> None:
    """Say on stderr what is wrong at a place, and which command shows more of it."""
    where, journal = seen.place.name, Warnings(seen.place.name)
    for decision in seen.decisions:
        journal.note(decision)
    if seen.standings is None:
        note(f"Error: {where}: {one_line(seen.error)}", style="red")
        return
    for problem in seen.standings.problems:
        warn(f"{where}: not a valid target: {one_line(problem)}")
    for name, error in seen.standings.failed:
        note(f"Error: {where}: {name}: {one_line(error.in_full)}", style="red")
    if not seen.standings.standings and not seen.standings.failed:
        warn(f"{where}: no valid target is stored")
    elif with_hints and not all(is_well(one) for one in seen.standings.standings):
        note(f"{where}: not every host is at what is wanted: {seen.status}")


def _is_well(seen: Seen) -> bool:
    """Whether `pulley status --check` of this stage alone would pass."""
    found = seen.standings
    return (
        found is not None
        and bool(found.standings)
        and not found.problems
        and all(is_well(one) for one in found.standings)
    )


def _facts(seen: Seen) -> dict[str, object]:
    return {
        "name": seen.place.name,
        "stage": seen.place.stage,
        "profile": seen.place.profile,
        "region": seen.state["region"] if seen.state else seen.place.region,
        "error": seen.error or None,
        "state": seen.state,
    }
