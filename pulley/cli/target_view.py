"""What several commands show of targets, in the same words."""

import time
from collections.abc import Sequence

import click

from chalicelib.core.history import Run
from chalicelib.core.observations import judge_host
from chalicelib.core.targets import Target
from pulley.cli.group import FAILED
from pulley.cli.output import Warnings, note, warn
from pulley.cli.terminal import one_line
from pulley.cli.wording import host_words
from pulley.operator.deploy.choose import UnclearError, choose_targets
from pulley.operator.hosts.ask import Checker
from pulley.operator.stage.checkout import Here, find_here
from pulley.operator.stage.stage import Stage, StoredTargets, read_targets, utc_now
from pulley.operator.status.overview import Standing, Standings, look_at
from pulley.operator.suggest import suggest


def look(stage: Stage, name: str | None) -> Standings:
    """How the target of the name stands, or every target; stored ones that are not valid are said.

    Raises RefusedError and UnavailableError.
    """
    stored = read_targets(stage)
    warn_of_problems(stored)
    targets: tuple[Target, ...] = stored.targets if name is None else (stored.named(name),)
    return look_at(stage, stored, targets, find_here=find_here, journal=Warnings(), now=utc_now())


def ask_hosts(stage: Stage, name: str | None) -> None:
    """Ask the hosts of the target of the name, or of every target, where they are now.

    What they answer stands in Run Command's history: `look` sees it. Raises RefusedError and
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
    """Say which stored targets are not valid."""
    for problem in stored.problems:
        warn(f"not a valid target: {one_line(problem)}")


def warn_of_none(seen: Standings, stage: Stage) -> None:
    """Say why nothing is shown, where that is so."""
    if seen.standings or seen.failed:
        return
    apply = suggest("targets apply")
    if seen.problems:
        note(f"No stored target is valid: correct them in pulley.toml, then: {apply}")
    else:
        note(f"Stage {stage.name} has no targets: {apply} stores those of pulley.toml")


def say_failed(failed: Sequence[tuple[str, str]]) -> None:
    """Say which targets could not be read, and end with FAILED where there are any."""
    for name, why in failed:
        note(f"Error: {name}: {one_line(why)}", style="red")
    if failed:
        raise click.exceptions.Exit(FAILED)


def wanted_words(standing: Standing) -> str:
    """The commit that a target is to have, and why; or why there is none."""
    wanted = standing.plan.wanted
    if wanted is None:
        return one_line(standing.plan.held)
    by = f", by {standing.tip_from}" if standing.tip_from and not wanted.is_exact else ""
    return f"{wanted.commit.short} ({wanted.reason}{by})"


def pin_words(standing: Standing, seen: Standings) -> str:
    """The pin that holds now, or ""."""
    pin = standing.facts.pin
    return one_line(str(pin)) if pin and pin.holds(seen.view.snapshot.now) else ""


def target_facts(standing: Standing, seen: Standings) -> dict[str, object]:
    """What a program is told of a target."""
    return {
        "target": standing.target.name,
        "repository": standing.target.repository,
        "branch": standing.target.branch,
        "wanted": standing.plan.wanted,
        "tip": standing.facts.head,
        "tip_from": standing.tip_from or None,
        "pin": pin_words(standing, seen) or None,
        "held": standing.plan.held or None,
    }


def chosen(stored: StoredTargets, name: str | None, here: Here | None) -> tuple[Target, ...]:
    """The targets that are meant; a wrong command line where that is not clear."""
    try:
        return choose_targets(stored, name, here)
    except UnclearError as error:
        raise click.UsageError(str(error)) from None


def run_facts(run: Run) -> list[dict[str, object]]:
    """What a program is told of each host's part of a command."""
    found = sorted(run.invocations, key=lambda one: (one.host, one.instance_id))
    rows: list[dict[str, object]] = []
    for one in found:
        verdict = judge_host(one, run.roll_out)
        rows.append(
            {
                "host": one.host,
                "instance_id": one.instance_id,
                "kind": verdict.kind,
                "words": host_words(verdict, run.roll_out.commit.short),
                "commit": verdict.upstream or None,
                "status": one.details,
                "ended": one.ended,
            }
        )
    return rows
