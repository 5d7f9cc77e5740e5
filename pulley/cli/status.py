"""`pulley status`: where every host is."""

from datetime import datetime

import click

from chalicelib.core.errors import PulleyError
from chalicelib.core.observations import RUNNING, WAITING
from chalicelib.status.overview import (
    BEHIND,
    BROKEN,
    DRIFTED,
    THERE,
    UNKNOWN,
    HostStanding,
    Newest,
    Standing,
    Standings,
)
from chalicelib.status.safe_text import one_line
from chalicelib.status.words import cause_words, host_words
from pulley.cli.group import NOT_WELL
from pulley.cli.options import json_option, stage_command
from pulley.cli.output import ago, say, say_json, when
from pulley.cli.table import Cell, say_rows
from pulley.cli.target_view import (
    ask_hosts,
    look,
    pin_words,
    run_facts,
    say_failed,
    say_gates,
    target_facts,
    wanted_words,
    warn_of_none,
)
from pulley.cli.wording import follows, no_hosts
from pulley.operator.stage.stage import Stage
from pulley.operator.suggest import suggest

_STYLES = {"success": "green", "failure": "red", "error": "red"}
_PLACES = {THERE: "green", RUNNING: "cyan", WAITING: "cyan", UNKNOWN: "yellow"}
_PLACES |= dict.fromkeys((BEHIND, BROKEN, DRIFTED), "red")
_LOOKED_AT = tuple[Standing, Newest | None]


@stage_command
@click.argument("target", required=False)
@click.option(
    "--check", is_flag=True, help="Exit with 3 unless each online host is at the wanted commit."
)
@click.option("--live", is_flag=True, help="Ask the hosts now, and exit with 3 as --check does.")
@json_option
def status(stage: Stage, target: str | None, *, check: bool, live: bool, as_json: bool) -> None:
    """Show each host's commit, and the newest command.

    Without TARGET, the command shows every target. A host's commit is the one that the last run or
    check on the host saw, at the time under "seen". When that is older than the target's `recheck`,
    the schedule asks the host again. `pulley plan` shows what will be done with hosts that are
    behind.

    With --live the command asks the hosts first, which changes nothing on them. A host has drifted
    if somebody moved its checkout by hand.

    If a run set a local edit aside, because it did not fit the new commit, the edit's file is named
    until somebody drops the edit: `pulley saved` shows and drops it. If the target has
    saved = "fail", --check fails until then.

    --check is for monitoring. A frozen target passes unless one of its hosts has drifted. A target
    fails if it has no hosts, or if its wanted commit is unknown. Without TARGET, --check also fails
    if a stored target is not valid, or if no target is stored.
    """
    if live:
        ask_hosts(stage, target)
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
                "problems": seen.problems,
            }
        )
    else:
        for one, newest in found:
            _show(one, newest, seen, stage)
        warn_of_none(seen, stage)
    say_failed(failed)
    is_whole = bool(found) and (target is not None or not seen.problems)
    if (check or live) and not (is_whole and all(is_well(one) for one, _ in found)):
        raise click.exceptions.Exit(NOT_WELL)


def is_well(standing: Standing) -> bool:
    """Whether the target has hosts, and each one that is online is at the wanted commit.

    The hosts of a frozen target are well where they are, unless a checkout has drifted. If the
    target has `saved = "fail"`, a host whose edit was set aside is not well until a person has
    dropped it.
    """
    pin, fails = standing.facts.pin, standing.target.saved == "fail"
    is_frozen = standing.plan.wanted is None and pin is not None and pin.state == "frozen"
    awake = [one for one in standing.hosts if one.host.is_online]
    is_known = standing.plan.wanted is not None or is_frozen
    return (
        is_known
        and bool(standing.hosts)
        and all(
            (is_frozen or one.is_there) and not one.has_drifted and not (fails and one.set_aside)
            for one in awake
        )
    )


def _show(standing: Standing, newest: Newest | None, seen: Standings, stage: Stage) -> None:
    target = standing.target
    say(f"{target.name}: {follows(target)}", style="bold")
    say(f"  wanted: {wanted_words(standing)}")
    say_gates(standing)
    pin = pin_words(standing, seen)
    if pin and standing.plan.wanted:
        say(f"  pin: {pin}")
    if standing.plan.wanted and standing.plan.held:
        say(f"  held: {one_line(standing.plan.held)}", style="red")
    if newest:
        roll_out, state = newest.run.roll_out, newest.status.state
        sent = f"{when(newest.run.command.requested)}, {roll_out.commit.short}"
        say(f"  newest: {sent}, {cause_words(roll_out)}")
        style = _STYLES.get(state, "")
        say(f"          {state}: {one_line(newest.status.description)}", style=style)
    else:
        say("  newest: nothing was sent in the 30 days that Systems Manager remembers")
    if not standing.hosts:
        say(f"  {no_hosts(target, stage.name)}", style="yellow")
        return
    head = ("host", "instance", "", "commit", "", "since", "seen", "its last run")
    say_rows(head, [_row(one, seen.view.snapshot.now) for one in standing.hosts])
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
        _last(host) or "none is known",
    )


def _last(host: HostStanding) -> str:
    if host.running:
        roll_out = host.running.roll_out
        what = "waiting for its turn" if host.is_waiting else "running"
        what = what if host.host.is_online else "waiting until it is online"
        return f"{what}: {roll_out.commit.short}, {cause_words(roll_out)}"
    if host.whereabouts is None:
        return ""
    last = host.whereabouts.last
    is_seen_to = last.set_aside != "" and not host.set_aside
    return host_words(last, host.whereabouts.asked) + (" (seen to since)" if is_seen_to else "")


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
            "since": one.since,
            "seen": one.plan.seen,
            "drifted": one.has_drifted,
            "set_aside": one.set_aside or None,
            "place": one.place or None,
            "last": _last(one) or None,
        }
        for one in standing.hosts
    ]
    return facts
