"""Deploys a commit to targets: announce on GitHub, skip targets with a pin, send the commands.

An announcement (a deployment on GitHub) informs people; a failed one never stops a deploy. The pins
are read just before the commands are sent, so that a freeze holds from when it is stored.
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

GITHUB_SECONDS = 2.0  # for announcements; GitHub waits ten seconds for the answer


class Pins(Protocol):
    """The stage's pins. Raises RefusedError or UnavailableError."""

    def pins(self, targets: Sequence[str]) -> StoredPins:
        """The pins of these targets, never from a cache."""


class Commands(Protocol):
    """Run Command."""

    def send(self, requests: Sequence[SendRequest]) -> Sequence[str | PulleyError]:
        """Each request's command id, or its error, in the order of the requests."""


class Announcements(Protocol):
    """Deployments on GitHub. Neither method takes longer than its `seconds`."""

    def open(
        self, cause: Cause, requests: Sequence[DeploymentRequest], *, seconds: float
    ) -> tuple[Sequence[tuple[Deployment, bool] | PulleyError], float]:
        """Each request's deployment and whether it is new, or its error; and the seconds left."""

    def post(
        self, cause: Cause, posts: Sequence[tuple[int, DeploymentStatus]], *, seconds: float
    ) -> Sequence[PulleyError | None]:
        """Post each status; return the error of each that failed, else None."""


@dataclass(frozen=True)
class Sent:
    """Targets with their command ids, skipped ones with the reason, failed ones with the error."""

    sent: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, PulleyError], ...]


@dataclass(frozen=True)
class Deployer:
    """Deploys to one stage's targets. Without announcements, only the report tells GitHub."""

    stage: str
    pins: Pins
    commands: Commands
    announcements: Announcements | None
    journal: DecisionLog

    def deploy(self, targets: Sequence[Target], cause: Cause) -> Sent:
        """Send the commit to the targets that have no pin.

        The targets are of the cause's repository. Raises RefusedError and UnavailableError if
        nothing could be sent at all.
        """
        attempts, seconds = self._announced([Attempt(target, cause) for target in targets], cause)
        return self.send(attempts, cause, seconds)

    def send(self, attempts: Sequence[Attempt], cause: Cause, seconds: float) -> Sent:
        """Send what was announced; `seconds` are left to post on GitHub. Raises as `deploy`."""
        try:
            # Read the pins after the calls to GitHub, which may be slow: a pin that is stored
            # meanwhile counts. Read them after the cause was issued, too: the command of a pin that
            # is stored later is then newer than this one, and wins on a host.
            stored = self.pins.pins([one.target.name for one in attempts])
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
        asked = {one.target.name: one.request for one in attempts if one.request}
        sent = self.commands.send(list(asked.values()))
        answers = dict(zip(asked, sent, strict=True))
        return [replace(one, answer=answers.get(one.target.name, one.answer)) for one in attempts]

    def _say(self, attempts: Sequence[Attempt], cause: Cause, seconds: float) -> None:
        # If a deployment existed before, its hosts may have the commit already: post nothing on it.
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
        """Log what GitHub did not take, unless the reason is in the log already."""
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
