"""Words for hosts and roll-outs, the same in every command and on the page."""

from chalicelib.core.history import RollOut
from chalicelib.core.observations import (
    AT,
    CANCELLED,
    FAILED,
    NOT_BEGUN,
    OFFLINE,
    OVERTAKEN,
    RUNNING,
    WAITING,
    HostVerdict,
)
from chalicelib.status.safe_text import one_line


def host_words(verdict: HostVerdict, short: str) -> str:
    """The state of a host after a roll-out of the commit `short`."""
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
        WAITING: "waiting: it has not begun",
    }[verdict.kind]


def cause_words(roll_out: RollOut) -> str:
    """Why a commit was sent, and by whom."""
    cause = one_line(roll_out.cause) or "?"
    words = f"{cause} by {one_line(roll_out.by)}" if roll_out.by else cause
    words = f"recheck{words.removeprefix(cause)}" if roll_out.is_recheck else words
    words += f", attempt {roll_out.attempt}" if roll_out.attempt else ""
    return words + (", exact" if roll_out.update == "exact" else "")
