"""A table whose last cells may be long. Where a row is too wide, each of these gets its own line.

The width is the terminal's, or COLUMNS. Without both a row is one line of any length, for programs.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from chalicelib.status.safe_text import printable
from pulley.cli.output import out

if TYPE_CHECKING:
    from rich.text import Text

Cell = str | tuple[str, str]  # words, or words with a style

_GAP, _INDENT = "  ", "    "


def say_rows(head: Sequence[str], rows: Iterable[Sequence[Cell]], *, long: int = 1) -> None:
    """Print a table. The last `long` cells of each row may get their own lines."""
    console = out()
    columns = os.environ.get("COLUMNS", "")
    asked = int(columns) if columns.isdecimal() else None
    width = console.width if sys.stdout.isatty() else asked
    for line in laid_out(head, [[_text(one) for one in row] for row in rows], long, width):
        console.print(line, soft_wrap=True, highlight=False)


def laid_out(
    head: Sequence[str], rows: Sequence[Sequence["Text"]], long: int, width: int | None
) -> "Iterable[Text]":
    """Yield the lines, without spaces at their end. If `width` is None, it is not limited."""
    from rich.text import Text

    whole = [[Text(one, style="bold") for one in head], *rows]
    widths = _widths(whole)
    if width is None or all(_joined(row, widths).cell_len <= width for row in whole):
        yield from (_joined(row, widths) for row in whole)
        return
    short = len(head) - long
    for number, row in enumerate(whole):
        yield _joined(row[:short], widths)
        if number:
            yield from (Text(_INDENT) + cell for cell in row[short:] if cell.plain)


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
