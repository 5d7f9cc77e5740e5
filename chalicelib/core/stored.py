"""What a stage keeps in Parameter Store: the parameters' names, and what is read from them.

The names are a contract with operators. Values stay text here: whoever decides parses them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.core.refs import Repository


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

    def targets(self, repository: Repository) -> str:
        """A repository's targets, a JSON list."""
        return f"/pulley/{self.stage}/repositories/{repository}/targets"

    def pin(self, target: str) -> str:
        """A target's pin."""
        return f"/pulley/{self.stage}/pins/{target}"

    @property
    def document(self) -> str:
        """The document's version and hash."""
        return f"/pulley/{self.stage}/document"


@dataclass(frozen=True)
class StoredSettings:
    """What is stored for a repository: the secrets that open it, and its targets.

    `secret_parameter` names where the secrets are, or should be, for an operator's eyes.
    `known` tells that something is stored for the repository itself; `remembered`, that it was read
    for an earlier delivery and may have changed since.
    """

    secrets: tuple[bytes, ...]
    secret_parameter: str
    targets: str | None = None
    known: bool = False
    remembered: bool = False


@dataclass(frozen=True)
class StoredPins:
    """Pins by target, and the document's pin; what is not stored is not there."""

    by_target: Mapping[str, str]
    document: str | None = None


def read_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets in a parameter, one a line. A blank one is none, and opens nothing."""
    return tuple(line.strip().encode() for line in text.splitlines() if line.strip())
