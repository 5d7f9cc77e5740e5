"""Read the file that lists an operator's stages, in several Regions and accounts.

Each table is one stage: its profile in AWS's configuration, its region, and its name.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.core.fields import ProblemsError
from chalicelib.core.refs import shown
from chalicelib.settings import STAGE_NAME
from pulley.operator.near import did_you_mean
from pulley.operator.text_file import read_text

STAGES_FILE = "stages.toml"
_KEYS = ("stage", "profile", "region")
_EXAMPLE = "a file has tables like [stages.prod-eu]"


@dataclass(frozen=True)
class Place:
    """A stage, and where it is. `name` is for people; None leaves a choice to AWS's settings."""

    name: str
    stage: str
    profile: str | None = None
    region: str | None = None


def read_places(file: str) -> tuple[Place, ...]:
    """The stages of a file, in its order. `-` is stdin.

    Raises UnreadableError, and ProblemsError with every problem.
    """
    text = read_text(file, "docs/deploying.md says how to write it")
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for too many digits
        raise ProblemsError([f"{file}: not TOML: {error}"]) from None
    problems = [
        f"{file}: unknown key {shown(key)}{did_you_mean(key, ['stages'])}; {_EXAMPLE}"
        for key in content
        if key != "stages"
    ]
    tables = content.get("stages", {})
    if not isinstance(tables, dict):
        problems.append(f"{file}: stages: must be tables like [stages.prod-eu]")
        tables = {}
    elif not tables and not problems:
        problems.append(f"{file}: has no stages; {_EXAMPLE}")
    places = []
    for name, table in tables.items():
        path = f"{file}: stages.{shown(name) if not STAGE_NAME.fullmatch(name) else name}"
        found = _problems_of(path, name, table)
        problems += found
        if not found:
            places.append(Place(name, **{"stage": name, **table}))
    problems += _same_twice(file, places)
    if problems:
        raise ProblemsError(problems)
    return tuple(places)


def _problems_of(path: str, name: str, table: object) -> list[str]:
    if not isinstance(table, Mapping):
        return [f"{path}: must be a table, like [stages.prod-eu]"]
    problems = [
        f"{path}: unknown key {shown(key)}{did_you_mean(key, _KEYS)}; the keys are "
        f"{', '.join(sorted(_KEYS))}"
        for key in table
        if key not in _KEYS
    ]
    problems += [
        f"{path}.{key}: must be a {key}'s name, not {shown(table[key])}"
        for key in _KEYS[1:]
        if key in table and not (isinstance(table[key], str) and table[key].strip())
    ]
    if not (name.strip() and name.isprintable()):
        problems.append(f"{path}: its name must be one line of text that a terminal can show")
    stage = table.get("stage", name)
    if not isinstance(stage, str) or not STAGE_NAME.fullmatch(stage):
        which = f"{path}.stage:" if "stage" in table else f"{path}: its name, without `stage`,"
        problems.append(
            f"{which} must be a stage's name (1 to 30 letters, digits, _ and -), not {shown(stage)}"
        )
    return problems


def _same_twice(file: str, places: list[Place]) -> list[str]:
    """The problem of each stage that is the same as an earlier one, so far as the file says."""
    seen: dict[tuple[str | None, ...], str] = {}
    problems = []
    for one in places:
        first = seen.setdefault((one.stage, one.profile, one.region), one.name)
        if first != one.name:
            problems.append(f"{file}: stages.{one.name}: is the same stage as stages.{first}")
    return problems
