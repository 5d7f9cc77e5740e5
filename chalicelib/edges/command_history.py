"""SSM Run Command's history: the commands that were sent, and each host's part of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chalicelib.core.history import (
    OVER,
    Check,
    Command,
    Invocation,
    SentCommand,
    host_name,
    parse_roll_out,
    plain_status,
)
from chalicelib.core.refs import InstanceId
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import CommandInvocationTypeDef, CommandTypeDef

PAGE = 50  # commands or invocations in one answer, at most
MAX_TRACE = 300  # characters of an agent's reason: nobody needs more
MAX_COMMANDS = 1000  # of a stage, listed unless the caller says otherwise


class CommandHistory:
    """Reads commands, which AWS keeps for 30 days. Raises RefusedError or UnavailableError."""

    def __init__(self, client: "SSMClient", document: str) -> None:
        """Commands of other documents are left out."""
        self._client = client
        self._document = document

    def command(self, command_id: str) -> Command | Check | None:
        """The command; None if it is not known (any more, or yet) or ran another document."""
        with calling("reading a command"):
            try:
                found = self._client.list_commands(CommandId=command_id)["Commands"]
            except self._client.exceptions.InvalidCommandId:
                return None
        ours = (one for one in found if one.get("DocumentName") == self._document)
        return next((_command(one) for one in ours), None)

    def commands_since(
        self, since: datetime, limit: int = MAX_COMMANDS
    ) -> Sequence[Command | Check]:
        """Commands requested at this time (aware) or later, newest first, `limit` at most."""
        pages = self._client.get_paginator("list_commands").paginate(
            Filters=[
                {"key": "DocumentName", "value": self._document},
                {"key": "InvokedAfter", "value": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"},
            ],
            PaginationConfig={"PageSize": PAGE, "MaxItems": limit},
        )
        with calling("reading the commands"):
            return [_command(one) for page in pages for one in page["Commands"]]

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        """All invocations of a command."""
        pages = self._client.get_paginator("list_command_invocations").paginate(
            CommandId=command_id, Details=True, PaginationConfig={"PageSize": PAGE}
        )
        with calling("reading what the hosts said"):
            return tuple(_invocation(one) for page in pages for one in page["CommandInvocations"])


class HostAnswers:
    """Reads how far the newest commands are on one host."""

    def __init__(self, client: "SSMClient", document: str) -> None:
        """Commands of other documents are left out."""
        self._client = client
        self._document = document

    def answers_of(self, instance: InstanceId) -> Mapping[str, bool]:
        """The newest commands of this document on a host, by id, and whether each is over there.

        At most PAGE of them. Raises RefusedError or UnavailableError.
        """
        with calling("reading what a host said"):
            answer = self._client.list_command_invocations(InstanceId=instance, MaxResults=PAGE)
            return {
                one["CommandId"]: plain_status(one["Status"]) in OVER
                for one in answer["CommandInvocations"]
                if one.get("DocumentName") == self._document
            }


def _command(found: "CommandTypeDef") -> Command | Check:
    parameters = {name: values[0] for name, values in found.get("Parameters", {}).items() if values}
    requested = found["RequestedDateTime"]
    sent = SentCommand(
        id=found["CommandId"],
        status=found["Status"],
        details=found.get("StatusDetails", ""),
        requested=requested,
        expires=found["ExpiresAfter"],
        target_count=found.get("TargetCount", 0),
        selectors=tuple(
            (one.get("Key", ""), tuple(one.get("Values", []))) for one in found.get("Targets", [])
        ),
    )
    roll_out = parse_roll_out(parameters, found.get("Comment", ""), requested=requested)
    if roll_out:
        return Command(**vars(sent), roll_out=roll_out)
    checkout, target = parameters.get("Checkout", ""), parameters.get("Target", "")
    update = parameters.get("Update", "")
    return Check(**vars(sent), checkout=checkout, target=target, update=update)


def _invocation(found: "CommandInvocationTypeDef") -> Invocation:
    step: Mapping[str, object] = next(iter(found.get("CommandPlugins", [])), {})
    ended = step.get("ResponseFinishDateTime")
    details = found.get("StatusDetails", "")
    return Invocation(
        instance_id=found["InstanceId"],
        host=host_name(found.get("InstanceName", ""), found["InstanceId"]),
        status=found["Status"],
        details=details,
        output=str(step.get("Output", "")),
        ended=ended if isinstance(ended, datetime) else None,
        is_refused=not step and plain_status(details) == "failed",
        trace=found.get("TraceOutput", "")[:MAX_TRACE],
    )
