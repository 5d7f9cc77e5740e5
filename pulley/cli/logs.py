"""`pulley logs`: show what a deploy's script wrote on its hosts."""

from collections.abc import Sequence
from dataclasses import replace

import click

from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import Invocation, RollOut, Run
from chalicelib.core.observations import judge_host
from chalicelib.core.results import ResultError, parse_result
from chalicelib.edges.command_output import Output
from chalicelib.status.safe_text import one_line, printable
from chalicelib.status.words import cause_words, host_words
from pulley.cli.options import IdType, json_option, stage_command
from pulley.cli.output import note, say, say_json, say_whole, when
from pulley.cli.wording import host_style
from pulley.operator.near import did_you_mean
from pulley.operator.stage.stage import Stage, read_targets, utc_now
from pulley.operator.status.history import commands_of, find_addressees, find_run

COMMAND_ID = IdType("a command", "[0-9a-f]{8}[0-9a-f-]{0,28}", 8)


@stage_command
@click.argument("target")
@click.argument("host", required=False)
@click.option(
    "--command-id",
    type=COMMAND_ID,
    metavar="ID",
    help="Show this command, by its id or the first 8 digits of that.",
)
@json_option
def logs(
    stage: Stage, target: str, host: str | None, *, command_id: str | None, as_json: bool
) -> None:
    """Show what the newest command wrote on its hosts.

    HOST is a name or an instance id. Without HOST, the output of every host is shown: the last
    4,000 bytes that the run and its steps wrote. If the target has a log_group, that has the same.
    `.git/pulley/log` on the host has more. `pulley history` has the ids of older commands.
    """
    sent = commands_of(stage, now=utc_now())
    found = find_addressees(read_targets(stage), sent, target)
    names = {one.instance_id: one.name for one in stage.directory.hosts()}
    run = find_run(stage, found, sent, command_id)
    chosen = _chosen(_named(run, names), host)
    outputs = [(one, stage.outputs.read(run.command.id, one.instance_id)) for one in chosen]
    if as_json:
        say_json(_document(run, outputs))
        return
    roll_out = run.roll_out
    what = f"{when(run.command.requested)}, {cause_words(roll_out)}"
    note(f"{target}: {roll_out.commit.short}, {what}, command {run.command.id}")
    if not chosen:
        note("No host matched when it was sent." if run.is_settled else "No host is listed yet.")
    for one, output in outputs:
        show_host(run.roll_out, one, output)


def _named(run: Run, names: dict[str, str]) -> Sequence[Invocation]:
    """The run's invocations, sorted, with the host names that other commands show."""
    named = [replace(one, host=names.get(one.instance_id, one.host)) for one in run.invocations]
    return sorted(named, key=lambda one: (one.host, one.instance_id))


def _chosen(invocations: Sequence[Invocation], host: str | None) -> Sequence[Invocation]:
    if host is None:
        return invocations
    found = [one for one in invocations if host in {one.host, one.instance_id}]
    if not found:
        names = [one_line(invocation.host) for invocation in invocations]
        near, known = did_you_mean(host, names), ", ".join(names) or "none"
        raise UnavailableError(
            f"the command has no host {one_line(host)}{near}; its hosts are {known}"
        )
    return found


def show_host(roll_out: RollOut, invocation: Invocation, output: Output) -> None:
    """Print a host's state and what it wrote, without its result line."""
    verdict = judge_host(invocation, roll_out)
    words = host_words(verdict, roll_out.commit.short)
    name = f"{one_line(invocation.host)} ({invocation.instance_id})"
    say(f"{name}: {words}", style=host_style(verdict))
    parts = [output.stderr if _is_result(output.stdout) else output.stdout + output.stderr]
    # If the agent lost track of the script, the invocation has the agent's reason instead.
    written = output.stdout + output.stderr
    text = printable("".join(parts) if written else invocation.output).rstrip("\n")
    for line in text.split("\n") if text else ["it wrote nothing"]:
        say_whole(f"    {line}")


def _is_result(stdout: str) -> bool:
    """Whether stdout is empty, or only the result line, which is shown in words already."""
    try:
        parse_result(stdout)
    except ResultError:
        return not stdout.strip()
    return True


def _document(run: Run, outputs: Sequence[tuple[Invocation, Output]]) -> dict[str, object]:
    short = run.roll_out.commit.short
    return {
        "target": run.roll_out.target,
        "command_id": run.command.id,
        "commit": run.roll_out.commit,
        "cause": run.roll_out.cause,
        "by": run.roll_out.by or None,
        "at": run.command.requested,
        "hosts": [
            {
                "host": one.host,
                "instance_id": one.instance_id,
                "kind": judge_host(one, run.roll_out).kind,
                "words": host_words(judge_host(one, run.roll_out), short),
                "status": one.details,
                "stdout": output.stdout,
                "stderr": output.stderr,
            }
            for one, output in outputs
        ],
    }
