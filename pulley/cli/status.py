"""`pulley status`: where every host is."""

from datetime import datetime

import click

from chalicelib.core.observations import RUNNING, WAITING
from chalicelib.status.outputs import Outputs
from chalicelib.status.overview import (
    BEHIND,
    BROKEN,
    DRIFTED,
    THERE,
    UNKNOWN,
    HostStanding,
    Standing,
    Standings,
)
from chalicelib.status.safe_text import one_line
from chalicelib.status.state import is_well, last_words, pin_words, state_of
from chalicelib.status.words import cause_words
from pulley.cli.group import NOT_WELL
from pulley.cli.options import json_option, stage_command
from pulley.cli.output import ago, say, say_json, when
from pulley.cli.status_all import refuse_beside_all, show_all
from pulley.cli.table import Cell, say_rows
from pulley.cli.target_view import (
    ask_hosts,
    look,
    say_failed,
    say_gates,
    wanted_words,
    warn_of_none,
)
from pulley.cli.wording import follows, no_hosts
from pulley.operator.stage.stage import Stage
from pulley.operator.status.stages_file import STAGES_FILE
from pulley.operator.suggest import suggest

_STYLES = {"success": "green", "failure": "red", "error": "red"}
_PLACES = {THERE: "green", RUNNING: "cyan", WAITING: "cyan", UNKNOWN: "yellow"}
_PLACES |= dict.fromkeys((BEHIND, BROKEN, DRIFTED), "red")


@stage_command
@click.argument("target", required=False)
@click.option(
    "--check", is_flag=True, help="Exit with 3 unless each online host is at the wanted commit."
)
@click.option("--live", is_flag=True, help="Ask the hosts now, and exit with 3 as --check does.")
@click.option(
    "--all",
    "file",
    is_flag=False,
    flag_value=STAGES_FILE,
    metavar="[FILE]",
    help=f"Show every stage that FILE lists. Without FILE, that is {STAGES_FILE}.",
)
@json_option
def status(  # noqa: PLR0913 - each is an option
    stage: Stage, target: str | None, file: str | None, *, check: bool, live: bool, as_json: bool
) -> None:
    """Show each host's commit, and the newest command.

    Without TARGET, the command shows every target. A host's commit is the one that the last run or
    check on the host saw, at the time under "seen". Before that is older than the target's
    `recheck`, a round runs the script there again. `pulley plan` shows what will be done with hosts
    that are behind.

    With --live the command asks the hosts first, which changes nothing on them. A host has drifted
    if somebody moved its checkout by hand.

    If a run set a local edit aside, because it did not fit the new commit, the edit's file is named
    until somebody drops the edit: `pulley saved` shows and drops it. If the target has
    saved = "fail", --check fails until then.

    --check is for monitoring. A frozen target passes unless one of its hosts has drifted. A target
    fails if it has no hosts, or if its wanted commit is unknown. Without TARGET, --check also fails
    if a stored target is not valid, or if no target is stored.

    --all shows several stages, in other regions and accounts too, in one table. FILE has a table
    like [stages.prod-eu] for each, with its `profile`, `region` and `stage`. A stage that cannot be
    read is named, and the exit code is 1; with --check it is 3 if another one fails.
    """
    if file is not None:
        refuse_beside_all(click.get_current_context())
        show_all(file, check=check, as_json=as_json)
        return
    if live:
        ask_hosts(stage, target)
    seen = look(stage, target)
    if as_json:
        say_json(state_of(seen, stage.surroundings, stage.subjects, Outputs(stage.outputs)))
    else:
        for one in seen.standings:
            _show(one, seen, stage)
        warn_of_none(seen, stage)
    say_failed(seen.failed)
    is_whole = bool(seen.standings) and (target is not None or not seen.problems)
    if (check or live) and not (is_whole and all(is_well(one) for one in seen.standings)):
        raise click.exceptions.Exit(NOT_WELL)


def _show(standing: Standing, seen: Standings, stage: Stage) -> None:
    target, newest = standing.target, standing.newest
    say(f"{target.name}: {follows(target)}", style="bold")
    say(f"  wanted: {wanted_words(standing)}")
    say_gates(standing)
    pin = pin_words(standing, seen.view.snapshot.now)
    if pin and standing.plan.wanted:
        say(f"  pin: {pin}")
    if standing.plan.wanted and standing.plan.held:
        say(f"  held: {one_line(standing.plan.held)}", style="red")
    if newest:
        roll_out, state = newest.roll_out, newest.status.state
        sent = f"{when(newest.at)}, {roll_out.commit.short}"
        say(f"  newest: {sent}, {cause_words(roll_out)}")
        style = _STYLES.get(state, "")
        say(f"          {state}: {one_line(newest.status.description)}", style=style)
    else:
        say("  newest: nothing was sent in the 30 days that Systems Manager remembers")
    if not standing.hosts:
        say(f"  {no_hosts(target, stage.name)}", style="yellow")
        return
    head = ("host", "instance", "", "commit", "", "since", "seen", "its last run")
    rows = [_row(one, seen.view.snapshot.now) for one in standing.hosts]
    say_rows(head, rows, without=("instance", "since", "seen"))
    for one in standing.hosts:
        if one.set_aside:
            name, style = one_line(one.host.name), "red" if target.saved == "fail" else "yellow"
            what = f"a local edit of {one_line(one.set_aside)} was set aside. To see to it"
            say(f"  {name}: {what}: {suggest('saved', target.name, one.host.name)}", style=style)


def _row(host: HostStanding, now: datetime) -> tuple[Cell, ...]:
    return (
        one_line(host.host.name),
        host.host.instance_id,
        "online" if host.host.is_online else ("offline", "yellow"),
        host.commit[:7] or "-",
        (host.place, _PLACES.get(host.place, "")),
        when(host.since),
        ago(host.plan.seen, now),
        last_words(host) or "none is known",
    )
