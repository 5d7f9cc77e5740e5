"""`pulley saved`: list, show and drop the edits and commits that hosts have saved."""

import time
from collections.abc import Sequence

import click

from chalicelib.core.errors import UnavailableError
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.refs import CommitSha
from chalicelib.core.results import HostResult
from chalicelib.core.targets import Target
from chalicelib.status.safe_text import one_line, printable
from pulley.cli.options import IdType, json_option, stage_command, yes_option
from pulley.cli.output import confirm, note, note_whole, say, say_json, say_whole, warn, when
from pulley.cli.table import say_rows
from pulley.cli.wording import hosts as hosts_words
from pulley.cli.wording import no_hosts
from pulley.operator.hosts.ask import Checker, Question
from pulley.operator.hosts.saved import (
    SHOWN_BYTES,
    Told,
    ask,
    choose_hosts,
    find_commit,
    line_that_applies,
    line_that_brings_back,
    saved_at,
)
from pulley.operator.hosts.saved_refs import SavedRef
from pulley.operator.stage.stage import Stage, read_targets, utc_now
from pulley.operator.suggest import suggest

COMMIT = IdType("a commit", "[0-9a-f]{7,40}", 7)


@stage_command
@click.argument("target")
@click.argument("host", required=False)
@click.argument("commit", required=False, type=COMMIT)
@click.option("--drop", is_flag=True, help="Drop COMMIT on HOST, when nobody needs it any more.")
@yes_option
@json_option
def saved(  # noqa: PLR0913 - each is an option
    stage: Stage,
    target: str,
    host: str | None,
    commit: str | None,
    *,
    drop: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show the edits and commits of people that hosts have set aside.

    HOST is a name or an instance id. Without HOST, every host of the target is asked, which changes
    nothing there. A host lists its newest saved commits, as many as its answer has room for, and
    says how many it has.

    With HOST and COMMIT (its first 7 digits are enough), the command shows the first 7,900 bytes of
    what that commit changes against its first parent. This text stays in the history of Systems
    Manager's Run Command for 30 days: whoever may read that history can read the text.

    --drop deletes the refs that keep the commit on the host, and nothing else.
    """
    if drop and commit is None:
        raise click.UsageError("--drop takes HOST and COMMIT")
    found = read_targets(stage).named(target)
    fleet: Sequence[Host] = Fleet(stage.directory.hosts(), stage.name).of(found)
    if host is None:
        _list(stage, found, fleet, as_json=as_json)
        return
    chosen = choose_hosts(fleet, host)
    if commit is None:
        _list(stage, found, chosen, as_json=as_json)
        return
    if len(chosen) > 1:
        ids = ", ".join(one.instance_id for one in chosen)
        raise UnavailableError(f"several hosts are called {one_line(host)}: {ids}")
    kept = find_commit(_ask(stage, found, chosen, Question("saved"))[0][0], commit)
    if drop:
        _drop(stage, found, chosen[0], kept, yes=yes, as_json=as_json)
    else:
        _show(stage, found, chosen[0], kept, as_json=as_json)


def _ask(
    stage: Stage, target: Target, hosts: Sequence[Host], question: Question
) -> tuple[list[Told], Sequence[str]]:
    checker = Checker(stage, time.monotonic, time.sleep)
    told, answers = ask(checker, target, hosts, question, now=utc_now())
    return told, answers.command_ids


def _list(stage: Stage, target: Target, hosts: Sequence[Host], *, as_json: bool) -> None:
    told, _ = _ask(stage, target, hosts, Question("saved"))
    if as_json:
        say_json({"target": target.name, "hosts": [_facts(one) for one in told]})
    else:
        rows = [_row(one, ref) for one in told for ref in one.saved.refs]
        if rows:
            head = ("host", "saved", "commit", "ref", "what it changes")
            say_rows(head, rows, without=["ref"])
        elif hosts:
            answered = [one for one in told if not one.problem]
            say(f"{target.name}: nothing is saved on {hosts_words(len(answered))}.")
        else:
            note(no_hosts(target, stage.name), style="yellow")
    for one in told:
        name, more = one_line(one.host.name), one.saved.count - len(one.saved.refs)
        if one.problem:
            warn(f"{name}: {one_line(one.problem)}")
        if more > 0:
            note(f"{name}: {more} older ones are not listed; it has {one.saved.count}.")


def _row(told: Told, ref: SavedRef) -> tuple[str, ...]:
    return (
        one_line(told.host.name),
        when(saved_at(ref)),
        ref.commit[:7],
        ref.ref or "-",
        _changes(ref),
    )


def _changes(ref: SavedRef) -> str:
    more = f" and {ref.files - 1} more" if ref.files > 1 else ""
    return f"{one_line(ref.file)}{more}" if ref.files else "nothing"


def _facts(told: Told) -> dict[str, object]:
    return {
        "host": told.host.name,
        "instance_id": told.host.instance_id,
        "problem": told.problem or None,
        "count": told.saved.count if not told.problem else None,
        "saved": [
            {
                "ref": one.ref or None,
                "at": saved_at(one),
                "commit": one.commit,
                "files": one.files,
                "file": one.file,
            }
            for one in told.saved.refs
        ],
    }


def _show(stage: Stage, target: Target, host: Host, kept: SavedRef, *, as_json: bool) -> None:
    commit = CommitSha(kept.commit)
    (told,), command_ids = _ask(stage, target, [host], Question("saved", commit))
    _done(told)
    text = stage.outputs.read(command_ids[0], host.instance_id).stderr
    is_cut = len(text.encode()) >= SHOWN_BYTES
    if as_json:
        facts = {"target": target.name, "host": host.name, "instance_id": host.instance_id}
        say_json(facts | {"commit": kept.commit, "text": text, "cut": is_cut})
        return
    for line in printable(text).rstrip("\n").split("\n"):
        say_whole(line)
    if is_cut:
        note(f"It is longer. All of it, on {one_line(host.name)}: git show {kept.commit}")


def _drop(  # noqa: PLR0913 - each is a fact of its own
    stage: Stage, target: Target, host: Host, kept: SavedRef, *, yes: bool, as_json: bool
) -> None:
    name, commit = one_line(host.name), CommitSha(kept.commit)
    what = f", which changes {_changes(kept)}" if kept.files else ""
    note(f"{name} has saved {commit.short}{what}, as {kept.ref or 'a ref that it did not list'}")
    confirm("Drop it?", yes=yes)
    question = Question("drop", commit, by=stage.identity.arn)
    (told,), _ = _ask(stage, target, [host], question)
    dropped = _done(told).dropped
    back = line_that_brings_back(target, kept)
    if as_json:
        facts = {"target": target.name, "host": host.name, "instance_id": host.instance_id}
        say_json(facts | {"commit": kept.commit, "dropped": dropped, "undo": back})
        return
    say(f"{name}: dropped {commit.short}, refs: {dropped}")
    note("If that was a mistake: git has the commit until its garbage collection, by default for")
    note(f"two weeks. To keep it again, on {name}:")
    note_whole(f"    {back}")
    note("To put an edit back into the files there:")
    note_whole(f"    {line_that_applies(target, kept)}")
    if target.saved == "fail":
        deploy = suggest("deploy", target.name)
        note(f"To update the commit's status on GitHub: {deploy}")


def _done(told: Told) -> HostResult:
    """Return the host's result. Raises UnavailableError if the host has a problem."""
    if told.result is None:
        raise UnavailableError(f"{told.host.name}: {told.problem}")
    return told.result
