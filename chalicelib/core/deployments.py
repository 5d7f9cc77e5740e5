"""What GitHub is told: which deployment there is to be, its state, and a line for people.

Source: GitHub's pages "REST API endpoints for deployments" and "... for deployment statuses".
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.refs import CommitSha, Repository
from chalicelib.core.targets import STAGE_TAG, Target
from chalicelib.core.verdicts import (
    AT,
    CANCELLED,
    FAILED,
    NOT_BEGUN,
    OFFLINE,
    OVERTAKEN,
    HostVerdict,
    Verdict,
)

MAX_DESCRIPTION = 140  # characters; GitHub answers 422 to more
# How many hosts a part names, and in how many characters: one full name of an EC2 host. The reason
# after them must stay in the line.
_NAMES, _NAMES_LENGTH = 3, 44
_NOT_DEPLOYED = "not deployed: "
_ENDED = frozenset({"success", "failure", "error", "inactive"})
# A terminal's colours and cursor; also where the host has put a space in the escape's place.
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|(?<![^ ])\[[0-9;]*[mK](?!\])")
_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_MARKUP = re.compile(r"[<>`*\[\]|\\]")
_LAST_TAKEN = "\uffff"  # GitHub answers 422: "description doesn't accept 4-byte Unicode"


@dataclass(frozen=True)
class DeploymentRequest:
    """The one deployment of a commit to a target. `delivery` and `stage` are for whoever reads."""

    repository: Repository
    commit: CommitSha
    environment: str
    stage: str
    target: str
    delivery: str

    @property
    def payload(self) -> dict[str, str]:
        """What tells it from other deployments of the commit."""
        return {"stage": self.stage, "target": self.target, "delivery": self.delivery}


@dataclass(frozen=True)
class DeploymentStatus:
    """A state and why. The description is plain text that fits GitHub's limit."""

    state: str
    description: str

    @property
    def has_ended(self) -> bool:
        """Whether the deployment is over with it. One that a pin kept out may yet begin."""
        return self.state in _ENDED and not self.is_kept_out

    @property
    def is_kept_out(self) -> bool:
        """Whether nothing was sent, since the target was held."""
        return self.state == "inactive" and self.description.startswith(_NOT_DEPLOYED)


@dataclass(frozen=True)
class Deployment:
    """A deployment on GitHub. `created` is aware; `target` and `stage` are its payload's."""

    id: int
    commit: str
    environment: str
    created: datetime
    stage: str
    target: str

    def answers(self, request: DeploymentRequest) -> bool:
        """Whether it is the one that the request is for."""
        return (self.commit, self.environment, self.stage, self.target) == (
            request.commit.sha,
            request.environment,
            request.stage,
            request.target,
        )


def request_deployment(
    target: Target, *, commit: CommitSha, stage: str, delivery: str
) -> DeploymentRequest:
    """The deployment of a commit to a target."""
    return DeploymentRequest(
        target.repository, commit, target.environment, stage, target.name, delivery
    )


def status_of(verdict: Verdict, *, limit: int = MAX_DESCRIPTION) -> DeploymentStatus:
    """What GitHub is told of a commit, where no newer one has taken its place.

    Whoever has room for more than GitHub leaves no host out that failed.
    """
    total, short = verdict.expected_hosts, verdict.roll_out.commit.short
    if not verdict.is_final:
        return _status(
            "in_progress", [f"deploying {short}{f' to {_hosts(total)}' if total else ''}"]
        )
    if not total:
        return _status(
            "error",
            [f"no host matched: none is registered with the target's tags and the tag {STAGE_TAG}"],
        )
    standing = f"{verdict.count(AT)} of {_hosts(total)} at {short}"
    if verdict.is_everywhere:
        return _success(verdict, standing)
    return _fallen_short(verdict, standing, limit)


def replaced(newer: CommitSha) -> DeploymentStatus:
    """What GitHub is told of a commit that ran until a newer one took its place."""
    return _status("inactive", [f"replaced by {newer.short}"])


def not_sent(why: str) -> DeploymentStatus:
    """What GitHub is told where the command could not be sent."""
    return _status("error", [f"not sent to any host: {why}"])


def not_deployed(hold: str) -> DeploymentStatus:
    """What GitHub is told of a commit that came while the target was held, as `hold` says."""
    return _status("inactive", [f"{_NOT_DEPLOYED}{hold}"])


def is_news(before: DeploymentStatus | None, after: DeploymentStatus) -> bool:
    """Whether the one may be posted after the other: what has ended does not begin again."""
    if before is None:
        return True
    if before.has_ended and not after.has_ended:
        return False
    if before.state == after.state == "inactive":
        return False
    return before != after


def plain_text(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """One line without markup, terminal codes, or characters that cannot be seen, cut to fit."""
    text = _MARKUP.sub("", _TAG.sub("", _ESCAPE.sub("", text)))
    text = " ".join("".join(one if _is_seen(one) else " " for one in text).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _is_seen(character: str) -> bool:
    return character <= _LAST_TAKEN and unicodedata.category(character)[0] not in "CZ"


def _status(state: str, parts: Sequence[str], limit: int = MAX_DESCRIPTION) -> DeploymentStatus:
    """The parts as a line: the first two always, cut where they must be, then whole ones."""
    parts = [plain_text(part, limit) for part in parts]
    line = "; ".join(parts[:2])
    for part in parts[2:]:
        if len(line) + len(part) + 2 <= limit:
            line += f"; {part}"
    return DeploymentStatus(state, plain_text(line, limit))


def _fallen_short(verdict: Verdict, standing: str, limit: int) -> DeploymentStatus:
    """Where a host that was reached is not at the commit, or none was reached."""
    total, overtaken = verdict.expected_hosts, verdict.of(OVERTAKEN)
    counts = {
        "offline, will catch up": verdict.count(OFFLINE),
        "not begun": verdict.count(NOT_BEGUN),
        "cancelled": verdict.count(CANCELLED),
        "said nothing": total - len(verdict.hosts),
    }
    notes = [f"{count} {words}" for words, count in counts.items() if count]
    if overtaken and len(overtaken) + verdict.count(AT, OFFLINE) == total:
        return _status("inactive", [_overtaken(overtaken, total), *notes], limit)
    if overtaken:
        notes.append(f"{len(overtaken)} overtaken")
    reasons = _grouped(verdict.of(FAILED))
    if verdict.was_cancelled:
        return _status("error", [f"cancelled: {standing}", *reasons, *notes], limit)
    if reasons:
        stopped = f"stopped after {verdict.count(FAILED)} failed: " if counts["not begun"] else ""
        return _status("failure", [stopped + standing, *reasons, *notes], limit)
    if verdict.count(OFFLINE) < total:
        return _status("error", [f"incomplete: {standing}", *notes], limit)
    return _status("error", [f"no host was reached: {standing}", *notes], limit)


def _success(verdict: Verdict, standing: str) -> DeploymentStatus:
    """Every host by name where they fit in the line, else only those with something to tell."""
    offline = verdict.count(OFFLINE)
    notes = [f"{offline} offline, will catch up"] if offline else []
    names = ", ".join(one.host + (f" ({one.words})" if one.words else "") for one in verdict.of(AT))
    whole = "; ".join([f"{standing}: {names}", *notes])
    if len(whole) <= MAX_DESCRIPTION:
        return _status("success", [whole])
    kept = [one for one in verdict.of(AT) if one.words]
    return _status("success", [standing, *notes, *_grouped(kept)])


def _grouped(hosts: Iterable[HostVerdict]) -> list[str]:
    """Hosts that say the same in one part, in the order of the first of each."""
    groups: dict[str, list[HostVerdict]] = {}
    for one in hosts:
        groups.setdefault(one.words, []).append(one)
    return [f"{_named([one.host for one in of])}: {_said(of)}" for of in groups.values()]


def _said(group: Sequence[HostVerdict]) -> str:
    """What they all say, and where they are back at if that is one commit."""
    # A host's own words cannot begin another part of the line.
    words = plain_text(group[0].words).replace(";", ",")
    back_at = {one.back_at for one in group if one.back_at}
    if len(back_at) != 1:
        return words
    return words.replace("rolled back", f"rolled back to {back_at.pop()}", 1)


def _named(names: Sequence[str]) -> str:
    """The hosts, the first of them at least, and how many are left out."""
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
