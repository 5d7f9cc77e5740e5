"""Tags: which of them a target follows, and their order as versions.

The order is exactly git's for versions, with pre-releases below their release, as Semantic
Versioning has it: `git -c versionsort.suffix=- tag --sort=version:refname`. So
v1.9 < v1.10-rc.1 < v1.10. Source: git's versioncmp.c; tests compare the two.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from chalicelib.core.refs import CommitSha, RefError, is_ref_name, shown

TAG_PREFIX = "refs/tags/"
RELEASE = "release"  # the event
_GLOB = re.compile("[A-Za-z0-9_*?][A-Za-z0-9_./@+=,#%*?-]{0,199}")
# A number without leading zeros, digits that begin with a zero, or another character.
_PART = re.compile("[1-9][0-9]*|0[0-9]*|[^0-9]")


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
        return is_ref_name(name) and fnmatchcase(name, self.pattern)

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


def tag_released(payload: Mapping[str, object]) -> str:
    """The tag of a release that a `release` event says was published; "" if it says otherwise.

    GitHub says `released` of a pre-release that became a release. The round asks whether it counts.
    """
    release = payload.get("release")
    tag = release.get("tag_name") if isinstance(release, Mapping) else None
    is_published = payload.get("action") in ("published", "released")
    return tag if is_published and isinstance(tag, str) else ""


# A part of a name, for comparison: its place among other parts, then a number's length and digits.
_Part = tuple[int, int, str]
_PRE_RELEASE, _END, _CHARACTERS, _AFTER_ZEROS = 0, 1, 2, 1000


def _version(name: str) -> list[_Part]:
    """The key by which git sorts the name. No two names have the same.

    A dash sorts before the end of a name, but not a dash behind a dash. Numbers are compared as
    numbers; but to git, digits behind a leading zero are a fraction: 1.02 < 1.1, and 1.02 < 1.0.
    """
    parts: list[_Part] = []
    before = ""
    for found in _PART.findall(name):
        if found.startswith("0"):
            parts += [_character(digit) for digit in found]
        elif found.isdigit():
            parts.append((_CHARACTERS + ord("1"), len(found), found))
        else:
            is_pre_release = found == "-" and before != "-"
            if not is_pre_release:
                parts += _after(before)
            parts.append((_PRE_RELEASE, 0, "") if is_pre_release else _character(found))
        before = found
    return [*parts, *_after(before), (_END, 0, "")]


def _character(one: str) -> _Part:
    return _CHARACTERS + ord(one), 0, ""


def _after(part: str) -> Sequence[_Part]:
    """What follows zeros that no other digit follows, so that they sort behind 01 and 00."""
    return [(_AFTER_ZEROS, 0, "")] if part and not part.strip("0") else []
