"""Hostile strings: each makes a file if anything runs it.

PULLEY_INJECTIONS is the number of cases that a test tries; `make soak` tries all.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

INJECTIONS = int(os.environ.get("PULLEY_INJECTIONS", "20"))
Case = TypeVar("Case")

# Any user can make this file from any folder. The hosts also have a program, WORD, that makes it,
# for places that allow no space and no slash.
CANARY = Path(tempfile.gettempdir(), f"pulley-canary-{os.getpid()}")
WORD = "pulley-canary"
TOUCH = f"touch {CANARY}"
HOSTILE = {
    "substitution": f"$({TOUCH})",
    "substitution of a word": f"$({WORD})",
    "substitution without a space": f"$(touch${{IFS}}{CANARY})",
    "backticks": f"`{TOUCH}`",
    "semicolon": f"; {TOUCH} #",
    "words alone": f";{WORD}|{WORD}",
    "pipe": f"| {TOUCH}",
    "and": f"&& {TOUCH}",
    "background": f"& {TOUCH} &",
    "single quote": f"'; {TOUCH}; '",
    "double quote": f'"; {TOUCH}; "',
    "end of a substitution": f'"); {TOUCH}; ("',
    "end of a case": f") {TOUCH} ;; *",
    "arithmetic": f"a[$({TOUCH})]",
    "redirection": f"> {CANARY}",
    "newline": f"\n{TOUCH}\n",
    "carriage return": f"\r\n{TOUCH}\r\n",
    "nul": f"\0{TOUCH}",
    "end of a here-document": f"\nEOF\n{TOUCH}\n",
    "option of git": f"--upload-pack={TOUCH}",
    "option of ssh": f"-oProxyCommand={TOUCH}",
    "remote helper": f"ext::sh -c {TOUCH}",
    "parameter": "{{ssm:/pulley/dev/webhook-secret}}",
    "secure parameter": "{{ssm-secure:/pulley/dev/webhook-secret}}",
    "placeholder": "{{ Commit }}",
    "variable": "${SSM_Commit}",
    "escape codes": "\x1b[2J\x1b]0;title\x07",
    "right-to-left": "\u202etxt.exe\u2066",
    "line separators": "\u2028x\u2029",
    "path": "../../../etc",
    "long": "A" * 5000,
}
# A shell gives these no meaning; the core's tests try them in targets.
PLAIN = ("path", "long")
DANGEROUS = {name: text for name, text in HOSTILE.items() if name not in PLAIN}
CONTROL = re.compile("[\0-\x1f\x7f]")
HARMLESS = re.compile("[ -~]*")  # printable ASCII, on one line
BAD_IN_A_LINE = re.compile("[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def some_of(cases: Iterable[Case], *, times: int = 1) -> list[Case]:
    """PULLEY_INJECTIONS times `times` of the cases, spread over all of them."""
    every = list(cases)
    count = min(INJECTIONS * times, len(every))
    # A large prime as the step reaches every case.
    return [every[number * 1_000_003 % len(every)] for number in range(count)]


def strings_of(value: object, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The path of each string in a JSON value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from strings_of(part, *path, key)


def string_at(value: Any, path: Iterable[str | int]) -> str:  # noqa: ANN401 - JSON
    for key in path:
        value = value[key]
    return str(value)


def with_string(value: Any, path: tuple[str | int, ...], text: str) -> Any:  # noqa: ANN401 - JSON
    """The value with the string at one path replaced."""
    if not path:
        return text
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_string(value[path[0]], path[1:], text)
    return copy


def with_every_string(value: object, text: str) -> object:
    """The value with every string replaced, and one more key in each object."""
    if isinstance(value, dict):
        return {key: with_every_string(part, text) for key, part in value.items()} | {text: text}
    if isinstance(value, list):
        return [with_every_string(part, text) for part in value] + [text]
    return text if isinstance(value, str) else value
