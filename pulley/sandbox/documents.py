"""An SSM document as Run Command and the agent read it.

Both sides of the emulation need the same reading: the service refuses parameters that the
document does not take, and the agent checks `allowedPattern` once more and fills in the text.
Source: AWS Systems Manager User Guide, "Data elements and parameters", and the agent's source.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ParameterValues = Mapping[str, tuple[str, ...]]

DEFAULT_TIMEOUT, SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 3600, 5, 172_800
_SHELL_SCRIPT = "aws:runShellScript"
_PLACEHOLDER = re.compile(r"\{\{\s*([a-zA-Z0-9]+)\s*\}\}")


class ParameterError(ValueError):
    """A value, or the lack of one, that the document does not allow."""


@dataclass(frozen=True)
class DocumentParameter:
    """One declaration in the document's `parameters`."""

    name: str
    kind: str = "String"
    default: tuple[str, ...] | None = None
    allowed_pattern: str | None = None
    allowed_values: tuple[str, ...] = ()
    by_environment: bool = False

    def check(self, values: Sequence[str]) -> None:
        """Raise ParameterError where a value is not allowed.

        The pattern is RE2, searched for and not anchored: `[a-z]+` allows `a; reboot`.
        """
        if self.kind != "StringList" and len(values) != 1:
            raise ParameterError(f"{self.name} takes one value, not {len(values)}")
        for value in values:
            if self.allowed_values and value not in self.allowed_values:
                raise ParameterError(f"{self.name} is not one of its allowed values")
            if self.allowed_pattern and not _re2(self.allowed_pattern).search(value):
                raise ParameterError(f"{self.name} does not match {self.allowed_pattern}")


@dataclass(frozen=True)
class Step:
    """One `aws:runShellScript` step, its text as written: with placeholders."""

    name: str
    run_command: tuple[str, ...]
    timeout: str

    def script(self, text_values: ParameterValues) -> str:
        """Fill in the script's lines; a line that is one StringList becomes its lines."""
        lines: list[str] = []
        for line in self.run_command:
            alone = _PLACEHOLDER.fullmatch(line)
            if alone and alone[1] in text_values:
                lines.extend(text_values[alone[1]])
            else:
                lines.append(_fill_in(line, text_values))
        return "\n".join(lines) + "\n"

    def timeout_seconds(self, text_values: ParameterValues) -> int:
        """Read the run's limit: what is no number from 5 to 172,800 silently becomes 3,600."""
        try:
            seconds = int(_fill_in(self.timeout, text_values))
        except ValueError:
            return DEFAULT_TIMEOUT
        return seconds if SHORTEST_TIMEOUT <= seconds <= LONGEST_TIMEOUT else DEFAULT_TIMEOUT


@dataclass(frozen=True)
class Document:
    """One version of a document."""

    name: str
    version: str
    parameters: tuple[DocumentParameter, ...]
    steps: tuple[Step, ...]

    def check(self, given: ParameterValues) -> None:
        """Raise ParameterError for what is undeclared, missing or not allowed."""
        declared = {parameter.name: parameter for parameter in self.parameters}
        if undeclared := sorted(given.keys() - declared.keys()):
            raise ParameterError(f"not declared in {self.name}: {', '.join(undeclared)}")
        for name, parameter in declared.items():
            if name in given:
                parameter.check(given[name])
            elif parameter.default is None:
                raise ParameterError(f"{name} is required by {self.name}")

    def complete(self, given: ParameterValues) -> dict[str, tuple[str, ...]]:
        """Every parameter's values, the defaults where none are given."""
        return {
            parameter.name: given.get(parameter.name, parameter.default or ())
            for parameter in self.parameters
        }


def parse_document(content: str, *, name: str, version: str) -> Document:
    """From the content in JSON, schema 2.2. Steps with another action are left out."""
    stored = json.loads(content)
    return Document(
        name=name,
        version=version,
        parameters=tuple(
            _parse_parameter(key, declaration)
            for key, declaration in (stored.get("parameters") or {}).items()
        ),
        steps=tuple(
            _parse_step(step)
            for step in stored.get("mainSteps") or ()
            if step["action"] == _SHELL_SCRIPT
        ),
    )


def _parse_parameter(name: str, declaration: Mapping[str, object]) -> DocumentParameter:
    default = declaration.get("default")
    allowed = declaration.get("allowedValues")
    pattern = declaration.get("allowedPattern")
    return DocumentParameter(
        name=name,
        kind=str(declaration.get("type", "String")),
        default=None if default is None else _texts(default),
        allowed_pattern=None if pattern is None else str(pattern),
        allowed_values=() if allowed is None else _texts(allowed),
        by_environment=declaration.get("interpolationType") == "ENV_VAR",
    )


def _parse_step(step: Mapping[str, object]) -> Step:
    inputs = step.get("inputs")
    if not isinstance(inputs, Mapping):
        inputs = {}
    return Step(
        name=str(step["name"]),
        run_command=_texts(inputs.get("runCommand", ())),
        # Inside `inputs` only: anywhere else it counts for nothing.
        timeout=str(inputs.get("timeoutSeconds", DEFAULT_TIMEOUT)),
    )


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return (value if isinstance(value, str) else json.dumps(value),)


def _fill_in(text: str, values: ParameterValues) -> str:
    """Plain text substitution, before any shell sees it. Unknown names stay as they are."""

    def value_of(match: re.Match[str]) -> str:
        found = values.get(match[1])
        if found is None:
            return match[0]
        return found[0] if len(found) == 1 else json.dumps(found)

    return _PLACEHOLDER.sub(value_of, text)


def _re2(pattern: str) -> re.Pattern[str]:
    """RE2's `$` is the end of the text; Python's also matches before a last newline."""
    at_end = pattern.endswith("$") and not pattern.endswith(r"\$")
    return re.compile(pattern[:-1] + r"\Z" if at_end else pattern)
