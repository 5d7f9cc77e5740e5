"""The deploys of a target: the commands that Systems Manager remembers, each with its result."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.history import Command, RollOut, Run
from chalicelib.core.status_text import status_of
from chalicelib.core.verdicts import Verdict, judge

_IN_FULL = 4_000  # characters: GitHub's lower limit does not apply here


@dataclass(frozen=True)
class Deploy:
    """A command and its own result. Later commands do not change it.

    `ended` (aware) is when its last host ended; None while it runs, or if no host ran it.
    """

    run: Run
    verdict: Verdict
    status: DeploymentStatus
    ended: datetime | None = None

    @property
    def command(self) -> Command:
        """The command."""
        return self.run.command

    @property
    def roll_out(self) -> RollOut:
        """What the command deploys."""
        return self.run.roll_out

    @property
    def at(self) -> datetime:
        """When AWS was asked to send it."""
        return self.command.requested

    @property
    def target(self) -> str:
        """The name of the target."""
        return self.roll_out.target

    @property
    def seconds(self) -> float | None:
        """From the request to the end of the last host; None without an end."""
        return (self.ended - self.at).total_seconds() if self.ended else None

    @property
    def seconds_since_push(self) -> float | None:
        """From GitHub's receipt of the push to the end of the last host, if both are known."""
        pushed = self.roll_out.pushed_at
        return (self.ended - pushed).total_seconds() if self.ended and pushed else None


def deploy_of(run: Run, *, now: datetime) -> Deploy:
    """The deploy of a command, from its invocations. `now` is aware."""
    verdict, command = judge([run], now=now).told, run.command
    ends = [command.ended_on(one) for one in run.invocations if one.has_answered]
    is_over = run.is_settled or now > command.expires
    ended = max(ends, default=None) if is_over else None
    return Deploy(run, verdict, full_status(verdict), ended)


def deploys_of(
    sent: Iterable[Command], read: Callable[[Command], Run], *, limit: int, now: datetime
) -> Sequence[Deploy]:
    """The newest deploys, newest first. Rechecks are left out, because they deploy nothing new.

    Raises what `read` does.
    """
    asked = [one for one in sent if not one.roll_out.is_recheck]
    newest = sorted(asked, key=lambda one: one.requested, reverse=True)[:limit]
    return [deploy_of(read(one), now=now) for one in newest]


def full_status(verdict: Verdict) -> DeploymentStatus:
    """A command's state and description, with every host that failed."""
    return status_of(verdict, limit=_IN_FULL)


def deploy_facts(deploy: Deploy, subject: str) -> dict[str, object]:
    """A deploy's facts, for the JSON of `pulley history`."""
    return {
        "kind": "command",
        "at": deploy.at,
        "target": deploy.target,
        "commit": deploy.roll_out.commit,
        "subject": subject or None,
        "cause": deploy.roll_out.cause,
        "by": deploy.roll_out.by or None,
        "arn": deploy.roll_out.arn or None,
        "attempt": deploy.roll_out.attempt or None,
        "update": deploy.roll_out.update,
        "command_id": deploy.command.id,
        "state": deploy.status.state,
        "description": deploy.status.description,
        "ended": deploy.ended,
        "seconds": deploy.seconds,
        "seconds_since_push": deploy.seconds_since_push,
    }
