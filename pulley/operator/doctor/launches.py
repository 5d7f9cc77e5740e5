"""Check that Auto Scaling keeps new hosts out of service until they have their commit."""

from collections.abc import Iterator, Sequence

from chalicelib.core.hosts import Fleet
from chalicelib.core.targets import Target
from pulley.operator.doctor.row import WARN, Row, passed
from pulley.operator.launches.groups import Groups
from pulley.operator.suggest import suggest


def check_launches(groups: Groups, targets: Sequence[Target], fleet: Fleet) -> Iterator[Row]:
    """Check each group once. Raises RefusedError and UnavailableError."""
    told: set[str] = set()
    for target in targets:
        for group in groups.of(target, fleet):
            if group.name in told:
                continue
            told.add(group.name)
            what, missing = f"Auto Scaling group {group.name}", group.missing(groups.stage)
            if not missing:
                yield passed(what, "new hosts are in service only when they have their commit")
                continue
            words = f"lacks {'; '.join(missing)}: a new host is in service before it has its commit"
            yield Row(what, WARN, words, str(suggest("targets launch-hook", target.name)))
