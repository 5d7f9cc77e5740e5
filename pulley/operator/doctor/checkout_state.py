"""Check whether a host's checkout is where it should be, and say what a person can do if not."""

from collections.abc import Iterator
from dataclasses import dataclass

from chalicelib.core.holds import CANCELLED
from chalicelib.core.observations import FAILED
from chalicelib.core.plan import PARKED, SEND
from chalicelib.core.results import Found
from chalicelib.core.targets import Target
from chalicelib.status.overview import HostStanding, Standing
from pulley.operator.doctor.row import FAIL, WARN, Row
from pulley.operator.suggest import suggest

_BY_A_PERSON = frozenset(
    {"MERGE_HEAD", "REVERT_HEAD", "CHERRY_PICK_HEAD", "BISECT_LOG", "sequencer"}
)
_OF_A_RUN = frozenset({"begun", "marker", "moving"})


@dataclass(frozen=True)
class Place:
    """The commit that a host's checkout should be at, and the reason if it cannot get there.

    `wanted` is the full commit; "" if none is known, or the target is frozen. `is_there` takes the
    check into account. `held` says why the target's commit is held. `failed` says why the host's
    newest run for the commit failed; `has_bad_commit` is set unless that run ended before it tried
    the commit. `is_next`: the next round sends to the host. `set_aside` is a file whose local edit
    was set aside and not dropped since.
    """

    wanted: str = ""
    is_there: bool = False
    held: str = ""
    failed: str = ""
    has_bad_commit: bool = False
    is_frozen: bool = False
    is_pinned: bool = False
    is_next: bool = False
    is_parked: bool = False
    is_running: bool = False
    set_aside: str = ""


def place_of(standing: Standing, host: HostStanding) -> Place:
    """Derive the place from how the target and the host stand."""
    plan, pin, newest = standing.plan, standing.facts.pin, host.whereabouts
    wanted = host.wanted if plan.wanted else ""
    last = newest.last if newest and wanted.startswith(newest.asked) else None
    has_failed = last is not None and last.kind == FAILED
    return Place(
        wanted=wanted,
        is_there=host.is_there,
        held=plan.held if plan.wanted else "",
        failed=last.words if last and has_failed else "",
        has_bad_commit=last is not None and has_failed and not last.touched_nothing,
        is_frozen=plan.wanted is None and pin is not None and pin.state == "frozen",
        is_pinned=plan.wanted is not None and plan.wanted.is_exact,
        is_next=host.plan.action == SEND,
        is_parked=host.plan.action == PARKED,
        is_running=host.running is not None,
        set_aside=host.set_aside,
    )


def check_place(what: str, target: Target, found: Found, at: str, place: Place) -> Iterator[Row]:
    """Yield a row if a checkout is at a wrong commit. `at` is the short commit of its HEAD."""
    deployed, wanted = (found.deployed or "")[:7], place.wanted[:7]
    if place.set_aside:
        words = f"a local edit of {place.set_aside} was set aside, and nobody has seen to it"
        fails = target.saved == "fail"
        yield Row(what, FAIL if fails else WARN, words, str(suggest("saved", target.name)))
    if place.is_running:
        hint = f"{suggest('status', target.name)} shows it; when it has ended, run this again"
        yield Row(what, WARN, "a command for it is under way", hint)
    elif found.unfinished:
        yield Row(what, FAIL, _left(found, at), _finish(target, found.unfinished, place))
    elif found.drift:
        moved = {
            "head": f"somebody moved it to {at}",
            "branch": "another branch is checked out",
            "files": "files of the commit were removed",
        }
        origin = f" from {deployed}" if deployed else ""
        words = f"it has drifted{origin}: {moved.get(found.drift, found.drift)}"
        yield Row(what, FAIL, words, _bring(target, place))
    elif found.deployed and wanted and not (place.is_there or place.held):
        words = f"it is at {at}, and {wanted} is wanted"
        if place.failed:
            words += f", which failed there: {place.failed}"
        if place.is_parked:
            words += ". The schedule does not try it again"
        yield Row(what, FAIL, words, _bring(target, place))


def check_hold(standing: Standing) -> Iterator[Row]:
    """Warn if the target's commit is held: no round sends it until somebody acts."""
    target, plan = standing.target, standing.plan
    if plan.wanted and plan.held:
        hint = _bring(target, Place(held=plan.held, is_pinned=plan.wanted.is_exact))
        if plan.hold and plan.hold.kind == CANCELLED:
            hint = f"push a newer commit; or {suggest('deploy', target.name)} sends this one again"
        yield Row(f"target {target.name}: roll-out", WARN, plan.held, hint)


def _left(found: Found, at: str) -> str:
    deployed = (found.deployed or "")[:7]
    last = f"the last one with all its steps is {deployed}" if deployed else "none was done before"
    return {
        "begun": f"it is at {at}, whose steps began and did not end; {last}",
        "marker": f"it is at {at}, whose steps were not done; {last}",
        "moving": "a run was killed while it moved the checkout",
    }.get(found.unfinished, f"something of git's was left in the middle: {found.unfinished}")


def _finish(target: Target, unfinished: str, place: Place) -> str:
    if unfinished in _BY_A_PERSON:
        return "on the host, as the checkout's owner: git status says how to finish it, or to abort"
    of_git = "" if unfinished in _OF_A_RUN else "if nobody is at work there: "
    return f"{of_git}{_bring(target, place)}"


def _bring(target: Target, place: Place) -> str:
    """Say which command or round brings the host to its wanted commit."""
    name = target.name
    deploy, rollback = suggest("deploy", name), suggest("rollback", name)
    if place.is_frozen:
        return (
            f"nothing is sent while the target is frozen: {suggest('unpin', name)}, then {deploy}; "
            f"or {rollback}, to the last good commit"
        )
    if place.held and place.is_next:
        return "the next round of the schedule brings it to the last good commit"
    fix = "fix the commit and push"
    if place.is_pinned:
        fix = f"{suggest('unpin', name)} follows its {target.line} again"
    if place.held or place.has_bad_commit:
        return (
            f"{suggest('logs', name)} shows why. Then {fix}, or go back to the last good commit: "
            f"{rollback}. If the fault was the host's: fix it there, then {deploy}"
        )
    if place.failed:
        return f"{suggest('logs', name)} shows why. Fix it on the host, then {deploy}"
    if place.is_next:
        return f"the next round of the schedule brings it there; {deploy} does it now"
    return f"{deploy} brings it there"
