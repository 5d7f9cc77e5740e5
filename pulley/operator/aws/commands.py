"""Run Command as an operator uses it: what Lambda's role has no need to do, and may not.

Source: AWS Systems Manager API Reference, "CancelCommand" and "GetCommandInvocation".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from chalicelib.core.history import Check, Command
from chalicelib.core.refs import Repository
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class Addressed(Protocol):
    """What commands are sent to: a target, or what is left of one."""

    @property
    def name(self) -> str:
        """Its name, which no other target of the stage has."""

    @property
    def repository(self) -> Repository:
        """What it follows."""


@dataclass(frozen=True)
class Addressee:
    """A target that commands were sent to, whether it is stored or not."""

    name: str
    repository: Repository


@dataclass(frozen=True)
class Output:
    """What a script wrote on a host: 24,000 bytes of each stream at the most."""

    stdout: str
    stderr: str


class Operations:
    """On single commands. Every method raises RefusedError or UnavailableError."""

    def __init__(self, client: "SSMClient") -> None:
        self._client = client

    def cancel(self, command_id: str) -> None:
        """Ask that a command be stopped: what is under way on hosts is killed there."""
        with calling(f"cancelling {command_id}"):
            self._client.cancel_command(CommandId=command_id)

    def output(self, command_id: str, instance_id: str) -> Output:
        """What a host wrote; nothing where it has not begun."""
        with calling(f"reading the output of {instance_id}"):
            try:
                answer = self._client.get_command_invocation(
                    CommandId=command_id, InstanceId=instance_id
                )
            except self._client.exceptions.InvocationDoesNotExist:
                return Output("", "")
        return Output(
            answer.get("StandardOutputContent", ""), answer.get("StandardErrorContent", "")
        )


def addressees_of(commands: Iterable[Command | Check]) -> tuple[Addressee, ...]:
    """Every target that the commands deploy a commit to, by its name."""
    found = {
        Addressee(one.roll_out.target, one.roll_out.repository)
        for one in commands
        if isinstance(one, Command)
    }
    return tuple(sorted(found, key=lambda one: (one.name, str(one.repository))))


def commands_to(target: Addressed, commands: Iterable[Command | Check]) -> list[Command]:
    """Those of the commands that deploy a commit to the target."""
    return [
        one
        for one in commands
        if isinstance(one, Command)
        and one.roll_out.target == target.name
        and one.roll_out.repository == target.repository
    ]


def under_way(
    target: Addressed, commands: Iterable[Command | Check], *, now: datetime
) -> list[Command]:
    """Those to the target that can still be stopped at this time (aware)."""
    return [one for one in commands_to(target, commands) if not one.is_over and now <= one.expires]
