"""Commands and invocations as Systems Manager remembers them.

A status only says where to look: the hosts' result lines say what runs. Facts: Systems Manager
User Guide, "Understanding command statuses".
"""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.commands import DEPLOYING, parse_time
from chalicelib.core.hosts import Host
from chalicelib.core.old_comments import parse_comment
from chalicelib.core.refs import CommitSha, RefError, Repository
from chalicelib.core.targets import NAME_PATTERN, stops_at_commit

REMEMBERED = timedelta(days=30)  # how long Systems Manager keeps commands
CLOCKS_APART = timedelta(minutes=5)  # the most that another clock may differ from AWS's

OVER = frozenset({"success", "failed", "timedout", "cancelled"})
# A host that waits for its turn, or to come online.
NOT_DELIVERED = frozenset({"pending", "delayed"})
# Status details of invocations whose script never began; the reason, if that is a failure.
NEVER_BEGUN = {
    "deliverytimedout": "",
    "undeliverable": "",
    "terminated": "",
    "accessdenied": "Systems Manager may not run commands on it",
    "invalidplatform": "it does not run Linux",
    "ratelimited": "Systems Manager's limits were reached",
    "rateexceeded": "Systems Manager's limits were reached",
    "limitexceeded": "it has too many commands under way",
}
_HOST_NAME = re.compile("[A-Za-z0-9_-]{1,63}")


def plain_status(text: str) -> str:
    """A status for comparison: AWS writes some with spaces in one API and without in another."""
    return text.replace(" ", "").lower()


@dataclass(frozen=True)
class Invocation:
    """A command on one host, whose name is `host`. `ended` is when the script ended, if it ran.

    `is_refused`: the agent got the document and ran no step of it, for example because a parameter
    does not match its pattern. `trace` is then the agent's own reason.
    """

    instance_id: str
    host: str
    status: str
    details: str
    output: str = ""
    ended: datetime | None = None
    is_refused: bool = False
    trace: str = ""

    @property
    def is_over(self) -> bool:
        """Whether its status will not change any more."""
        return plain_status(self.status) in OVER

    @property
    def refusal(self) -> str:
        """Why the agent refused the document, as text; "" if it did not."""
        reason = self.trace or "it does not say why"
        return f"its SSM agent refused the document: {reason}" if self.is_refused else ""

    @property
    def has_answered(self) -> bool:
        """Whether it began on the host and has ended, so that its result counts."""
        return self.is_over and self.has_begun

    @property
    def has_begun(self) -> bool:
        """Whether the script has begun on the host, or may still begin."""
        if self.is_refused:
            return False
        details = plain_status(self.details)
        return details not in NEVER_BEGUN and (details != "cancelled" or self.ended is not None)


@dataclass(frozen=True)
class RollOut:
    """What a command deploys: a commit, to a target, by an `update`.

    `issued` is in epoch milliseconds. `deployment` is the id on GitHub, if one existed when the
    command was sent. `pushed_at` (UTC) is when GitHub received the push. `attempt` counts from 1 if
    a round sent the command to a host that was not at the commit; otherwise it is 0. `by` is who
    pushed or deployed, if known, `arn` an operator's. `branch` is a branch's name, or a tag's.
    `saved` is the target's setting at that time; older releases' commands mean "keep".
    """

    target: str
    repository: Repository
    commit: CommitSha
    issued: int
    cause: str
    delivery: str
    deployment: int | None
    timeout: str
    pushed_at: datetime | None
    update: str = "rebase"
    attempt: int = 0
    by: str = ""
    arn: str = ""
    checkout: str = ""
    saved: str = "keep"
    branch: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether it brings hosts to the commit of a pin, or back to a good one."""
        return self.update == "exact"

    @property
    def stops_at_commit(self) -> bool:
        """Whether hosts go to this commit and not past it, by a pin or by gates."""
        return stops_at_commit(self.update)

    @property
    def is_recheck(self) -> bool:
        """Whether a round sent it to hosts whose last observation was at the commit."""
        return self.cause == "reconcile" and not self.attempt


@dataclass(frozen=True)
class SentCommand:
    """One SendCommand of the stage's document, as Systems Manager remembers it."""

    id: str
    status: str
    details: str
    requested: datetime
    expires: datetime
    target_count: int
    selectors: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), kw_only=True)

    @property
    def is_over(self) -> bool:
        """Whether its status will not change any more."""
        return plain_status(self.status) in OVER

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody cancelled it. It stays "Cancelling" if a host never reports its end."""
        return plain_status(self.details) in {"cancelled", "cancelling"}

    def ended_on(self, invocation: Invocation) -> datetime:
        """When the command ended on a host, by the host's clock, which may be wrong.

        So the time is clamped to the time between the command's request and its expiry.
        """
        ended = invocation.ended or self.requested
        return min(max(ended, self.requested), self.expires)

    def may_reach(self, host: Host) -> bool:
        """Whether its selectors (SSM's Targets) fit a host, by the tags that it has now."""
        return all(_fits(host, key, values) for key, values in self.selectors)


@dataclass(frozen=True)
class Command(SentCommand):
    """A command that deploys a commit."""

    roll_out: RollOut


@dataclass(frozen=True)
class Check(SentCommand):
    """A command that deploys no named commit. `target` is the name of its target.

    `update` is what it does: "check", or "saved" and "drop", which do not look where a host is.
    """

    checkout: str = ""
    target: str = ""
    update: str = "check"


@dataclass(frozen=True)
class Run:
    """A command that deploys a commit, with its invocations: all of them."""

    command: Command
    invocations: tuple[Invocation, ...]

    @property
    def roll_out(self) -> RollOut:
        """What the command deploys."""
        return self.command.roll_out

    @property
    def is_settled(self) -> bool:
        """Whether the command is over and every host's result is there.

        AWS may say that the command is over before it has every result.
        """
        return (
            self.command.is_over
            and len(self.invocations) >= self.command.target_count
            and all(invocation.is_over for invocation in self.invocations)
        )

    def on(self, hosts: Container[str]) -> "Run":
        """The same, with the invocations on these hosts alone."""
        there = tuple(one for one in self.invocations if one.instance_id in hosts)
        return replace(self, invocations=there)


@dataclass(frozen=True)
class Look:
    """A check, with its invocations."""

    check: Check
    invocations: tuple[Invocation, ...]


def age(command: Command | Check) -> tuple[int, datetime, str]:
    """The key by which commands are sorted: the time when they were issued comes first."""
    return issued_of(command), command.requested, command.id


def issued_of(command: Command | Check) -> int:
    """When it was issued, in epoch milliseconds. A host takes the newer of two commands.

    Hosts do not compare the times of checks, so a check's time is by AWS's clock, not the sender's.
    """
    if isinstance(command, Command):
        return command.roll_out.issued
    return int(command.requested.timestamp() * 1000)


def _fits(host: Host, key: str, values: Container[str]) -> bool:
    if key == "InstanceIds":
        return host.instance_id in values
    return not key.startswith("tag:") or host.tags.get(key.removeprefix("tag:")) in values


def served_by(commands: Iterable[Command]) -> frozenset[int]:
    """The ids of the deployments for which these commands were sent."""
    ids = (one.roll_out.deployment for one in commands)
    return frozenset(one for one in ids if one is not None)


def host_name(full_name: str, instance_id: str) -> str:
    """A host's name up to a dot; the instance id if GitHub's line would be misread with it."""
    name = full_name.partition(".")[0]
    return name if _HOST_NAME.fullmatch(name) else instance_id


def parse_roll_out(
    parameters: Mapping[str, str], comment: str, *, requested: datetime
) -> RollOut | None:
    """Parse a command that was sent at `requested` (aware); None if it deploys no named commit."""
    try:
        repository = Repository.parse(parameters.get("Repository", ""))
        commit = CommitSha.parse(parameters.get("Commit", ""))
    except RefError:
        return None
    target, deployment = parameters.get("Target", ""), parameters.get("Deployment", "")
    update = parameters.get("Update", "rebase")
    if update not in DEPLOYING or not re.fullmatch(NAME_PATTERN, target):
        return None
    pushed_at, attempt, by = _cause_of(parameters) or parse_comment(comment)
    return RollOut(
        target=target,
        repository=repository,
        commit=commit,
        issued=parse_issued(parameters, requested=requested),
        cause=parameters.get("Cause", ""),
        delivery=parameters.get("Delivery", ""),
        deployment=int(deployment) if re.fullmatch("[0-9]{1,20}", deployment) else None,
        timeout=parameters.get("Timeout", ""),
        update=update,
        checkout=parameters.get("Checkout", ""),
        saved=parameters.get("Saved") or "keep",
        branch=parameters.get("Branch", ""),
        pushed_at=pushed_at,
        attempt=attempt,
        by=by.rpartition("/")[2],
        arn=by if "/" in by else "",
    )


def _cause_of(parameters: Mapping[str, str]) -> tuple[datetime | None, int, str] | None:
    if "Attempt" not in parameters:
        return None
    attempt = parameters["Attempt"]
    return (
        parse_time(parameters.get("PushedAt", "")),
        int(attempt) if re.fullmatch("[1-9]", attempt) else 0,
        parameters.get("By", ""),
    )


def parse_issued(parameters: Mapping[str, str], *, requested: datetime) -> int:
    """Epoch milliseconds by the sender's clock, but not after AWS was asked; 0 if not known."""
    issued = parameters.get("Issued", "")
    newest = int((requested + CLOCKS_APART).timestamp() * 1000)
    return min(int(issued), newest) if re.fullmatch("[0-9]{1,15}", issued) else 0
