"""`pulley rollback`: go back to the last good commit, and pin it."""

import click

from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha
from chalicelib.core.wanted import Wanted, tag_beside_pin, wanted_of
from chalicelib.status.overview import Standing
from chalicelib.status.safe_text import one_line
from pulley.cli.deploy import finish, send_to_hosts
from pulley.cli.group import FAILED, INTERRUPTED
from pulley.cli.options import json_option, no_wait_option, stage_command, yes_option
from pulley.cli.output import confirm, note
from pulley.cli.pinned import meant_reason
from pulley.cli.problems import Problems
from pulley.cli.stored_changes import say_overwritten
from pulley.cli.target_view import look, say_failed
from pulley.cli.wording import hosts, no_hosts
from pulley.operator.deploy.pin import read_pin, store_pin
from pulley.operator.deploy.rollback import (
    WayBack,
    choose_way_back,
    commit_to_leave,
    read_runs,
)
from pulley.operator.deploy.send import DeployOrder
from pulley.operator.stage.stage import Stage, utc_now
from pulley.operator.suggest import suggest


@stage_command
@click.argument("target")
@click.option(
    "--reason",
    metavar="WHY",
    help="The reason that pushers see. Default: the commit that was left, and your name.",
)
@no_wait_option
@yes_option
@json_option
def rollback(  # noqa: PLR0913 - each is an option
    stage: Stage, target: str, reason: str | None, *, no_wait: bool, yes: bool, as_json: bool
) -> None:
    """Go back to the last good commit, and pin the target there.

    A commit is good if it is on every host that it was sent to and that was reached. Only the last
    30 days count: Systems Manager remembers no more. The command names each later commit that it
    passes over, and the reason. It first pins the good commit, so that the next push does not undo
    the roll back. Then it sends the commit to every host, and follows as `pulley deploy` does.
    `pulley unpin TARGET` ends the pin.
    """
    words, problems = "", Problems()
    with problems:
        words = meant_reason(reason) if reason is not None else ""
    with problems:
        seen = look(stage, target)
    problems.tell()
    say_failed(seen.failed)
    (standing,) = seen.standings
    found, now = standing.target, seen.view.snapshot.now
    leave = commit_to_leave(wanted_of(standing.facts, now=now), standing.facts.asked)
    way = choose_way_back(found, leave, read_runs(found, seen.view), standing.facts.hosts, now=now)
    back = way.commit
    _say_plan(stage, standing, leave, way)
    confirm(f"Roll {found.name} back to {back.short}, and pin it there?", yes=yes)
    by = stage.identity.name
    if not words:
        words = f"rolled back from {leave.short if leave else '?'} by {by}"
    stored = read_pin(stage.parameters, stage.names, found)
    pin = Pin("pinned", back, words, by=by, at=utc_now().replace(microsecond=0))
    written = store_pin(stage.parameters, stored, pin)
    unpin = suggest("unpin", found.name)
    note(f"{found.name} is {pin}. It stays there until {unpin}.")
    if say_overwritten(stage.parameters, written, yes=yes):
        note("Nothing was sent.")
        raise click.exceptions.Exit(FAILED)
    try:
        tag = tag_beside_pin(standing.facts)
        order = DeployOrder(found, Wanted(back, "exact", words, tag=tag))
        outcome = send_to_hosts(stage, order, standing, seen, cause="rollback")
        finish(stage, [outcome], seen, is_whole=True, no_wait=no_wait, as_json=as_json)
    except KeyboardInterrupt:
        status = suggest("status", found.name)
        note(f"The roll back goes on: {status} shows it. The pin stays: {unpin}")
        raise click.exceptions.Exit(INTERRUPTED) from None


def _say_plan(stage: Stage, standing: Standing, leave: CommitSha | None, way: WayBack) -> None:
    found = standing.target
    note(
        f"{found.name}: {leave.short if leave else '?'} -> {way.commit.short} on {_hosts(standing)}"
    )
    for one in way.passed_over:
        note(f"  not {one.commit.short}: {one_line(one.why)}", style="yellow")
    if not standing.hosts:
        note(f"  {no_hosts(found, stage.name)}", style="yellow")
    pin = standing.facts.pin
    if pin and pin.state != "none":
        note(f"  instead of: {one_line(str(pin))}")


def _hosts(standing: Standing) -> str:
    names = ", ".join(
        one.host.name + ("" if one.host.is_online else " (offline)") for one in standing.hosts[:10]
    )
    more = ", ..." if len(standing.hosts) > 10 else ""
    return f"{hosts(len(standing.hosts))}: {one_line(names)}{more}"
