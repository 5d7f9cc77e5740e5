"""Values for the JSON of the command and of the page."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime

from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.tags import TagGlob


def plain(value: object) -> object:
    """Convert a value for JSON: a dataclass to an object of its fields, any other type by `str`.

    Fields with `repr=False` are left out: they hold secrets, or what is too long to show.
    """
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, Repository | Branch | TagGlob | CommitSha):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value) if one.repr}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if isinstance(value, str | int | float | None) else str(value)
