"""IAM statements against AWS's Service Authorization Reference, as policy_sentry carries it.

IAM takes any statement: one with a misspelt action, with a resource that the action does not have,
or with a condition key that the action never fills, simply never matches.
"""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from policy_sentry.shared.iam_data import get_service_prefix_data

# IAM User Guide, "AWS global condition context keys": those that every request has, and which the
# reference's tables of a service therefore leave out.
_GLOBAL = {"aws:sourceaccount", "aws:sourcearn", "aws:securetransport", "aws:principalarn"}
# What the reference leaves out. CloudFormation's User Guide names the transform's ARN, in "Control
# access with IAM". API Gateway's tags are of no action that the example allows (not tried in AWS).
_UNLISTED = (
    "arn:*:cloudformation:*:aws:transform/*",
    "arn:*:apigateway:*::/tags/*",
)
_BY_TYPE = {  # of what the template refers to by name
    "AWS::SQS::Queue": "arn:aws:sqs:*:*:*",
    "AWS::SNS::Topic": "arn:aws:sns:*:*:*",
    "AWS::Serverless::Function": "arn:aws:lambda:*:*:function:*",
}


@dataclass(frozen=True)
class Policy:
    """A policy's statements, and where they stand."""

    where: str
    statements: tuple[Mapping[str, Any], ...]
    template: Mapping[str, Any] | None = None


def policies_in(where: str, value: object, template: Mapping[str, Any]) -> Iterator[Policy]:
    """Each policy in a template, at any depth."""
    if isinstance(value, dict):
        if "Statement" in value:
            yield Policy(where, tuple(_list(value["Statement"])), template)
        for name, one in value.items():
            yield from policies_in(f"{where}.{name}", one, template)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from policies_in(f"{where}[{index}]", one, template)


def problems_of(policy: Policy) -> Iterator[str]:
    """What of the policy can never take effect."""
    reached: dict[str, set[str]] = {}
    for index, statement in enumerate(policy.statements):
        where = f"{policy.where}, {statement.get('Sid', f'statement {index}')}"
        for problem in _statement_problems(statement, policy.template or {}, reached):
            yield f"{where}: {problem}"
    for action, types in reached.items():
        described = find_actions(action)[action]["resource_types"].values()
        needed = {one["resource_type"] for one in described if one["required"]}
        if "*" not in types and needed - types:
            yield f"{policy.where}: {action} needs a {' and a '.join(sorted(needed - types))}, too"


def _statement_problems(
    statement: Mapping[str, Any], template: Mapping[str, Any], reached: dict[str, set[str]]
) -> Iterator[str]:
    actions: dict[str, Mapping[str, Any]] = {}
    wide: set[str] = set()  # what only a wildcard covers need not fit all that the statement says
    for written in _list(statement["Action"]):
        found = find_actions(written)
        if not found:
            yield f"there is no action {written}"
        actions |= found
        wide |= found.keys() if "*" in written else set()
    resources = None
    if "Resource" in statement:  # a trust policy has none
        resources = [_arn(one, template) for one in _list(statement["Resource"])]
        yield from _resource_problems(actions, wide, resources, reached)
    keys = [key for keys in statement.get("Condition", {}).values() for key in keys]
    for action, described in actions.items():
        for key in keys if action not in wide else ():
            if not _has_key(action, described, key, resources):
                yield f"{action} has no condition key {key}"


def find_actions(written: str) -> dict[str, Mapping[str, Any]]:
    """The actions that fit, by name; none for a service or an action that is not there."""
    prefix, _, name = written.partition(":")
    listed = _service(prefix).get("privileges", {})
    return {
        f"{prefix}:{one}": described
        for one, described in listed.items()
        if fnmatch.fnmatchcase(one.lower(), name.lower())
    }


def _resource_problems(
    actions: Mapping[str, Mapping[str, Any]],
    wide: set[str],
    resources: Iterable[str],
    reached: dict[str, set[str]],
) -> Iterator[str]:
    used = set()
    for action, described in actions.items():
        types = {one: _format(action, one) for one in described["resource_types"] if one}
        fits = {
            (name, arn)
            for name, known in types.items()
            for arn in resources
            if arn != "*" and arns_overlap(arn, known)
        }
        used |= {arn for _, arn in fits}
        if action in wide:
            continue
        if "*" in resources:
            reached.setdefault(action, set()).add("*")
        elif fits:
            reached.setdefault(action, set()).update(name for name, _ in fits)
        else:
            yield f"{action} takes {' or '.join(types) or 'no resource but *'}"
    for arn in set(resources) - used - {"*"}:
        if any(arns_overlap(arn, one) for one in _UNLISTED):
            continue
        yield f"no action takes {arn}"


def _has_key(
    action: str, described: Mapping[str, Any], key: str, resources: Iterable[str] | None
) -> bool:
    """Whether the action, or a resource of its that the statement names, fills the key."""
    # An identity provider's own keys, such as token.actions.githubusercontent.com:sub, too.
    if key.lower() in _GLOBAL or "." in key.partition(":")[0]:
        return True
    keys: list[str] = []
    for name, one in described["resource_types"].items():
        keys += one["condition_keys"]
        known = _format(action, name) if name else ""
        if known and any(arn == "*" or arns_overlap(arn, known) for arn in resources or ()):
            keys += _service(action.partition(":")[0])["resources"][name]["condition_keys"]
    return any(
        re.fullmatch(re.sub(r"\\\$\\\{\w+\\\}", ".+", re.escape(one)), key, re.IGNORECASE)
        for one in keys
    )


def arns_overlap(one: str, other: str) -> bool:
    """Whether some ARN fits both patterns, part by part."""
    parts = one.split(":", 5), other.split(":", 5)
    return len(parts[0]) == len(parts[1]) and all(map(_overlap, *parts))


@cache
def _overlap(one: str, other: str) -> bool:
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*" or other[0] == "*":
        star, plain = (one, other) if one[0] == "*" else (other, one)
        return _overlap(star[1:], plain) or _overlap(star, plain[1:])
    return (one[0] == other[0] or "?" in one[0] + other[0]) and _overlap(one[1:], other[1:])


def _format(action: str, resource_type: str) -> str:
    """A resource type's ARN as a pattern."""
    described = _service(action.partition(":")[0])["resources"][resource_type]
    return re.sub(r"\$\{\w+\}", "*", described["arn"])


@cache
def _service(prefix: str) -> dict[str, Any]:
    return dict(get_service_prefix_data(prefix) or {})


def _arn(resource: Any, template: Mapping[str, Any]) -> str:  # noqa: ANN401 - CloudFormation's JSON
    """A resource of a statement as a pattern. Raises KeyError for a reference it does not know."""
    if isinstance(resource, str):
        return resource
    if "Fn::Sub" in resource:
        return re.sub(r"\$\{[^}]+\}", "*", resource["Fn::Sub"])
    name = resource["Fn::GetAtt"][0]
    return _BY_TYPE[template["Resources"][name]["Type"]]


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - IAM's JSON: one of a thing or a list of it
    return value if isinstance(value, list) else [value]
