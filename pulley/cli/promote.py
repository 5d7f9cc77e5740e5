"""`pulley promote`: send a target what the targets before it run."""

import click

from chalicelib.status.safe_text import one_line
from pulley.cli.deploy import finish, send_to_hosts
from pulley.cli.group import INTERRUPTED
from pulley.cli.options import json_option, no_wait_option, stage_command, yes_option
from pulley.cli.output import Warnings, confirm, note
from pulley.cli.pinned import meant_reason
from pulley.cli.target_view import say_failed, say_gates, warn_of_problems
from pulley.cli.wording import hosts
from pulley.operator.deploy.promote import choose_promotion, names_before
from pulley.operator.deploy.send import DeployOrder
from pulley.operator.stage.checkout import find_here
from pulley.operator.stage.stage import Stage, read_targets, utc_now
from pulley.operator.status.look import look_at
from pulley.operator.suggest import suggest


@stage_command
@click.argument("target")
@click.option(
    "--from", "source", metavar="TARGET", help="Take this target's commit. Default: its `after`."
)
@click.option("--reason", metavar="WHY", help="Why; Run Command's history keeps it.")
@no_wait_option
@yes_option
@json_option
def promote(  # noqa: PLR0913 - each is an option
    stage: Stage,
    target: str,
    source: str | None,
    reason: str | None,
    *,
    no_wait: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Send a target what the targets before it run, and follow it.

    The command shows the commit of the targets in the target's `after`, asks, and sends that commit
    now. It does not wait for the soak time, the window or the checks. It refuses if a target before
    it is not well, or if the commit is older than what the target has.

    Example: `pulley promote production`
    """
    words = meant_reason(reason) if reason is not None else ""
    stored = read_targets(stage)
    warn_of_problems(stored)
    found = stored.named(target)
    before = [stored.named(name) for name in names_before(found, source)]
    now = utc_now()
    seen = look_at(
        stage, stored, [found, *before], find_here=find_here, journal=Warnings(), now=now
    )
    say_failed(seen.failed)
    standing, *standings = seen.standings
    wanted = choose_promotion(standing, standings, now=now)
    known = standing.plan.wanted
    if known and known.commit == wanted.commit and all(one.is_there for one in standing.hosts):
        note(f"{found.name} is at {wanted.commit.short} already: {wanted.reason}.")
        return
    left = known.commit.short if known else "nothing sent yet"
    note(f"{found.name}: {left} -> {wanted.commit.short} on {hosts(len(standing.hosts))}")
    note(f"  {one_line(wanted.reason)}")
    say_gates(standing)
    confirm(f"Send {wanted.commit.short} to {found.name} now?", yes=yes)
    by = words or f"promoted from {' and '.join(one.name for one in before)}"
    try:
        outcome = send_to_hosts(stage, DeployOrder(found, wanted, by), standing, seen)
        finish(stage, [outcome], seen, is_whole=True, no_wait=no_wait, as_json=as_json)
    except KeyboardInterrupt:
        note(f"The deploy goes on: {suggest('status', found.name)} shows it.")
        raise click.exceptions.Exit(INTERRUPTED) from None
