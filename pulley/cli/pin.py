"""What is wanted of a target, whatever is pushed: pin, freeze, unpin."""

from dataclasses import dataclass, replace
from datetime import datetime

import click

from chalicelib.core.errors import PulleyError
from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from pulley.cli.options import Function, Problems, json_option, stage_command, yes_option
from pulley.cli.output import Warnings, confirm, note, say, say_json, warn, when
from pulley.cli.stored_changes import say_overwritten
from pulley.cli.target_view import wanted_words
from pulley.cli.terminal import one_line
from pulley.cli.wording import hosts
from pulley.operator.aws.parameters import Written
from pulley.operator.deploy.failed_commits import failure_words, failures_everywhere
from pulley.operator.deploy.pin import (
    MeaningError,
    StoredPin,
    deployed_to,
    doubt_about,
    parse_commit,
    parse_end,
    parse_reason,
    read_pin,
    store_pin,
)
from pulley.operator.deploy.stored_pin import as_stored
from pulley.operator.deploy.unpin import AfterUnpin, look_past_pin
from pulley.operator.stage.checkout import Here, find_here
from pulley.operator.stage.stage import Stage, StoredTargets, read_targets, utc_now
from pulley.operator.status.history import commands_of
from pulley.operator.suggest import suggest


@dataclass(frozen=True)
class PinnedTarget:
    """A target's pin before and after a command. `written` is None where nothing was stored.

    `after` is where hosts go when a pin was taken off, if that is known.
    """

    target: Target
    stored: StoredPin
    pin: Pin
    written: Written | None
    now: datetime
    after: AfterUnpin | None = None


def _until_option(function: Function) -> Function:
    words = "When it ends: 90m, 2h, 3d, 2030-01-31 (as that day begins in UTC), or a time in full."
    decorate = click.option("--until", metavar="WHEN", help=words)
    return decorate(function)


def _reason_option(function: Function) -> Function:
    words = "Why: whoever pushes meanwhile is told.  [required]"
    decorate = click.option("--reason", metavar="WHY", help=words)  # meant_reason asks for it
    return decorate(function)


@stage_command
@click.argument("target")
@click.argument("commit")
@_reason_option
@_until_option
@click.option("--force", is_flag=True, help="Pin a commit that failed on every host, too.")
@yes_option
@json_option
def pin(  # noqa: PLR0913 - each is an option
    stage: Stage,
    target: str,
    commit: str,
    reason: str | None,
    until: str | None,
    *,
    force: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Keep a target at one commit, whatever is pushed.

    COMMIT is a full id; in a clone of the target's repository also a short one, a branch, a tag.
    It must be in the target's branch, or have been deployed before: where neither is known here,
    you are asked. One that failed on every host that it was tried on, in the 30 days that Systems
    Manager remembers, is refused without --force. A push meanwhile is answered with the reason, and
    its commit on GitHub says so. Hosts get there in the next round (every 15 minutes, unless set
    otherwise), or with `pulley deploy TARGET` now.

    Example: pulley pin web 4d5e6f7 --reason "the fair" --until 3d
    """
    now, here, problems = utc_now(), find_here(), Problems()
    with problems:
        words = meant_reason(reason)
    with problems:
        end = _end(until, now)
    with problems:
        found = read_targets(stage).named(target)
        sha = _commit(commit, found, here)
    problems.tell()
    sent = commands_of(stage, now=now)
    if failures := failures_everywhere(found, sha, sent, stage.history.invocations):
        said = one_line(failure_words(sha, failures))
        if not force:
            raise click.ClickException(f"{said}. --force pins {found.name} at it all the same")
        warn(said)
    doubt = doubt_about(sha, found, here, deployed_to(found, sent))
    if doubt:
        warn(doubt)
        confirm(f"Pin {found.name} at {sha.short} all the same?", yes=yes)
    _say(stage, _hold(stage, found, Pin("pinned", sha, words, end), now), as_json=as_json)


@stage_command
@click.argument("target")
@_reason_option
@_until_option
@json_option
def freeze(
    stage: Stage, target: str, reason: str | None, until: str | None, *, as_json: bool
) -> None:
    """Leave a target as it is, whatever is pushed.

    A push meanwhile is answered with the reason, and its commit on GitHub says so. Hosts that are
    new, or were asleep, are left as they are, too.

    Example: pulley freeze web --reason "a holiday" --until 2030-01-02
    """
    now, problems = utc_now(), Problems()
    with problems:
        words = meant_reason(reason)
    with problems:
        end = _end(until, now)
    with problems:
        found = read_targets(stage).named(target)
    problems.tell()
    _say(stage, _hold(stage, found, Pin("frozen", None, words, end), now), as_json=as_json)


@stage_command
@click.argument("target")
@click.option("--reason", default="", metavar="WHY", help="Why, for whoever reads the history.")
@yes_option
@json_option
def unpin(stage: Stage, target: str, reason: str, *, yes: bool, as_json: bool) -> None:
    """Take a pin or a freeze off: back to the branch.

    Hosts get to the branch's tip in the next round (15 minutes, unless set otherwise), or with
    `pulley deploy TARGET` now: which commit that is, is said first. Where it is one that was rolled
    back from, you are asked. A tip whose roll-out was cancelled, or stopped by its failures, is
    held: then only a newer push or `pulley deploy TARGET` brings it.
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
    hold = _hold(stage, found, wanted, now, before)
    _say(stage, replace(hold, after=after), as_json=as_json)


def _look_past_pin(
    stage: Stage, stored: StoredTargets, target: Target, now: datetime
) -> AfterUnpin | None:
    """None where it cannot be known, which keeps nobody from taking a pin off."""
    try:
        return look_past_pin(
            stage, stored, target, find_here=find_here, journal=Warnings(), now=now
        )
    except PulleyError as error:
        warn(f"which commit hosts go to is not known: {one_line(error.in_full)}")
        return None


def _say_after(after: AfterUnpin, *, yes: bool) -> None:
    """Say where hosts go, before they do, and ask where somebody led them away from there."""
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


def _hold(
    stage: Stage, target: Target, wanted: Pin, now: datetime, stored: StoredPin | None = None
) -> PinnedTarget:
    """Store a pin where that changes anything: in place of what was read, where that is given."""
    stored = stored or read_pin(stage.parameters, stage.names, target)
    if not stored.needs(wanted, now=now):
        return PinnedTarget(target, stored, wanted, None, now)
    wanted = replace(wanted, by=stage.identity.name, at=now.replace(microsecond=0))
    return PinnedTarget(target, stored, wanted, store_pin(stage.parameters, stored, wanted), now)


def _say(stage: Stage, hold: PinnedTarget, *, as_json: bool) -> None:
    if as_json:
        say_json(
            {
                "target": hold.target.name,
                "changed": hold.written is not None,
                "before": as_stored(hold.stored.pin),
                "problem": hold.stored.problem or None,
                "now": as_stored(hold.pin if hold.written else hold.stored.pin),
                "version": hold.written.version if hold.written else None,
                "next": hold.after and _next_facts(hold.after),
            }
        )
    else:
        _say_words(hold)
    if hold.written:
        say_overwritten(stage.parameters, hold.written, yes=as_json)


def _next_facts(after: AfterUnpin) -> dict[str, object]:
    """What a program is told of where hosts go."""
    plan = after.standing.plan
    return {
        "wanted": plan.wanted,
        "held": plan.held or None,
        "rolled_back_from": after.is_left,
    }


def _say_words(hold: PinnedTarget) -> None:
    name, before = hold.target.name, hold.stored.pin
    if hold.written is None:
        say(f"Nothing to do: {name} is {_words(before, hold.now)}.")
        return
    if hold.stored.problem:
        say(f"Before: a pin that cannot be read: {hold.stored.problem}")
    else:
        say(f"Before: {name} was {_words(before, hold.now)}.")
    say(f"Now: {name} is {_words(hold.pin, hold.now)}.", style="green")
    if hold.pin.state == "frozen":
        say(f"Its hosts stay as they are. To take it off: {suggest('unpin', name)}")
        return
    now, plan = suggest("deploy", name), hold.after and hold.after.standing.plan
    if plan and plan.held:
        brought = f": a newer push goes on, or {now}" if plan.wanted else ""
        say(f"Its hosts are not sent to the branch's tip, since {one_line(plan.held)}{brought}")
        return
    unless = f", unless the branch's tip is held ({suggest('plan', name)} says so)"
    unless = "" if plan or hold.pin.state == "pinned" else unless
    say(f"Its hosts get there in the next round{unless}. To have them there now: {now}")
    if hold.pin.state == "pinned":
        say(f"To take it off: {suggest('unpin', name)}")


def _words(pin: Pin, now: datetime) -> str:
    if not pin.holds(now):
        return "not pinned: it follows its branch"
    return f"{pin} (by {pin.by}, {when(pin.at)})" if pin.by else str(pin)


def _end(until: str | None, now: datetime) -> datetime | None:
    if until is None:
        return None
    try:
        return parse_end(until, now=now)
    except MeaningError as error:
        raise click.BadParameter(str(error), param_hint="--until") from None


def _commit(text: str, target: Target, here: Here | None) -> CommitSha:
    try:
        return parse_commit(text, target, here)
    except MeaningError as error:
        raise click.BadParameter(str(error), param_hint="COMMIT") from None


def meant_reason(text: str | None) -> str:
    """What an operator gives as the reason; else the command line is wrong."""
    if text is None:
        raise click.UsageError("Missing option '--reason'.")
    try:
        return parse_reason(text)
    except MeaningError as error:
        raise click.BadParameter(str(error), param_hint="--reason") from None
