"""`pulley deploy`: deploy by hand, and follow it live."""

import time
from collections.abc import Mapping, Sequence

import click

from chalicelib.core.errors import PulleyError
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.core.verdicts import Verdict
from chalicelib.status.deploys import full_status
from chalicelib.status.overview import Standing, Standings
from chalicelib.status.safe_text import one_line
from chalicelib.status.state import run_facts
from chalicelib.status.words import cause_words
from pulley.cli.group import FAILED, INTERRUPTED, NOT_WELL
from pulley.cli.options import json_option, no_wait_option, stage_command, yes_option
from pulley.cli.output import Warnings, confirm, note, say, say_json
from pulley.cli.pinned import meant_reason
from pulley.cli.progress import follow
from pulley.cli.target_view import chosen, warn_of_problems
from pulley.cli.wording import hosts, no_hosts, short_id
from pulley.operator.aws.commands import under_way
from pulley.operator.deploy.choose import NotDeployableError, choose_commit
from pulley.operator.deploy.follow import Follower
from pulley.operator.deploy.pin import MeaningError, parse_commit
from pulley.operator.deploy.send import DeployOrder, DeployOutcome, send
from pulley.operator.stage.checkout import Here, find_here
from pulley.operator.stage.stage import Stage, read_targets, utc_now
from pulley.operator.status.look import look_at
from pulley.operator.suggest import Suggestion, suggest


@stage_command
@click.argument("target", required=False)
@click.option(
    "--commit",
    metavar="COMMIT",
    help="Deploy this commit, if Pulley would not undo it: see above.",
)
@click.option("--now", is_flag=True, help="Skip the target's gates. Needs --reason.")
@click.option("--reason", metavar="WHY", help="Why you skip them; Run Command's history keeps it.")
@no_wait_option
@yes_option
@json_option
def deploy(  # noqa: PLR0913 - each is an option
    stage: Stage,
    target: str | None,
    commit: str | None,
    reason: str | None,
    *,
    now: bool,
    no_wait: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Deploy now, and follow it live.

    The command sends the wanted commit: the commit that the target is pinned at, else the tip of
    its branch. All hosts of the target get it, max_concurrency hosts at a time. Without TARGET,
    the command deploys to the targets that follow the repository and the branch of the current
    folder. If no target follows these, and the stage has only one target, it deploys to that.

    COMMIT is a full id; in a clone of the repository also a short id, a branch or a tag. A commit
    that is not the tip is refused, because the next push would undo it: `pulley pin` keeps a
    commit, `pulley rollback` goes back to one.

    A target with gates gets the newest commit that passed them; with trigger = "manual", the tip.
    --now skips the gates: it sends the tip of the branch, or COMMIT, which must not be older than
    what the target has.

    A target that follows tags gets the tag that was sent last; with --now or trigger = "manual",
    the highest one. COMMIT must have a tag that fits.

    If a command is still running, `deploy` says so and sends anyway. Each host waits for its
    earlier run, for at most half of the target's timeout. If a target has no hosts, nothing is
    sent, and the exit code is 3.

    After Ctrl-C the deploy goes on: only `pulley cancel` stops it.

    Examples: `pulley deploy web`, `pulley deploy web --no-wait`
    """
    if now != (reason is not None):
        raise click.UsageError("--now and --reason need each other")
    why = meant_reason(reason) if reason is not None else ""
    stored, here = read_targets(stage), find_here()
    warn_of_problems(stored)
    targets = chosen(stored, target, here)
    asked = {one.name: _commit(commit, one, here) for one in targets}
    seen = look_at(
        stage, stored, targets, find_here=lambda: here, journal=Warnings(), now=utc_now()
    )
    orders, refused = _orders(seen, asked, why)
    for words in refused:
        note(f"Error: {one_line(words)}", style="red")
    if not orders:
        raise click.exceptions.Exit(FAILED)
    by_name = {one.target.name: one for one in seen.standings}
    for order in orders:
        _say_plan(by_name[order.target.name], order, seen)
    if len(orders) > 1:
        confirm(f"Deploy to {len(orders)} targets?", yes=yes)
    outcomes: list[DeployOutcome] = []
    try:
        for order in orders:
            standing = by_name[order.target.name]
            outcomes.append(send_to_hosts(stage, order, standing, seen))
        finish(stage, outcomes, seen, is_whole=not refused, no_wait=no_wait, as_json=as_json)
    except KeyboardInterrupt:
        # Name no target if there are several: `status` shows all, and `cancel` asks about all.
        names = [orders[0].target.name] if len(orders) == 1 else []
        status = suggest("status", *names)
        if outcomes:
            said = f"{status} shows it, {suggest('cancel', *names)} stops it"
            note(f"The deploy goes on: {said}.")
        else:
            note(f"Interrupted while sending: {status} shows whether it was sent.")
        raise click.exceptions.Exit(INTERRUPTED) from None


def _commit(text: str | None, target: Target, here: Here | None) -> CommitSha | None:
    if text is None:
        return None
    try:
        return parse_commit(text, target, here)
    except MeaningError as error:
        raise click.BadParameter(str(error), param_hint="--commit") from None


def _orders(
    seen: Standings, asked: Mapping[str, CommitSha | None], reason: str
) -> tuple[list[DeployOrder], list[str]]:
    """Return the orders to send, and the reason for each target that gets none."""
    orders, refused = [], [f"{name}: {one.in_full}" for name, one in seen.failed]
    for one in seen.standings:
        try:
            wanted = choose_commit(
                one.facts,
                asked[one.target.name],
                now=seen.view.snapshot.now,
                skips_gates=bool(reason),
            )
        except NotDeployableError as error:
            refused.append(str(error))
        else:
            orders.append(DeployOrder(one.target, wanted, reason))
    return orders, refused


def _say_plan(standing: Standing, order: DeployOrder, seen: Standings) -> None:
    target, wanted = order.target, order.wanted
    by = f", by {standing.tip_from}" if wanted.commit == standing.facts.head else ""
    online = sum(one.host.is_online for one in standing.hosts)
    which = hosts(len(standing.hosts)) + ("" if online == len(standing.hosts) else ", of which ")
    which += "" if online == len(standing.hosts) else f"{len(standing.hosts) - online} offline"
    note(f"{target.name}: {wanted.commit.short} ({wanted.reason}{by}) to {which}")
    snapshot = seen.view.snapshot
    for command in under_way(target, snapshot.commands, now=snapshot.now):
        roll_out = command.roll_out
        what = f"{short_id(command.id)}, {roll_out.commit.short}, {cause_words(roll_out)}"
        note(f"  A command is under way ({what}): each host waits for its end.", style="yellow")


def send_to_hosts(
    stage: Stage, order: DeployOrder, standing: Standing, seen: Standings, *, cause: str = "manual"
) -> DeployOutcome:
    """Send if the target has hosts. An error is returned: it must not stop the other targets."""
    if not standing.hosts:
        return DeployOutcome(order, problem=no_hosts(order.target, stage.name))
    try:
        return send(stage, order, seen.view.snapshot.commands, cause=cause)
    except PulleyError as error:
        return DeployOutcome(order, problem=error.in_full)


def finish(  # noqa: PLR0913 - each is a fact of its own
    stage: Stage,
    outcomes: Sequence[DeployOutcome],
    seen: Standings,
    *,
    is_whole: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Follow the commands, print how they ended, and exit with the code for that."""
    sent = [(one.order.target.name, one.command_id) for one in outcomes if one.command_id]
    hostless = {standing.target.name for standing in seen.standings if not standing.hosts}
    for outcome in outcomes:
        if outcome.problem:
            is_whole = is_whole and outcome.order.target.name in hostless
            words = one_line(outcome.problem)
            note(f"Error: {outcome.order.target.name}: not sent: {words}", style="red")
    known = [host.host for one in seen.standings for host in one.hosts]
    follower = Follower(stage.history, sent, known, utc_now, time.sleep)
    _say_sent(sent, no_wait=no_wait, as_json=as_json)
    if sent and not no_wait:
        try:
            follow(follower, stage.outputs, as_json=as_json)
        except PulleyError as error:
            is_whole = False
            note(f"Error: {one_line(error.in_full)}. The deploy goes on.", style="red")
    verdicts = {} if no_wait else follower.verdicts()
    if as_json:
        say_json(_document(stage, outcomes, follower, verdicts))
    elif not no_wait:
        _say_end(verdicts)
    if not is_whole:
        raise click.exceptions.Exit(FAILED)
    if hostless or not all(one.is_everywhere for one in verdicts.values()):
        raise click.exceptions.Exit(NOT_WELL)


def _say_sent(sent: Sequence[tuple[str, str]], *, no_wait: bool, as_json: bool) -> None:
    tell = say if no_wait and not as_json else note
    for name, command_id in sent:
        tell(f"{name}: sent, command {command_id}")
        if no_wait:
            note(f"To follow: {suggest('status', name)}, or {_logs(name, command_id)}")


def _say_end(verdicts: Mapping[str, Verdict]) -> None:
    for name, verdict in verdicts.items():
        style = "green" if verdict.is_everywhere else "red"
        say(f"{name}: {_end_words(verdict)}", style=style)
        if not verdict.is_everywhere:
            note(f"What the hosts wrote: {_logs(name, verdict.command_id)}")


def _logs(name: str, command_id: str) -> Suggestion:
    return suggest("logs", name, "--command-id", command_id)


def _end_words(verdict: Verdict) -> str:
    return one_line(full_status(verdict).description)


def _document(
    stage: Stage,
    outcomes: Sequence[DeployOutcome],
    follower: Follower,
    verdicts: Mapping[str, Verdict],
) -> dict[str, object]:
    """The JSON document of a deploy."""
    targets = []
    for outcome in outcomes:
        name = outcome.order.target.name
        run, verdict = follower.runs.get(name), verdicts.get(name)
        targets.append(
            {
                "target": name,
                "commit": outcome.order.wanted.commit,
                "update": outcome.order.wanted.update,
                "reason": outcome.order.wanted.reason,
                "command_id": outcome.command_id or None,
                "problem": outcome.problem or None,
                "outcome": verdict and _end_words(verdict),
                "everywhere": verdict and verdict.is_everywhere,
                "hosts": run and run_facts(run),
            }
        )
    return {"stage": stage.name, "by": stage.identity.name, "targets": targets}
