"""GitHub's published OpenAPI description, and what of a request or an answer does not fit it.

GitHub ignores a field or a query parameter that it does not know, and so does its description. Here
both are problems: Pulley would ask for something in vain, or read something that is never there.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from openapi_schema_validator import (
    OAS30ReadValidator,
    OAS30WriteValidator,
    oas30_format_checker,
)
from referencing import Registry, Specification

_URI = "urn:github"
_JSON = "application/json"
_REFUSAL = ("components", "schemas", "basic-error")
_METHODS = {"get", "post", "put", "patch", "delete"}
_READ, _WRITE = OAS30ReadValidator, OAS30WriteValidator


@dataclass(frozen=True)
class Operation:
    """One method of one path. `pointer` leads to it in the description."""

    method: str
    template: str
    pattern: re.Pattern[str]
    pointer: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"


class Description:
    """The description, read once: it has 13 megabytes."""

    def __init__(self, path: Path) -> None:
        self._document: dict[str, Any] = json.loads(path.read_text())
        _allow_null(self._document)
        resource = Specification.OPAQUE.create_resource(self._document)
        self._registry: Registry[Any] = Registry().with_resource(_URI, resource)
        self._operations = [
            Operation(method.upper(), template, _pattern(template), ("paths", template, method))
            for template, methods in self._document["paths"].items()
            for method in methods.keys() & _METHODS
        ]

    def find(self, method: str, path: str) -> Operation | None:
        """The operation of a path as it was sent. A fixed segment goes before a parameter."""
        fits = [
            one for one in self._operations if one.method == method and one.pattern.fullmatch(path)
        ]
        return min(fits, key=lambda one: one.template.count("{"), default=None)

    def problems_of_request(self, operation: Operation, query: str, body: str) -> Iterator[str]:
        """What GitHub does not document of the query or the body, or would refuse."""
        parameters = {
            (one["in"], one["name"]): pointer for pointer, one in self._parameters(operation)
        }
        for name, text in parse_qsl(query, keep_blank_values=True):
            pointer = parameters.get(("query", name))
            if pointer is None:
                yield f"query: {name} is not documented"
                continue
            place = (*pointer, "schema")
            yield from self._problems(place, self._typed(place, text), _WRITE, f"query: {name}")
        at, described = self._follow((*operation.pointer, "requestBody"))
        if described is None:
            if body:
                yield "body: none is documented"
        elif body or described.get("required"):
            place = (*at, "content", _JSON, "schema")
            yield from self._problems(place, json.loads(body or "null"), _WRITE, "body")

    def problems_of_answer(self, operation: Operation, status: int, content: str) -> Iterator[str]:
        """What GitHub would not answer."""
        at, described = self._follow((*operation.pointer, "responses", str(status)))
        if status == 403 and content.startswith("\r\nRequest forbidden"):
            return  # a request without a User-Agent gets this page, not JSON
        if status >= 400:
            # GitHub's page "Troubleshooting the REST API": each operation may refuse like this, and
            # since 2024 each refusal has a `status`, which not each schema names.
            has_own = described and _JSON in described.get("content", {})
            place = (*at, "content", _JSON, "schema") if has_own else _REFUSAL
            yield from self._misfits(place, json.loads(content), _READ, str(status))
        elif described is None:
            yield f"{status} is not documented"
        elif _JSON not in described.get("content", {}):
            if content:
                yield f"{status}: no content is documented"
        else:
            place = (*at, "content", _JSON, "schema")
            yield from self._problems(place, json.loads(content), _READ, str(status))

    def _parameters(self, operation: Operation) -> Iterator[tuple[tuple[str, ...], Any]]:
        for pointer in (operation.pointer, operation.pointer[:-1]):
            _, listed = self._follow((*pointer, "parameters"))
            for index in range(len(listed or ())):
                yield self._follow((*pointer, "parameters", str(index)))

    def _problems(
        self, place: tuple[str, ...], value: object, kind: type[Any], where: str
    ) -> Iterator[str]:
        yield from self._misfits(place, value, kind, where)
        for path in self._undocumented(place, value):
            yield f"{where}{path} is not documented"

    def _misfits(
        self, place: tuple[str, ...], value: object, kind: type[Any], where: str
    ) -> Iterator[str]:
        escaped = "/".join(one.replace("~", "~0").replace("/", "~1") for one in place)
        validator = kind(
            {"$ref": f"{_URI}#/{escaped}"},
            registry=self._registry,
            format_checker=oas30_format_checker,
        )
        for error in validator.iter_errors(value):
            yield f"{where}{error.json_path[1:]}: {error.message[:300]}"

    def _undocumented(self, place: tuple[str, ...], value: object) -> Iterator[str]:
        """The members of an answer or a body that no part of the schema names."""
        if isinstance(value, list):
            for index, one in enumerate(value):
                for path in self._undocumented((*place, "items"), one):
                    yield f"[{index}]{path}"
        elif isinstance(value, dict):
            yield from self._undocumented_members(place, value)

    def _undocumented_members(
        self, place: tuple[str, ...], value: Mapping[str, object]
    ) -> Iterator[str]:
        schemas = list(self._all_of(place))
        named: dict[str, list[tuple[str, ...]]] = {}
        for at, schema in schemas:
            for name in schema.get("properties", {}):
                named.setdefault(name, []).append((*at, "properties", name))
        if not named or any(schema.get("additionalProperties") for _, schema in schemas):
            return
        for name, one in value.items():
            if name not in named:
                yield f".{name}"
                continue
            # What one of the alternatives names is documented.
            found = [list(self._undocumented(at, one)) for at in named[name]]
            yield from (f".{name}{path}" for path in min(found, key=len))

    def _all_of(self, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        """The schema, and each that it combines."""
        at, schema = self._follow(place)
        if schema is None:
            return
        yield at, schema
        for word in ("allOf", "anyOf", "oneOf"):
            for index in range(len(schema.get(word, ()))):
                yield from self._all_of((*at, word, str(index)))

    def _typed(self, place: tuple[str, ...], text: str) -> object:
        """A query's text as its schema wants it."""
        _, schema = self._follow(place)
        return int(text) if schema.get("type") == "integer" and text.isdecimal() else text

    def _follow(self, place: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
        """What stands there, and where it really stands. None for a place that is not there."""
        value: Any = self._document
        for depth, part in enumerate(place):
            value = value[int(part)] if isinstance(value, list) else value.get(part)
            if value is None:
                return place, None
            if isinstance(value, Mapping) and isinstance(value.get("$ref"), str):
                target = tuple(value["$ref"].removeprefix("#/").split("/"))
                return self._follow((*target, *place[depth + 1 :]))
        return place, value


def _allow_null(schema: object) -> None:
    """Let a combined schema or an enumeration be null where the description says `nullable`.

    By OpenAPI 3.0 that word means nothing without a `type`, or beside an `enum` without null; by
    GitHub's own examples it means null.
    """
    if isinstance(schema, list):
        for one in schema:
            _allow_null(one)
    if not isinstance(schema, dict):
        return
    for one in schema.values():
        _allow_null(one)
    if schema.get("nullable") is not True:
        return
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"].append(None)
    if "type" not in schema:
        for word in {"allOf", "anyOf", "oneOf"} & schema.keys():
            combined = {word: schema.pop(word)}
            schema["anyOf"] = [combined, {"enum": [None], "nullable": True, "type": "string"}]


def _pattern(template: str) -> re.Pattern[str]:
    """Where a parameter stands, any text without a slash: Pulley sends a slash as %2F.

    Only the end of a ref (`git/matching-refs/tags/v1`) may have more than one segment.
    """
    parts = re.split(r"\{[^}]+\}", template)
    if len(parts) == 1:
        return re.compile(re.escape(template))
    own = r"(.+)" if template.endswith("/matching-refs/{ref}") else r"([^/]+)"
    return re.compile(r"([^/]+)".join(map(re.escape, parts[:-1])) + own + re.escape(parts[-1]))


def split_target(target: str) -> tuple[str, str]:
    """A request's target: its path, and its query."""
    path, _, query = target.partition("?")
    return path, query
