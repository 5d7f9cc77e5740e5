"""A table that fits the terminal. No word is cut.

The width is the terminal's, or COLUMNS. Without both a row is one line of any length, for programs.
A table that is too wide puts each row's long last cells on lines of their own; then it leaves out
the columns that its command can do without; then it puts further cells on the next line.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from chalicelib.status.safe_text import printable
from pulley.cli.output import out
from pulley.fit import fitted, packed, width_of

if TYPE_CHECKING:
    from rich.text import Text

Cell = str | tuple[str, str]  # words, or words with a style

_GAP, _INDENT = "  ", "    "


def say_rows(
    head: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    long: int = 1,
    without: Sequence[str] = (),
) -> None:
    """Print a table. The last `long` cells of each row may get their own lines.

    `without` names columns that a narrow terminal does without: the first goes first.
    """
    console = out()
    cells = [[_text(one) for one in row] for row in rows]
    for line in laid_out(head, cells, long, width_of(sys.stdout), without):
        console.print(line, soft_wrap=True, highlight=False)


def say_values(values: Mapping[str, str]) -> None:
    """Print values, each with its name: two columns. A value is never broken: it may be copied."""
    console, width = out(), width_of(sys.stdout)
    names = max(map(len, values)) + len(_GAP)
    is_wide = width is None or all(names + len(one) <= width for one in values.values())
    for name, value in values.items():
        between = " " * (names - len(name)) if is_wide else f"\n{_INDENT}"
        console.print(_text(f"{name}{between}{value}"), soft_wrap=True, highlight=False)


def laid_out(
    head: Sequence[str],
    rows: Sequence[Sequence["Text"]],
    long: int,
    width: int | None,
    without: Sequence[str] = (),
) -> "Iterable[Text]":
    """Yield the lines, without spaces at their end. If `width` is None, it is not limited."""
    from rich.text import Text

    whole = [[Text(one, style="bold") for one in head], *rows]
    widths = _widths(whole)
    if width is None or all(_joined(row, widths).cell_len <= width for row in whole):
        yield from (_joined(row, widths) for row in whole)
        return
    short = list(range(len(head) - long))
    left_out = list(without)
    while True:
        widths = _widths([[row[one] for one in short] for row in whole])
        is_narrow = sum(widths) + len(_GAP) * (len(widths) - 1) <= width
        if is_narrow or not left_out:
            break
        name = left_out.pop(0)
        short = [one for one in short if head[one] != name]
    for number, row in enumerate(whole):
        kept = [row[one] for one in short]
        if is_narrow:
            yield _joined(kept, widths)
        else:
            yield from _flowing(kept, width)
        if number:
            for cell in row[len(head) - long :]:
                yield from _below(cell, width)


def _flowing(cells: Sequence["Text"], width: int) -> "Iterator[Text]":
    """Cells that do not fit one line, each in the first line with room for it."""
    from rich.text import Text

    for number, line in enumerate(packed([one.plain for one in cells], width, _INDENT)):
        shown = [cells[one] for one in line if cells[one].plain]
        yield Text(_INDENT if number else "") + Text(_GAP).join(shown)


def _below(cell: "Text", width: int) -> "Iterator[Text]":
    """The lines of a cell that stands below its row."""
    from rich.text import Text

    if cell.plain:
        for line in fitted(f"{_INDENT}{cell.plain}", width).split("\n"):
            yield Text(line, style=cell.style)


def _text(cell: Cell) -> "Text":
    from rich.text import Text

    words, style = (cell, "") if isinstance(cell, str) else cell
    return Text(printable(words), style=style)


def _widths(rows: Iterable[Sequence["Text"]]) -> list[int]:
    columns = zip_longest(*rows)  # a short row has None there
    return [max(cell.cell_len for cell in column if cell is not None) for column in columns]


def _joined(cells: Sequence["Text"], widths: Sequence[int]) -> "Text":
    from rich.text import Text

    padded = Text()
    for cell, width in zip(cells, widths, strict=False):
        padded.append_text(cell)
        padded.append(" " * (width - cell.cell_len) + _GAP)
    padded.rstrip()
    return padded
