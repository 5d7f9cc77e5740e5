"""Store a target's pin, and show it before and after."""

from dataclasses import dataclass, replace
from datetime import datetime

import click

from chalicelib.core.pins import Pin
from chalicelib.core.targets import Target
from chalicelib.status.safe_text import one_line
from pulley.cli.output import say, say_json, when
from pulley.cli.stored_changes import say_overwritten
from pulley.operator.aws.parameters import Written
from pulley.operator.deploy.pin import MeaningError, StoredPin, parse_reason, read_pin, store_pin
from pulley.operator.deploy.stored_pin import as_stored
from pulley.operator.deploy.unpin import AfterUnpin
from pulley.operator.stage.stage import Stage
from pulley.operator.suggest import suggest


@dataclass(frozen=True)
class PinnedTarget:
    """A target's pin before and after a command. `written` is None if nothing was stored.

    `after` says where hosts go after a pin was taken off, if that is known.
    """

    target: Target
    stored: StoredPin
    pin: Pin
    written: Written | None
    now: datetime
    after: AfterUnpin | None = None


def store(
    stage: Stage, target: Target, wanted: Pin, now: datetime, stored: StoredPin | None = None
) -> PinnedTarget:
    """Store a pin if that changes anything. `stored` is the pin before, if it was read already."""
    stored = stored or read_pin(stage.parameters, stage.names, target)
    if not stored.needs(wanted, now=now):
        return PinnedTarget(target, stored, wanted, None, now)
    wanted = replace(wanted, by=stage.identity.name, at=now.replace(microsecond=0))
    return PinnedTarget(target, stored, wanted, store_pin(stage.parameters, stored, wanted), now)


def say_pinned(stage: Stage, pinned: PinnedTarget, *, as_json: bool) -> None:
    """Show the pin before and now, and what the write overwrote."""
    if as_json:
        say_json(
            {
                "target": pinned.target.name,
                "changed": pinned.written is not None,
                "before": as_stored(pinned.stored.pin),
                "problem": pinned.stored.problem or None,
                "now": as_stored(pinned.pin if pinned.written else pinned.stored.pin),
                "version": pinned.written.version if pinned.written else None,
                "next": pinned.after and _next_facts(pinned.after),
            }
        )
    else:
        _say_words(pinned)
    if pinned.written:
        say_overwritten(stage.parameters, pinned.written, yes=as_json)


def _next_facts(after: AfterUnpin) -> dict[str, object]:
    """Where hosts go next, for JSON."""
    plan = after.standing.plan
    return {
        "wanted": plan.wanted,
        "held": plan.held or None,
        "rolled_back_from": after.is_left,
    }


def _say_words(pinned: PinnedTarget) -> None:
    name, before = pinned.target.name, pinned.stored.pin
    if pinned.written is None:
        say(f"Nothing to do: {name} is {_words(before, pinned)}.")
        return
    if pinned.stored.problem:
        say(f"Before: a pin that cannot be read: {pinned.stored.problem}")
    else:
        say(f"Before: {name} was {_words(before, pinned)}.")
    say(f"Now: {name} is {_words(pinned.pin, pinned)}.", style="green")
    if pinned.pin.state == "frozen":
        say(f"Its hosts stay as they are. To take it off: {suggest('unpin', name)}")
        return
    now, plan = suggest("deploy", name), pinned.after and pinned.after.standing.plan
    if plan and plan.held:
        brought = f": the tip is held until a newer push or {now}" if plan.wanted else ""
        say(f"Its hosts are not sent to the branch's tip, since {one_line(plan.held)}{brought}")
        return
    hosts = pinned.after.standing.hosts if pinned.after else ()
    if hosts and all(one.is_there for one in hosts):
        say("Its hosts are there already.")
        return
    unless = f", unless the branch's tip is held ({suggest('plan', name)} says so)"
    unless = "" if plan or pinned.pin.state == "pinned" else unless
    say(f"Its hosts get there in the next round{unless}. To send them there now: {now}")
    if pinned.pin.state == "pinned":
        say(f"To take it off: {suggest('unpin', name)}")


def _words(pin: Pin, pinned: PinnedTarget) -> str:
    if not pin.holds(pinned.now):
        return f"not pinned: it follows its {'tags' if pinned.target.tag else 'branch'}"
    return f"{pin} (by {pin.by}, {when(pin.at)})" if pin.by else str(pin)


def meant_reason(text: str | None) -> str:
    """Validate the operator's reason. A missing or a wrong one is a usage error."""
    if text is None:
        raise click.UsageError("Missing option '--reason'.")
    try:
        return parse_reason(text)
    except MeaningError as error:
        raise click.BadParameter(str(error), param_hint="--reason") from None
