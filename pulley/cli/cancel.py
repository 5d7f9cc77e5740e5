"""A deploy is stopped before its end."""

from collections.abc import Sequence

import click

from chalicelib.core.errors import PulleyError
from chalicelib.core.history import Command, RollOut
from pulley.cli.group import FAILED
from pulley.cli.options import json_option, stage_command, yes_option
from pulley.cli.output import confirm, note, say, say_json
from pulley.cli.seen import chosen
from pulley.cli.terminal import one_line
from pulley.cli.where import at_stage
from pulley.cli.words import cause_words, hosts
from pulley.operator.checkout import find_here
from pulley.operator.commands import Addressed, Operations, under_way
from pulley.operator.past import commands_of, find_addressees
from pulley.operator.stage import Stage, read_targets, utc_now


@stage_command
@click.argument("target", required=False)
@yes_option
@json_option
def cancel(stage: Stage, target: str | None, *, yes: bool, as_json: bool) -> None:
    """Stop what is being deployed to a target.

    Hosts that have not begun stay as they are; where the script runs, it is killed, and the next
    run there mends what that leaves. The commit is then held: the schedule leaves it alone until a
    newer push, or `pulley deploy`.
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
        for one, roll_out in commands:
            what = f"{roll_out.commit.short} ({cause_words(roll_out)})"
            note(f"{name}: {what} is under way to {hosts(one.target_count)}, command {one.id}")
    found = [one for commands in going.values() for one in commands]
    if found:
        confirm("Cancel it?", yes=yes)
    cancelled = [one for one in found if _cancel(stage, *one)]
    if as_json:
        say_json({"stage": stage.name, "cancelled": [_facts(*one) for one in cancelled]})
    else:
        _say(cancelled)
    if len(cancelled) < len(found):
        raise click.exceptions.Exit(FAILED)


def _cancel(stage: Stage, command: Command, roll_out: RollOut) -> bool:
    """Whether it could be done: one command's failure must not keep the others from their end.

    To cancel what has ended is no error to AWS, and does nothing.
    """
    try:
        Operations(stage.ssm).cancel(command.id)
        now = stage.history.command(command.id)
        if now and now.is_over and not now.is_cancelled:
            name = roll_out.target
            note(
                f"{name}: command {command.id} had ended already ({now.details}), and was not "
                f"cancelled: pulley status {name} shows what became of it",
                style="yellow",
            )
            return False
    except PulleyError as error:
        note(f"Error: {roll_out.target}: {one_line(error.in_full)}", style="red")
        return False
    return True


def _say(cancelled: Sequence[tuple[Command, RollOut]]) -> None:
    for command, roll_out in cancelled:
        say(f"{roll_out.target}: cancelled {roll_out.commit.short}, command {command.id}")
    if cancelled:
        name = cancelled[0][1].target
        say("Hosts that had not begun stay as they are. The commit is held: the schedule leaves it")
        words = f"alone until a newer push, or pulley deploy {name}. To check: pulley status {name}"
        say(at_stage(words))


def _facts(command: Command, roll_out: RollOut) -> dict[str, object]:
    return {"target": roll_out.target, "command_id": command.id, "commit": roll_out.commit}
