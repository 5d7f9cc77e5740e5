"""Where every host is."""

import click
from rich.markup import escape
from rich.table import Table

from chalicelib.core.errors import PulleyError
from pulley.cli.group import NOT_WELL
from pulley.cli.options import json_option, stage_command
from pulley.cli.output import note, out, say, say_json, when
from pulley.cli.seen import look, pin_words, run_facts, say_failed, target_facts, wanted_words
from pulley.cli.words import cause_words, follows, host_words, no_hosts, one_line
from pulley.operator.stage import Stage
from pulley.operator.standing import HostStanding, Newest, Standing, Standings

_STYLES = {"success": "green", "failure": "red", "error": "red"}
_LOOKED_AT = tuple[Standing, Newest | None]


@stage_command
@click.argument("target", required=False)
@click.option(
    "--check", is_flag=True, help="Exit with 3 unless each host that is online is as wanted."
)
@json_option
def status(stage: Stage, target: str | None, *, check: bool, as_json: bool) -> None:
    """Show where every host is, and what was sent last.

    Without TARGET, of every target. A host's commit is what it said itself when a run on it ended;
    `pulley plan` shows what will be done about those that are behind.

    With --check it is for a program that watches: a frozen target is as wanted, one without hosts,
    or of which no commit is known, is not.
    """
    seen = look(stage, target)
    failed = list(seen.failed)
    found: list[_LOOKED_AT] = []
    for one in seen.standings:
        try:
            found.append((one, seen.view.newest(one.target)))
        except PulleyError as error:
            failed.append((one.target.name, error.in_full))
    if as_json:
        say_json(
            {
                "stage": stage.name,
                "targets": [_facts(one, newest, seen) for one, newest in found],
                "failed": [{"target": name, "reason": why} for name, why in failed],
            }
        )
    else:
        for one, newest in found:
            _show(one, newest, seen, stage)
        if not found and not failed:
            note("No targets are stored: pulley targets stores those of pulley.toml.")
    say_failed(failed)
    if check and not all(is_well(one) for one, _ in found):
        raise click.exceptions.Exit(NOT_WELL)


def is_well(standing: Standing) -> bool:
    """Whether each host that is online is where it is wanted, and there is a host at all."""
    if standing.plan.wanted is None:
        pin = standing.facts.pin
        return bool(standing.hosts) and pin is not None and pin.state == "frozen"
    awake = [one for one in standing.hosts if one.host.is_online]
    return bool(standing.hosts) and all(one.is_there for one in awake)


def _show(standing: Standing, newest: Newest | None, seen: Standings, stage: Stage) -> None:
    target = standing.target
    say(f"{target.name}: {follows(target)}", style="bold")
    say(f"  wanted: {wanted_words(standing)}")
    pin = pin_words(standing, seen)
    if pin and standing.plan.wanted:
        say(f"  pin: {pin}")
    if standing.plan.wanted and standing.plan.held:
        say(f"  held: {one_line(standing.plan.held)}", style="red")
    if newest:
        roll_out, state = newest.run.roll_out, newest.status.state
        sent = f"{when(newest.run.command.requested)} {roll_out.commit.short}"
        say(f"  newest: {sent}, {cause_words(roll_out)}")
        style = _STYLES.get(state, "")
        say(f"          {state}: {one_line(newest.status.description)}", style=style)
    else:
        say("  newest: nothing was sent in the 30 days that Systems Manager remembers")
    if not standing.hosts:
        say(f"  {no_hosts(target, stage.name)}", style="yellow")
        return
    table = Table("host", "instance", "", "commit", "", "since", "its last run", box=None)
    for one in standing.hosts:
        table.add_row(
            escape(one_line(one.host.name)),
            one.host.instance_id,
            "online" if one.host.is_online else "[yellow]offline[/yellow]",
            one.commit[:7] or "-",
            _place(one),
            when(one.whereabouts.since) if one.whereabouts else "-",
            escape(_last(one)),
        )
    out().print(table)


def _place(host: HostStanding) -> str:
    if not host.wanted:
        return ""
    return "[green]at it[/green]" if host.is_there else "[red]behind[/red]"


def _last(host: HostStanding) -> str:
    if host.whereabouts is None:
        return "none is known"
    return host_words(host.whereabouts.last, host.whereabouts.asked)


def _facts(standing: Standing, newest: Newest | None, seen: Standings) -> dict[str, object]:
    facts = target_facts(standing, seen) | {"well": is_well(standing), "newest": None}
    if newest:
        facts["newest"] = {
            "command_id": newest.run.command.id,
            "commit": newest.run.roll_out.commit,
            "cause": newest.run.roll_out.cause,
            "by": newest.run.roll_out.by or None,
            "at": newest.run.command.requested,
            "state": newest.status.state,
            "description": newest.status.description,
            "hosts": run_facts(newest.run),
        }
    facts["hosts"] = [
        {
            "host": one.host.name,
            "instance_id": one.host.instance_id,
            "online": one.host.is_online,
            "commit": one.commit or None,
            "wanted": one.wanted or None,
            "there": one.is_there if one.wanted else None,
            "since": one.whereabouts.since if one.whereabouts else None,
            "last": _last(one) if one.whereabouts else None,
        }
        for one in standing.hosts
    ]
    return facts
