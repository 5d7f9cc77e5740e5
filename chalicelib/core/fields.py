"""Reading a JSON object that a person wrote: key by key, and every problem at once.

A reader takes one value. It returns what it reads, raises ValueError ("must be ...") or, for a
value with parts, ProblemsError with paths below its own.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import RefError, shown

Reader = Callable[[object], object]
_LENGTH = re.compile("[1-9][0-9]{0,4}[mhd]")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class ProblemsError(PulleyError):
    """The object is not valid. `problems` has each problem, with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        """`problems` has at least one."""
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def parse_object(
    path: str,
    entry: object,
    readers: Mapping[str, Reader],
    required: Iterable[str] = (),
    given: Iterable[str] = (),
) -> dict[str, Any]:
    """Read each known key; gather every problem before raising ProblemsError.

    The caller added the keys in `given`: a message that lists the known keys leaves them out.
    """
    if not isinstance(entry, dict):
        raise ProblemsError([f"{path}: must be an object, not {shown(entry)}"])
    problems = [f"{path}.{key}: is missing" for key in required if key not in entry]
    values: dict[str, Any] = {}
    for key, value in entry.items():
        if key not in readers:
            known = ", ".join(sorted(set(readers).difference(given)))
            problems.append(f"{path}: unknown key {shown(key)}; the keys are {known}")
            continue
        try:
            values[key] = readers[key](value)
        except ProblemsError as error:
            problems += [f"{path}.{key}{problem}" for problem in error.problems]
        except (RefError, ValueError) as error:
            problems.append(f"{path}.{key}: {error}")
    if problems:
        raise ProblemsError(problems)
    return values


def text_reader(pattern: str, wanted: str) -> Callable[[object], str]:
    """A string that matches the whole pattern."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"must be {wanted}, not {shown(value)}")
        return value

    return read


def path_reader(pattern: str, wanted: str) -> Reader:
    """A path that matches the whole pattern and has no `..` in it."""
    read_text = text_reader(pattern, wanted)

    def read(value: object) -> object:
        if isinstance(value, str) and ".." in value.split("/"):
            raise ValueError(f"must not have .. in it, not {shown(value)}")
        return read_text(value)

    return read


def parsed_reader(parse: Callable[[str], object]) -> Reader:
    """A string that one of the types of core/refs.py parses."""
    read_text = text_reader("(?s).*", "a string")
    return lambda value: parse(read_text(value))


def count_reader(minimum: int) -> Reader:
    """A value of MaxConcurrency or MaxErrors, a count or a percentage, as text for SendCommand."""

    def read(value: object) -> str:
        text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
        match = re.fullmatch("(0|[1-9][0-9]{0,6})(%?)", text)
        if not match or int(match[1]) < minimum or (match[2] and int(match[1]) > 100):
            raise ValueError(f"must be a count or a percentage from {minimum}, not {shown(value)}")
        return text

    return read


def length_reader(shortest: timedelta, longest: timedelta) -> Callable[[object], str]:
    """A length of time like "90m", "6h" or "2d", kept as it is written."""

    def read(value: object) -> str:
        if is_match(_LENGTH, value) and shortest <= parse_length(str(value)) <= longest:
            return str(value)
        limits = f"{_length_words(shortest)} to {_length_words(longest)}"
        raise ValueError(f'must be a length of time like "6h", {limits}, not {shown(value)}')

    return read


def parse_length(text: str) -> timedelta:
    """The length of time that `length_reader` has read."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def _length_words(length: timedelta) -> str:
    return f"{length.days}d" if length.days else f"{length.seconds // 60}m"


def is_match(pattern: re.Pattern[str], value: object) -> bool:
    """Whether the value is a string that matches the whole pattern."""
    return isinstance(value, str) and pattern.fullmatch(value) is not None
