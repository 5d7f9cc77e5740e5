"""Calls to Run Command that Lambda does not need, and may not make.

Source: AWS Systems Manager API Reference, "CancelCommand".
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
    """The target of commands: a stored target, or one that is not stored any more."""

    @property
    def name(self) -> str:
        """The target's name, which is unique in the stage."""

    @property
    def repository(self) -> Repository:
        """The repository that the target follows."""


@dataclass(frozen=True)
class Addressee:
    """A target that commands were sent to, whether it is stored or not."""

    name: str
    repository: Repository


class Operations:
    """Operations on single commands. Every method raises RefusedError or UnavailableError."""

    def __init__(self, client: "SSMClient") -> None:
        self._client = client

    def cancel(self, command_id: str) -> None:
        """Cancel a command. The script is killed on the hosts on which it runs."""
        with calling(f"cancelling {command_id}"):
            self._client.cancel_command(CommandId=command_id)


def addressees_of(commands: Iterable[Command | Check]) -> tuple[Addressee, ...]:
    """The targets of the commands, sorted by name. Checks do not count."""
    found = {
        Addressee(command.roll_out.target, command.roll_out.repository)
        for command in commands
        if isinstance(command, Command)
    }
    return tuple(sorted(found, key=lambda one: (one.name, str(one.repository))))


def commands_to(target: Addressed, commands: Iterable[Command | Check]) -> list[Command]:
    """The commands that deploy a commit to the target. Checks are left out."""
    return [
        command
        for command in commands
        if isinstance(command, Command)
        and command.roll_out.target == target.name
        and command.roll_out.repository == target.repository
    ]


def under_way(
    target: Addressed, commands: Iterable[Command | Check], *, now: datetime
) -> list[Command]:
    """The commands to the target that can still be cancelled. `now` is aware."""
    return [one for one in commands_to(target, commands) if not one.is_over and now <= one.expires]
