"""Plan how a file of targets changes the store. Nothing here asks AWS or changes anything.

A file speaks for the repositories that it names. Their stored targets that are not in the file are
kept, unless `prune` is set.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from chalicelib.core.refs import Repository
from chalicelib.core.targets import Target, TargetsError, parse_stored_targets, parse_target
from pulley.operator.aws.parameters import ADVANCED, LIMITS, STANDARD, StoredValue
from pulley.operator.targets.file import Entry, FileTarget
from pulley.operator.targets.overlaps import overlaps_by_selectors

ADDED, CHANGED, REMOVED = "added", "changed", "removed"


@dataclass(frozen=True)
class StoredList:
    """A repository's stored targets, by name, whether they are valid or not.

    `problems` say why the list is not valid. Entries without a readable name are left out.
    """

    repository: Repository
    read: StoredValue | None = field(default=None, repr=False)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    tier: str = STANDARD


@dataclass(frozen=True)
class KeyChange:
    """A changed key of a target. None means that it is not written."""

    key: str
    before: object
    after: object


@dataclass(frozen=True)
class TargetChange:
    """A change of one target."""

    name: str
    action: str
    keys: tuple[KeyChange, ...]


@dataclass(frozen=True)
class ListChange:
    """A change of a repository's list. `replaced` are the problems of the stored list."""

    repository: Repository
    changes: tuple[TargetChange, ...]
    kept: tuple[str, ...]
    replaced: tuple[str, ...]
    bytes: int
    tier: str
    text: str = field(repr=False)
    read: StoredValue | None = field(repr=False)

    @property
    def stored_targets(self) -> Sequence[Target]:
        """The targets that are stored now, if they are valid."""
        with suppress(TargetsError):
            return parse_stored_targets(self.read.value if self.read else "[]", self.repository)
        return ()

    @property
    def is_needed(self) -> bool:
        """Whether there is something to store."""
        return bool(self.changes or self.replaced)


def parse_stored_list(
    repository: Repository, read: StoredValue | None, tier: str = STANDARD
) -> StoredList:
    """Parse a stored list, as far as it can be read."""
    if read is None:
        return StoredList(repository)
    problems: tuple[str, ...] = ()
    try:
        parse_stored_targets(read.value, repository)
    except TargetsError as error:
        problems = error.problems
    try:
        listed = json.loads(read.value)
    except (ValueError, RecursionError):
        listed = []
    entries = {
        one["name"]: one
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict) and isinstance(one.get("name"), str)
    }
    return StoredList(repository, read, entries, problems, tier)


def plan_targets(
    targets: Sequence[FileTarget],
    stored: Sequence[StoredList],
    others: Sequence[StoredList],
    *,
    prune: bool,
    advanced: bool,
) -> tuple[ListChange, ...]:
    """Plan the change of each list in `stored`: the repositories that the file speaks for.

    `others` are all the other repositories of the stage. Raises TargetsError.
    """
    changes = [
        _change_of(
            one,
            [target for target in targets if target.target.repository == one.repository],
            prune=prune,
            advanced=advanced,
        )
        for one in stored
    ]
    problems = [problem for change in changes for problem in _problems_of(change)]
    problems += _problems_of_names(changes, others)
    if not problems:
        overlaps = overlaps_by_selectors(*targets_after(changes, others))
        kept = {name for change in changes for name in change.kept}
        problems += [overlap.problem(kept) for overlap in overlaps]
    if problems:
        raise TargetsError(problems)
    return tuple(changes)


def targets_after(
    changes: Sequence[ListChange], others: Sequence[StoredList]
) -> tuple[list[Target], list[Target]]:
    """The stage's targets after the changes: those of the changed lists, and those of the others.

    A target of the others that is not valid is left out, because nothing is deployed to it.
    """
    changed = [
        target
        for change in changes
        for target in parse_stored_targets(change.text, change.repository)
    ]
    rest = []
    for other in others:
        for name, entry in other.entries.items():
            with suppress(TargetsError):
                rest.append(parse_target(f"targets.{name}", entry))
    return changed, rest


def leavers(changes: Iterable[ListChange]) -> Mapping[str, str]:
    """The targets that leave a repository, each with words that say how. Their pins stay."""
    removed = {
        one.name: change.repository
        for change in changes
        for one in change.changes
        if one.action == REMOVED
    }
    added = {
        one.name: change.repository
        for change in changes
        for one in change.changes
        if one.action == ADDED
    }
    return {
        name: f"goes from {repository} to {added[name]}" if name in added else "is removed"
        for name, repository in removed.items()
    }


def _change_of(
    stored: StoredList, targets: Sequence[FileTarget], *, prune: bool, advanced: bool
) -> ListChange:
    wanted = {one.target.name: one.entry for one in targets}
    kept = () if prune else tuple(sorted(stored.entries.keys() - wanted.keys()))
    entries = wanted | {name: stored.entries[name] for name in kept}
    text = json.dumps([entries[name] for name in sorted(entries)], separators=(",", ":"))
    size = len(text.encode())
    is_advanced = stored.tier == ADVANCED or (advanced and size > LIMITS[STANDARD])
    return ListChange(
        repository=stored.repository,
        changes=tuple(_changes(stored.entries, entries)),
        kept=kept,
        replaced=stored.problems,
        bytes=size,
        tier=ADVANCED if is_advanced else STANDARD,
        text=text,
        read=stored.read,
    )


def _changes(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> Iterator[TargetChange]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, {}), after.get(name, {})
        if old == new:
            continue
        action = CHANGED if old and new else ADDED if new else REMOVED
        keys = [key for key in dict.fromkeys([*new, *old]) if key != "name"]
        yield TargetChange(
            name,
            action,
            tuple(
                KeyChange(key, old.get(key), new.get(key))
                for key in keys
                if old.get(key) != new.get(key)
            ),
        )


def _problems_of(change: ListChange) -> Iterator[str]:
    """Why the list cannot be stored. The file itself has been validated before."""
    try:
        parse_stored_targets(change.text, change.repository)
    except TargetsError as error:
        for problem in error.problems:
            yield f"{change.repository}: {problem}"
        names = ", ".join(change.kept)
        yield (
            f"{change.repository}: {names} would be kept, since the file does not have it: "
            "add it to the file, or remove it with --prune"
        )
    limit = LIMITS[change.tier]
    if change.bytes > limit:
        how = (
            "more than a parameter holds: shorten them, or use tags in place of ids"
            if change.tier == ADVANCED or change.bytes > LIMITS[ADVANCED]
            else f"--advanced stores up to {LIMITS[ADVANCED]:,} bytes, for which AWS charges"
        )
        yield f"{change.repository}: its targets take {change.bytes:,} bytes of {limit:,}; {how}"


def _problems_of_names(
    changes: Sequence[ListChange], others: Sequence[StoredList]
) -> Iterator[str]:
    """Pins are by name, so a name is unique in the stage."""
    owners = {name: one.repository for one in others for name in one.entries}
    is_other = {other.repository for other in others}
    for change in changes:
        for entry in json.loads(change.text):
            name = entry["name"]
            owner = owners.setdefault(name, change.repository)
            if owner == change.repository:
                continue
            how = (
                f"give it another name, or remove it there with --repository {owner} --prune"
                if owner in is_other
                else "give one of them another name, or remove the old one with --prune"
            )
            yield f"targets.{name}: {owner} has a target of this name; {how}"
