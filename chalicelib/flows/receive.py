"""Turns a delivery into a deploy: verify, parse, match targets.

A redelivery is treated like the first delivery, because sending twice for one push does no harm.
A delivery that was not verified must never be acted on.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from chalicelib.core.decisions import Decision, DecisionLog, Level, count
from chalicelib.core.deployments import Cause
from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import CommitSha, Repository, shown
from chalicelib.core.stored import SigningSecret, StoredSettings, signing_secret, targets_of
from chalicelib.core.targets import Target, match_targets
from chalicelib.core.unverified import read_claim
from chalicelib.core.webhook import (
    DeletionEvent,
    Delivery,
    DeliveryError,
    PingEvent,
    PushEvent,
    SignatureError,
    check_envelope,
    parse_delivery,
    parse_payload,
)
from chalicelib.flows.deploy import Deployer, Sent

PING = "ping: the webhook is set up, a push will deploy"


class WebhookParameters(Protocol):
    """The stage's parameters. Every method raises RefusedError or UnavailableError."""

    def settings(self, repository: Repository | None) -> StoredSettings:
        """A repository's settings, maybe cached; without a repository, the default secret."""

    def settings_again(
        self, repository: Repository | None, *, is_verified: bool = False
    ) -> StoredSettings | None:
        """The settings, not from the cache; None if the budget of look-ups is spent.

        Strangers can spend that budget, so a verified delivery has one of its own.
        """


class Verified(NamedTuple):
    """The settings of a delivery's repository, and the secret that signed it."""

    settings: StoredSettings
    secret: SigningSecret


@dataclass(frozen=True)
class Ignored:
    """A verified delivery without work to do. `secret` signed a ping: `pulley connect` reads it."""

    delivery: str
    reason: str
    secret: SigningSecret | None = None


@dataclass(frozen=True)
class Accepted(Sent):
    """A push that at least one target follows."""

    delivery: str
    commit: CommitSha


@dataclass(frozen=True)
class Receiver:
    """Receives the deliveries of one stage."""

    allow_sha1: bool
    parameters: WebhookParameters
    deployer: Deployer
    journal: DecisionLog

    def receive(self, delivery: Delivery, *, now: datetime) -> Ignored | Accepted:
        """Act on a delivery that came at `now` (aware).

        Raises DeliveryError for a wrong signature or an unreadable body, RefusedError and
        UnavailableError for errors of AWS.
        """
        check_envelope(delivery, allow_sha1=self.allow_sha1)
        repository, payload = read_claim(delivery)
        verified = self._verify(delivery, repository)
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
                words = f"{other.name} events are not acted on, only push is"
                outcome = Ignored(delivery.id, words)
        self._note(repository, outcome)
        return outcome

    def _verify(self, delivery: Delivery, repository: Repository | None) -> Verified:
        settings = self.parameters.settings(repository)
        try:
            return Verified(settings, self._signer(settings, delivery))
        except (SignatureError, UnavailableError):
            # A cached secret may have been rotated: check against the stored ones.
            again = self._verify_again(repository, delivery) if settings.remembered else None
            if again is None:
                raise
            return again

    def _verify_again(
        self, repository: Repository | None, delivery: Delivery, *, is_verified: bool = False
    ) -> Verified | None:
        """Verify with the secrets that are stored now; None if they cannot be read.

        Raises SignatureError, also if the secret that signed was removed meanwhile.
        """
        again = self.parameters.settings_again(repository, is_verified=is_verified)
        return Verified(again, self._signer(again, delivery)) if again else None

    def _signer(self, settings: StoredSettings, delivery: Delivery) -> SigningSecret:
        return signing_secret(settings, delivery, allow_sha1=self.allow_sha1)

    def _answer_ping(
        self, repository: Repository | None, verified: Verified, delivery: Delivery
    ) -> Ignored:
        now: Verified | None = verified
        if verified.settings.remembered:  # the cache may lack a rotation's newest secret
            now = self._verify_again(repository, delivery, is_verified=True)
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
            again = self._verify_again(push.repository, delivery, is_verified=True)
            settings = again.settings if again else settings
        return match_targets(targets_of(push.repository, settings), push.ref)

    def _deploy(
        self, push: PushEvent, settings: StoredSettings, delivery: Delivery, now: datetime
    ) -> Ignored | Accepted:
        targets = self._followers(push, settings, delivery)
        if not targets:
            return Ignored(delivery.id, f"no target of {push.repository} follows {shown(push.ref)}")
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
        done = self.deployer.deploy(targets, cause)
        if not done.sent and not done.failed:
            return Ignored(delivery.id, "; ".join(f"{name}: {why}" for name, why in done.skipped))
        return Accepted(**vars(done), delivery=delivery.id, commit=push.after)

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
