"""Deployments: what is deployed and why, and the statuses that GitHub accepts.

Source: GitHub's pages "REST API endpoints for deployments" and "... for deployment statuses".
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
# Terminal codes, also those whose escape character the host has replaced by a space.
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|(?<![^ ])\[[0-9;]*[mK](?!\])")
_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_MARKUP = re.compile(r"[<>`*\[\]|\\]")
_LONGEST_HALF = 24  # a longer word is cut in the middle, a shorter one is left out
_LAST_TAKEN = "\uffff"  # GitHub answers 422: "description doesn't accept 4-byte Unicode"


@dataclass(frozen=True)
class DeploymentRequest:
    """A request for the deployment of a commit to a target. `delivery` is for people only."""

    commit: CommitSha
    environment: str
    stage: str
    target: str
    delivery: str

    @property
    def payload(self) -> dict[str, str]:
        """The payload, which tells it from other deployments of the commit."""
        return {"stage": self.stage, "target": self.target, "delivery": self.delivery}


@dataclass(frozen=True)
class Links:
    """Addresses that GitHub shows beside a status; "" for none.

    `log_url` is where the deploy can be looked at, `environment_url` what the hosts serve.
    """

    log_url: str = ""
    environment_url: str = ""


NO_LINKS = Links()


@dataclass(frozen=True)
class DeploymentStatus:
    """A state and its reason. `description` is plain text within GitHub's limit."""

    state: str
    description: str

    @property
    def is_final(self) -> bool:
        """Whether the state is final. core/sync_steps.py decides if a deployment has ended."""
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

    @property
    def is_foreign(self) -> bool:
        """Whether somebody else made it: its payload does not name a stage and a target."""
        return not (self.stage and self.target)

    def answers(self, request: DeploymentRequest) -> bool:
        """Whether it is the requested deployment."""
        return (self.commit, self.environment, self.stage, self.target) == (
            request.commit.sha,
            request.environment,
            request.stage,
            request.target,
        )


def read_payload(payload: object) -> Mapping[str, object]:
    """A deployment's payload, which is JSON, also as text. Others may put anything there."""
    with suppress(ValueError, RecursionError):
        payload = json.loads(payload) if isinstance(payload, str) else payload
    return payload if isinstance(payload, dict) else {}


@dataclass(frozen=True)
class NotGreen:
    """GitHub made no deployment, because a check has not passed. `reason` names it, or is ""."""

    reason: str


@dataclass(frozen=True)
class Cause:
    """Why and when a commit is deployed to targets of a repository, and the token for GitHub.

    `now` and `pushed_at` are aware. `by` is who pushed or deployed, and `reason` why a person did
    it. `tag` is the name of the commit's tag, if it has one. `update` is "exact" if the targets are
    pinned at the commit; otherwise it is "", and each target's own `update` counts.
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
    reason: str = ""
    tag: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether it brings hosts to the commit of a pin."""
        return self.update == "exact"


@dataclass(frozen=True)
class Attempt:
    """A deploy to one target, and how far it got.

    `is_new`: its deployment was created for it. `pin` is the pin that stops it. `answer` is the
    command's id, or the error; None if no command was requested.
    """

    target: Target
    cause: Cause
    deployment: Deployment | None = None
    is_new: bool = False
    pin: Pin | None = None
    request: SendRequest | None = None
    answer: str | PulleyError | None = None

    def announcement(self, stage: str) -> DeploymentRequest:
        """The request for the deployment that announces it."""
        target, cause = self.target, self.cause
        return DeploymentRequest(
            cause.commit, target.environment, stage, target.name, cause.delivery
        )

    def prepared(
        self, stored: StoredPins, document_pin: DocumentPin | None, *, stage: str
    ) -> "Attempt":
        """The attempt with the pin that stops it, else with its request, or its error."""
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
            reason=cause.reason,
            tag=cause.tag,
        )
        return replace(self, request=request)

    @property
    def status(self) -> DeploymentStatus | None:
        """The status to post at once if no command was sent."""
        if isinstance(self.answer, PulleyError):
            return status_from("error", [f"not sent to any host: {self.answer}"])
        # If the target is pinned at this very commit, post nothing: the next round sends it, and
        # the report posts the result.
        if self.pin and not self.pin.is_to(self.cause.commit):
            return status_from("inactive", [f"not deployed: {self.pin}"])
        return None


def replaced(newer: CommitSha) -> DeploymentStatus:
    """The status of a commit that ran until a newer one replaced it."""
    return status_from("inactive", [f"replaced by {newer.short}"])


def plain_text(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """One line without markup, terminal codes and invisible characters, cut after a word."""
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
    """Join parts to a line: the first two always, cut if necessary; then each that fits whole."""
    parts = [plain_text(part, limit) for part in parts]
    line = "; ".join(parts[:2])
    for part in parts[2:]:
        if len(line) + len(part) + 2 <= limit:
            line += f"; {part}"
    return DeploymentStatus(state, plain_text(line, limit))
