"""`pulley history`: who deployed what, when and why."""

import click

from chalicelib.core.refs import CommitSha
from chalicelib.status.deploys import Deploy, deploy_facts
from chalicelib.status.safe_text import one_line
from chalicelib.status.words import cause_words
from pulley.cli.options import json_option, stage_command
from pulley.cli.output import note, say_json, when
from pulley.cli.table import Cell, say_rows
from pulley.cli.target_view import warn_of_problems
from pulley.cli.wording import hosts, short_id
from pulley.operator.stage.checkout import Here, find_here
from pulley.operator.stage.stage import Stage, read_targets, utc_now
from pulley.operator.status.history import (
    Cancel,
    Entry,
    PinChange,
    commands_of,
    find_addressees,
    read_past,
)

_STYLES = {"success": "green", "failure": "red", "error": "red", "in_progress": "cyan"}
_CAUSES = {"pinned": "pin", "frozen": "freeze", "none": "unpin"}


@stage_command
@click.argument("target", required=False)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Show at most this many.",
)
@json_option
def history(stage: Stage, target: str | None, *, limit: int, as_json: bool) -> None:
    """Show who deployed what, when and why, the newest first.

    The list has pins, freezes and cancels, too; only CloudTrail knows who cancelled. Systems
    Manager remembers 30 days of commands, Parameter Store a hundred changes of a pin. Without
    TARGET, the list is of every target, also of targets that are not stored any more. In a clone of
    the repository, the list has the first line of each commit's message.
    """
    stored, now = read_targets(stage), utc_now()
    warn_of_problems(stored)
    sent = commands_of(stage, now=now)
    targets = find_addressees(stored, sent, target)
    repositories = {one.name: one.repository for one in targets}
    here, entries = find_here(), read_past(stage, targets, sent, limit=limit, now=now)

    def subject(entry: Entry) -> str:
        commit = _commit(entry)
        is_here = here is not None and here.repository == repositories.get(entry.target)
        return _subject(here, commit) if is_here else ""

    if as_json:
        say_json({"stage": stage.name, "entries": [_facts(one, subject(one)) for one in entries]})
        return
    if not entries:
        more = "; the pins of targets that are not valid are not shown" if stored.problems else ""
        note(f"Nothing was sent or pinned in the time that AWS remembers{more}.")
        return
    head = ("when", "target", "command", "commit", "cause", "subject", "result")
    say_rows(head, [_row(one, subject(one)) for one in entries], long=2, without=["command"])


def _commit(entry: Entry) -> CommitSha | None:
    if isinstance(entry, Deploy | Cancel):
        return entry.command.roll_out.commit
    return entry.pin.commit if entry.pin else None


def _subject(here: Here | None, commit: CommitSha | None) -> str:
    return one_line(here.subject(commit)) if here and commit else ""


def _row(entry: Entry, subject: str) -> tuple[Cell, ...]:
    commit = _commit(entry)
    short = commit.short if commit else "-"
    if isinstance(entry, Deploy):
        words = f"{entry.status.state}: {one_line(entry.status.description)}"
        outcome = (words, _STYLES.get(entry.status.state, ""))
        cause, id_ = cause_words(entry.roll_out), short_id(entry.command.id)
    elif isinstance(entry, Cancel):
        outcome, id_, cause = (cancel_words(entry), ""), short_id(entry.command.id), "cancel"
    else:
        outcome, id_ = (pin_change_words(entry), ""), "-"
        cause = _cause_of(entry)
    return when(entry.at), entry.target, id_, short, cause, subject, outcome


def _cause_of(change: PinChange) -> str:
    """The pulley command that stored the pin, and who ran it."""
    cause = _CAUSES[change.pin.state] if change.pin else "pin"
    return f"{cause} by {one_line(change.by)}" if change.by else cause


def cancel_words(entry: Cancel) -> str:
    """On how many hosts a command was cancelled, for people."""
    return f"cancelled on {hosts(entry.hosts)}, while it ran on {entry.begun} of them"


def pin_change_words(change: PinChange) -> str:
    """The pin that a change stored, for people."""
    if change.pin is None:
        return f"a pin that cannot be read: {one_line(change.problem)}"
    if change.pin.state == "none":
        reason = f": {change.pin.reason}" if change.pin.reason else ""
        return one_line(f"follows its branch{reason}")
    return one_line(str(change.pin))


def _facts(entry: Entry, subject: str) -> dict[str, object]:
    if isinstance(entry, Deploy):
        return deploy_facts(entry, subject)
    facts: dict[str, object] = {
        "at": entry.at,
        "target": entry.target,
        "commit": _commit(entry),
        "subject": subject or None,
    }
    if isinstance(entry, Cancel):
        return facts | {
            "kind": "cancel",
            "command_id": entry.command.id,
            "hosts": entry.hosts,
            "begun": entry.begun,
            "description": cancel_words(entry),
        }
    return facts | {
        "kind": "pin",
        "by": entry.by or None,
        "arn": entry.arn or None,
        "state": entry.pin.state if entry.pin else None,
        "until": entry.pin.until if entry.pin else None,
        "description": pin_change_words(entry),
        "version": entry.version,
    }
