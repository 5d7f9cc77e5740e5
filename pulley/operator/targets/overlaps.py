"""One checkout, one target: two targets that would lead the same checkout on the same host.

Each would undo what the other did, and both would say that they are well. Selectors that are the
same, include each other or have an id in common are seen here; whether others meet (one tag here,
another one there) only the stage's instances can tell. Nothing here asks AWS.

Each function takes targets, and looks for pairs among them and with the `others`, but not among
the others.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product

from chalicelib.core.hosts import Fleet
from chalicelib.core.targets import Instances, Target

MEND = "a checkout has one target: give one of them another checkout, or other instances"
_MOST_NAMED = 3  # hosts


@dataclass(frozen=True)
class Overlap:
    """Two targets with the same checkout, and how it is known that they meet."""

    one: Target
    other: Target
    how: str

    @property
    def words(self) -> str:
        """What is wrong, without the first one's name."""
        other = f"{self.other.name} of {self.other.repository}"
        return f"{path_of(self.one.checkout)} is the checkout of {other} too, {self.how}"

    def problem(self, kept: Collection[str] = ()) -> str:
        """With the path of the key, and the way out for the names that only the store has."""
        problem = f"targets.{self.one.name}.checkout: {self.words}: {MEND}"
        for name in (self.one.name, self.other.name):
            if name in kept:
                problem += f". The file does not have {name}: --prune removes it"
        return problem


def path_of(checkout: str) -> str:
    """The path that a checkout's absolute path stands for, however it is written."""
    return "/" + "/".join(part for part in checkout.split("/") if part not in {"", "."})


def overlaps_by_selectors(
    targets: Sequence[Target], others: Sequence[Target] = ()
) -> Iterator[Overlap]:
    """The pairs of which the selectors alone show that they meet."""
    for one, other in _pairs(targets, others):
        if how := _how_selectors_meet(one, other):
            yield Overlap(one, other, how)


def may_meet_on_hosts(targets: Sequence[Target], others: Sequence[Target] = ()) -> bool:
    """Whether there is a pair of which only instances can tell."""
    return any(not _how_selectors_meet(one, other) for one, other in _pairs(targets, others))


def overlaps_on_hosts(
    targets: Sequence[Target], others: Sequence[Target], fleet: Fleet
) -> Iterator[Overlap]:
    """The other pairs, those that have a host of the fleet in common."""
    for one, other in _pairs(targets, others):
        if _how_selectors_meet(one, other):
            continue
        ids = {host.instance_id for host in fleet.of(other)}
        both = [host for host in fleet.of(one) if host.instance_id in ids]
        if both:
            names = [f"{host.name} ({host.instance_id})" for host in both[:_MOST_NAMED]]
            if len(both) > _MOST_NAMED:
                names.append(f"{len(both) - _MOST_NAMED} more")
            hosts = "host" if len(both) == 1 else "hosts"
            yield Overlap(one, other, f"and they have the {hosts} {', '.join(names)} in common")


def _pairs(targets: Sequence[Target], others: Sequence[Target]) -> Iterator[tuple[Target, Target]]:
    """Every two with the same checkout whose selectors do not exclude each other."""
    for one, other in chain(combinations(targets, 2), product(targets, others)):
        is_same = path_of(one.checkout) == path_of(other.checkout)
        if is_same and not _exclude_each_other(one.instances, other.instances):
            yield one, other


def _exclude_each_other(one: Instances, other: Instances) -> bool:
    """Whether no instance can be in both: a tag has one value, and so has an id."""
    if one.ids and other.ids:
        return not set(one.ids) & set(other.ids)
    values = dict(other.tags)
    return any(key in values and not set(mine) & set(values[key]) for key, mine in one.tags)


def _how_selectors_meet(one: Target, other: Target) -> str:
    """In words; "" where that depends on what instances there are."""
    if one.instances.ids and other.instances.ids:
        both = sorted(set(one.instances.ids) & set(other.instances.ids))
        return f"and they have {', '.join(both)} in common" if both else ""
    is_in = _is_in(one.instances, other.instances)
    includes = _is_in(other.instances, one.instances)
    if is_in and includes:
        return "and they have the same instances"
    if is_in:
        return f"and the instances of {one.name} are among those of {other.name}"
    if includes:
        return f"and the instances of {other.name} are among those of {one.name}"
    return ""


def _is_in(one: Instances, other: Instances) -> bool:
    """Whether every instance with the tags of the one has those of the other."""
    if one.ids or other.ids:
        return False
    values: dict[str, Sequence[str]] = dict(one.tags)
    return all(key in values and set(values[key]) <= set(theirs) for key, theirs in other.tags)
