"""A stage's parameters in Parameter Store: their names, and functions that read their values.

Operators rely on the names. Values stay text until `pin_of`, `targets_of` and others parse them.
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

# Parsing is pure, so a text that was parsed once need not be parsed again for every push.
_parse_stored_targets = lru_cache(maxsize=64)(parse_stored_targets)


@dataclass(frozen=True)
class ParameterNames:
    """The names of one stage's parameters."""

    stage: str

    @property
    def webhook_secret(self) -> str:
        """The secrets for repositories without secrets of their own: one a line, newest first."""
        return f"/pulley/{self.stage}/webhook-secret"

    def repository_webhook_secret(self, repository: Repository) -> str:
        """A repository's own secrets. If it has any, the stage's secrets do not count for it."""
        return f"/pulley/{self.stage}/repositories/{repository}/webhook-secret"

    @property
    def repositories(self) -> str:
        """The prefix of all parameters that belong to a repository."""
        return f"/pulley/{self.stage}/repositories/"

    def targets(self, repository: Repository) -> str:
        """A repository's targets, a JSON list."""
        return f"/pulley/{self.stage}/repositories/{repository}/targets"

    @property
    def github_token(self) -> str:
        """The token for GitHub's API for repositories without a token of their own. Optional."""
        return f"/pulley/{self.stage}/github-token"

    def repository_github_token(self, repository: Repository) -> str:
        """A repository's own token: a fine-grained token covers the repositories of one owner."""
        return f"/pulley/{self.stage}/repositories/{repository}/github-token"

    def pin(self, target: str) -> str:
        """A target's pin."""
        return f"/pulley/{self.stage}/pins/{target}"

    @property
    def page_key(self) -> str:
        """The key that signs links to the hosted page. Without it there is no hosted page."""
        return f"/pulley/{self.stage}/page-key"

    @property
    def page_url(self) -> str:
        """The hosted page's address, for GitHub."""
        return f"/pulley/{self.stage}/page-url"

    @property
    def used_links(self) -> str:
        """The prefix of the notes of links to the hosted page that were used."""
        return f"/pulley/{self.stage}/page-links"

    def used_link(self, nonce: str) -> str:
        """The note that a link was used."""
        return f"{self.used_links}/{nonce}"

    @property
    def document(self) -> str:
        """The document's version and hash."""
        return f"/pulley/{self.stage}/document"

    @property
    def reconcile(self) -> str:
        """The state that a round stores for the next round: `RoundState` in core/holds.py."""
        return f"/pulley/{self.stage}/reconcile"


@dataclass(frozen=True)
class StoredSettings:
    """A repository's settings: the secrets that verify its deliveries, its targets, its token.

    `token` is "" if none is stored. `secret_parameter` is the name of the parameter that has the
    secrets, or should have them; operators see it. `known`: a secret or targets are stored for this
    repository itself. `remembered`: the settings come from the cache, and may have changed since.
    """

    secrets: tuple[bytes, ...] = field(repr=False)
    secret_parameter: str
    targets: str | None = None
    token: str = field(default="", repr=False)
    known: bool = False
    remembered: bool = False


@dataclass(frozen=True)
class SigningSecret:
    """The secret that signed a delivery: its parameter, and its position there; 0 is the newest.

    The answer to a ping names the parameter, because the webhook's address may belong to another
    stage than its operator thinks.
    """

    parameter: str
    position: int

    @property
    def place(self) -> str:
        """The parameter's name below PREFIX."""
        return self.parameter.removeprefix(PREFIX)

    def __str__(self) -> str:
        """The secret in words, for people. Programs do not read this text."""
        return f"signed with {'an older' if self.position else 'the newest'} secret of {self.place}"


@dataclass(frozen=True)
class StoredReportSettings:
    """A repository's settings for a report: its token, or "", and its targets as stored.

    `page_url` is the address of the stage's hosted page, or "".
    """

    token: str = field(default="", repr=False)
    targets: str | None = None
    page_url: str = ""


@dataclass(frozen=True)
class StoredPins:
    """Pins by target, and the document's pin. A target without a stored pin has no entry."""

    by_target: Mapping[str, str]
    document: str | None = None


def read_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets in a parameter, one a line. Blank lines are skipped: they are no secrets."""
    return tuple(line.strip().encode() for line in text.splitlines() if line.strip())


def signing_secret(
    settings: StoredSettings, delivery: Delivery, *, allow_sha1: bool
) -> SigningSecret:
    """The secret that signed the delivery.

    Raises SignatureError, or UnavailableError if no secret is stored.
    """
    if not settings.secrets:
        raise UnavailableError(
            "no webhook secret is stored",
            detail=f"no webhook secret is stored: put one into {settings.secret_parameter}",
        )
    position = verify_signature(delivery, secrets=settings.secrets, allow_sha1=allow_sha1)
    return SigningSecret(settings.secret_parameter, position)


def document_pin_of(stored: StoredPins) -> DocumentPin | None:
    """The document's pin. Raises UnavailableError if it cannot be read."""
    return _parsed("document", "the document's stored pin", parse_document_pin, stored.document)


def pin_of(target: Target, stored: StoredPins) -> Pin | None:
    """The target's pin. Raises UnavailableError if it cannot be read: it may say "frozen"."""
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


def every_target(
    settings: Mapping[Repository, StoredReportSettings],
) -> tuple[tuple[Target, ...], tuple[str, ...]]:
    """All targets that are valid, sorted by name; and what is wrong with the others, for people."""
    targets: list[Target] = []
    problems: list[str] = []
    for repository, stored in settings.items():
        try:
            targets += _parse_stored_targets(stored.targets or "[]", repository)
        except TargetsError as error:
            problems += [f"{repository}: {problem}" for problem in error.problems]
    return tuple(sorted(targets, key=lambda one: one.name)), tuple(problems)


def targets_of(repository: Repository, stored: StoredSettings) -> tuple[Target, ...]:
    """The repository's targets. Raises UnavailableError if they are not valid."""
    if stored.targets is None:
        return ()
    try:
        return _parse_stored_targets(stored.targets, repository)
    except TargetsError as error:
        raise UnavailableError(
            "the repository's stored targets are not valid",
            detail=f"the stored targets of {repository} are not valid: {error}",
        ) from None
