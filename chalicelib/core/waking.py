"""Which events wake a round: those that may let out a commit for which a target waits."""

from collections.abc import Mapping, Sequence

from chalicelib.core.check_events import CHECK_EVENTS, parse_green_check
from chalicelib.core.deployment_events import DEPLOYMENT_EVENTS, asked_environment
from chalicelib.core.gates import DEPLOYMENT
from chalicelib.core.refs import shown
from chalicelib.core.tags import RELEASE, TAG_PREFIX, tag_released
from chalicelib.core.targets import Target

WAKING_EVENTS = frozenset({*CHECK_EVENTS, *DEPLOYMENT_EVENTS, RELEASE})


Answer = tuple[Sequence[str], str]  # the names of targets, and the answer to the delivery


def targets_that_wait(
    event: str, payload: Mapping[str, object], targets: Sequence[Target]
) -> Answer:
    """The names of the targets that may wait for the event, which is in WAKING_EVENTS.

    Also the answer to the delivery, in words; without a target it says why no round is woken.
    """
    if event == RELEASE:
        return _of_release(payload, targets)
    find = _of_deployment if event in DEPLOYMENT_EVENTS else _of_check
    found, why_not = find(event, payload, targets)
    words = f"a round looks whether it opens a gate of {', '.join(found)}"
    return found, f"{event}: {words if found else why_not}"


def _of_release(payload: Mapping[str, object], targets: Sequence[Target]) -> Answer:
    tag = tag_released(payload)
    if not tag:
        return (), f"{RELEASE}: none was published"
    names = [
        one.name
        for one in targets
        if one.releases and one.needs_github and one.follows(f"{TAG_PREFIX}{tag}")
    ]
    if not names:
        return (), f"{RELEASE}: no target takes releases of {shown(tag)}"
    return names, f"{RELEASE}: a round looks whether {shown(tag)} goes to {', '.join(names)}"


def _of_deployment(event: str, payload: Mapping[str, object], targets: Sequence[Target]) -> Answer:
    environment = asked_environment(event, payload)
    if environment is None:
        return (), "nobody asks for a deployment by it"
    names = [
        one.name
        for one in targets
        if one.gates.trigger == DEPLOYMENT and one.environment.lower() == environment.lower()
    ]
    return names, f"no target waits for a deployment to {shown(environment)}"


def _of_check(event: str, payload: Mapping[str, object], targets: Sequence[Target]) -> Answer:
    check = parse_green_check(event, payload)
    if check is None:
        return (), "no check became green"
    names = [
        one.name
        for one in targets
        if check.may_open(one.gates.checks, one.branch.name if one.branch else "")
    ]
    return names, "no target waits for this check"
