"""Make stdin, stdout and stderr usable, whatever the command was started with.

A terminal may know only ASCII, and a stream may be closed or full. None of that may end a command
in the middle of its work with a traceback.
"""

import codecs
import errno
import os
import sys
import unicodedata

# A file or a pipe takes no more. Other errors, such as those of a network, are not about output.
_TAKES_NO_MORE = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF)
)
_IN_ASCII = {
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{MIDDLE DOT}": "-",
    "\N{CHECK MARK}": "ok",
    "\N{BOX DRAWINGS HEAVY HORIZONTAL}": "-",
}
_REPLACING = "pulley.replacing"


def prepare() -> None:
    """Open what is closed, and let streams that lack a character print others in its place.

    What is written to a closed stdout is lost: `takes_no_more` then knows the error, as for a full
    disk. What is written to a closed stderr is lost without an error.
    """
    # In this order each gets its own descriptor: a socket there would get what commands print.
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - until the end
    codecs.register_error(_REPLACING, _replace)
    for stream in (sys.stdout, sys.stderr):
        encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
        if encoding != "utf8" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_REPLACING)


def takes_no_more(error: OSError) -> bool:
    """Whether the error says that stdout or stderr takes no more."""
    return error.errno in _TAKES_NO_MORE


def give_up() -> None:
    """Write nothing more: Python would try once more at its end, and complain."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nothing, stream.fileno())


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_in_ascii(one) for one in characters), error.end


def _in_ascii(character: str) -> str:
    """ASCII that says the same, such as three dots or the letter without its accent; or a code."""
    known = _IN_ASCII.get(character)
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return known or plain or character.encode("ascii", "backslashreplace").decode()
