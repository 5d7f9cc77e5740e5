"""Targets and a commit become commands: all is announced, what is held stays, the rest is sent.

Announcing (a deployment on GitHub) serves whoever looks at the commit. It never stops a deploy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chalicelib.core.commands import (
    DocumentPin,
    DocumentPinError,
    SendRequest,
    build_send_request,
    parse_document_pin,
)
from chalicelib.core.decisions import Decision, Level
from chalicelib.core.deployments import (
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
    not_deployed,
    not_sent,
    request_deployment,
)
from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.pins import Pin, PinError, parse_pin
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.core.stored import StoredPins
from chalicelib.core.targets import Target


class Pins(Protocol):
    """The stage's pins. Raises RefusedError or UnavailableError."""

    def pins(self, targets: Sequence[str]) -> StoredPins:
        """Newly read, always."""


class Commands(Protocol):
    """Run Command."""

    def send(self, requests: Sequence[SendRequest]) -> Sequence[str | PulleyError]:
        """Each request's command id, or why there is none, in the order of the requests."""


class Announcements(Protocol):
    """Deployments on GitHub, in no more time than a delivery has for them."""

    def open(
        self, repository: Repository, token: str, requests: Sequence[DeploymentRequest]
    ) -> Sequence[tuple[Deployment, bool] | PulleyError]:
        """Each request's deployment and whether it is new, or why there is none, in their order."""

    def post(
        self, repository: Repository, token: str, posts: Sequence[tuple[int, DeploymentStatus]]
    ) -> Sequence[PulleyError | None]:
        """Say how deployments stand; for each why it could not be said."""


class Journal(Protocol):
    """The log."""

    def note(self, decision: Decision) -> None:
        """Write it down."""


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
class Sent:
    """What was sent (target, command id), left out and why, and what failed."""

    sent: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, PulleyError], ...]


@dataclass(frozen=True)
class Deployer:
    """Deploys to one stage's targets. Without announcements, GitHub hears of it by the report."""

    stage: str
    pins: Pins
    commands: Commands
    announcements: Announcements | None
    journal: Journal

    def deploy(self, targets: Sequence[Target], cause: Cause) -> Sent:
        """Send the commit to the targets, of the cause's repository, that nothing holds.

        Raises RefusedError and UnavailableError where nothing could be sent at all.
        """
        # The time was taken before the pins are read: a host lets the newer of two commands win.
        stored = self.pins.pins([target.name for target in targets])
        document_pin = document_pin_of(stored)
        free: list[Target] = []
        held: list[tuple[Target, Pin]] = []
        failed: list[tuple[str, PulleyError]] = []
        for target in targets:
            try:
                pin = pin_of(target, stored)
            except UnavailableError as error:
                failed.append((target.name, error))
                continue
            holds = pin and pin.holds(cause.now)
            if cause.is_exact and not holds:
                words = f"it is not pinned at {cause.commit.short} any more"
                failed.append((target.name, UnavailableError(words)))
            elif pin and holds and not (cause.is_exact and pin.is_to(cause.commit)):
                held.append((target, pin))
                self._note("held", target, cause, reason=str(pin))
            else:
                free.append(target)
        # A pin to this very commit brings it about by itself: the next round tells of that.
        kept_out = [(target, pin) for target, pin in held if not pin.is_to(cause.commit)]
        announced = self._announce([*free, *(target for target, _ in kept_out)], cause)
        requests = [
            build_send_request(
                target,
                stage=self.stage,
                commit=cause.commit,
                issued=int(cause.now.timestamp() * 1000),
                cause=cause.word,
                delivery=cause.delivery,
                deployment=announced[target.name][0].id if target.name in announced else None,
                pushed_at=cause.pushed_at,
                by=cause.by,
                document_pin=document_pin,
                update=cause.update,
            )
            for target in free
        ]
        sent = []
        for target, answer in zip(free, self.commands.send(requests), strict=True):
            if isinstance(answer, PulleyError):
                failed.append((target.name, answer))
            else:
                sent.append((target.name, answer))
                self._note("sent", target, cause, command_id=answer)
        by_name = {target.name: target for target in targets}
        for name, problem in failed:
            reason = problem.in_full
            self._note("failed", by_name[name], cause, reason=reason, level="error")
        said = {target.name: not_deployed(str(pin)) for target, pin in kept_out}
        said |= {name: not_sent(str(error)) for name, error in failed}
        self._say(said, announced, by_name, cause)
        skipped = tuple((target.name, str(pin)) for target, pin in held)
        return Sent(tuple(sent), skipped, tuple(failed))

    def _announce(
        self, targets: Sequence[Target], cause: Cause
    ) -> Mapping[str, tuple[Deployment, bool]]:
        """The deployments that could be had, and whether they are new, by the target's name."""
        if self.announcements is None or not cause.token or not targets:
            return {}
        requests = [
            request_deployment(
                target, commit=cause.commit, stage=self.stage, delivery=cause.delivery
            )
            for target in targets
        ]
        announced = {}
        answers = self.announcements.open(cause.repository, cause.token, requests)
        for target, answer in zip(targets, answers, strict=True):
            if isinstance(answer, PulleyError):
                self._note_untold("not_made", target, cause, answer)
            else:
                announced[target.name] = answer
        return announced

    def _say(
        self,
        said: Mapping[str, DeploymentStatus],
        announced: Mapping[str, tuple[Deployment, bool]],
        by_name: Mapping[str, Target],
        cause: Cause,
    ) -> None:
        """Say of each new deployment whose command was not sent why it will not come.

        One that was there before may stand for hosts that have the commit already: it stays.
        """
        names = [name for name in said if name in announced and announced[name][1]]
        if not names or self.announcements is None:
            return
        posts = [(announced[name][0].id, said[name]) for name in names]
        answers = self.announcements.post(cause.repository, cause.token, posts)
        for name, problem in zip(names, answers, strict=True):
            if problem:
                self._note_untold("not_reported", by_name[name], cause, problem)

    def _note_untold(self, outcome: str, target: Target, cause: Cause, error: PulleyError) -> None:
        """What GitHub could not be told, unless the log has the reason already."""
        if isinstance(error, NotTakenError) and error.is_known:
            return
        facts = _facts(target, cause) | {"reason": error.in_full}
        self.journal.note(Decision("deployment", outcome, facts, level="warning"))

    def _note(
        self,
        outcome: str,
        target: Target,
        cause: Cause,
        *,
        level: Level = "info",
        **facts: object,
    ) -> None:
        self.journal.note(Decision("command", outcome, _facts(target, cause) | facts, level=level))


def _facts(target: Target, cause: Cause) -> dict[str, object]:
    return {
        "delivery": cause.delivery,
        "repository": str(cause.repository),
        "target": target.name,
        "commit": cause.commit.sha,
        "cause": cause.word,
    }


def document_pin_of(stored: StoredPins) -> DocumentPin | None:
    """The document's pin. Raises UnavailableError for one that cannot be read."""
    try:
        return parse_document_pin(stored.document) if stored.document is not None else None
    except DocumentPinError as error:
        raise UnavailableError(
            "the document's stored pin is not valid",
            detail=f"the parameter document is not valid: {error}",
        ) from None


def pin_of(target: Target, stored: StoredPins) -> Pin | None:
    """The target's pin. Raises UnavailableError for an unreadable one: it may say "frozen"."""
    text = stored.by_target.get(target.name)
    try:
        return parse_pin(text) if text is not None else None
    except PinError as error:
        raise UnavailableError(
            "the target's stored pin is not valid",
            detail=f"the parameter pins/{target.name} is not valid: {error}",
        ) from None
