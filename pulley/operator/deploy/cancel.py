"""After a cancel, send the hosts back on which the deploy had begun."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from chalicelib.core.errors import PulleyError, RefusedError
from chalicelib.core.history import Command, Run
from chalicelib.core.plan import Send
from chalicelib.core.stored import document_pin_of
from chalicelib.status.overview import Standing, Standings
from pulley.operator.stage.stage import Stage
from pulley.operator.suggest import suggest

PATIENCE = timedelta(seconds=60)  # for the script to be killed on the hosts
EVERY_SECONDS = 0.5


def wait_until_over(
    stage: Stage,
    commands: Sequence[Command],
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> bool:
    """Wait until all hosts have ended these commands. Returns False if that takes too long.

    Raises RefusedError and UnavailableError.
    """
    until = clock() + PATIENCE
    left = list(commands)
    while left:
        left = [one for one in left if not _is_over(stage, one)]
        if left and clock() > until:
            return False
        if left:
            sleep(EVERY_SECONDS)
    return True


def _is_over(stage: Stage, command: Command) -> bool:
    now = stage.history.command(command.id)
    invocations = stage.history.invocations(command.id)
    return isinstance(now, Command) and Run(now, invocations).is_settled


def send_way_back(
    stage: Stage, standing: Standing, seen: Standings
) -> Sequence[tuple[Send, str | PulleyError]]:
    """Send now what the next round would send as the way back. Returns each command's id or error.

    If somebody changed the target's pin meanwhile, nothing is sent. Raises RefusedError and
    UnavailableError if the pins cannot be read.
    """
    sends = [send for send in standing.plan.sends if send.wanted.is_way_back]
    snapshot = seen.view.snapshot
    name, pins = standing.target.name, stage.stored.pins([standing.target.name])
    if pins.by_target.get(name) != snapshot.pins.by_target.get(name):
        why = RefusedError(
            "nothing was sent: its pin or freeze was changed during the cancel; "
            f"see {suggest('status', name)}"
        )
        return [(one, why) for one in sends]
    pin, by = document_pin_of(pins), stage.identity.arn
    requests = [
        one.request(stage=stage.name, issued=snapshot.issued, document_pin=pin, by=by)
        for one in sends
    ]
    return list(zip(sends, stage.commands.send(requests), strict=True))
