"""Targets and a commit become commands: all is announced, what is held stays, the rest is sent.

Announcing (a deployment on GitHub) serves whoever looks at the commit. It never stops a deploy. The
pins are read last before the commands are sent, so that a freeze holds from when it is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from chalicelib.core.commands import SendRequest
from chalicelib.core.decisions import Decision, DecisionLog, Level
from chalicelib.core.deployments import (
    Attempt,
    Cause,
    Deployment,
    DeploymentRequest,
    DeploymentStatus,
)
from chalicelib.core.errors import NotTakenError, PulleyError
from chalicelib.core.stored import StoredPins, document_pin_of
from chalicelib.core.targets import Target

GITHUB_SECONDS = 2.0  # that announcing may take of the ten that GitHub waits for an answer


class Pins(Protocol):
    """The stage's pins. Raises RefusedError or UnavailableError."""

    def pins(self, targets: Sequence[str]) -> StoredPins:
        """Newly read, always."""


class Commands(Protocol):
    """Run Command."""

    def send(self, requests: Sequence[SendRequest]) -> Sequence[str | PulleyError]:
        """Each request's command id, or why there is none, in the order of the requests."""


class Announcements(Protocol):
    """Deployments on GitHub. Neither method takes longer than its `seconds`."""

    def open(
        self, cause: Cause, requests: Sequence[DeploymentRequest], *, seconds: float
    ) -> tuple[Sequence[tuple[Deployment, bool] | PulleyError], float]:
        """Each request's deployment and whether it is new, or why there is none, in their order.

        And the seconds that are left.
        """

    def post(
        self, cause: Cause, posts: Sequence[tuple[int, DeploymentStatus]], *, seconds: float
    ) -> Sequence[PulleyError | None]:
        """Say how deployments stand; for each why it could not be said."""


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
    journal: DecisionLog

    def deploy(self, targets: Sequence[Target], cause: Cause) -> Sent:
        """Send the commit to the targets, of the cause's repository, that nothing holds.

        Raises RefusedError and UnavailableError where nothing could be sent at all.
        """
        attempts, seconds = self._announced([Attempt(target, cause) for target in targets], cause)
        try:
            # After GitHub, which may be slow: what is pinned meanwhile is held. And after the
            # cause's time was taken: a host lets the newer of two commands win.
            stored = self.pins.pins([target.name for target in targets])
            document_pin = document_pin_of(stored)
        except PulleyError as error:
            self._say([replace(one, answer=error) for one in attempts], cause, seconds)
            raise
        attempts = self._sent(
            [one.prepared(stored, document_pin, stage=self.stage) for one in attempts]
        )
        for one in attempts:
            self._note(one)
        self._say(attempts, cause, seconds)
        answers = [(one.target.name, one.answer) for one in attempts]
        return Sent(
            sent=tuple((name, answer) for name, answer in answers if isinstance(answer, str)),
            skipped=tuple((one.target.name, str(one.pin)) for one in attempts if one.pin),
            failed=tuple((name, why) for name, why in answers if isinstance(why, PulleyError)),
        )

    def _announced(
        self, attempts: Sequence[Attempt], cause: Cause
    ) -> tuple[Sequence[Attempt], float]:
        """With the deployments that could be had, and the seconds that GitHub has left."""
        if self.announcements is None or not cause.token:
            return attempts, 0.0
        requests = [one.announcement(self.stage) for one in attempts]
        answers, seconds = self.announcements.open(cause, requests, seconds=GITHUB_SECONDS)
        announced = []
        for one, answer in zip(attempts, answers, strict=True):
            if isinstance(answer, PulleyError):
                self._note_untold("not_made", one, answer)
                announced.append(one)
            else:
                deployment, is_new = answer
                announced.append(replace(one, deployment=deployment, is_new=is_new))
        return announced, seconds

    def _sent(self, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        """With the answers of those that have a request."""
        asked = {one.target.name: one.request for one in attempts if one.request}
        sent = self.commands.send(list(asked.values()))
        answers = dict(zip(asked, sent, strict=True))
        return [replace(one, answer=answers.get(one.target.name, one.answer)) for one in attempts]

    def _say(self, attempts: Sequence[Attempt], cause: Cause, seconds: float) -> None:
        """Say of each new deployment whose command was not sent why it will not come.

        One that was there before may stand for hosts that have the commit already: it stays.
        """
        said = [
            (one, (one.deployment.id, one.status))
            for one in attempts
            if one.deployment and one.is_new and one.status
        ]
        if not said or self.announcements is None:
            return
        posts = [post for _, post in said]
        answers = self.announcements.post(cause, posts, seconds=seconds)
        for (one, _), problem in zip(said, answers, strict=True):
            if problem:
                self._note_untold("not_reported", one, problem)

    def _note_untold(self, outcome: str, attempt: Attempt, error: PulleyError) -> None:
        """What GitHub could not be told, unless the log has the reason already."""
        if isinstance(error, NotTakenError) and error.is_known:
            return
        facts = _facts(attempt) | {"reason": error.in_full}
        self.journal.note(Decision("deployment", outcome, facts, level="warning"))

    def _note(self, attempt: Attempt) -> None:
        level: Level = "info"
        if isinstance(attempt.answer, PulleyError):
            outcome, level, said = "failed", "error", {"reason": attempt.answer.in_full}
        elif attempt.answer is None:
            outcome, said = "held", {"reason": str(attempt.pin)}
        else:
            outcome, said = "sent", {"command_id": attempt.answer}
        self.journal.note(Decision("command", outcome, _facts(attempt) | said, level=level))


def _facts(attempt: Attempt) -> dict[str, object]:
    return {
        "delivery": attempt.cause.delivery,
        "repository": str(attempt.cause.repository),
        "target": attempt.target.name,
        "commit": attempt.cause.commit.sha,
        "cause": attempt.cause.word,
    }
