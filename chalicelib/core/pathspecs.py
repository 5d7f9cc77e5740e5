"""Pathspecs of git, by which a host decides whether a deploy needs its steps.

Each is `site/**` or `:!site/docs/**`, which excludes. docs/targets.md says what fits.
"""

import re

from chalicelib.core.fields import is_match
from chalicelib.core.refs import shown

# None begins with a dash, and none has a comma, which separates them in the document's parameter.
PATHSPEC_PATTERN = "(:!)?[A-Za-z0-9_.*?/@+=][A-Za-z0-9_.*?/@+=-]{0,99}"
PATHS_PATTERN = f"^({PATHSPEC_PATTERN}(,{PATHSPEC_PATTERN}){{0,9}})?$"
MAX_PATHS, MAX_PATHS_LENGTH = 10, 401  # characters, with the commas, as in the script

_PATHSPEC = re.compile(PATHSPEC_PATTERN)


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


def _is_outside(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/")
