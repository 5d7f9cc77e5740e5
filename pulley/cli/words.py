"""Words for what targets, hosts and roll-outs are, the same in every command.

What a host, a pusher or a tag says may be anything at all: nothing of it may move the cursor,
colour the screen or write into the terminal's title.
"""

import re
import unicodedata

from chalicelib.core.history import RollOut
from chalicelib.core.targets import STAGE_TAG, Target
from chalicelib.core.verdicts import (
    AT,
    CANCELLED,
    FAILED,
    NOT_BEGUN,
    OFFLINE,
    OVERTAKEN,
    RUNNING,
    HostVerdict,
)

# A terminal's sequences: CSI, then OSC and its kin with their text, then those of two characters.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_KEPT = "\n\t"
_BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_STYLES = {AT: "green", FAILED: "red", CANCELLED: "red", RUNNING: "cyan"}


def printable(text: str) -> str:
    """Text as it is, without what a terminal would act on. Lines and tabs stay."""
    text = _SEQUENCE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(one for one in text if one in _KEPT or _is_harmless(one))


def one_line(text: str) -> str:
    """The same, on one line."""
    return " ".join(printable(text).split())


def tail(text: str, lines: int) -> list[str]:
    """The last lines of an output, without what a terminal would act on."""
    return printable(text).rstrip("\n").split("\n")[-lines:] if text.strip() else []


def host_words(verdict: HostVerdict, short: str) -> str:
    """Where a host stands with a commit, of which this is the short id."""
    said = one_line(verdict.words)
    if verdict.kind == AT:
        what = "updated" if verdict.updated else "there already"
        what = f"rolled back to {verdict.back_at}" if verdict.back_at else what
        return f"at {short}: {what}" + (f", {said}" if said else "")
    if verdict.kind == FAILED:
        back = f" (back at {verdict.back_at})" if verdict.back_at else ""
        return f"failed: {said}{back}"
    if verdict.kind == CANCELLED:
        return f"cancelled {said or 'before it began'}"
    return {
        OVERTAKEN: f"overtaken by {said or 'a newer command'}",
        OFFLINE: "offline: not reached",
        NOT_BEGUN: "not begun",
        RUNNING: "running",
    }[verdict.kind]


def host_style(verdict: HostVerdict) -> str:
    """The colour of a host's line."""
    return _STYLES.get(verdict.kind, "yellow")


def cause_words(roll_out: RollOut) -> str:
    """Why a commit was sent, and by whom."""
    cause = one_line(roll_out.cause) or "?"
    words = f"{cause} by {one_line(roll_out.by)}" if roll_out.by else cause
    words += f", attempt {roll_out.attempt}" if roll_out.attempt else ""
    return words + (", exact" if roll_out.update == "exact" else "")


def follows(target: Target) -> str:
    """The branch that a target follows."""
    return f"{target.repository}, branch {target.branch}"


def no_hosts(target: Target, stage: str) -> str:
    """What a host of the target would have to be, where there is none."""
    if target.instances.ids:
        which = f"is one of {', '.join(target.instances.ids)} and has the tag {STAGE_TAG}={stage}"
    else:
        tags = [f"{key}={' or '.join(values)}" for key, values in target.instances.tags]
        which = f"has the tags {', '.join([f'{STAGE_TAG}={stage}', *tags])}"
    return f"No host: no instance {one_line(which)}, in this account and region."


def short_id(command_id: str) -> str:
    """A command's id as people are shown it: what --command-id takes."""
    return command_id[:8]


def hosts(count: int) -> str:
    """So many hosts."""
    return "1 host" if count == 1 else f"{count} hosts"


def _is_harmless(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cs"} and character not in _BIDIRECTIONAL
