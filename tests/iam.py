"""Reads policies as IAM would."""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any


def as_list(value: Any) -> list[Any]:  # noqa: ANN401 - IAM's JSON: one of a thing or a list of it
    return value if isinstance(value, list) else [value]


def allows(
    statements: Iterable[Mapping[str, Any]],
    action: str,
    arn: str,
    context: Mapping[str, str] | None = None,
) -> bool:
    """Whether one statement allows the action on the resource.

    `context` has the condition keys of the request. Without a context every condition holds, for
    questions that are not about the host's tags. An unknown operator of conditions allows nothing.
    """
    return any(
        statement["Effect"] == "Allow"
        and any(fits(action.lower(), one.lower()) for one in as_list(statement["Action"]))
        and any(fits(arn, pattern) for pattern in as_list(statement["Resource"]))
        and (context is None or _holds(statement.get("Condition", {}), context))
        for statement in statements
    )


def fits(text: str, pattern: str) -> bool:
    """Whether a pattern of IAM matches: `*` and `?` match any sign, and brackets are plain."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Whether each key of each operator has one of the values. A missing key fails."""
    return all(
        operator == "StringEquals" and context.get(key) in as_list(values)
        for operator, keys in condition.items()
        for key, values in keys.items()
    )
