"""Lists of paths: the pathspecs of `paths`, and what release folders share.

By git's pathspecs a host decides whether a deploy needs its steps: `site/**`, or `:!site/docs/**`,
which excludes. docs/targets.md says what fits.
"""

import re
from itertools import pairwise

from chalicelib.core.fields import is_match
from chalicelib.core.refs import shown

# None begins with a dash, and none has a comma, which separates them in the document's parameter.
PATHSPEC_PATTERN = "(:!)?[A-Za-z0-9_.*?/@+=][A-Za-z0-9_.*?/@+=-]{0,99}"
PATHS_PATTERN = f"^({PATHSPEC_PATTERN}(,{PATHSPEC_PATTERN}){{0,9}})?$"
MAX_PATHS, MAX_PATHS_LENGTH = 10, 401  # characters, with the commas, as in the script

_PATHSPEC = re.compile(PATHSPEC_PATTERN)
_SHARED = "[A-Za-z0-9._][A-Za-z0-9._/-]{0,99}"
# How many releases stay, and what they share.
RELEASES_PATTERN = f"^([1-9][0-9]?(,{_SHARED}){{0,20}})?$"
MAX_SHARED, MAX_SHARED_LENGTH = 20, 398  # paths; characters
_SHARED_PATH = re.compile(_SHARED)


def read_paths(value: object) -> tuple[str, ...]:
    """A list of pathspecs, as an operator wrote it. Raises ValueError."""
    paths = value if isinstance(value, list) else []
    if not paths or not all(is_match(_PATHSPEC, one) for one in paths):
        raise ValueError(
            'must be a list of git\'s pathspecs, like ["site/**", ":!site/docs/**"], with letters, '
            f"digits and _ . * ? / @ + = -; not {shown(value)}"
        )
    if outside := [one for one in paths if _is_outside(one.removeprefix(":!"))]:
        raise ValueError(
            f"must be within the repository, and not begin with /: {shown(outside[0])}"
        )
    if len(paths) > MAX_PATHS:
        raise ValueError(f"must not have more than {MAX_PATHS} pathspecs")
    if len(",".join(paths)) > MAX_PATHS_LENGTH:
        raise ValueError(f"must not have more than {MAX_PATHS_LENGTH} characters of pathspecs")
    return tuple(paths)


def read_shared(value: object) -> tuple[str, ...]:
    """A list of paths that release folders share. Raises ValueError."""
    paths = value if isinstance(value, list) else []
    if not paths or not all(is_match(_SHARED_PATH, one) for one in paths):
        raise ValueError(f'must be a list of paths, like ["uploads/", ".env"], not {shown(value)}')
    folders = sorted(f"{one.removesuffix('/')}/" for one in paths)
    if odd := [one for one in folders if not all(map(_may_be_shared, one[:-1].split("/")))]:
        raise ValueError(f"must be paths within a release, not {shown(odd[0])}")
    if twice := [one for one, other in pairwise(folders) if other.startswith(one)]:
        raise ValueError(f"must not have {shown(twice[0])} and what is in it")
    if len(paths) > MAX_SHARED or len(",".join(paths)) > MAX_SHARED_LENGTH:
        raise ValueError(f"must be at most {MAX_SHARED} paths, {MAX_SHARED_LENGTH} characters")
    return tuple(paths)


def _may_be_shared(part: str) -> bool:
    return part not in {"", "."} and ".." not in part and not part.endswith(".git")


def _is_outside(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/")
