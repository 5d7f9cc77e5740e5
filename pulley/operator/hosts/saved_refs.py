"""The refs that a host lists in its result line: people's edits and commits that it saved."""

import json
import re
from dataclasses import dataclass

from chalicelib.core.refs import shown
from chalicelib.core.results import ERROR_SEPARATOR, ResultError

# Both must be safe to paste into a shell, because people do that.
_REF, _COMMIT = re.compile("[A-Za-z0-9-]{0,30}"), re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class SavedRef:
    """An edit or a commit that a host has saved. `ref` is the last part of its name.

    It has only letters, digits and `-`. If a person named the ref with other characters, it is what
    follows the last of these, maybe "". `files` is how many files the commit changes, and `file` is
    the first of them, as git writes its name.
    """

    ref: str
    commit: str
    files: int
    file: str


@dataclass(frozen=True)
class SavedRefs:
    """What a host has saved, newest first: `count` in all, of which the line had room for these."""

    count: int
    refs: tuple[SavedRef, ...]


NOTHING_SAVED = SavedRefs(0, ())


def parse_saved_refs(output: str) -> SavedRefs:
    """The refs in a host's output, which has a result line. Raises ResultError."""
    stored = json.loads(output.partition(ERROR_SEPARATOR)[0])
    if "saved_refs" not in stored:
        return NOTHING_SAVED
    refs, count = stored["saved_refs"], stored.get("saved_count")
    if not isinstance(refs, list) or not isinstance(count, int):
        raise ResultError("no list of saved refs in the result line")
    return SavedRefs(count, tuple(_parse_ref(one) for one in refs))


def _parse_ref(told: object) -> SavedRef:
    match told:
        case [str(ref), str(commit), int(files), str(file)]:
            if _REF.fullmatch(ref) and _COMMIT.fullmatch(commit):
                return SavedRef(ref, commit, files, file)
    raise ResultError(f"a saved ref in the result line is {shown(told)}")
