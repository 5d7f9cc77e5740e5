"""Show people how two texts differ: a unified diff of a limited length."""

import json
import re
from collections.abc import Mapping, Sequence
from difflib import unified_diff

MAX_LINES = 60
# The built script has its functions on one line.
_FUNCTION = re.compile(r"(?<=[})];)(?=\w+\(\)[{(])")


def difference(before: Sequence[str], after: Sequence[str], what: str) -> tuple[str, ...]:
    """The lines of a diff; empty if the texts are the same. `what` names both texts."""
    lines = [
        line.rstrip("\n") for line in unified_diff(before, after, f"{what} now", what, lineterm="")
    ]
    left_out = len(lines) - MAX_LINES
    if left_out > 0:
        return (*lines[:MAX_LINES], f"... {left_out} more lines of this diff")
    return tuple(lines)


def document_difference(
    before: Mapping[str, object], after: Mapping[str, object]
) -> tuple[str, ...]:
    """The diff of two documents: the script's lines first, then the rest."""
    return (
        *difference(_script_of(before), _script_of(after), "script"),
        *difference(_rest_of(before), _rest_of(after), "document"),
    )


def _script_of(content: Mapping[str, object]) -> list[str]:
    inputs = _inputs_of(content)
    command = inputs.get("runCommand")
    parts = command if isinstance(command, list) else [command]
    return [line for part in parts if isinstance(part, str) for line in _lines_of(part)]


def _lines_of(script: str) -> list[str]:
    return [function for line in script.splitlines() for function in _FUNCTION.split(line)]


def _rest_of(content: Mapping[str, object]) -> list[str]:
    rest = json.loads(json.dumps(content))
    inputs = _inputs_of(rest)
    if isinstance(inputs, dict):
        inputs.pop("runCommand", None)
    return json.dumps(rest, indent=2).splitlines() if rest else []


def _inputs_of(content: Mapping[str, object]) -> Mapping[str, object]:
    """The inputs of the first step; {} if the document was changed to have none."""
    steps = content.get("mainSteps")
    step = steps[0] if isinstance(steps, list) and steps else None
    inputs = step.get("inputs") if isinstance(step, dict) else None
    return inputs if isinstance(inputs, dict) else {}
