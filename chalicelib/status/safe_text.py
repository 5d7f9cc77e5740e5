"""Make text safe to print on an operator's terminal.

Text from hosts, pushers, tags, stored parameters and AWS is not trusted. None of it may move the
cursor, colour the screen or change the terminal's title.
"""

import re
import unicodedata

# Escape sequences: CSI; OSC, DCS and the like with their text; then those of two characters.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_KEPT = "\n\t"
_BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def printable(text: str) -> str:
    """Remove all that a terminal would act on. Line ends and tabs stay."""
    text = _SEQUENCE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(one for one in text if one in _KEPT or _is_harmless(one))


def one_line(text: str) -> str:
    """As `printable`, and on one line."""
    return " ".join(printable(text).split())


def tail(text: str, lines: int) -> list[str]:
    """The last lines of an output, without what a terminal would act on."""
    return printable(text).rstrip("\n").split("\n")[-lines:] if text.strip() else []


def _is_harmless(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cs"} and character not in _BIDIRECTIONAL
