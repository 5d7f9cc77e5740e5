"""Who deployed what, and why."""

import click
from rich.markup import escape
from rich.table import Table

from chalicelib.core.refs import CommitSha
from pulley.cli.options import json_option, stage_command
from pulley.cli.output import note, out, say_json, when
from pulley.cli.seen import warn_of_problems
from pulley.cli.words import cause_words, one_line
from pulley.operator.checkout import Here, find_here
from pulley.operator.past import Entry, PinChange, SentCommand, read_past
from pulley.operator.stage import Stage, read_targets, utc_now

_STYLES = {"success": "green", "failure": "red", "error": "red", "in_progress": "cyan"}


@stage_command
@click.argument("target", required=False)
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many entries."
)
@json_option
def history(stage: Stage, target: str | None, *, limit: int, as_json: bool) -> None:
    """Show who deployed what, when and why, the newest first.

    Pins and freezes are in it, too. Systems Manager remembers 30 days of commands, Parameter Store
    a hundred changes of a pin. Without TARGET, of every target. Where you stand in a clone of the
    repository, commits have the first line of their message.
    """
    stored = read_targets(stage)
    warn_of_problems(stored)
    targets = stored.targets if target is None else (stored.named(target),)
    repositories = {one.name: one.repository for one in targets}
    here, entries = find_here(), read_past(stage, targets, limit=limit, now=utc_now())

    def subject(entry: Entry) -> str:
        commit = _commit(entry)
        is_here = here is not None and here.repository == repositories.get(entry.target)
        return _subject(here, commit) if is_here else ""

    if as_json:
        say_json({"stage": stage.name, "entries": [_facts(one, subject(one)) for one in entries]})
        return
    if not entries:
        note("Nothing was sent or pinned in the time that AWS remembers.")
        return
    table = Table("when", "target", "commit", "cause", "what became of it", "command", box=None)
    for one in entries:
        table.add_row(*_row(one, subject(one)))
    out().print(table)


def _commit(entry: Entry) -> CommitSha | None:
    if isinstance(entry, SentCommand):
        return entry.roll_out.commit
    return entry.pin.commit if entry.pin else None


def _subject(here: Here | None, commit: CommitSha | None) -> str:
    return one_line(here.subject(commit)) if here and commit else ""


def _row(entry: Entry, subject: str) -> tuple[str, ...]:
    commit = _commit(entry)
    what = " ".join([commit.short if commit else "-", subject]).strip()
    if isinstance(entry, SentCommand):
        words = f"{entry.status.state}: {one_line(entry.status.description)}"
        style = _STYLES.get(entry.status.state, "")
        outcome = f"[{style}]{escape(words)}[/{style}]" if style else escape(words)
        cause, id_ = cause_words(entry.roll_out), entry.command.id
    else:
        outcome, id_ = escape(pin_change_words(entry)), ""
        cause = f"pin by {one_line(entry.by)}" if entry.by else "pin"
    return when(entry.at), entry.target, escape(what), escape(cause), outcome, id_


def pin_change_words(change: PinChange) -> str:
    """What a target's pin was made to say."""
    if change.pin is None:
        return f"a pin that cannot be read: {one_line(change.problem)}"
    if change.pin.state == "none":
        reason = f": {change.pin.reason}" if change.pin.reason else ""
        return one_line(f"follows its branch{reason}")
    return one_line(str(change.pin))


def _facts(entry: Entry, subject: str) -> dict[str, object]:
    facts: dict[str, object] = {
        "at": entry.at,
        "target": entry.target,
        "commit": _commit(entry),
        "subject": subject or None,
    }
    if isinstance(entry, SentCommand):
        return facts | {
            "kind": "command",
            "cause": entry.roll_out.cause,
            "by": entry.roll_out.by or None,
            "attempt": entry.roll_out.attempt or None,
            "update": entry.roll_out.update,
            "command_id": entry.command.id,
            "state": entry.status.state,
            "description": entry.status.description,
        }
    return facts | {
        "kind": "pin",
        "by": entry.by or None,
        "state": entry.pin.state if entry.pin else None,
        "until": entry.pin.until if entry.pin else None,
        "description": pin_change_words(entry),
        "version": entry.version,
    }
