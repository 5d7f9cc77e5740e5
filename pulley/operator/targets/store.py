"""Read and store a stage's targets: one parameter for each repository."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.hosts import Fleet
from chalicelib.core.pins import PinError, parse_pin
from chalicelib.core.refs import Repository
from chalicelib.core.targets import TargetsError
from pulley.operator.aws.parameters import ADVANCED, STANDARD, StoredValue, Written
from pulley.operator.stage.stage import Stage
from pulley.operator.stage.webhook_events import events_of
from pulley.operator.suggest import suggest
from pulley.operator.targets.file import Entry
from pulley.operator.targets.overlaps import may_meet_on_hosts, overlaps_on_hosts
from pulley.operator.targets.plan import (
    ListChange,
    StoredList,
    parse_stored_list,
    targets_after,
)


@dataclass(frozen=True)
class Shown:
    """The valid stored targets, as they are written, and the problems of the others."""

    entries: Mapping[Repository, Sequence[Entry]]
    problems: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The targets' names."""
        return sorted(str(one["name"]) for listed in self.entries.values() for one in listed)

    def only(self, what: str) -> "Shown":
        """The targets of a repository, or the target of this name. There may be no entries."""
        chosen = {
            repository: [
                one for one in listed if what.lower() == str(repository) or what == one["name"]
            ]
            for repository, listed in self.entries.items()
        }
        return Shown({key: listed for key, listed in chosen.items() if listed}, self.problems)


class TargetsStore:
    """Reads and stores targets. Every method raises RefusedError or UnavailableError."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def read(
        self, repositories: Collection[Repository]
    ) -> tuple[Sequence[StoredList], Sequence[StoredList]]:
        """The stored lists of these repositories, and those of all others of the stage."""
        parameters, names = self._stage.parameters, self._stage.names
        stored = parameters.read(*(names.targets(one) for one in sorted(repositories)))
        lists = []
        for repository in sorted(repositories):
            name = names.targets(repository)
            tier = parameters.tier(name) if name in stored else STANDARD
            lists.append(parse_stored_list(repository, stored.get(name), tier))
        return lists, [one for one in self._every() if one.repository not in repositories]

    def check_hosts(self, changes: Sequence[ListChange], others: Sequence[StoredList]) -> None:
        """Raise TargetsError if a host would have two targets in one checkout.

        AWS is asked only if the selectors do not tell.
        """
        changed, rest = targets_after(changes, others)
        if not may_meet_on_hosts(changed, rest):
            return
        fleet = Fleet(self._stage.directory.hosts(), self._stage.name)
        kept = {name for change in changes for name in change.kept}
        problems = [one.problem(kept) for one in overlaps_on_hosts(changed, rest, fleet)]
        if problems:
            raise TargetsError(problems)

    def check_tokens(self, changes: Sequence[ListChange], others: Sequence[StoredList]) -> None:
        """Raise TargetsError if a target has gates that need a token which is not stored."""
        problems, token = [], suggest("setup", "--github-token-file", "-")
        for target in targets_after(changes, others)[0]:
            if target.needs_github and not self._stage.stored_token(target.repository):
                keys = ", ".join([*(["tag"] if target.tag else []), *target.gates.keys])
                problems.append(
                    f"targets.{target.name}: {keys}: needs a token for GitHub, and none is stored "
                    f"for {target.repository}: {token}"
                )
        if problems:
            raise TargetsError(problems)

    def check_forge(self, changes: Sequence[ListChange], others: Sequence[StoredList]) -> None:
        """Raise TargetsError if a target needs GitHub's deployments on Gitea or Forgejo."""
        if self._stage.has_deployments:
            return
        problems = [
            f"targets.{target.name}.{key}: needs GitHub, which judges it with its deployments; "
            "Gitea and Forgejo have none: leave it out"
            for target in targets_after(changes, others)[0]
            for key in target.gates.on_github_alone
        ]
        if problems:
            raise TargetsError(problems)

    def to_connect(self, changes: Sequence[ListChange]) -> list[Repository]:
        """The repositories whose webhook needs more events than before."""
        return [
            change.repository
            for change in changes
            if set(events_of(targets_after([change], [])[0]))
            - set(events_of(change.stored_targets))
        ]

    def write(self, change: ListChange) -> Written:
        """Store a repository's list."""
        return self._stage.parameters.write(
            self._stage.names.targets(change.repository),
            change.text,
            read=change.read,
            tier=ADVANCED if change.tier == ADVANCED else STANDARD,
        )

    def holds(self, names: Collection[str], *, now: datetime) -> Mapping[str, str]:
        """The pins that hold a target now, in words, by the target's name."""
        held = {}
        for name, text in self._stage.stored.pins(sorted(names)).by_target.items():
            try:
                pin = parse_pin(text)
            except PinError as error:
                held[name] = f"held by a pin that cannot be read ({error})"
                continue
            if pin.holds(now):
                held[name] = str(pin)
        return held

    def show(self) -> Shown:
        """Every stored target."""
        lists = self._every()
        return Shown(
            {
                one.repository: list(one.entries.values())
                for one in lists
                if one.entries and not one.problems
            },
            tuple(f"{one.repository}: {problem}" for one in lists for problem in one.problems),
        )

    def _every(self) -> list[StoredList]:
        return [
            parse_stored_list(repository, StoredValue("", settings.targets or "[]", 0))
            for repository, settings in self._stage.stored.every_repository().items()
        ]
