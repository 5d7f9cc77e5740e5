"""AWS's limits for the arguments of a call, from botocore's descriptions of the services.

botocore itself checks types, required members and least sizes, and then sends: what is too long, or
does not fit a pattern or an enumeration, is refused only by AWS.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session
import regex
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

# Java writes characters beyond 16 bits as two.
_BEYOND = (r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")


@cache
def model_of(service: str) -> ServiceModel:
    """The service as botocore describes it."""
    return botocore.session.get_session().get_service_model(service)


def problems_of_call(service: str, operation: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """What of the arguments AWS would refuse. What botocore refuses never gets there."""
    shape = model_of(service).operation_model(operation).input_shape
    if shape and not ParamValidator().validate(dict(arguments), shape).has_errors():
        yield from _problems(shape, arguments, "")


def _problems(shape: Shape, value: Any, where: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(shape, StructureShape):
        for name, one in value.items():
            yield from _problems(shape.members[name], one, f"{where}.{name}")
    elif isinstance(shape, ListShape):
        yield from _size_problems(shape, len(value), where)
        for index, one in enumerate(value):
            yield from _problems(shape.member, one, f"{where}[{index}]")
    elif isinstance(shape, MapShape):
        yield from _size_problems(shape, len(value), where)
        for name, one in value.items():
            yield from _problems(shape.key, name, f"{where}[{name!r}] as a key")
            yield from _problems(shape.value, one, f"{where}[{name!r}]")
    elif shape.type_name == "string":
        yield from _size_problems(shape, len(value), where)
        yield from _text_problems(shape, value, where)
    elif shape.type_name == "blob":
        yield from _size_problems(shape, len(value), where)
    elif shape.type_name in {"integer", "long", "float", "double"}:
        yield from _size_problems(shape, value, where)


def _size_problems(shape: Shape, size: float, where: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield f"{where}: {size} is less than {least}"
    if most is not None and size > most:
        yield f"{where}: {size} is more than {most}"


def _text_problems(shape: Shape, text: str, where: str) -> Iterator[str]:
    allowed = shape.metadata.get("enum")
    if allowed and text not in allowed:
        yield f"{where}: {text!r} is none of {allowed}"
    pattern = shape.metadata.get("pattern")
    if pattern and not compiled(pattern).fullmatch(text):
        yield f"{where}: {text!r} does not fit {pattern}"


@cache
def compiled(pattern: str) -> "regex.Pattern[str]":
    """A pattern of AWS's, which is written for Java. Raises regex.error for what is unknown."""
    return regex.compile(pattern.replace(*_BEYOND))
