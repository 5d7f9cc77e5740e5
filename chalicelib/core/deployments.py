"""Deployments: what is deployed and why, and the statuses that GitHub takes of it.

Source: GitHub's pages "REST API endpoints for deployments" and "... for deployment statuses".
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chalicelib.core.commands import DocumentPin, SendRequest, build_send_request
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.core.stored import StoredPins, pin_of
from chalicelib.core.targets import Target

MAX_DESCRIPTION = 140  # characters; GitHub answers 422 to more
_FINAL = frozenset({"success", "failure", "error", "inactive"})
# A terminal's colours and cursor; also where the host has put a space in the escape's place.
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|(?<![^ ])\[[0-9;]*[mK](?!\])")
_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_MARKUP = re.compile(r"[<>`*\[\]|\\]")
_LONGEST_HALF = 24  # characters of a word that is left out, where a line is cut in the middle of it
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
    def is_final(self) -> bool:
        """Whether a run ends with it. core/sync_steps.py decides if a deployment has ended."""
        return self.state in _FINAL


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


@dataclass(frozen=True)
class Cause:
    """Why targets of a repository are to be deployed, by whose token it is announced, and when.

    `now` and `pushed_at` are aware. `by` is who pushed or deployed. `update` is "exact" for what
    the targets are pinned at, and else "": each target's own.
    """

    repository: Repository
    commit: CommitSha
    word: str
    now: datetime
    token: str = field(default="", repr=False)
    delivery: str = ""
    pushed_at: datetime | None = None
    by: str = ""
    update: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether it brings about a pin."""
        return self.update == "exact"


@dataclass(frozen=True)
class Attempt:
    """To deploy to one target, as far as it got.

    `is_new`: its deployment was made for it. `pin` is what holds the target. `answer` is the
    command's id, or why there is none; None where none was asked for.
    """

    target: Target
    cause: Cause
    deployment: Deployment | None = None
    is_new: bool = False
    pin: Pin | None = None
    request: SendRequest | None = None
    answer: str | PulleyError | None = None

    def announcement(self, stage: str) -> DeploymentRequest:
        """The deployment that tells of it."""
        target, cause = self.target, self.cause
        return DeploymentRequest(
            cause.repository, cause.commit, target.environment, stage, target.name, cause.delivery
        )

    def prepared(
        self, stored: StoredPins, document_pin: DocumentPin | None, *, stage: str
    ) -> "Attempt":
        """With the pin that holds the target, else with the request or why there can be none."""
        cause = self.cause
        try:
            pin = pin_of(self.target, stored)
        except UnavailableError as error:
            return replace(self, answer=error)
        holds = pin is not None and pin.holds(cause.now)
        if cause.is_exact and not holds:
            words = f"it is not pinned at {cause.commit.short} any more"
            return replace(self, answer=UnavailableError(words))
        if pin and holds and not (cause.is_exact and pin.is_to(cause.commit)):
            return replace(self, pin=pin)
        request = build_send_request(
            self.target,
            stage=stage,
            commit=cause.commit,
            issued=int(cause.now.timestamp() * 1000),
            cause=cause.word,
            delivery=cause.delivery,
            deployment=self.deployment.id if self.deployment else None,
            pushed_at=cause.pushed_at,
            by=cause.by,
            document_pin=document_pin,
            update=cause.update,
        )
        return replace(self, request=request)

    @property
    def status(self) -> DeploymentStatus | None:
        """What GitHub is told at once where no command was sent."""
        if isinstance(self.answer, PulleyError):
            return status_from("error", [f"not sent to any host: {self.answer}"])
        # A pin to this very commit brings it about by itself: the next round tells of that.
        if self.pin and not self.pin.is_to(self.cause.commit):
            return status_from("inactive", [f"not deployed: {self.pin}"])
        return None


def replaced(newer: CommitSha) -> DeploymentStatus:
    """What GitHub is told of a commit that ran until a newer one took its place."""
    return status_from("inactive", [f"replaced by {newer.short}"])


def plain_text(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """One line without markup, terminal codes, or characters that cannot be seen, cut at a word."""
    text = _MARKUP.sub("", _TAG.sub("", _ESCAPE.sub("", text)))
    text = " ".join("".join(one if _is_seen(one) else " " for one in text).split())
    if len(text) <= limit:
        return text
    whole, space, half = text[:limit].rpartition(" ")
    cut = whole if space and len(half) < _LONGEST_HALF else text[: limit - 1]
    return cut.rstrip(" ,;:(") + "…"


def _is_seen(character: str) -> bool:
    return character <= _LAST_TAKEN and unicodedata.category(character)[0] not in "CZ"


def status_from(state: str, parts: Sequence[str], limit: int = MAX_DESCRIPTION) -> DeploymentStatus:
    """The parts as a line: the first two always, cut where they must be, then whole ones."""
    parts = [plain_text(part, limit) for part in parts]
    line = "; ".join(parts[:2])
    for part in parts[2:]:
        if len(line) + len(part) + 2 <= limit:
            line += f"; {part}"
    return DeploymentStatus(state, plain_text(line, limit))
