"""What the script wrote on a host, read from SSM Run Command.

Source: AWS Systems Manager API Reference, "GetCommandInvocation".
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


@dataclass(frozen=True)
class Output:
    """What a script wrote on a host.

    AWS keeps the first 24,000 characters of stdout and the first 8,000 of stderr.
    """

    stdout: str
    stderr: str


class CommandOutput:
    """Reads outputs. Raises RefusedError or UnavailableError."""

    def __init__(self, client: "SSMClient") -> None:
        self._client = client

    def read(self, command_id: str, instance_id: str) -> Output:
        """Read what the script wrote on a host; empty if it has not begun there."""
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
