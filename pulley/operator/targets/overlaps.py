"""Find two targets that have the same checkout on the same host.

Each would undo the other's deploys, and both would report success. Selectors overlap for certain if
they are equal, if one includes the other, or if they share an id. Otherwise (two different tags,
say) only the stage's instances show whether they do. Nothing here asks AWS.

Each function compares `targets` with each other and with `others`, but not the others with each
other.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product

from chalicelib.core.hosts import Fleet
from chalicelib.core.targets import Instances, Target

HINT = "a checkout has one target: give one of them another checkout, or other instances"
_MOST_NAMED = 3  # hosts


@dataclass(frozen=True)
class Overlap:
    """Two targets with the same checkout, and how their hosts overlap."""

    one: Target
    other: Target
    how: str

    @property
    def words(self) -> str:
        """What is wrong, without the name of the first target."""
        other = f"{self.other.name} of {self.other.repository}"
        return f"{path_of(self.one.checkout)} is the checkout of {other} too, {self.how}"

    def problem(self, kept: Collection[str] = ()) -> str:
        """What is wrong, with the key's path. `kept` are names that only the store has."""
        problem = f"targets.{self.one.name}.checkout: {self.words}: {HINT}"
        for name in (self.one.name, self.other.name):
            if name in kept:
                problem += f". The file does not have {name}: --prune removes it"
        return problem


def path_of(checkout: str) -> str:
    """A checkout's path in its normal form."""
    return "/" + "/".join(part for part in checkout.split("/") if part not in {"", "."})


def overlaps_by_selectors(
    targets: Sequence[Target], others: Sequence[Target] = ()
) -> Iterator[Overlap]:
    """The pairs whose selectors alone show that they overlap."""
    for one, other in _pairs(targets, others):
        if how := _how_selectors_meet(one, other):
            yield Overlap(one, other, how)


def may_meet_on_hosts(targets: Sequence[Target], others: Sequence[Target] = ()) -> bool:
    """Whether there is a pair of which only the instances can show it."""
    return any(not _how_selectors_meet(one, other) for one, other in _pairs(targets, others))


def overlaps_on_hosts(
    targets: Sequence[Target], others: Sequence[Target], fleet: Fleet
) -> Iterator[Overlap]:
    """The other pairs that have a host of the fleet in common."""
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
    """Whether no instance can fit both: an instance has one id, and one value for a tag."""
    if one.ids and other.ids:
        return not set(one.ids) & set(other.ids)
    values = dict(other.tags)
    return any(key in values and not set(mine) & set(values[key]) for key, mine in one.tags)


def _how_selectors_meet(one: Target, other: Target) -> str:
    """How the selectors overlap, in words; "" if that depends on the instances."""
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
    """Whether every instance that has the tags of `one` has those of `other`."""
    if one.ids or other.ids:
        return False
    values: dict[str, Sequence[str]] = dict(one.tags)
    return all(key in values and set(values[key]) <= set(theirs) for key, theirs in other.tags)
