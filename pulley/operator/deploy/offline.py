"""Count offline hosts as not reached, because Systems Manager tries them for ten minutes."""

from collections.abc import Container
from dataclasses import replace

from chalicelib.core.history import NOT_DELIVERED, Run, plain_status


def without_sleepers(run: Run, asleep: Container[str]) -> Run:
    """The run with its offline hosts counted as undeliverable.

    So it is over when the others have ended. `asleep` are instance ids. A host that the command has
    reached counts, even if offline now.
    """
    sleepers = {
        invocation.instance_id
        for invocation in run.invocations
        if plain_status(invocation.status) in NOT_DELIVERED and invocation.instance_id in asleep
    }
    if not sleepers or not run.command.target_count:  # AWS may still add hosts
        return run
    invocations = tuple(
        replace(one, status="Failed", details="Undeliverable")
        if one.instance_id in sleepers
        else one
        for one in run.invocations
    )
    status = run.command.status if run.command.is_over else "Success"
    return Run(replace(run.command, status=status), invocations)
