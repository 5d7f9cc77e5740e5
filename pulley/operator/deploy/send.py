"""A deploy by an operator: sent now, by the operator's name, through the flow that pushes take."""

from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.core.decisions import Decision
from chalicelib.core.deployments import Cause
from chalicelib.core.history import Check, Command
from chalicelib.core.targets import Target
from chalicelib.core.wanted import Wanted
from chalicelib.flows.deploy import Deployer
from pulley.operator.deploy.issue_time import issue_time
from pulley.operator.stage.stage import Stage, utc_now

LONGEST_NAME = 39  # of what a command's comment has room for


@dataclass(frozen=True)
class DeployOrder:
    """A target and what it is to have."""

    target: Target
    wanted: Wanted


@dataclass(frozen=True)
class DeployOutcome:
    """An order's command id, or why there is none: words of an error, or of what holds it."""

    order: DeployOrder
    command_id: str = ""
    problem: str = ""


class Unheard:
    """The journal of a deploy by hand: what it has to say is in what it returns."""

    def note(self, decision: Decision) -> None:
        """Hear nothing."""


def send(
    stage: Stage, order: DeployOrder, sent: Iterable[Command | Check], *, cause: str = "manual"
) -> DeployOutcome:
    """Send a commit to all of a target's hosts. The report tells GitHub, once the command runs.

    It is issued after every command in `sent`, even if the clock here is behind the history's.
    The pins are read again here: a target that was pinned or frozen since is left alone. Raises
    RefusedError and UnavailableError where nothing could be read.
    """
    by = stage.identity.name[:LONGEST_NAME]
    deployer = Deployer(stage.name, stage.stored, stage.commands, None, Unheard())
    why = Cause(
        repository=order.target.repository,
        commit=order.wanted.commit,
        word=cause,
        now=issue_time(order.target.repository, sent, now=utc_now()),
        by=by,
        update="exact" if order.wanted.is_exact else "",
    )
    done = deployer.deploy([order.target], why)
    if done.sent:
        return DeployOutcome(order, command_id=done.sent[0][1])
    if done.skipped:
        return DeployOutcome(order, problem=f"it is {done.skipped[0][1]} now")
    return DeployOutcome(order, problem=done.failed[0][1].in_full)
