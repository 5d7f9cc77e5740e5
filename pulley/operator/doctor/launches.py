"""Check that Auto Scaling keeps new hosts out of service until they have their commit."""

from collections.abc import Iterator, Sequence

from chalicelib.core.errors import RefusedError
from chalicelib.core.hosts import Fleet
from chalicelib.core.launches import GROUP_TAG
from chalicelib.core.targets import Target
from pulley.operator.doctor.row import WARN, Row, passed
from pulley.operator.launches.groups import Groups
from pulley.operator.suggest import suggest


def check_launches(groups: Groups, targets: Sequence[Target], fleet: Fleet) -> Iterator[Row]:
    """Check each group once. Raises RefusedError and UnavailableError.

    If the operator may not ask Auto Scaling, and no host is in a group, there is no row.
    """
    told: set[str] = set()
    is_needed = any(GROUP_TAG in host.tags for host in fleet.hosts)
    for target in targets:
        try:
            found = groups.of(target, fleet)
        except RefusedError:
            if is_needed:
                raise
            return
        for group in found:
            if group.name in told:
                continue
            told.add(group.name)
            what, missing = f"Auto Scaling group {group.name}", group.missing(groups.stage)
            if not missing:
                yield passed(what, "new hosts are in service only when they have their commit")
                continue
            words = f"lacks {'; '.join(missing)}: a new host is in service before it has its commit"
            yield Row(what, WARN, words, str(suggest("targets launch-hook", target.name)))
