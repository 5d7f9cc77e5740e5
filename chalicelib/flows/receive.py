"""A delivery becomes commands: verify, parse, match targets, build the send requests, send.

A webhook is only a nudge. Sending twice for one push does no harm, so a redelivery is treated as
the delivery that it repeats; what must never happen is to act on one that was not verified.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from chalicelib.core.commands import (
    DocumentPin,
    DocumentPinError,
    SendRequest,
    build_send_request,
    parse_document_pin,
)
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.pins import PinError, parse_pin
from chalicelib.core.refs import CommitSha, Repository, shown
from chalicelib.core.stored import StoredPins, StoredSettings
from chalicelib.core.targets import Target, TargetsError, match_targets, parse_stored_targets
from chalicelib.core.webhook import (
    DeletionEvent,
    Delivery,
    DeliveryError,
    Payload,
    PingEvent,
    PushEvent,
    SignatureError,
    check_envelope,
    parse_delivery,
    parse_payload,
    verify_signature,
)

# Parsing is pure, so what was parsed once need not be parsed for every push.
_parse_stored_targets = lru_cache(maxsize=64)(parse_stored_targets)


class Parameters(Protocol):
    """The stage's parameters. Every method raises RefusedError or UnavailableError."""

    def settings(self, repository: Repository | None) -> StoredSettings:
        """Of a repository, maybe remembered for a while; without one, the default secret."""

    def settings_again(self, repository: Repository | None) -> StoredSettings | None:
        """The same, newly read; None where that would be one look-up too many."""

    def pins(self, targets: Sequence[str]) -> StoredPins:
        """Newly read, always."""


class Commands(Protocol):
    """Run Command."""

    def send(self, requests: Sequence[SendRequest]) -> Sequence[str | PulleyError]:
        """Each request's command id, or why there is none, in the order of the requests."""


@dataclass(frozen=True)
class Ignored:
    """Verified, and nothing to do."""

    delivery: str
    reason: str


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

    stage: str
    allow_sha1: bool
    parameters: Parameters
    commands: Commands

    def receive(self, delivery: Delivery, *, now: datetime) -> Ignored | Accepted:
        """Act on a delivery that came at this time (aware).

        Raises DeliveryError where it is not to be believed or not to be read, RefusedError and
        UnavailableError where AWS does not play its part.
        """
        check_envelope(delivery, allow_sha1=self.allow_sha1)
        payload = _payload_or_error(delivery)
        repository = payload.repository if isinstance(payload, Payload) else None
        settings = self._verify(delivery, repository)
        if isinstance(payload, DeliveryError):
            raise payload
        match parse_delivery(delivery, payload):
            case PushEvent() as push:
                targets = self._followers(push, settings, delivery)
                return self._deploy(push, targets, delivery.id, now)
            case DeletionEvent(ref):
                reason = f"{shown(ref)} was deleted"
            case PingEvent():
                reason = "ping: the webhook is set up, a push will deploy"
            case other:
                reason = f"{other.name} events are not acted on, only push is"
        return Ignored(delivery.id, reason)

    def _verify(self, delivery: Delivery, repository: Repository | None) -> StoredSettings:
        """The repository's settings, once one of its secrets is seen to have made the signature.

        A secret that does not fit may have been rotated since it was read, so it is read again.
        """
        settings = self.parameters.settings(repository)
        try:
            self._verify_with(settings, delivery)
        except (SignatureError, UnavailableError):
            again = self.parameters.settings_again(repository) if settings.remembered else None
            if again is None:
                raise
            self._verify_with(again, delivery)
            return again
        return settings

    def _verify_with(self, settings: StoredSettings, delivery: Delivery) -> None:
        if not settings.secrets:
            raise UnavailableError(
                "no webhook secret is stored",
                detail=f"no webhook secret is stored: put one into {settings.secret_parameter}",
            )
        verify_signature(delivery, secrets=settings.secrets, allow_sha1=self.allow_sha1)

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
        again = self.parameters.settings_again(push.repository)
        if again is not None:
            self._verify_with(again, delivery)
        return match_targets(_targets_of(push.repository, again or settings), push.ref)

    def _deploy(
        self, push: PushEvent, targets: Sequence[Target], delivery: str, now: datetime
    ) -> Ignored | Accepted:
        if not targets:
            return Ignored(delivery, f"no target of {push.repository} follows {shown(push.ref)}")
        stored = self.parameters.pins([target.name for target in targets])
        document_pin = _document_pin(stored)
        requests, skipped = [], []
        failed: list[tuple[str, PulleyError]] = []
        for target in targets:
            try:
                hold = _hold(target, stored, now)
            except UnavailableError as error:
                failed.append((target.name, error))
                continue
            if hold:
                skipped.append((target.name, hold))
                continue
            requests.append(
                build_send_request(
                    target,
                    stage=self.stage,
                    commit=push.after,
                    issued=int(now.timestamp() * 1000),
                    cause="push",
                    delivery=delivery,
                    document_pin=document_pin,
                )
            )
        if not requests and not failed:
            return Ignored(delivery, "; ".join(f"{name}: {why}" for name, why in skipped))
        sent = []
        for request, answer in zip(requests, self.commands.send(requests), strict=True):
            if isinstance(answer, PulleyError):
                failed.append((request.target, answer))
            else:
                sent.append((request.target, answer))
        return Accepted(delivery, push.after, tuple(sent), tuple(skipped), tuple(failed))


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


def _document_pin(stored: StoredPins) -> DocumentPin | None:
    try:
        return parse_document_pin(stored.document) if stored.document is not None else None
    except DocumentPinError as error:
        raise UnavailableError(
            "the document's stored pin is not valid",
            detail=f"the parameter document is not valid: {error}",
        ) from None


def _hold(target: Target, stored: StoredPins, now: datetime) -> str:
    """Why the target must stay as it is; empty where it need not.

    Raises UnavailableError for a pin that cannot be read: it may say "frozen".
    """
    text = stored.by_target.get(target.name)
    try:
        pin = parse_pin(text) if text is not None else None
    except PinError as error:
        raise UnavailableError(
            "the target's stored pin is not valid",
            detail=f"the parameter pins/{target.name} is not valid: {error}",
        ) from None
    return str(pin) if pin and pin.holds(now) else ""
