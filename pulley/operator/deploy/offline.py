"""Hosts that are asleep: Systems Manager tries to reach them for ten minutes, and nobody waits."""

from collections.abc import Container
from dataclasses import replace

from chalicelib.core.history import Run, plain_status

_NOT_DELIVERED = frozenset({"pending", "delayed"})


def without_sleepers(run: Run, asleep: Container[str]) -> Run:
    """The run as it will be if its hosts that are asleep stay so: over, once all others are.

    `asleep` are instance ids; a host that the command has reached counts, whatever it is now.
    """
    sleepers = {
        one.instance_id
        for one in run.invocations
        if plain_status(one.status) in _NOT_DELIVERED and one.instance_id in asleep
    }
    if not sleepers or not run.command.target_count:  # it may find more hosts yet
        return run
    invocations = tuple(
        replace(one, status="Failed", details="Undeliverable")
        if one.instance_id in sleepers
        else one
        for one in run.invocations
    )
    status = run.command.status if run.command.is_over else "Success"
    return Run(replace(run.command, status=status), invocations)
