"""A delivery becomes a deploy: verify, parse, match targets.

A webhook is only a nudge. Sending twice for one push does no harm, so a redelivery is treated as
the delivery that it repeats; what must never happen is to act on one that was not verified.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from chalicelib.core.claimed import claimed_repository, is_large
from chalicelib.core.decisions import Decision, Level, count
from chalicelib.core.deployments import Cause
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.refs import CommitSha, Repository, shown
from chalicelib.core.stored import StoredSettings
from chalicelib.core.targets import Target, TargetsError, match_targets, parse_stored_targets
from chalicelib.core.webhook import (
    DeletionEvent,
    Delivery,
    DeliveryError,
    OtherEvent,
    Payload,
    PingEvent,
    PushEvent,
    SignatureError,
    check_envelope,
    parse_delivery,
    parse_payload,
    verify_signature,
)
from chalicelib.flows.deploy import Deployer, Journal

PREFIX = "/pulley/"
GITHUB_SECONDS = 2.0  # that announcing may take of the ten that GitHub waits for an answer
PING = "ping: the webhook is set up, a push will deploy"

# Parsing is pure, so what was parsed once need not be parsed for every push.
_parse_stored_targets = lru_cache(maxsize=64)(parse_stored_targets)


class Parameters(Protocol):
    """What is stored. Every method raises RefusedError or UnavailableError."""

    def settings(self, repository: Repository | None) -> StoredSettings:
        """Of a repository, maybe remembered for a while; without one, the default secret."""

    def settings_again(
        self, repository: Repository | None, *, is_verified: bool = False
    ) -> StoredSettings | None:
        """The same, newly read; None where that would be one look-up too many.

        What strangers use up is not counted against a delivery that is verified.
        """


@dataclass(frozen=True)
class SigningSecret:
    """The secret that signed a ping: its parameter, and its position in that, 0 the newest.

    The parameter is named, since an address may be of another stage than its operator thinks. An
    answer has its name below PREFIX, which every parameter's name begins with.
    """

    parameter: str
    position: int

    @property
    def place(self) -> str:
        """The parameter's name below PREFIX."""
        return self.parameter.removeprefix(PREFIX)

    def __str__(self) -> str:
        """For people: no program reads it."""
        return f"signed with {'an older' if self.position else 'the newest'} secret of {self.place}"


@dataclass(frozen=True)
class Ignored:
    """Verified, and nothing to do. `secret` is of a ping: an operator's commands go by it."""

    delivery: str
    reason: str
    secret: SigningSecret | None = None


@dataclass(frozen=True)
class Accepted:
    """A push that targets follow: what was sent (target, command id), left out, and failed."""

    delivery: str
    commit: CommitSha
    sent: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, PulleyError], ...]


@dataclass(frozen=True)
class Receiver:
    """Takes deliveries for one stage."""

    allow_sha1: bool
    parameters: Parameters
    deployer: Deployer
    journal: Journal

    def receive(self, delivery: Delivery, *, now: datetime) -> Ignored | Accepted:
        """Act on a delivery that came at this time (aware).

        Raises DeliveryError where it is not to be believed or not to be read, RefusedError and
        UnavailableError where AWS does not play its part.
        """
        check_envelope(delivery, allow_sha1=self.allow_sha1)
        payload = None if is_large(delivery) else _payload_or_error(delivery)
        if payload is None:
            repository = claimed_repository(delivery)
        else:
            repository = payload.repository if isinstance(payload, Payload) else None
        settings, place = self._verify(delivery, repository)
        payload = payload or _payload_or_error(delivery)
        if isinstance(payload, DeliveryError):
            raise payload
        # Without a repository it is no push but an organization's event, which names some inside.
        if payload.repository not in {repository, None}:
            raise DeliveryError("repository.full_name: not the first full_name in a large body")
        event = parse_delivery(delivery, payload)
        if isinstance(event, PingEvent):
            secret = self._secret_now(repository, settings, delivery, place)
            words = f"{PING}; {secret}" if secret else PING
            outcome: Ignored | Accepted = Ignored(delivery.id, words, secret)
        else:
            outcome = self._act(event, settings, delivery, now)
        self._note(repository, outcome)
        return outcome

    def _act(
        self,
        event: PushEvent | DeletionEvent | OtherEvent,
        settings: StoredSettings,
        delivery: Delivery,
        now: datetime,
    ) -> Ignored | Accepted:
        match event:
            case PushEvent() as push:
                return self._deploy(push, settings, delivery, now)
            case DeletionEvent(ref):
                reason = f"{shown(ref)} was deleted"
            case other:
                reason = f"{other.name} events are not acted on, only push is"
        return Ignored(delivery.id, reason)

    def _verify(
        self, delivery: Delivery, repository: Repository | None
    ) -> tuple[StoredSettings, int]:
        """The repository's settings, and the place of the secret that made the signature.

        A secret that does not fit may have been rotated since it was read, so it is read again.
        """
        settings = self.parameters.settings(repository)
        try:
            return settings, self._verify_with(settings, delivery)
        except (SignatureError, UnavailableError):
            again = self.parameters.settings_again(repository) if settings.remembered else None
            if again is None:
                raise
            return again, self._verify_with(again, delivery)

    def _secret_now(
        self,
        repository: Repository | None,
        settings: StoredSettings,
        delivery: Delivery,
        place: int,
    ) -> SigningSecret | None:
        """Which of the secrets that are stored now signed a ping; None where that cannot be read.

        What is remembered may not have a rotation's newest secret yet. Raises SignatureError for
        one that was dropped meanwhile.
        """
        if not settings.remembered:
            return SigningSecret(settings.secret_parameter, place)
        again = self.parameters.settings_again(repository, is_verified=True)
        if again is None:
            return None
        return SigningSecret(again.secret_parameter, self._verify_with(again, delivery))

    def _verify_with(self, settings: StoredSettings, delivery: Delivery) -> int:
        if not settings.secrets:
            raise UnavailableError(
                "no webhook secret is stored",
                detail=f"no webhook secret is stored: put one into {settings.secret_parameter}",
            )
        return verify_signature(delivery, secrets=settings.secrets, allow_sha1=self.allow_sha1)

    def _followers(
        self, push: PushEvent, settings: StoredSettings, delivery: Delivery
    ) -> tuple[Target, ...]:
        """The targets that follow the push.

        Where none does, or they don't parse, an operator may have seen to it since they were read,
        so they are read again: no push, and no redelivery, is lost to what is remembered.
        """
        try:
            targets = match_targets(_targets_of(push.repository, settings), push.ref)
        except UnavailableError:
            if not settings.remembered:
                raise
            targets = ()
        if targets or not settings.remembered:
            return targets
        again = self.parameters.settings_again(push.repository, is_verified=True)
        if again is not None:
            self._verify_with(again, delivery)
        return match_targets(_targets_of(push.repository, again or settings), push.ref)

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
            github_seconds=GITHUB_SECONDS,
            delivery=delivery.id,
            pushed_at=push.pushed_at,
            by=push.by,
        )
        done = self.deployer.deploy(targets, cause)
        if not done.sent and not done.failed:
            return Ignored(delivery.id, "; ".join(f"{name}: {why}" for name, why in done.skipped))
        return Accepted(delivery.id, push.after, done.sent, done.skipped, done.failed)

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


def _payload_or_error(delivery: Delivery) -> Payload | DeliveryError:
    """Whether the body can be read is told only to a sender who is verified."""
    try:
        return parse_payload(delivery)
    except DeliveryError as error:
        return error


def _targets_of(repository: Repository, settings: StoredSettings) -> tuple[Target, ...]:
    if settings.targets is None:
        return ()
    try:
        return _parse_stored_targets(settings.targets, repository)
    except TargetsError as error:
        raise UnavailableError(
            "the repository's stored targets are not valid",
            detail=f"the stored targets of {repository} are not valid: {error}",
        ) from None
