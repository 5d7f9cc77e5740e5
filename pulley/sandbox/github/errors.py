"""GitHub's refusals, and the checks of a request's fields that raise them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST_DESCRIPTION = 140  # characters
_JSON_NAMES = {str: "a string", bool: "a boolean", list: "an array", dict: "an object"}


class GitHubError(Exception):
    """GitHub's answer to a wrong request: a status, a message, and the errors by field."""

    def __init__(self, status: int, message: str, *errors: Mapping[str, object]) -> None:
        """`status` is HTTP's."""
        super().__init__(f"{status}: {message}")
        self.status, self.message, self.errors = status, message, errors


def check_fields(
    body: Mapping[str, Any],
    kinds: Mapping[str, tuple[type, ...]],
    resource: str,
    *,
    required: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the fields that `kinds` names; null counts as absent. Raises GitHubError."""
    fields = {name: body[name] for name in kinds if body.get(name) is not None}
    for name in required:
        if name not in fields:
            missing = {"resource": resource, "field": name, "code": "missing_field"}
            raise GitHubError(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.', missing)
    for name, value in fields.items():
        if not isinstance(value, kinds[name]):
            wanted = " or ".join(_JSON_NAMES[kind] for kind in kinds[name])
            problem = f"For 'properties/{name}', {json.dumps(value)} is not {wanted}."
            raise GitHubError(422, f"Invalid request.\n\n{problem}")
    if len(fields.get("description", "")) > LONGEST_DESCRIPTION:
        raise invalid(
            resource, "description", f"is too long (maximum is {LONGEST_DESCRIPTION} characters)"
        )
    return fields


def check_urls(fields: Mapping[str, Any], resource: str, *names: str) -> None:
    """Raise GitHubError if one of the fields is not a web address. It may be empty."""
    for name in names:
        if fields.get(name) and not re.match(r"https?://[^/\s]", fields[name], re.IGNORECASE):
            raise invalid(resource, name, "must use http(s) scheme")


def invalid(resource: str, field: str, problem: str) -> GitHubError:
    """A refusal because of a field's value."""
    error = {"resource": resource, "code": "custom", "field": field}
    return GitHubError(422, "Validation Failed", error | {"message": f"{field} {problem}"})
