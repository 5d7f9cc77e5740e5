"""`pulley simulate`: say what a delivery would do, without doing it."""

from typing import BinaryIO

import click

from chalicelib.core.webhook import MAX_BODY_BYTES
from pulley.cli.group import NOT_WELL
from pulley.cli.options import FileType, json_option, stage_command
from pulley.cli.output import say, say_json
from pulley.cli.table import say_values
from pulley.operator.simulation import SimulatedTarget, Simulation, selectors
from pulley.operator.simulation import simulate as decide
from pulley.operator.stage.stage import Stage, utc_now

_NOT_SHOWN = {"Issued", "Delivery", "Deployment"}  # different in each run


@stage_command
@click.argument("payload", type=FileType("rb"), metavar="PAYLOAD.json")
@click.option(
    "--event", default="push", show_default=True, metavar="NAME", help="X-GitHub-Event's value."
)
@json_option
def simulate(stage: Stage, payload: BinaryIO, event: str, *, as_json: bool) -> None:
    """Say what the webhook would do with a delivery, and why.

    PAYLOAD.json is a delivery's payload, as GitHub shows it under the webhook's Recent Deliveries;
    - reads it from stdin. The command signs the payload with the stored secret, and runs Lambda's
    code on it with the settings that are stored now. It sends nothing, and tells GitHub nothing. It
    exits with 0 if the answer would be a success, else with 3.
    """
    body = payload.read(MAX_BODY_BYTES + 1)
    found = decide(stage, body, event, now=utc_now())
    if as_json:
        say_json(_document(stage, found))
    else:
        _say(found)
    if not found.is_well:
        raise click.exceptions.Exit(NOT_WELL)


def _say(found: Simulation) -> None:
    say(f"repository   {found.repository or 'none that can be read in the payload'}")
    say(f"secret       {found.secret_parameter or 'not chosen: the delivery was refused first'}")
    say(f"event        {found.event}")
    if found.ref:
        say(f"ref          {found.ref}")
    if found.commit:
        say(f"commit       {found.commit}")
    for target in found.targets:
        _say_target(target, found)
    say("")
    say(f"The webhook would answer {found.status}:", style="green" if found.is_well else "red")
    for name, value in found.body.items():
        if name in {"error", "ignored"}:
            say(f"  {value}")
    if found.detail:
        say(f"  {found.detail}")
    if found.commands:
        say(f"  and send {_commands(found.commands)}.")


def _say_target(one: SimulatedTarget, found: Simulation) -> None:
    say("")
    say(f"target {one.target.name}", style="bold")
    if not one.follows:
        say(f"  does not follow it: it follows {one.target.line}, and this is {found.ref}")
        return
    say(f"  follows it, as it follows {one.target.line}")
    say(f"  pin: {one.pin or 'none'}")
    if one.target.is_decided_by_rounds:
        is_woken = one.target.is_woken_by_pushes
        then = "a round decides, and is started at once" if is_woken else "a push starts nothing"
        say(f"  it waits for {one.target.waits_for}; {then}")
    if one.is_announced:
        said = f", which says at once: {one.said.state}, {one.said.description}" if one.said else ""
        say(f"  on GitHub: a deployment to {one.target.environment}{said}")
    if one.request is None:
        say("  no command")
        return
    pin = one.request.document_pin
    version = f"version {pin.version}" if pin else "its default version: none is pinned"
    say(f"  a command: the document {one.request.document}, {version}")
    say(f"  to: {'; '.join(f'{key} = {text}' for key, text in selectors(one.request).items())}")
    online = [host.name for host in one.hosts if host.is_online]
    offline = [host.name for host in one.hosts if not host.is_online]
    say(f"  hosts online:  {', '.join(online) or 'none'}")
    say(f"  hosts offline: {', '.join(offline) or 'none'}")
    request = one.request
    say(f"  at once: {request.max_concurrency}; stops after more than {request.max_errors} failed")
    shown = {name: one for name, one in request.parameters.items() if name not in _NOT_SHOWN}
    say_values({f"  {name}": value or "-" for name, value in shown.items()})


def _commands(count: int) -> str:
    return "1 command" if count == 1 else f"{count} commands"


def _document(stage: Stage, found: Simulation) -> dict[str, object]:
    return {
        "stage": stage.name,
        "status": found.status,
        "body": found.body,
        "detail": found.detail or None,
        "event": found.event,
        "repository": str(found.repository) if found.repository else None,
        "secret_parameter": found.secret_parameter or None,
        "ref": found.ref or None,
        "commit": found.commit or None,
        "targets": [_target_document(target) for target in found.targets],
    }


def _target_document(one: SimulatedTarget) -> dict[str, object]:
    return {
        "target": one.target.name,
        "branch": one.target.branch.name if one.target.branch else None,
        "tag": one.target.tag.pattern if one.target.tag else None,
        "follows": one.follows,
        "pin": one.pin or None,
        "waits_for": one.target.waits_for or None,
        "announced": one.is_announced,
        "said": one.said,
        "command": one.request,
        "hosts": [
            {"name": host.name, "instance_id": host.instance_id, "online": host.is_online}
            for host in one.hosts
        ],
    }
