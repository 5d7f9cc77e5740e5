"""An SSM document as Run Command and the agent read it.

The service refuses parameters that the document does not allow (`check`). The agent checks only
`allowedPattern` (`receive`), and fills in the text.
Source: AWS Systems Manager User Guide, "Data elements and parameters", the agent's source
(parameters.go), and runs under a real agent.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ParameterValues = Mapping[str, tuple[str, ...]]
# The values to fill in: a String as it is, a StringList as its items.
TextValues = Mapping[str, str | tuple[str, ...]]

DEFAULT_TIMEOUT, SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 3600, 5, 172_800
_SHELL_SCRIPT = "aws:runShellScript"
_PLACEHOLDER = re.compile(r"\{\{\s*([a-zA-Z0-9]+)\s*\}\}")
_DOLLAR = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)
_MISSING = ("null",)  # the agent's value for a parameter with neither value nor default


class ParameterError(ValueError):
    """A value, or a missing value, that the document does not allow."""


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
        """Raise ParameterError if a value is not allowed.

        This is the service's check of the whole declaration.
        """
        if self.kind != "StringList" and len(values) != 1:
            raise ParameterError(f"{self.name} takes one value, not {len(values)}")
        if self.allowed_values and not set(values) <= set(self.allowed_values):
            raise ParameterError(f"{self.name} is not one of its allowed values")
        self.check_pattern(values)

    def check_pattern(self, values: Sequence[str]) -> None:
        """Raise ParameterError if a value does not match: the agent's only check.

        The pattern is RE2, searched for and not anchored: `[a-z]+` allows `a; reboot`.
        """
        for value in values:
            if self.allowed_pattern and not _re2(self.allowed_pattern).search(value):
                raise ParameterError(f"{self.name} does not match {self.allowed_pattern}")

    def receive(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """The values that the agent uses. Raises ParameterError."""
        values = self.default if given is None else tuple(given)
        if values is None:
            if self.allowed_pattern:
                raise ParameterError(f"{self.name} is missing, and has a pattern and no default")
            return _MISSING
        self.check_pattern(values)
        return values


@dataclass(frozen=True)
class DocumentStep:
    """One `aws:runShellScript` step, as written: its placeholders are not filled in.

    `run_command` is the whole script as one string, or an array of its lines.
    """

    name: str
    run_command: str | tuple[str, ...]
    timeout: str

    def script(self, text_values: TextValues) -> str:
        """Fill in the script. If the string is exactly one StringList, its items become the lines.

        Raises ParameterError for a StringList alone in an element of an array: the agent makes it a
        list in a list, which it cannot read as lines.
        """
        if isinstance(self.run_command, str):
            lines = _list_alone(self.run_command, text_values) or (self.run_command,)
        else:
            lines = self.run_command
            if any(_list_alone(line, text_values) is not None for line in lines):
                raise ParameterError(f"step {self.name}: runCommand has a list within its list")
        return "\n".join(_fill_in(line, text_values) for line in lines) + "\n"

    def timeout_seconds(self, text_values: TextValues) -> int:
        """Read the run's limit. Anything but a number from 5 to 172,800 silently becomes 3,600."""
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
    steps: tuple[DocumentStep, ...]

    def check(self, given: ParameterValues) -> None:
        """Raise ParameterError for a parameter that is undeclared, missing or not allowed."""
        declared = {parameter.name: parameter for parameter in self.parameters}
        if undeclared := sorted(given.keys() - declared.keys()):
            raise ParameterError(f"not declared in {self.name}: {', '.join(undeclared)}")
        for name, parameter in declared.items():
            if name in given:
                parameter.check(given[name])
            elif parameter.default is None:
                raise ParameterError(f"{name} is required by {self.name}")

    def receive(self, given: ParameterValues) -> dict[str, tuple[str, ...]]:
        """Every parameter's values, as the agent uses them. Raises ParameterError."""
        return {one.name: one.receive(given.get(one.name)) for one in self.parameters}

    def complete(self, given: ParameterValues) -> dict[str, tuple[str, ...]]:
        """Every parameter's values, without a check: the service reads its limits from them."""
        return {one.name: given.get(one.name, one.default or ()) for one in self.parameters}

    def texts(self, values: ParameterValues) -> dict[str, str | tuple[str, ...]]:
        """The values to fill in for each parameter that is named here."""
        return {
            one.name: values[one.name] if one.kind == "StringList" else "".join(values[one.name])
            for one in self.parameters
            if one.name in values
        }


def parse_document(content: str, *, name: str, version: str) -> Document:
    """Parse the content, JSON in schema 2.2. Steps with another action are left out."""
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


def _parse_step(step: Mapping[str, object]) -> DocumentStep:
    inputs = step.get("inputs")
    if not isinstance(inputs, Mapping):
        inputs = {}
    run_command = inputs.get("runCommand", ())
    return DocumentStep(
        name=str(step["name"]),
        run_command=run_command if isinstance(run_command, str) else _texts(run_command),
        # Only inside `inputs`: elsewhere it has no effect.
        timeout=str(inputs.get("timeoutSeconds", DEFAULT_TIMEOUT)),
    )


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return (value if isinstance(value, str) else json.dumps(value),)


def _list_alone(text: str, values: TextValues) -> tuple[str, ...] | None:
    """The StringList, if the text is exactly one; otherwise None."""
    found = _PLACEHOLDER.fullmatch(text)
    value = values.get(found[1]) if found else None
    return value if isinstance(value, tuple) else None


def _fill_in(text: str, values: TextValues) -> str:
    """Plain text substitution, before any shell sees it. Unknown names stay as they are.

    Within other text, a value is a template of Go's `regexp`: `$$` becomes `$`.
    """

    def value_of(match: re.Match[str]) -> str:
        value = values.get(match[1])
        if value is None:
            return match[0]
        written = value if isinstance(value, str) else json.dumps(value)
        return written if match[0] == text else _expand(written, match[0])

    return _PLACEHOLDER.sub(value_of, text)


def _expand(template: str, whole: str) -> str:
    """Like Go's Regexp.Expand for a pattern without groups: `$0` is the match, others are empty."""

    def meaning(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        return whole if (match[2] or match[3]) == "0" else ""

    return _DOLLAR.sub(meaning, template)


def _re2(pattern: str) -> re.Pattern[str]:
    """RE2's `$` is the end of the text; Python's also matches before a last newline."""
    at_end = pattern.endswith("$") and not pattern.endswith(r"\$")
    return re.compile(pattern[:-1] + r"\Z" if at_end else pattern)
