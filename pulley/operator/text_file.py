"""Read a text file that a person wrote."""

import sys
from pathlib import Path

from chalicelib.core.errors import PulleyError

STDIN = "-"


class UnreadableError(PulleyError):
    """The file does not exist, or is not text."""


def read_text(name: str, how: str = "docs/targets.md says how to write it") -> str:
    """A file's text; `-` is stdin. `how` ends the error. Raises UnreadableError."""
    try:
        content = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        raise UnreadableError(f"{name}: cannot be read: {error.strerror or error}; {how}") from None
    try:
        return content.decode("utf-8-sig")  # without a byte order mark, which TOML forbids
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{name}: is not UTF-8, at byte {error.start + 1}") from None
