"""The events that a repository's webhook has to send, by its targets."""

from collections.abc import Iterable, Sequence

from chalicelib.core.check_events import SUBSCRIBED
from chalicelib.core.deployment_events import DEPLOYMENT_EVENTS
from chalicelib.core.gates import DEPLOYMENT
from chalicelib.core.tags import RELEASE
from chalicelib.core.targets import Target


def events_of(targets: Iterable[Target]) -> Sequence[str]:
    """The events that these targets of a repository need: pushes, and what lets commits out."""
    needed: set[str] = set()
    for target in targets:
        if target.gates.checks:
            needed |= set(SUBSCRIBED)
        if target.gates.trigger == DEPLOYMENT:
            needed |= set(DEPLOYMENT_EVENTS)
        if target.releases:
            needed.add(RELEASE)
    return ("push", *sorted(needed))
