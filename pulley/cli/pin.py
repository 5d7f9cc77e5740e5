"""`pulley pin` and `pulley freeze`: pushes do not change the target."""

from datetime import datetime

import click

from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.status.safe_text import one_line
from pulley.cli.options import Function, json_option, stage_command, yes_option
from pulley.cli.output import confirm, warn
from pulley.cli.pinned import meant_reason, say_pinned, store
from pulley.cli.problems import Problems
from pulley.operator.deploy.failed_commits import failure_words, failures_everywhere
from pulley.operator.deploy.pin import (
    MeaningError,
    deployed_to,
    doubt_about,
    parse_commit,
    parse_end,
)
from pulley.operator.stage.checkout import Here, find_here
from pulley.operator.stage.stage import Stage, read_targets, utc_now
from pulley.operator.status.history import commands_of


def _until_option(function: Function) -> Function:
    words = "The end: 90m, 2h, 3d, 2030-01-31 (when that day begins in UTC), or a time in full."
    decorate = click.option("--until", metavar="WHEN", help=words)
    return decorate(function)


def _reason_option(function: Function) -> Function:
    words = "The reason, for people who push meanwhile.  [required]"
    decorate = click.option("--reason", metavar="WHY", help=words)  # meant_reason requires it
    return decorate(function)


@stage_command
@click.argument("target")
@click.argument("commit")
@_reason_option
@_until_option
@click.option("--force", is_flag=True, help="Pin the commit even if it failed on every host.")
@yes_option
@json_option
def pin(  # noqa: PLR0913 - each is an option
    stage: Stage,
    target: str,
    commit: str,
    reason: str | None,
    until: str | None,
    *,
    force: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Keep a target at one commit: pushes do not move it.

    COMMIT is a full id; in a clone of the target's repository also a short id, a branch or a tag.
    The commit must be in the target's branch, or have been deployed before. If the command can
    confirm neither, it asks you first. A commit that failed on every host that tried it, in the 30
    days that Systems Manager remembers, is refused without --force. Hosts go to the pinned commit
    in the next round (every 15 minutes, unless set otherwise), or now with `pulley deploy TARGET`.

    While the pin holds, the reason is the answer to a push, and GitHub shows it on the pushed
    commit. If the target has gates or tags, the answer names these, and GitHub shows nothing.

    Example: pulley pin web 4d5e6f7 --reason "the fair" --until 3d
    """
    now, here, problems = utc_now(), find_here(), Problems()
    with problems:
        words = meant_reason(reason)
    with problems:
        end = _end(until, now)
    with problems:
        found = read_targets(stage).named(target)
        sha = _commit(commit, found, here)
    problems.tell()
    sent = commands_of(stage, now=now)
    if failures := failures_everywhere(found, sha, sent, stage.history.invocations):
        said = one_line(failure_words(sha, failures))
        if not force:
            raise click.ClickException(f"{said}. --force pins {found.name} at it all the same")
        warn(said)
    doubt = doubt_about(sha, found, here, deployed_to(found, sent))
    if doubt:
        warn(doubt)
        confirm(f"Pin {found.name} at {sha.short} all the same?", yes=yes)
    say_pinned(stage, store(stage, found, Pin("pinned", sha, words, end), now), as_json=as_json)


@stage_command
@click.argument("target")
@_reason_option
@_until_option
@json_option
def freeze(
    stage: Stage, target: str, reason: str | None, until: str | None, *, as_json: bool
) -> None:
    """Leave a target as it is: pushes do not move it.

    While the freeze holds, the reason is the answer to a push, and GitHub shows it on the pushed
    commit. If the target has gates or tags, the answer names these, and GitHub shows nothing. Hosts
    that are new, or were asleep, stay as they are, too.

    Example: pulley freeze web --reason "a holiday" --until 2030-01-02
    """
    now, problems = utc_now(), Problems()
    with problems:
        words = meant_reason(reason)
    with problems:
        end = _end(until, now)
    with problems:
        found = read_targets(stage).named(target)
    problems.tell()
    say_pinned(stage, store(stage, found, Pin("frozen", None, words, end), now), as_json=as_json)


def _end(until: str | None, now: datetime) -> datetime | None:
    if until is None:
        return None
    try:
        return parse_end(until, now=now)
    except MeaningError as error:
        raise click.BadParameter(str(error), param_hint="--until") from None


def _commit(text: str, target: Target, here: Here | None) -> CommitSha:
    try:
        return parse_commit(text, target, here)
    except MeaningError as error:
        raise click.BadParameter(str(error), param_hint="COMMIT") from None
