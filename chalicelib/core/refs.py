"""Names of things in git, on GitHub and in AWS, validated once, when they are parsed.

Each pattern is written so that Go's RE2 reads it as Python does: the SSM document carries some of
them as `allowedPattern`. Whatever passes them is free of quotes, `$`, braces, spaces and newlines,
and cannot be taken for an option.
"""

import re
from dataclasses import dataclass

from chalicelib.core.errors import PulleyError

# GitHub: 39 characters, and an underscore before the short code of an enterprise-managed user.
OWNER_PATTERN = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
REPOSITORY_PATTERN = f"^{OWNER_PATTERN}/[A-Za-z0-9._-]{{1,100}}$"
BRANCH_PATTERN = "^[A-Za-z0-9_][A-Za-z0-9_./@+=,#%-]{0,199}$"
COMMIT_PATTERN = "^[0-9a-f]{40}$"

BRANCH_PREFIX = "refs/heads/"
NULL_COMMIT = "0" * 40
_INSTANCE_ID = re.compile("i-[0-9a-f]{8,17}|mi-[0-9a-f]{17}")


class RefError(PulleyError):
    """A name that is not valid. The message says what it must look like."""


@dataclass(frozen=True, order=True)
class Repository:
    """A repository's owner and name, in lower case: GitHub does not tell the cases apart."""

    owner: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Repository":
        """Parse `owner/name`. Raises RefError."""
        owner, _, name = text.lower().partition("/")
        if not re.fullmatch(REPOSITORY_PATTERN, text) or name in {".", ".."}:
            raise RefError(f"must be owner/repository as on GitHub, not {shown(text)}")
        return cls(owner, name)

    def __str__(self) -> str:
        """As `owner/name`."""
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, order=True)
class Branch:
    """A branch's short name. Fewer are valid than in git: each is safe as a document parameter."""

    name: str

    @classmethod
    def parse(cls, text: str) -> "Branch":
        """Parse a name like `main` or `feature/x`. Raises RefError."""
        if not is_ref_name(text):
            raise RefError(
                "must be a branch's short name, like main or release/1.2 "
                f"(letters, digits and _ . / @ + = , # % -), not {shown(text)}"
            )
        return cls(text)

    @property
    def ref(self) -> str:
        """The full ref, as a push event has it."""
        return BRANCH_PREFIX + self.name

    def __str__(self) -> str:
        """The short name."""
        return self.name


@dataclass(frozen=True, order=True)
class CommitSha:
    """A commit's full SHA-1 in lower-case hex."""

    sha: str

    @classmethod
    def parse(cls, text: str) -> "CommitSha":
        """Parse 40 hex digits that are not all zeros. Raises RefError."""
        if not re.fullmatch(COMMIT_PATTERN, text) or text == NULL_COMMIT:
            raise RefError(f"must be a commit of 40 hex digits, not {shown(text)}")
        return cls(text)

    @property
    def short(self) -> str:
        """The first seven digits, for people."""
        return self.sha[:7]

    def __str__(self) -> str:
        """The full SHA."""
        return self.sha


def is_ref_name(text: str) -> bool:
    """Whether it is a short name of a branch or a tag that is safe as a document parameter."""
    if not re.fullmatch(BRANCH_PATTERN, text):  # bounds its length, too
        return False
    parts = text.split("/")
    odd = ".." in text or text.endswith(".") or text == "HEAD" or "@{" in text
    odd = odd or any(not p or p.startswith(".") or p.endswith(".lock") for p in parts)
    return not odd and not text.startswith("refs/")


class InstanceId(str):
    """The id of an EC2 instance or of a hybrid node."""

    __slots__ = ()

    @classmethod
    def read(cls, text: str) -> "InstanceId | None":
        """The id that this text is; None if it is none."""
        return cls(text) if _INSTANCE_ID.fullmatch(text) else None


def shown(value: object) -> str:
    """The value as ASCII, cut, so that it can stand in an error or a log line."""
    try:
        text = ascii(value)
    except (RecursionError, ValueError):  # nested, or with more digits, than Python will write
        text = f"something too large to show ({type(value).__name__})"
    return text if len(text) <= 80 else text[:77] + "..."
