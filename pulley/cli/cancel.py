"""`pulley cancel`: stop a deploy before it ends."""

import time
from collections.abc import Sequence

import click

from chalicelib.core.errors import PulleyError
from chalicelib.core.history import Command
from chalicelib.core.pins import Pin
from chalicelib.core.targets import Target
from chalicelib.status.overview import Standing, Standings
from chalicelib.status.safe_text import one_line
from chalicelib.status.words import cause_words
from pulley.cli.group import FAILED
from pulley.cli.options import json_option, stage_command, yes_option
from pulley.cli.output import Warnings, confirm, note, say, say_json
from pulley.cli.stored_changes import say_overwritten
from pulley.cli.target_view import chosen
from pulley.cli.wording import hosts
from pulley.operator.aws.commands import Addressed, Operations, under_way
from pulley.operator.deploy.cancel import send_way_back, wait_until_over
from pulley.operator.deploy.pin import read_pin, store_pin
from pulley.operator.stage.checkout import find_here
from pulley.operator.stage.stage import Stage, StoredTargets, read_targets, utc_now
from pulley.operator.status.history import commands_of, find_addressees
from pulley.operator.status.look import look_at
from pulley.operator.suggest import suggest


@stage_command
@click.argument("target", required=False)
@click.option(
    "--leave",
    is_flag=True,
    help="Freeze the target, so that you can look at its hosts as they are.",
)
@yes_option
@json_option
def cancel(stage: Stage, target: str | None, *, leave: bool, yes: bool, as_json: bool) -> None:
    """Stop a deploy to a target before it ends.

    Hosts that have not begun stay as they are. If the script is running on a host, it is killed.
    Hosts on which the deploy had begun, or was done, go back to the commit that most hosts ran
    before it. The cancelled commit is then held: the schedule does not deploy it until a newer
    push, or `pulley deploy`. If you cancel that way back too, the first commit stays held, and the
    hosts are sent back once more. With --leave all hosts stay as they are.
    """
    stored, now = read_targets(stage), utc_now()
    sent = commands_of(stage, now=now)
    targets: Sequence[Addressed] = (
        find_addressees(stored, sent, target) if target else chosen(stored, None, find_here())
    )
    going = {one.name: under_way(one, sent, now=now) for one in targets}
    for name, commands in going.items():
        if not commands:
            note(f"Nothing is under way to {name}.")
        for one in commands:
            what = f"{one.roll_out.commit.short} ({cause_words(one.roll_out)})"
            note(f"{name}: {what} is under way to {hosts(one.target_count)}, command {one.id}")
    found = [one for commands in going.values() for one in commands]
    if found:
        confirm("Cancel it?", yes=yes)
    if leave:
        _freeze(stage, [one for one in stored.targets if going.get(one.name)], yes=yes)
    cancelled = [one for one in found if _cancel(stage, one)]
    names = {one.roll_out.target for one in cancelled}
    affected = [one for one in stored.targets if one.name in names]
    back: list[dict[str, object]] = []
    standings: Sequence[Standing] = ()
    if cancelled and not leave:
        back, standings = _bring_back(stage, stored, affected, cancelled)
    if as_json:
        facts = [_facts(one) for one in cancelled]
        held = [
            {"target": standing.target.name, "commit": standing.plan.hold.commit}
            for standing in standings
            if standing.plan.held and standing.plan.hold
        ]
        say_json({"stage": stage.name, "cancelled": facts, "sent_back": back, "held": held})
    else:
        _say(cancelled, standings, has_left=leave)
    if len(cancelled) < len(found):
        raise click.exceptions.Exit(FAILED)


def _freeze(stage: Stage, targets: Sequence[Target], *, yes: bool) -> None:
    """Freeze the targets before the cancel, or a round could bring their hosts back meanwhile."""
    by = stage.identity.name
    for target in targets:
        at = utc_now().replace(microsecond=0)
        pin = Pin("frozen", reason=f"left as it was at the cancel, by {by}", by=by, at=at)
        read = read_pin(stage.parameters, stage.names, target)
        written = store_pin(stage.parameters, read, pin)
        say_overwritten(stage.parameters, written, yes=yes)
        unpin = suggest("unpin", target.name)
        note(f"{target.name} is frozen: nothing is sent to it until {unpin}.")


def _bring_back(
    stage: Stage, stored: StoredTargets, targets: Sequence[Target], cancelled: Sequence[Command]
) -> tuple[list[dict[str, object]], Sequence[Standing]]:
    """Send the last good commit to the hosts on which the deploy had begun, as a round would.

    Returns what was sent, and how the targets stood before; both are empty after an error.
    """
    try:
        is_over = wait_until_over(stage, cancelled, clock=utc_now, sleep=time.sleep)
        seen = look_at(
            stage, stored, targets, find_here=find_here, journal=Warnings(), now=utc_now()
        )
        if not is_over:
            note(
                "Not every host has ended yet: the next round of the schedule brings the rest back."
            )
        back = [fact for one in seen.standings for fact in _send_back(stage, one, seen)]
    except PulleyError as error:
        why = one_line(error.in_full)
        note(f"Hosts were not brought back, the next round will do it: {why}", style="yellow")
        return [], ()
    return back, seen.standings


def _send_back(stage: Stage, standing: Standing, seen: Standings) -> list[dict[str, object]]:
    names = {one.instance_id: one.name for one in standing.facts.hosts}
    facts: list[dict[str, object]] = []
    for send, answer in send_way_back(stage, standing, seen):
        which = ", ".join(one_line(names[id_]) for id_ in send.instance_ids)
        if isinstance(answer, PulleyError):
            note(f"Error: {standing.target.name}: {which}: {one_line(answer.in_full)}", style="red")
            continue
        note(f"{standing.target.name}: {which} go back to {send.wanted.commit.short}: {answer}")
        facts.append(
            {
                "target": standing.target.name,
                "command_id": answer,
                "commit": send.wanted.commit,
                "instance_ids": send.instance_ids,
            }
        )
    return facts


def _cancel(stage: Stage, command: Command) -> bool:
    """Cancel a command, and return whether that worked. An error must not stop the other cancels.

    AWS accepts the cancel of a command that has ended, and does nothing.
    """
    try:
        Operations(stage.ssm).cancel(command.id)
        now = stage.history.command(command.id)
        if now and now.is_over and not now.is_cancelled:
            name = command.roll_out.target
            note(
                f"{name}: command {command.id} had ended already ({now.details}), and was not "
                f"cancelled: {suggest('status', name)} shows its result",
                style="yellow",
            )
            return False
    except PulleyError as error:
        note(f"Error: {command.roll_out.target}: {one_line(error.in_full)}", style="red")
        return False
    return True


def _say(cancelled: Sequence[Command], standings: Sequence[Standing], *, has_left: bool) -> None:
    for command in cancelled:
        roll_out = command.roll_out
        say(f"{roll_out.target}: cancelled {roll_out.commit.short}, command {command.id}")
    for standing in standings:
        say(_next_words(standing))
    if cancelled:
        stay = "Hosts stay as they were at the cancel. " if has_left else ""
        say(f"{stay}To check: {suggest('status', cancelled[0].roll_out.target)}")


def _next_words(standing: Standing) -> str:
    """The target's next step, for people. The held commit is not always the cancelled one.

    The cancelled command may have been the way back of an earlier cancel, or a round's command to
    one host.
    """
    plan, name = standing.plan, standing.target.name
    deploy = suggest("deploy", name)
    if plan.held and plan.hold and plan.wanted:
        until = f"until {deploy}" if plan.wanted.is_exact else f"until a newer push, or {deploy}"
        short = plan.hold.commit.short
        return (
            f"{name}: hosts that had not begun stay as they are. {short} is held: the schedule "
            f"leaves it alone {until}."
        )
    if plan.wanted is None:
        return f"{name}: hosts that had not begun stay as they are: {one_line(plan.held)}."
    leave = suggest("cancel", name, "--leave")
    short = plan.wanted.commit.short
    return (
        f"{name}: nothing is held, so the next round brings {short} to the hosts that are not at "
        f"it. {leave} keeps a target as it is."
    )


def _facts(command: Command) -> dict[str, object]:
    roll_out = command.roll_out
    return {"target": roll_out.target, "command_id": command.id, "commit": roll_out.commit}
