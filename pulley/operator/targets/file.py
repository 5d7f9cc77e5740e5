"""Read targets from pulley.toml, and write stored targets as such a file.

A table is validated by the same rules as a stored target. Its keys are kept as written.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import tomli_w

from chalicelib.core.refs import Repository, shown
from chalicelib.core.targets import (
    NAME_PATTERN,
    TARGET_KEYS,
    Target,
    TargetsError,
    parse_target,
    problems_among,
)
from pulley.operator.near import did_you_mean
from pulley.operator.targets.overlaps import overlaps_by_selectors

Entry = Mapping[str, object]


@dataclass(frozen=True)
class FileTarget:
    """A target in a file. `entry` is what is stored: its table as written, and its name."""

    target: Target
    entry: Entry = field(repr=False)


def parse_targets_file(text: str, file: str = "pulley.toml") -> tuple[FileTarget, ...]:
    """The targets of a file, by name; there may be none. Raises TargetsError with every problem."""
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for too many digits
        raise TargetsError([f"{file}: not TOML: {error}"]) from None
    problems = [
        f"{file}: unknown key {shown(key)}{did_you_mean(key, ['targets'])}; a file has tables like "
        "[targets.web]"
        for key in content
        if key != "targets"
    ]
    tables = content.get("targets", {})
    if not isinstance(tables, dict):
        problems.append("targets: must be tables like [targets.web]")
        tables = {}
    targets = []
    for name, table in tables.items():
        try:
            targets.append(_parse_table(name, table))
        except TargetsError as error:
            problems += error.problems
    # Whose repository is not known for certain.
    invalid = tables.keys() - {one.target.name for one in targets}
    for repository in dict.fromkeys(one.target.repository for one in targets):
        of_it = [one.target for one in targets if one.target.repository == repository]
        problems += problems_among(of_it, invalid)
    problems += [one.problem() for one in overlaps_by_selectors([one.target for one in targets])]
    if problems:
        raise TargetsError(problems)
    return tuple(sorted(targets, key=_name_of))


def _parse_table(name: str, table: object) -> FileTarget:
    path = f"targets.{name if re.fullmatch(NAME_PATTERN, name) else shown(name)}"
    if not isinstance(table, dict):
        raise TargetsError([f"{path}: must be a table, like [targets.web]"])
    if "name" in table:
        raise TargetsError([f"{path}.name: the table's own name is the target's: leave it out"])
    entry = {"name": name, **table}
    try:
        return FileTarget(parse_target(path, entry, given=["name"]), entry)
    except TargetsError as error:
        said = [
            one.replace(f"{path}.name: ", f"{path}: the table's name ") for one in error.problems
        ]
        for key in table.keys() - TARGET_KEYS.keys():
            unknown = f"{path}: unknown key {shown(key)}"
            near = did_you_mean(key, TARGET_KEYS)
            said = [one.replace(f"{unknown};", f"{unknown}{near};") for one in said]
        raise TargetsError(said) from None


def _name_of(target: FileTarget) -> str:
    return target.target.name


def write_targets_file(entries: Mapping[Repository, Sequence[Entry]]) -> str:
    """The text of a file with the stored targets. Every entry must be valid."""
    return "\n".join(
        f"# {repository}\n" + "\n".join(_table(entry) for entry in listed)
        for repository, listed in entries.items()
    )


def _table(entry: Entry) -> str:
    keys = [f"{_key(key)} = {_inline(one)}" for key, one in entry.items() if key != "name"]
    return "\n".join([f"[targets.{entry['name']}]", *keys]) + "\n"


def _inline(value: object) -> str:
    """A value on one line. Tables are inline, too."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_inline(one)}' for key, one in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(_inline(one) for one in value)}]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


def _key(key: str) -> str:
    return tomli_w.dumps({key: 0}).removesuffix(" = 0\n")
