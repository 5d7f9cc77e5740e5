"""Join the parts of the host's script.

`python3 pulley/host/build.py` prints the script as the document carries it: without comments, blank
lines and indentation, because a document holds 64 KB; so no string in a part may rely on these.
`--commented` keeps them, for shellcheck and readers.
Needs the standard library only, and nothing of Pulley.
"""

import re
import sys
from pathlib import Path

# In the order of a run, as main.sh has it. A part is functions only, so any order would do.
PARTS = (
    "parameters",
    "owner",
    "closed",
    "checkout",
    "lock",
    "marker",
    "remote",
    "refs",
    "recover",
    "edits",
    "move",
    "tools",
    "update",
    "submodules",
    "steps",
    "processes",
    "health",
    "check",
    "clock",
    "result",
    "main",
)
SHEBANG = "#!/bin/sh\n"
_FOLDER = Path(__file__).parent
# After code; nothing in it may be a quote, or it could be part of a string.
_COMMENT = re.compile(r"(?<=\S) +# [^'\"]*$")


def build(*, commented: bool = False, folder: Path = _FOLDER) -> str:
    """The script, ending in a newline, of the parts in a folder. Raises OSError."""
    parts = [(folder / f"{name}.sh").read_text(encoding="utf-8") for name in PARTS]
    if commented:
        return SHEBANG + "\n".join(parts)
    lines = [_COMMENT.sub("", line.lstrip(" ")) for part in parts for line in part.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return SHEBANG + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(build(commented="--commented" in sys.argv[1:]))
