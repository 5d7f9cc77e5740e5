"""The events that a repository's webhook has to send, by the gates of its targets."""

from collections.abc import Iterable, Sequence

from chalicelib.core.check_events import SUBSCRIBED
from chalicelib.core.deployment_events import DEPLOYMENT_EVENTS
from chalicelib.core.gates import DEPLOYMENT
from chalicelib.core.targets import Target


def events_of(targets: Iterable[Target]) -> Sequence[str]:
    """The events that these targets of a repository need: pushes, and what opens their gates."""
    gates = [target.gates for target in targets]
    needed: set[str] = set()
    if any(one.checks for one in gates):
        needed |= set(SUBSCRIBED)
    if any(one.trigger == DEPLOYMENT for one in gates):
        needed |= set(DEPLOYMENT_EVENTS)
    return ("push", *sorted(needed))
