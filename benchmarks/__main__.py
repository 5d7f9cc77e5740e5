# ruff: noqa: T201 - it prints its results
"""`make bench`: all benchmarks in one run.

It prints a table, writes results/<date>.json and the plots beside it, and the table into
docs/performance.md. With --quick it takes about a minute, writes nothing, and ends with 1 if a
count (calls, processes, modules, bytes, files) misses its goal, never because of a time.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks.figures import Curve, Figure

PROJECT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PAGE = PROJECT / "docs/performance.md"
BEGIN, END = "<!-- make bench writes from here -->\n", "<!-- to here -->\n"
# Each has `measure(*, quick)`, which yields figures and curves.
SUBJECTS = (
    *("webhook", "forged", "cold", "calls", "page", "growth", "host", "fleet", "cost"),
    "package",
)
BY_NAME = ("rolling",)  # it takes minutes, so `make bench` leaves it out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all benchmarks, or the named ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "subject",
        nargs="*",
        choices=[*SUBJECTS, *BY_NAME, []],
        help=f"all but {', '.join(BY_NAME)}, if left out",
    )
    parser.add_argument("--quick", action="store_true", help="a minute's worth; counts decide")
    options = parser.parse_args(arguments)
    wanted = options.subject or SUBJECTS
    begun = time.monotonic()
    figures: list[Figure] = []
    curves: list[Curve] = []
    for name in wanted:
        print(f"\n{name}", flush=True)
        measure: Callable[..., Iterator[Figure | Curve]]
        measure = import_module(f"benchmarks.{name}").measure
        for found in measure(quick=options.quick):
            if isinstance(found, Curve):
                curves.append(found)
            else:
                figures.append(found)
                print("  " + "  ".join(filter(None, row_of(found))), flush=True)
    print(f"\n{len(figures)} figures in {time.monotonic() - begun:.0f} s; {summary(figures)}")
    if not options.quick and wanted == SUBJECTS:
        write(figures, curves)
    lost = [one for one in figures if one.is_lost_count]
    for one in lost:
        print(f"{one.name}: {one.shown} where {one.goal:,.0f} is the goal", file=sys.stderr)
    return 1 if lost else 0


def summary(figures: Sequence[Figure]) -> str:
    """The missed goals, in a sentence. A time never fails a run, because machines differ."""
    lost = sum(one.is_lost_count for one in figures)
    slow = sum(not one.is_met and not one.is_lost_count for one in figures)
    counts = f"{lost} counts are past their goals" if lost else "all counts are met"
    return f"{counts}; {slow} times are missed, which fails nothing"


def row_of(figure: Figure) -> tuple[str, str, str, str, str]:
    """The cells of a figure's row."""
    goal = "" if figure.goal is None else f"≤ {Figure('', figure.goal, figure.unit).shown}"
    return figure.name, figure.shown, figure.spread, goal, figure.verdict


def write(figures: Sequence[Figure], curves: Sequence[Curve]) -> None:
    """Write the file of results, the plots, and the table on the page."""
    today = datetime.now(UTC).date().isoformat()
    results = {
        "date": today,
        "machine": machine(),
        "figures": [one.as_json() for one in figures],
        "curves": [one.as_json() for one in curves],
    }
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{today}.json").write_text(text)
    draw_all = import_module("benchmarks.plots").draw
    for curve in curves:
        draw_all(curve, RESULTS / f"{curve.name}.svg")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + table(figures, today) + END + after)


def table(figures: Sequence[Figure], today: str) -> str:
    """The table in Markdown."""
    head = [
        f"Of {today}, on {machine()}: benchmarks/results/{today}.json.",
        "",
        "| what | figure | middle half | goal | |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join(head + [f"| {' | '.join(row_of(one))} |" for one in figures]) + "\n"


def machine() -> str:
    """The machine and its software."""
    git = subprocess.check_output(["git", "--version"], text=True).split()[2]
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {python}, git {git}"


if __name__ == "__main__":
    sys.exit(main())
