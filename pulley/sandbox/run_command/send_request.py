"""What SendCommand accepts, checked as AWS checks it, and parsed once.

Lengths, ranges, patterns and enumerations come from botocore's model of the API, for every
operation. The rules between fields are not in the model, so they are here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.validate import ParamValidator

if TYPE_CHECKING:
    from botocore.model import Shape

_DEFAULT_DELIVERY_SECONDS = 3600
# Classes that Python's `re` does not know: letters, separators, numbers (`\w` has "_" as well), and
# all that UTF-16 writes as two halves.
_CLASSES = {
    r"\p{L}": r"\w",
    r"\p{Z}": " ",
    r"\p{N}": r"\d",
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",
}


class ApiError(Exception):
    """AWS's error answer: a code of the API's model, and a message."""

    def __init__(self, code: str, message: str = "", *, status: int = 400) -> None:
        """`status` is HTTP's."""
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class Selector:
    """One target selector: `InstanceIds`, `tag:<key>` or `tag-key`, and its values."""

    key: str
    values: tuple[str, ...]

    def selects(self, instance_id: str, tags: Mapping[str, str]) -> bool:
        """Whether any of the values matches the instance."""
        if self.key == "InstanceIds":
            return instance_id in self.values
        if self.key == "tag-key":
            return any(key in tags for key in self.values)
        return tags.get(self.key.removeprefix("tag:")) in self.values


@dataclass(frozen=True)
class ReceivedRequest:
    """A valid SendCommand. `echoed` are the fields that answers repeat unchanged."""

    document: str
    document_version: str
    document_hash: str
    document_hash_type: str
    instance_ids: tuple[str, ...]
    selectors: tuple[Selector, ...]
    parameters: Mapping[str, tuple[str, ...]]
    comment: str
    timeout_seconds: int
    max_concurrency: str
    max_errors: str
    echoed: Mapping[str, object]

    @property
    def named_instances(self) -> tuple[str, ...]:
        """The instances that are selected by id, by either field."""
        by_selector = [
            value
            for selector in self.selectors
            if selector.key == "InstanceIds"
            for value in selector.values
        ]
        return (*self.instance_ids, *by_selector)


def parse_send_request(body: Mapping[str, Any]) -> ReceivedRequest:
    """Parse SendCommand's input, after `check_input`. Raises ApiError."""
    instance_ids = tuple(body.get("InstanceIds") or ())
    selectors = tuple(
        Selector(str(target.get("Key", "")), tuple(target.get("Values") or ()))
        for target in body.get("Targets") or ()
    )
    if bool(instance_ids) == bool(selectors):
        raise ApiError("ValidationException", "Either InstanceIds or Targets must be specified")
    if len(set(instance_ids)) < len(instance_ids):
        raise ApiError("DuplicateInstanceId")
    _check_selectors(selectors)
    return ReceivedRequest(
        # By its ARN or by its name: `arn:aws:ssm:<region>:<account>:document/<name>`.
        document=body["DocumentName"].rpartition("/")[2],
        document_version=body.get("DocumentVersion", "$DEFAULT"),
        document_hash=body.get("DocumentHash", ""),
        document_hash_type=body.get("DocumentHashType", "Sha256"),
        instance_ids=instance_ids,
        selectors=selectors,
        parameters={name: tuple(values) for name, values in body.get("Parameters", {}).items()},
        comment=body.get("Comment", ""),
        timeout_seconds=body.get("TimeoutSeconds", _DEFAULT_DELIVERY_SECONDS),
        max_concurrency=body.get("MaxConcurrency", "50"),
        max_errors=body.get("MaxErrors", "0"),
        echoed={
            key: body[key]
            for key in (
                "CloudWatchOutputConfig",
                "NotificationConfig",
                "OutputS3BucketName",
                "OutputS3KeyPrefix",
            )
            if key in body
        },
    )


def check_input(body: Mapping[str, Any], shape: "Shape") -> None:
    """Raise ApiError if the body does not fit botocore's model of the operation."""
    report = ParamValidator().validate(dict(body), shape)
    if report.has_errors():
        raise ApiError("ValidationException", report.generate_report())
    problems = _problems(body, shape, "")
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
        raise ApiError("ValidationException", f"{count}: {'; '.join(problems)}")


def _check_selectors(selectors: Sequence[Selector]) -> None:
    for selector in selectors:
        if not re.match(r"tag:.|(InstanceIds|tag-key)\Z", selector.key):
            raise ApiError("ValidationException", f"Unknown target key {selector.key}")
        if not selector.values:
            raise ApiError("ValidationException", f"No values for target key {selector.key}")
    keys = [selector.key for selector in selectors]
    if "InstanceIds" in keys and len(keys) > 1:
        raise ApiError("ValidationException", "InstanceIds can't be combined with other targets")
    if len(set(keys)) < len(keys):
        raise ApiError("ValidationException", "Each target key may be given once")


def _problems(value: Any, shape: Any, path: str) -> list[str]:  # noqa: ANN401 - any JSON
    """Check what botocore leaves to the server: maxima, pattern, enumeration."""
    if shape.type_name == "structure":
        return [
            problem
            for key, member in shape.members.items()
            if value.get(key) is not None
            for problem in _problems(value[key], member, f"{path}.{key}".lstrip("."))
        ]
    problems = []
    if shape.type_name == "list":
        for item in value:
            problems += _problems(item, shape.member, f"{path}.member")
    if shape.type_name == "map":
        for item in value.values():
            problems += _problems(item, shape.value, f"{path}.value")
    size = value if isinstance(value, int) else len(value)
    constraints = shape.metadata
    longest, allowed = constraints.get("max"), constraints.get("enum")
    fails = f"at '{path}' failed to satisfy constraint: Member must"
    if longest is not None and size > longest:
        what = "have value" if isinstance(value, int) else "have length"
        problems.append(f"Value {fails} {what} less than or equal to {longest}")
    if allowed and value not in allowed:
        problems.append(f"Value {fails} satisfy enum value set: {allowed}")
    if isinstance(value, str) and not _matches(constraints.get("pattern", ""), value):
        pattern = constraints["pattern"]
        problems.append(f"Value {fails} satisfy regular expression pattern: {pattern}")
    return problems


def _matches(pattern: str, value: str) -> bool:
    for theirs, ours in _CLASSES.items():
        pattern = pattern.replace(theirs, ours)
    return not pattern or re.search(pattern, value) is not None
