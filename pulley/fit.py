"""Fit lines to a terminal. No word is cut: a word that is too long has a line of its own."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import TextIO

_DEFAULT = 80  # columns of a terminal that does not tell its size


def width_of(stream: TextIO) -> int | None:
    """The columns of a terminal, or what COLUMNS says; None for a file or a pipe: no limit."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT
    except OSError:  # it has no descriptor
        return _DEFAULT


def fitted(words: str, width: int | None, *, hang: int | None = None) -> str:
    """The words, in lines that are no wider, if `width` is not None.

    A continuation begins at the column `hang`, else two columns to the right of its line.
    """
    if width is None:
        return words
    return "\n".join(part for line in words.split("\n") for part in _parts(line, width, hang))


def packed(cells: Iterable[str], width: int, indent: str) -> Iterator[list[int]]:
    """Yield the numbers of the cells that fit in each line. From the second line on, `indent`."""
    line: list[int] = []
    used = 0
    for number, cell in enumerate(cells):
        wide = _wide(cell)
        if line and used + 2 + wide > width:
            yield line
            line, used = [], len(indent)
        used += wide + (2 if line else 0)
        line.append(number)
    if line:
        yield line


def _parts(line: str, width: int, hang: int | None) -> Iterator[str]:
    if _wide(line) <= width:
        yield line
        return
    indent = " " * (len(line) - len(line.lstrip(" ")) + 2 if hang is None else hang)
    part = ""
    for gap, word in re.findall(r"( *)([^ ]+)", line):
        if part and _wide(part + gap + word) > width:
            yield part
            part = indent + word
        else:
            part += gap + word
    yield part


def _wide(text: str) -> int:
    """The columns that a terminal needs for the text."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - slow, and only other scripts need it

    return cell_len(text)
