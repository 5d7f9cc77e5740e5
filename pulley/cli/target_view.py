"""The views of targets that several commands share."""

import time
from collections.abc import Sequence

import click

from chalicelib.core.errors import PulleyError
from chalicelib.core.gates import PUSH
from chalicelib.core.targets import Target
from chalicelib.core.waiting import OPEN
from chalicelib.status.overview import Standing, Standings
from chalicelib.status.safe_text import one_line
from pulley.cli.group import FAILED
from pulley.cli.output import Warnings, note, say, warn
from pulley.operator.deploy.choose import UnclearError, choose_targets
from pulley.operator.hosts.ask import Checker
from pulley.operator.stage.checkout import Here, find_here
from pulley.operator.stage.stage import Stage, StoredTargets, read_targets, utc_now
from pulley.operator.status.look import look_at
from pulley.operator.suggest import suggest


def look(stage: Stage, name: str | None) -> Standings:
    """Read how the named target stands, or every target. Warns of invalid stored targets.

    Raises RefusedError and UnavailableError.
    """
    stored = read_targets(stage)
    warn_of_problems(stored)
    targets: tuple[Target, ...] = stored.targets if name is None else (stored.named(name),)
    return look_at(stage, stored, targets, find_here=find_here, journal=Warnings(), now=utc_now())


def ask_hosts(stage: Stage, name: str | None) -> None:
    """Ask the hosts of the named target, or of every target, where they are now.

    Run Command's history keeps the answers, and `look` reads them there. Raises RefusedError and
    UnavailableError.
    """
    stored = read_targets(stage)
    targets = stored.targets if name is None else (stored.named(name),)
    now = utc_now()
    snapshot = stage.reader(Warnings()).begin(targets, {}, now=now)
    checker = Checker(stage, time.monotonic, time.sleep)
    hosts = {target: snapshot.fleet.of(target) for target in targets}
    answers = checker.ask(hosts, issued=snapshot.issued)
    for target, error in answers.refused:
        warn(f"{target.name}: its hosts could not be asked: {one_line(error.in_full)}")
    for target, host, answer in answers.by_target:
        if answer is None:
            warn(f"{target.name}: {one_line(host.name)} did not answer")


def warn_of_problems(stored: StoredTargets) -> None:
    """Warn of each stored target that is not valid."""
    for problem in stored.problems:
        warn(f"not a valid target: {one_line(problem)}")


def warn_of_none(seen: Standings, stage: Stage) -> None:
    """If there is no target to show, say why."""
    if seen.standings or seen.failed:
        return
    apply = suggest("targets apply")
    if seen.problems:
        note(f"No stored target is valid: correct them in pulley.toml, then: {apply}")
    else:
        note(f"Stage {stage.name} has no targets: {apply} stores those of pulley.toml")


def say_failed(failed: Sequence[tuple[str, PulleyError]]) -> None:
    """Print the targets that could not be read. If there are any, exit with FAILED."""
    for name, error in failed:
        note(f"Error: {name}: {one_line(error.in_full)}", style="red")
    if failed:
        raise click.exceptions.Exit(FAILED)


def wanted_words(standing: Standing) -> str:
    """The wanted commit of a target, and why; or why there is none."""
    wanted = standing.plan.wanted
    if wanted is None:
        return one_line(standing.plan.held)
    is_tip = standing.tip_from and not wanted.stops_at_commit
    by = f", by {standing.tip_from}" if is_tip else ""
    return f"{wanted.commit.short} ({wanted.reason}{by})"


def say_gates(standing: Standing) -> None:
    """Print the gates of the newest commit that a target does not have yet, each with its state."""
    waiting, gates = standing.waiting, standing.target.gates
    if waiting is None:
        if gates.trigger != PUSH:
            say(f"  gates: it waits for {gates}")
        return
    tag = f", {one_line(waiting.tag)}" if waiting.tag else ""
    then = ": all gates are open, the next round sends it" if waiting.is_open else ""
    say(f"  next: {waiting.commit.short}{tag}{then}")
    for gate in waiting.gates:
        style = "green" if gate.state == OPEN else "yellow"
        say(f"    {gate.name}: {gate.state}: {one_line(gate.reason)}", style=style)


def chosen(stored: StoredTargets, name: str | None, here: Here | None) -> tuple[Target, ...]:
    """The targets that the operator means. If that is not clear, it is a usage error."""
    try:
        return choose_targets(stored, name, here)
    except UnclearError as error:
        raise click.UsageError(str(error)) from None
