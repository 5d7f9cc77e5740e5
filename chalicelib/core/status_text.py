"""The deployment status for a verdict: the state, and a line for people."""

from collections.abc import Iterable, Sequence

from chalicelib.core.deployments import MAX_DESCRIPTION, DeploymentStatus, plain_text, status_from
from chalicelib.core.observations import (
    AT,
    CANCELLED,
    FAILED,
    NOT_BEGUN,
    OFFLINE,
    OVERTAKEN,
    HostVerdict,
)
from chalicelib.core.targets import STAGE_TAG
from chalicelib.core.verdicts import Verdict

# A part names at most so many hosts, in so many characters (one full name of an EC2 host), so that
# the reason after the names fits into the line, too.
_NAMES, _NAMES_LENGTH = 3, 44


def status_of(verdict: Verdict, *, limit: int = MAX_DESCRIPTION) -> DeploymentStatus:
    """The status of a commit that no newer one replaced. GitHub takes no higher `limit`."""
    total, short = verdict.expected_hosts, verdict.roll_out.commit.short
    if not verdict.is_final:
        return status_from(
            "in_progress", [f"deploying {short}{f' to {_hosts(total)}' if total else ''}"]
        )
    if not total:
        return status_from(
            "error",
            [f"no host matched: none is registered with the target's tags and the tag {STAGE_TAG}"],
        )
    standing = f"{verdict.count(AT)} of {_hosts(total)} at {short}"
    # Count them here: a reason that does not fit into the line is left out, and its hosts with it.
    if failed := verdict.count(FAILED):
        standing += f", {failed} failed"
    if verdict.is_everywhere:
        return _success(verdict, standing)
    return _fallen_short(verdict, standing, limit)


def _fallen_short(verdict: Verdict, standing: str, limit: int) -> DeploymentStatus:
    total, overtaken = verdict.expected_hosts, verdict.of(OVERTAKEN)
    counts = {
        "offline, will catch up": verdict.count(OFFLINE),
        "not begun": verdict.count(NOT_BEGUN),
        "cancelled": verdict.count(CANCELLED),
        "said nothing": total - len(verdict.hosts),
    }
    notes = [f"{count} {words}" for words, count in counts.items() if count]
    if overtaken and len(overtaken) + verdict.count(AT, OFFLINE) == total:
        return status_from("inactive", [_overtaken(overtaken, total), *notes], limit)
    if overtaken:
        notes.append(f"{len(overtaken)} overtaken")
    reasons = _grouped(verdict.of(FAILED))
    if verdict.was_cancelled:
        return status_from("error", [f"cancelled: {standing}", *reasons, *notes], limit)
    if reasons:
        stopped = "stopped: " if counts["not begun"] else ""
        return status_from("failure", [stopped + standing, *reasons, *notes], limit)
    if verdict.count(OFFLINE) < total:
        return status_from("error", [f"incomplete: {standing}", *notes], limit)
    return status_from("error", [f"no host was reached: {standing}", *notes], limit)


def _success(verdict: Verdict, standing: str) -> DeploymentStatus:
    """Name every host if all names fit in the line, else only the hosts that have a note."""
    offline = verdict.count(OFFLINE)
    notes = [f"{offline} offline, will catch up"] if offline else []
    names = ", ".join(one.host + (f" ({one.words})" if one.words else "") for one in verdict.of(AT))
    whole = "; ".join([f"{standing}: {names}", *notes])
    if len(whole) <= MAX_DESCRIPTION:
        return status_from("success", [whole])
    kept = [one for one in verdict.of(AT) if one.words]
    return status_from("success", [standing, *notes, *_grouped(kept)])


def _grouped(hosts: Iterable[HostVerdict]) -> list[str]:
    groups: dict[str, list[HostVerdict]] = {}
    for one in hosts:
        groups.setdefault(one.words, []).append(one)
    return [f"{_named([one.host for one in of])}: {_said(of)}" for of in groups.values()]


def _said(group: Sequence[HostVerdict]) -> str:
    # A host's own words cannot begin another part of the line.
    words = plain_text(group[0].words).replace(";", ",")
    back_at = {one.back_at for one in group if one.back_at}
    if len(back_at) != 1:
        return words
    return words.replace("rolled back", f"rolled back to {back_at.pop()}", 1)


def _named(names: Sequence[str]) -> str:
    named = len(names) if len(names) <= _NAMES else _NAMES - 1
    while named > 1 and len(", ".join(names[:named])) > _NAMES_LENGTH:
        named -= 1
    text, more = plain_text(", ".join(names[:named]), _NAMES_LENGTH), len(names) - named
    return f"{text} and {more} more" if more else text


def _overtaken(hosts: Sequence[HostVerdict], total: int) -> str:
    newer = next((one.words for one in hosts if one.words), "a newer command")
    where = "before it ran" if len(hosts) == total else f"on {len(hosts)} of {_hosts(total)}"
    return f"overtaken by {newer} {where}"


def _hosts(count: int) -> str:
    return f"{count} host" if count == 1 else f"{count} hosts"
