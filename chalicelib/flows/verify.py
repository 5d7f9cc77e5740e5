"""Verifies a delivery with the secrets of the repository that it names.

Secrets may be cached. So a delivery that a cached secret does not open is verified again with what
is stored now.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from chalicelib.core.errors import UnavailableError
from chalicelib.core.refs import Repository
from chalicelib.core.stored import SigningSecret, StoredSettings, signing_secret
from chalicelib.core.webhook import Delivery, SignatureError


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
class Verifier:
    """Verifies the deliveries of one stage."""

    allow_sha1: bool
    parameters: WebhookParameters

    def verify(self, delivery: Delivery, repository: Repository | None) -> Verified:
        """Verify with the settings of the repository, or with the stage's without one.

        Raises SignatureError, and UnavailableError if no secret is stored.
        """
        settings = self.parameters.settings(repository)
        try:
            return Verified(settings, self._signer(settings, delivery))
        except (SignatureError, UnavailableError):
            # A cached secret may have been rotated: check against the stored ones.
            again = self.again(repository, delivery) if settings.remembered else None
            if again is None:
                raise
            return again

    def again(
        self, repository: Repository | None, delivery: Delivery, *, is_verified: bool = False
    ) -> Verified | None:
        """Verify with the secrets that are stored now; None if they cannot be read.

        Raises SignatureError, also if the secret that signed was removed meanwhile.
        """
        again = self.parameters.settings_again(repository, is_verified=is_verified)
        return Verified(again, self._signer(again, delivery)) if again else None

    def _signer(self, settings: StoredSettings, delivery: Delivery) -> SigningSecret:
        return signing_secret(settings, delivery, allow_sha1=self.allow_sha1)
