"""Tags: which of them a target follows, and their order as versions.

The order is git's for versions (`git tag --sort=version:refname`), with pre-releases below their
release, as Semantic Versioning has it: v1.9 < v1.10-rc.1 < v1.10.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from chalicelib.core.refs import CommitSha, RefError, is_ref_name, shown

TAG_PREFIX = "refs/tags/"
_GLOB = re.compile("[A-Za-z0-9_*?][A-Za-z0-9_./@+=,#%*?-]{0,199}")
_NUMBER = re.compile("([0-9]+)")
# What is before the first dash behind a digit, and the pre-release that may follow it.
_PRE_RELEASE = re.compile("(.*?[0-9])(-.*)?")


@dataclass(frozen=True, order=True)
class TagGlob:
    """Which tags of a repository: a name in which `*` and `?` stand for any characters."""

    pattern: str

    @classmethod
    def parse(cls, text: str) -> "TagGlob":
        """Parse a pattern like `v*`. Raises RefError."""
        plain = text.replace("*", "x").replace("?", "x")
        if not _GLOB.fullmatch(text) or not is_ref_name(plain):
            raise RefError(
                "must be a tag's name or a pattern, like v* or release/1.* "
                f"(letters, digits and _ . / @ + = , # % - * ?), not {shown(text)}"
            )
        return cls(text)

    @property
    def prefix(self) -> str:
        """What every tag that fits begins with."""
        return re.split("[*?]", self.pattern, maxsplit=1)[0]

    def fits(self, name: str) -> bool:
        """Whether a tag's short name fits, and can be a parameter of the document."""
        return fnmatchcase(name, self.pattern) and is_ref_name(name)

    def follows(self, ref: str) -> bool:
        """Whether a full ref is a tag that fits."""
        return ref.startswith(TAG_PREFIX) and self.fits(ref.removeprefix(TAG_PREFIX))

    def __str__(self) -> str:
        """The pattern."""
        return self.pattern


@dataclass(frozen=True)
class TaggedCommit:
    """A tag's short name, and the commit that it points at."""

    tag: str
    commit: CommitSha


def highest_first(names: Iterable[str]) -> list[str]:
    """The tags' names, the highest version first."""
    return sorted(names, key=_version, reverse=True)


def newer_tags(
    tagged: Sequence[TaggedCommit], known: TaggedCommit | None
) -> Sequence[TaggedCommit]:
    """The tags (highest first) that are higher than the known one, or are it and have moved."""
    if known is None:
        return tagged
    return [
        one
        for one in tagged
        if _version(one.tag) > _version(known.tag)
        or (one.tag == known.tag and one.commit != known.commit)
    ]


Parts = tuple[str | int, ...]


def _version(name: str) -> tuple[Parts, bool, Parts]:
    found = _PRE_RELEASE.fullmatch(name)
    release, suffix = (found[1], found[2] or "") if found else (name, "")
    return _parts(release), not suffix, _parts(suffix)


def _parts(text: str) -> Parts:
    """The text with its numbers as numbers. Every second part is one, so that any two compare."""
    return tuple(int(one) if place % 2 else one for place, one in enumerate(_NUMBER.split(text)))
