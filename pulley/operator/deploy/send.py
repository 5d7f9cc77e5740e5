"""Send an operator's deploy, in the operator's name, by the same flow as a push."""

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


@dataclass(frozen=True)
class DeployOrder:
    """A target, and the commit to send to it. `reason`: why a person skips the gates, or ""."""

    target: Target
    wanted: Wanted
    reason: str = ""


@dataclass(frozen=True)
class DeployOutcome:
    """The command id of an order, or the reason why nothing was sent."""

    order: DeployOrder
    command_id: str = ""
    problem: str = ""


class SilentJournal:
    """A journal that ignores everything. The caller learns the same from return values."""

    def note(self, decision: Decision) -> None:
        """Ignore it."""


def send(
    stage: Stage, order: DeployOrder, sent: Iterable[Command | Check], *, cause: str = "manual"
) -> DeployOutcome:
    """Send a commit to all of a target's hosts. The report tells GitHub, once the command runs.

    The command is issued after every command in `sent`, even if the clock here is slow. The pins
    are read again here: if somebody pinned or froze the target meanwhile, nothing is sent. Raises
    RefusedError and UnavailableError if nothing could be read.
    """
    deployer = Deployer(stage.name, stage.stored, stage.commands, None, SilentJournal())
    why = Cause(
        repository=order.target.repository,
        commit=order.wanted.commit,
        word=cause,
        now=issue_time(order.target.repository, sent, now=utc_now()),
        by=stage.identity.arn,
        update="exact" if order.wanted.is_exact else "",
        reason=order.reason,
        tag=order.wanted.tag,
    )
    done = deployer.deploy([order.target], why)
    if done.sent:
        return DeployOutcome(order, command_id=done.sent[0][1])
    if done.skipped:
        return DeployOutcome(order, problem=f"it is {done.skipped[0][1]} now")
    return DeployOutcome(order, problem=done.failed[0][1].in_full)
