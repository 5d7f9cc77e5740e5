"""Join the parts of the host's script.

`python3 pulley/host/build.py` prints the script as the document carries it: without comments, blank
lines and indentation, because a document holds 64 KB; so no string in a part may rely on these. The
lines of a function, and the functions, are joined, the spaces around operators left out, and
functions and variables get short names, except where the long name may also be a word of a message
or of another program. So a variable that is used often has a name that means nothing else
(`commit_after`, not `after`). An empty value (`name=''`) loses its quotes. So does a word that no
shell splits: a file's name after `<` or `>`, and what consists of variables that have no space
(_ONE_WORD). The result does the same as the parts.
`--commented` keeps all, for shellcheck and readers.
Needs the standard library only, and nothing of Pulley.
"""

import re
import string
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path

# In the order of a run, as main.sh has it. A part is functions only, so any order would do.
PARTS = (
    "parameters",
    "owner",
    "path",
    "closed",
    "checkout",
    "clone",
    "lock",
    "marker",
    "remote",
    "refs",
    "drift",
    "recover",
    "files",
    "edits",
    "saved",
    "move",
    "releases",
    "tools",
    "update",
    "submodules",
    "steps",
    "back",
    "processes",
    "health",
    "drain",
    "check",
    "clock",
    "result",
    "main",
)
SHEBANG = "#!/bin/sh\n"
_FOLDER = Path(__file__).parent
# A backslash with the character after it, a quote, or the place where a comment begins.
_TOKEN = re.compile(r"\\.|['\"]|(?:^| +)#(?= |$)")
# These are never empty, and have no space and no `*?[`. They are numbers; or a ref, in which git
# allows none of these; or a path: parameters.sh and enter_checkout check it.
_ONE_WORD = (
    "state|errors|git_dir|common_dir|checkout_path|local_ref|remote_ref|upstream_ref|head_ref"
    "|time_left|exit_code|marker_slot|euid|owner_uid"
)
# These may be empty; else they are one such word: flags, commits, refs, and checked parameters.
_WORD_OR_EMPTY = "|".join(
    (
        *("asked_commit", "asks", "base_commit", "branch_tip", "drift_found", "edits_commit"),
        *("failed_step", "fault_name", "fetched", "goes_to_commit", "has_switched", "hidden_git"),
        *("is_inside", "marker_commit", "marker_upstream", "mount_id", "onto", "orig_head"),
        *("others_healthy", "release_before", "release_settings", "saved_ref", "seen"),
        *("stash_of_git", "this_release", "upstream_commit", "uses_lfs"),
        *("Clone", "Drain", "Issued", "Restart"),
    )
)
_UNQUOTED = re.compile(
    # A file's name after a redirection, of a variable of the script's own and a plain word.
    r'(?<=[<>])"(\$[a-z]\w*(?:/[\w.]+)?)"|'
    rf'(?<=[ \[])"((?:\$(?:{_ONE_WORD})\b|(?<=[\w/])[\w./-]+)+)"(?=[ );|&]|$)|'
    # What a test with nothing else in it asks for.
    rf'(?<=\[ )((?:-z )?)"(\$(?:{_WORD_OR_EMPTY}))"(?= \])'
)
# A calculation without a command in it.
_SUM = re.compile(r"\$\(\((?:[^$]|\$(?!\())*?\)\)")
# An empty value, which needs no quotes; a string or a calculation, which stays as it is; or an
# operator with spaces that it does not need.
_OPERATOR = re.compile(
    r"""(?<==)''(?=[ ;]|$)|(\\.|'[^']*'|"(?:\\.|[^"\\])*"|\$\(\(.*?\)\))"""
    r"| *(&&|\|\|?|;;?) *|(?<!\d) +(?=[<>])|(?<=\(\)) +"
)
# A pattern of a case, with the spaces after it.
_PATTERN = re.compile(r"""^((?:'[^']*'|"[^"]*"|[^'"()])*\)) +""")
# The same within a line.
_BRANCH = re.compile(r"""((?: in |;;)[^ ()'";]*\)) +""")
# To empty a file takes no command.
_EMPTIED = re.compile(r"""(?:(?<=[ &|;{])|^)true(?=>"?\$)""")
# `read` with its one option, as a function: it is called often.
_READS = re.compile(r"(?<![=:] )\bread -r ")
_READ_IN = "read_in "
_READ_IN_FUNCTION = 'read_in(){ read -r "$@";};'
# A line that ends like this is joined to the next line: with a space, or (AT_ONCE) without one.
_GOES_ON = re.compile(r"(?:^|[\s;)|&])(?:then|do|else|in|\{)$")
_GOES_ON_AT_ONCE = re.compile(r"(?:\\|&&|\||;;|\()$")
_FUNCTION = re.compile(r"(?:^|;)([a-z]+(?:_[a-z]+)+)\(\)", re.MULTILINE)
# Functions whose name is a single word that occurs in no string and names nothing else.
_SAID_NOWHERE = frozenset(("finish", "refuse", "succeed", "differs", "arrive", "judge"))
_VARIABLE = re.compile(r"(?<=\$)\w+|(?<=\$\{)\w+|\w+(?==)")
# A variable that only this shell sees: assigned and not exported, read, looped over, expanded, or
# calculated with.
# A name that is also printed, or set or read by another program, occurs in other places too, and
# stays long.
_LONG = "([a-z]+(?:_[a-z]+)+|[a-z]{4,})"
_ASSIGNED = re.compile(rf"(?<![\w$*-])(?<!export ){_LONG}(?==)")
_READ = re.compile(r"\bread(?: -r|_in) ([\w ]+)")
_EXPANDED = re.compile(rf"\$(?:\{{#?)?{_LONG}\b")
_CALCULATED = re.compile(rf"(?<![\w${{]){_LONG}\b")
_LOOPED = re.compile(rf"\bfor {_LONG}\b")
_WORD = re.compile(r"\w+")
_LETTERS = string.ascii_letters
_SHORT = (
    *_LETTERS,
    *(f"_{one}" for one in _LETTERS),
    *map("".join, product(_LETTERS.replace("m", ""), string.digits)),  # m4 is a command
)


def build(*, commented: bool = False, folder: Path = _FOLDER) -> str:
    """The script, ending in a newline, of the parts in a folder. Raises OSError."""
    parts = _read_parts(folder)
    if commented:
        return SHEBANG + "\n".join(parts)
    return SHEBANG + _join(tuple(parts))


def short_names() -> dict[str, str]:
    """The short name of each function and variable that gets one."""
    return _short_names(_read_parts(_FOLDER))


@cache  # `pulley setup` and `pulley doctor` join the same parts several times
def _join(parts: tuple[str, ...]) -> str:
    names = _short_names(parts)
    joined = _READ_IN_FUNCTION + "".join(map(_shorten, parts))
    return _WORD.sub(lambda word: names.get(word[0], word[0]), joined)


def _short_names(parts: Sequence[str]) -> dict[str, str]:
    """The short name by the long one, of functions and of variables.

    A function has one if its name has several words, or is in _SAID_NOWHERE; a variable has one if
    its name is used for nothing else.

    A short name is no word of the parts. It is a letter, or begins with `_`, or ends in a digit: no
    command of the script and no other variable is named like that. The names that are used most get
    a letter.
    """
    script = _READ_IN_FUNCTION + "".join(map(_shorten, parts))
    functions = (set(_FUNCTION.findall(script)) | _SAID_NOWHERE) - set(_VARIABLE.findall(script))
    used = Counter(_WORD.findall(script))
    assigned = _ASSIGNED.findall(script) + re.findall(_LONG, " ".join(_READ.findall(script)))
    assigned += _LOOPED.findall(script)
    calculated = _CALCULATED.findall(" ".join(_SUM.findall(script)))
    alone = Counter(assigned + calculated + _EXPANDED.findall(script))
    variables = {name for name in assigned if alone[name] == used[name]}
    by_use = sorted(functions | variables, key=lambda name: (-used[name], name))
    words = set(_WORD.findall("".join(parts)))
    free = [short for short in _SHORT if short not in words]
    return dict(zip(by_use, free, strict=False))


def _read_parts(folder: Path) -> list[str]:
    return [(folder / f"{name}.sh").read_text(encoding="utf-8") for name in PARTS]


def _shorten(part: str) -> str:
    """The code, each function on one line. Strings and here-documents lose only indentation."""
    shortened, quote, document = "", "", False
    in_pattern = continued = False  # of a case
    for line in part.splitlines():
        code, in_string = line.strip(" "), bool(quote)
        if not document:
            code, quote = _split_comment(code, quote)
        if not code:
            continue
        if not (quote or in_string or document):
            code = _tighten(code)
        if not in_string:
            shortened = _without_needless_end(shortened, code)
        in_pattern = shortened.endswith((" in ", ";;")) or (in_pattern and continued)
        if in_pattern and not quote:
            code = _PATTERN.sub(r"\1", code)
        continued = code.endswith("\\")
        document = "<<EOF" in code or (document and code != "EOF")
        begins_function = code.endswith(("(){", "()("))
        if line in {"}", ")"} and not quote:
            shortened += code + ";"
        elif quote or document or code == "EOF" or not (line.startswith(" ") or begins_function):
            shortened += code + "\n"
        elif (in_pattern and code.endswith(")")) or _GOES_ON_AT_ONCE.search(code):
            shortened += code.removesuffix("\\")
        else:
            shortened += code + (" " if _GOES_ON.search(code) else ";")
    return shortened


def _without_needless_end(shortened: str, code: str) -> str:
    """What comes before this code, without a `;` that the code's beginning makes needless."""
    if code.startswith(";;"):
        return shortened.removesuffix(";")
    # Before `esac` one is enough, but not after an empty branch.
    if code.startswith("esac") and shortened.endswith(";;") and not shortened.endswith(");;"):
        return shortened.removesuffix(";")
    return shortened


def _tighten(code: str) -> str:
    """The code without spaces and quotes that it does not need."""
    code = _OPERATOR.sub(lambda found: found[1] or found[2] or "", code)
    code = _BRANCH.sub(r"\1", code)
    code = _EMPTIED.sub("", _READS.sub(_READ_IN, code))
    code = _UNQUOTED.sub(lambda found: "".join(part or "" for part in found.groups()), code)
    return _SUM.sub(lambda found: found[0].replace(" ", ""), code)


def _split_comment(line: str, quote: str) -> tuple[str, str]:
    """The line without its comment, and the quote open at its end. `quote`: at its beginning."""
    for token in _TOKEN.finditer(line):
        if not quote and token[0].endswith("#"):
            return line[: token.start()], ""
        if token[0] == quote or (token[0] == "\\'" and quote == "'"):
            quote = ""
        elif not quote and token[0] in {"'", '"'}:
            quote = token[0]
    return line, quote


if __name__ == "__main__":
    sys.stdout.write(build(commented="--commented" in sys.argv[1:]))
