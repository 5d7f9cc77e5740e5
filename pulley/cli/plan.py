"""`pulley plan`: what a round of the schedule would do now, and why."""

import click

from chalicelib.core.plan import NOTHING, PARKED, SEND
from chalicelib.status.overview import GITHUB, OWN_GIT, HostStanding, Standing, Standings
from chalicelib.status.safe_text import one_line
from chalicelib.status.state import pin_words, target_facts
from pulley.cli.options import json_option, stage_command
from pulley.cli.output import say, say_json
from pulley.cli.table import say_rows
from pulley.cli.target_view import (
    look,
    say_failed,
    say_gates,
    wanted_words,
    warn_of_none,
)
from pulley.cli.wording import follows, no_hosts
from pulley.operator.stage.stage import Stage
from pulley.operator.suggest import suggest

_STYLES = {NOTHING: "green", SEND: "cyan", PARKED: "red"}


@stage_command
@click.argument("target", required=False)
@json_option
def plan(stage: Stage, target: str | None, *, as_json: bool) -> None:
    """Show each host's wanted commit, and what the next round will do.

    The command itself sends nothing; `pulley deploy` deploys now. Without TARGET, it shows every
    target.

    It asks GitHub for the tip of a branch with the stored token, else with your token in
    GITHUB_TOKEN or GH_TOKEN, else with your own git, if the current folder is a clone of the
    repository.
    """
    seen = look(stage, target)
    if as_json:
        say_json(
            {
                "stage": stage.name,
                "targets": [_facts(one, seen) for one in seen.standings],
                "failed": [{"target": name, "reason": one.in_full} for name, one in seen.failed],
                "problems": seen.problems,
            }
        )
    else:
        for standing in seen.standings:
            _show(standing, seen, stage)
        warn_of_none(seen, stage)
    say_failed(seen.failed)


def _show(standing: Standing, seen: Standings, stage: Stage) -> None:
    target, plan_ = standing.target, standing.plan
    say(f"{target.name}: {follows(target)}", style="bold")
    say(f"  wanted: {wanted_words(standing)}")
    pin = pin_words(standing, seen.view.snapshot.now)
    if pin and plan_.wanted:
        say(f"  pin: {pin}")
    if plan_.wanted and plan_.held:
        deploy = suggest("deploy", target.name)
        until = f"this commit is held until a newer push or `{deploy}`"
        say(f"  held: {one_line(plan_.held)}; {until}", style="red")
    say_gates(standing)
    if stage.stored.lacks_tokens and standing.tip_from != GITHUB:
        say(
            "  You may not read the stage's token for GitHub: set GITHUB_TOKEN to see what it sees."
        )
    elif standing.tip_from == OWN_GIT:
        say("  The schedule has no token for GitHub: it uses the commit that was requested last.")
    if not standing.hosts:
        say(f"  {no_hosts(target, stage.name)}", style="yellow")
        return
    say_rows(
        ("host", "now", "wanted", "what will be done, and why"),
        [
            (
                one_line(one.host.name),
                one.commit[:7] or "-",
                one.wanted[:7] or "-",
                (
                    f"{_action(one)}: {one_line(one.plan.reason)}",
                    _STYLES.get(one.plan.action, ""),
                ),
            )
            for one in standing.hosts
        ],
    )


def _action(host: HostStanding) -> str:
    if host.is_later:
        return "send in a later round"
    update = host.plan.wanted.update if host.plan.wanted else ""
    attempt = f", attempt {host.plan.attempt}" if host.plan.attempt > 1 else ""
    return f"send ({update}{attempt})" if host.plan.action == SEND else host.plan.action


def _facts(standing: Standing, seen: Standings) -> dict[str, object]:
    return target_facts(standing, seen) | {
        "hosts": [
            {
                "host": one.host.name,
                "instance_id": one.host.instance_id,
                "online": one.host.is_online,
                "commit": one.commit or None,
                "wanted": one.wanted or None,
                "action": one.plan.action,
                "later": one.is_later,
                "attempt": one.plan.attempt,
                "reason": one.plan.reason,
            }
            for one in standing.hosts
        ]
    }
