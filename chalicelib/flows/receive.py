"""Turns a delivery into a deploy: verify, parse, match targets.

A redelivery is treated like the first delivery, because sending twice for one push does no harm.
A delivery that was not verified must never be acted on.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib.core.decisions import Decision, DecisionLog, Level, count
from chalicelib.core.deployments import Cause
from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import CommitSha, Repository, shown
from chalicelib.core.stored import SigningSecret, StoredSettings, targets_of
from chalicelib.core.targets import Target, match_targets
from chalicelib.core.unverified import read_claim
from chalicelib.core.webhook import (
    DeletionEvent,
    Delivery,
    DeliveryError,
    OtherEvent,
    Payload,
    PingEvent,
    PushEvent,
    check_envelope,
    parse_delivery,
    parse_payload,
    without_form,
)
from chalicelib.flows.deploy import Deployer, Sent
from chalicelib.flows.verify import Verified, Verifier

if TYPE_CHECKING:
    from chalicelib.flows.wake import Waker

PING = "ping: the webhook is set up, a push will deploy"


@dataclass(frozen=True)
class Ignored:
    """A verified delivery for which no command was sent; it may have woken a round.

    `secret` signed a ping: `pulley connect` reads it.
    """

    delivery: str
    reason: str
    secret: SigningSecret | None = None


@dataclass(frozen=True)
class Accepted(Sent):
    """A push for which at least one command was sent, or should have been."""

    delivery: str
    commit: CommitSha


@dataclass(frozen=True)
class Receiver:
    """Receives the deliveries of one stage."""

    verifier: Verifier
    deployer: Deployer
    waker: "Waker"
    journal: DecisionLog

    def receive(self, delivery: Delivery, *, now: datetime) -> Ignored | Accepted:
        """Act on a delivery that came at `now` (aware).

        Raises DeliveryError for a wrong signature or an unreadable body, RefusedError and
        UnavailableError for errors of AWS.
        """
        check_envelope(delivery, allow_sha1=self.verifier.allow_sha1)
        delivery = without_form(delivery)
        repository, payload = read_claim(delivery)
        verified = self.verifier.verify(delivery, repository)
        payload = payload or parse_payload(delivery)
        if isinstance(payload, DeliveryError):
            raise payload
        # An organization's event has no repository of its own, but may name some in its body.
        if payload.repository not in {repository, None}:
            raise DeliveryError("repository.full_name: not the first full_name in a large body")
        match parse_delivery(delivery, payload):
            case PushEvent() as push:
                outcome = self._deploy(push, verified.settings, delivery, now)
            case PingEvent():
                outcome = self._answer_ping(repository, verified, delivery)
            case DeletionEvent(ref):
                outcome = Ignored(delivery.id, f"{shown(ref)} was deleted")
            case other:
                outcome = Ignored(delivery.id, self._look_at(other, payload, verified.settings))
        self._note(repository, outcome)
        return outcome

    def _answer_ping(
        self, repository: Repository | None, verified: Verified, delivery: Delivery
    ) -> Ignored:
        now: Verified | None = verified
        if verified.settings.remembered:  # the cache may lack a rotation's newest secret
            now = self.verifier.again(repository, delivery, is_verified=True)
        if now is None:
            return Ignored(delivery.id, PING)
        return Ignored(delivery.id, f"{PING}; {now.secret}", now.secret)

    def _followers(
        self, push: PushEvent, settings: StoredSettings, delivery: Delivery
    ) -> tuple[Target, ...]:
        if settings.remembered:
            with suppress(UnavailableError):
                if targets := match_targets(targets_of(push.repository, settings), push.ref):
                    return targets
            # No push may be lost to the cache: an operator may have changed the targets.
            again = self.verifier.again(push.repository, delivery, is_verified=True)
            settings = again.settings if again else settings
        return match_targets(targets_of(push.repository, settings), push.ref)

    def _deploy(
        self, push: PushEvent, settings: StoredSettings, delivery: Delivery, now: datetime
    ) -> Ignored | Accepted:
        targets = self._followers(push, settings, delivery)
        if not targets:
            return Ignored(delivery.id, f"no target of {push.repository} follows {shown(push.ref)}")
        plain = [one for one in targets if not one.is_decided_by_rounds]
        waiting = [one for one in targets if one.is_decided_by_rounds]
        cause = Cause(
            repository=push.repository,
            commit=push.after,
            word="push",
            now=now,
            token=settings.token,
            delivery=delivery.id,
            pushed_at=push.pushed_at,
            by=push.by,
        )
        done = self.deployer.deploy(plain, cause) if plain else Sent((), (), ())
        if any(one.is_woken_by_pushes for one in waiting):
            self._wake(push.repository)
        skipped = [(one.name, f"it waits for {one.waits_for}") for one in waiting]
        done = replace(done, skipped=(*done.skipped, *skipped))
        if not done.sent and not done.failed:
            return Ignored(delivery.id, "; ".join(f"{name}: {why}" for name, why in done.skipped))
        return Accepted(**vars(done), delivery=delivery.id, commit=push.after)

    def _look_at(self, event: OtherEvent, payload: Payload, settings: StoredSettings) -> str:
        """Wake the round if a target may wait for the event. Returns the answer."""
        from chalicelib.core.waking import WAKING_EVENTS, targets_that_wait

        repository = payload.repository
        if repository is None or event.name not in WAKING_EVENTS:
            return f"{event.name} events are not acted on"
        targets = targets_of(repository, settings)
        names, answer = targets_that_wait(event.name, payload.fields, targets)
        if names:
            self._wake(repository)
        return answer

    def _wake(self, repository: Repository) -> None:
        from chalicelib.flows.wake import wake_round

        wake_round(self.waker, repository, self.journal)

    def _note(self, repository: Repository | None, outcome: Ignored | Accepted) -> None:
        facts: dict[str, object] = {"delivery": outcome.delivery, "repository": repository}
        level: Level = "info"
        if isinstance(outcome, Ignored):
            word, facts = "ignored", facts | {"reason": outcome.reason}
        else:
            word, facts = "accepted", facts | {"commit": outcome.commit.sha}
            if outcome.failed:
                word, level = "failed", "error"
        self.journal.note(Decision("delivery", word, facts, level, count("Deliveries")))
