"""`pulley unpin`: a target follows its branch again."""

from dataclasses import replace
from datetime import datetime

import click

from chalicelib.core.errors import PulleyError
from chalicelib.core.pins import Pin
from chalicelib.core.targets import Target
from chalicelib.status.safe_text import one_line
from pulley.cli.options import json_option, stage_command, yes_option
from pulley.cli.output import Warnings, confirm, note, warn
from pulley.cli.pinned import meant_reason, say_pinned, store
from pulley.cli.problems import Problems
from pulley.cli.target_view import wanted_words
from pulley.cli.wording import hosts
from pulley.operator.deploy.pin import read_pin
from pulley.operator.deploy.unpin import AfterUnpin, look_past_pin
from pulley.operator.stage.checkout import find_here
from pulley.operator.stage.stage import Stage, StoredTargets, read_targets, utc_now


@stage_command
@click.argument("target")
@click.option("--reason", default="", metavar="WHY", help="The reason, for readers of the history.")
@yes_option
@json_option
def unpin(stage: Stage, target: str, reason: str, *, yes: bool, as_json: bool) -> None:
    """Remove a pin or a freeze, and follow the branch again.

    Hosts go to the branch's tip in the next round (within 15 minutes, unless set otherwise), or now
    with `pulley deploy TARGET`. The command first names that commit. If the target was rolled back
    from that commit, the command asks. If the roll-out of the tip was cancelled, or stopped by its
    failures, the tip is held until a newer push or `pulley deploy TARGET`.
    """
    now, words, problems = utc_now(), "", Problems()
    with problems:
        words = meant_reason(reason) if reason else ""
    with problems:
        stored = read_targets(stage)
        found = stored.named(target)
    problems.tell()
    before, wanted = read_pin(stage.parameters, stage.names, found), Pin("none", None, words)
    after = None
    if before.needs(wanted, now=now):
        after = _look_past_pin(stage, stored, found, now)
        if after:
            _say_after(after, yes=yes)
    pinned = store(stage, found, wanted, now, before)
    say_pinned(stage, replace(pinned, after=after), as_json=as_json)


def _look_past_pin(
    stage: Stage, stored: StoredTargets, target: Target, now: datetime
) -> AfterUnpin | None:
    """How the target stands without its pin; None, with a warning, if that is not known."""
    try:
        return look_past_pin(
            stage, stored, target, find_here=find_here, journal=Warnings(), now=now
        )
    except PulleyError as error:
        warn(f"which commit hosts go to is not known: {one_line(error.in_full)}")
        return None


def _say_after(after: AfterUnpin, *, yes: bool) -> None:
    """Say where hosts go. Ask first if they were rolled back from that commit."""
    plan, name = after.standing.plan, after.standing.target.name
    for send in plan.sends:
        if send.wanted.is_way_back:
            short, count = send.wanted.commit.short, hosts(len(send.instance_ids))
            note(f"{name}: {count} go back to {short}: {one_line(plan.held)}")
    if plan.wanted and not plan.held:
        note(f"{name}: hosts go to {wanted_words(after.standing)}")
        if after.is_left:
            short = plan.wanted.commit.short
            warn(f"{short} is the commit that {name} was rolled back from")
            confirm(f"Bring {short} back to {name}?", yes=yes)
