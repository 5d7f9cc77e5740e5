"""What a stage keeps in Parameter Store: the parameters' names, and what is read from them.

The names are a contract with operators. Values stay text, but for pins, which several read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from chalicelib.core.commands import DocumentPin, parse_document_pin
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.pins import Pin, parse_pin
from chalicelib.core.refs import Repository
from chalicelib.core.targets import Target, TargetsError, parse_stored_targets
from chalicelib.core.webhook import Delivery, verify_signature

PREFIX = "/pulley/"

Parsed = TypeVar("Parsed")

# Parsing is pure, so what was parsed once need not be parsed for every push.
_parse_stored_targets = lru_cache(maxsize=64)(parse_stored_targets)


@dataclass(frozen=True)
class ParameterNames:
    """The names of one stage's parameters."""

    stage: str

    @property
    def webhook_secret(self) -> str:
        """The secret of every repository without one of its own; one a line, newest first."""
        return f"/pulley/{self.stage}/webhook-secret"

    def repository_webhook_secret(self, repository: Repository) -> str:
        """A repository's own secret. Where it is, the default one does not open the repository."""
        return f"/pulley/{self.stage}/repositories/{repository}/webhook-secret"

    @property
    def repositories(self) -> str:
        """What the names of everything that is stored for a repository begin with."""
        return f"/pulley/{self.stage}/repositories/"

    def targets(self, repository: Repository) -> str:
        """A repository's targets, a JSON list."""
        return f"/pulley/{self.stage}/repositories/{repository}/targets"

    @property
    def github_token(self) -> str:
        """The token for GitHub's API of every repository without one of its own. Optional."""
        return f"/pulley/{self.stage}/github-token"

    def repository_github_token(self, repository: Repository) -> str:
        """A repository's own token: a fine-grained one covers one owner."""
        return f"/pulley/{self.stage}/repositories/{repository}/github-token"

    def pin(self, target: str) -> str:
        """A target's pin."""
        return f"/pulley/{self.stage}/pins/{target}"

    @property
    def document(self) -> str:
        """The document's version and hash."""
        return f"/pulley/{self.stage}/document"

    @property
    def reconcile(self) -> str:
        """What the last round of reconciling left for the next: core/holds.py has its fields."""
        return f"/pulley/{self.stage}/reconcile"


@dataclass(frozen=True)
class StoredSettings:
    """What is stored for a repository: the secrets that open it, its targets, a token or "".

    `secret_parameter` names where the secrets are, or should be, for an operator's eyes.
    `known` tells that something is stored for the repository itself; `remembered`, that it was read
    for an earlier delivery and may have changed since.
    """

    secrets: tuple[bytes, ...] = field(repr=False)
    secret_parameter: str
    targets: str | None = None
    token: str = field(default="", repr=False)
    known: bool = False
    remembered: bool = False


@dataclass(frozen=True)
class SigningSecret:
    """The secret that signed a delivery: its parameter, and its position in that, 0 the newest.

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
class StoredReportSettings:
    """What a report on a repository needs: a token or "", and the targets for an environment."""

    token: str = field(default="", repr=False)
    targets: str | None = None


@dataclass(frozen=True)
class StoredPins:
    """Pins by target, and the document's pin; what is not stored is not there."""

    by_target: Mapping[str, str]
    document: str | None = None


def read_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets in a parameter, one a line. A blank one is none, and opens nothing."""
    return tuple(line.strip().encode() for line in text.splitlines() if line.strip())


def signing_secret(
    settings: StoredSettings, delivery: Delivery, *, allow_sha1: bool
) -> SigningSecret:
    """The one that signed the delivery. Raises SignatureError, and UnavailableError without any."""
    if not settings.secrets:
        raise UnavailableError(
            "no webhook secret is stored",
            detail=f"no webhook secret is stored: put one into {settings.secret_parameter}",
        )
    position = verify_signature(delivery, secrets=settings.secrets, allow_sha1=allow_sha1)
    return SigningSecret(settings.secret_parameter, position)


def document_pin_of(stored: StoredPins) -> DocumentPin | None:
    """The document's pin. Raises UnavailableError for one that cannot be read."""
    return _parsed("document", "the document's stored pin", parse_document_pin, stored.document)


def pin_of(target: Target, stored: StoredPins) -> Pin | None:
    """The target's pin. Raises UnavailableError for an unreadable one: it may say "frozen"."""
    text = stored.by_target.get(target.name)
    return _parsed(f"pins/{target.name}", "the target's stored pin", parse_pin, text)


def _parsed(
    parameter: str, what: str, parse: Callable[[str], Parsed], text: str | None
) -> Parsed | None:
    try:
        return parse(text) if text is not None else None
    except PulleyError as error:
        detail = f"the parameter {parameter} is not valid: {error}"
        raise UnavailableError(f"{what} is not valid", detail=detail) from None


def targets_of(repository: Repository, stored: StoredSettings) -> tuple[Target, ...]:
    """The repository's targets. Raises UnavailableError for what does not parse."""
    if stored.targets is None:
        return ()
    try:
        return _parse_stored_targets(stored.targets, repository)
    except TargetsError as error:
        raise UnavailableError(
            "the repository's stored targets are not valid",
            detail=f"the stored targets of {repository} are not valid: {error}",
        ) from None
