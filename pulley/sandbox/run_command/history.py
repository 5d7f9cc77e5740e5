"""The reading half of Run Command: commands, invocations and instances as the API shows them.

Each function takes the operation's input and the commands, and returns the operation's output.
Nothing here changes anything. Times are seconds since the epoch, as in the API's JSON.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from pulley.sandbox.run_command.commands import EmulatedCommand, EmulatedInvocation
from pulley.sandbox.run_command.inventory import Instance
from pulley.sandbox.run_command.send_request import ApiError
from pulley.sandbox.run_command.statuses import DELIVERY_TIMED_OUT, Status, StepResult

Output = dict[str, Any]
Body = Mapping[str, Any]
Row = TypeVar("Row")

_PAGE = 50
_STDERR_CHARACTERS = 8_000  # of GetCommandInvocation; the agent keeps more
_FILTERS = frozenset({"InvokedAfter", "InvokedBefore", "Status", "DocumentName"})
_STAGE = "ExecutionStage"


def list_commands(body: Body, commands: Sequence[EmulatedCommand]) -> Output:
    """ListCommands, newest first."""
    filters = _parse_filters(body, _FILTERS | {_STAGE})
    instance_id = body.get("InstanceId")
    rows = [
        command
        for command in _chosen(body, commands)
        if _passes(filters, command, command.status)
        and (instance_id is None or command.invocation(instance_id))
    ]
    return _page(body, rows, "Commands", show_command)


def list_command_invocations(body: Body, commands: Sequence[EmulatedCommand]) -> Output:
    """ListCommandInvocations, the newest command's first. Steps only with `Details`."""
    filters = _parse_filters(body, _FILTERS)
    instance_id = body.get("InstanceId")
    rows = [
        (command, one)
        for command in _chosen(body, commands)
        for one in command.invocations
        if (instance_id is None or one.instance_id == instance_id)
        and _passes(filters, command, one.status)
    ]
    details = bool(body.get("Details"))

    def show(row: tuple[EmulatedCommand, EmulatedInvocation]) -> Output:
        return _show_invocation(*row, details=details)

    return _page(body, rows, "CommandInvocations", show)


def get_command_invocation(body: Body, commands: Sequence[EmulatedCommand]) -> Output:
    """GetCommandInvocation: one step's output: of stdout what the agent keeps, of stderr less."""
    command = next((one for one in commands if one.id == body["CommandId"]), None)
    invocation = command.invocation(body["InstanceId"]) if command else None
    if command is None or invocation is None:
        raise ApiError("InvocationDoesNotExist")
    steps = [step.name for step in command.document.steps]
    # API reference, "GetCommandInvocation": with several steps, one must be named.
    name = body.get("PluginName", steps[0] if len(steps) == 1 else "")
    if name not in steps:
        raise ApiError("InvalidPluginName")
    result = next((one for one in invocation.results if one.name == name), None)
    status = result.status if result and "PluginName" in body else invocation.status
    shown = {
        "CommandId": command.id,
        "InstanceId": invocation.instance_id,
        "Comment": command.request.comment,
        "DocumentName": command.request.document,
        "DocumentVersion": command.request.document_version,
        "PluginName": name,
        "ResponseCode": result.exit_code if result else -1,
        "Status": status.name,
        "StatusDetails": status.details,
        "StandardOutputContent": result.stdout.decode(errors="replace") if result else "",
        "StandardErrorContent": _first(result.stderr, _STDERR_CHARACTERS) if result else "",
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
    }
    if result:
        seconds = (result.finished - result.started).total_seconds()
        shown |= {
            "ExecutionStartDateTime": _iso(result.started),
            "ExecutionEndDateTime": _iso(result.finished),
            "ExecutionElapsedTime": f"PT{seconds:.3f}S",
        }
    return shown


def _first(stream: bytes, characters: int) -> str:
    return stream.decode(errors="replace")[:characters]


def describe_instance_information(body: Body, instances: Sequence[Instance]) -> Output:
    """DescribeInstanceInformation: running instances, asleep or not. No tags in the answer."""
    filters = {one["Key"]: one["Values"] for one in body.get("Filters") or ()}
    filters |= {
        one["key"]: one["valueSet"] for one in body.get("InstanceInformationFilterList") or ()
    }
    rows = [
        one
        for one in instances
        if one.state == "running"
        and all(_instance_has(one, key, values) for key, values in filters.items())
    ]
    return _page(body, rows, "InstanceInformationList", _show_instance)


def show_command(command: EmulatedCommand) -> Output:
    """Show a command as SendCommand and ListCommands do."""
    request = command.request
    return {
        "CommandId": command.id,
        "DocumentName": request.document,
        "DocumentVersion": request.document_version,
        "Comment": request.comment,
        "ExpiresAfter": command.expires_after.timestamp(),
        "Parameters": {name: list(values) for name, values in request.parameters.items()},
        "InstanceIds": list(request.instance_ids),
        "Targets": [{"Key": one.key, "Values": list(one.values)} for one in request.selectors],
        "RequestedDateTime": command.requested.timestamp(),
        "Status": command.status.name,
        "StatusDetails": command.status.details,
        "MaxConcurrency": request.max_concurrency,
        "MaxErrors": request.max_errors,
        "TargetCount": len(command.invocations),
        "CompletedCount": command.completed_count,
        "ErrorCount": command.error_count,
        "DeliveryTimedOutCount": command.count(DELIVERY_TIMED_OUT),
        "TimeoutSeconds": request.timeout_seconds,
        **request.echoed,
    }


def _show_invocation(
    command: EmulatedCommand, invocation: EmulatedInvocation, *, details: bool
) -> Output:
    return {
        "CommandId": command.id,
        "InstanceId": invocation.instance_id,
        "InstanceName": invocation.instance_name,
        "Comment": command.request.comment,
        "DocumentName": command.request.document,
        "DocumentVersion": command.request.document_version,
        "RequestedDateTime": command.requested.timestamp(),
        "Status": invocation.status.name,
        "StatusDetails": invocation.status.details,
        "TraceOutput": invocation.trace,
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
        "CommandPlugins": [_show_step(one) for one in invocation.results] if details else [],
    }


def _show_step(result: StepResult) -> Output:
    return {
        "Name": result.name,
        "Status": result.status.name,
        "StatusDetails": result.status.details,
        "ResponseCode": result.exit_code,
        "ResponseStartDateTime": result.started.timestamp(),
        "ResponseFinishDateTime": result.finished.timestamp(),
        "Output": result.output,
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
    }


def _show_instance(instance: Instance) -> Output:
    host = instance.host
    return {
        "InstanceId": host.instance_id,
        "PingStatus": _ping(instance),
        "LastPingDateTime": host.last_ping.timestamp(),
        "AgentVersion": host.agent_version,
        "PlatformType": "Linux",
        "ResourceType": "EC2Instance",
        "ComputerName": host.name,
    }


def _ping(instance: Instance) -> str:
    return "ConnectionLost" if instance.host.asleep else "Online"


def _instance_has(instance: Instance, key: str, values: Sequence[str]) -> bool:
    if key == "tag-key":
        return any(value in instance.tags for value in values)
    if key.startswith("tag:"):
        return instance.tags.get(key.removeprefix("tag:")) in values
    facts = {
        "InstanceIds": instance.host.instance_id,
        "PingStatus": _ping(instance),
        "AgentVersion": instance.host.agent_version,
        "PlatformTypes": "Linux",
        "ResourceType": "EC2Instance",
    }
    if key not in facts:
        raise ApiError("InvalidFilterKey")
    return facts[key] in values


def _chosen(body: Body, commands: Sequence[EmulatedCommand]) -> list[EmulatedCommand]:
    """The commands that match a `CommandId`, if it is given; none if nobody sent it."""
    command_id = body.get("CommandId")
    if command_id is None:
        return list(commands)
    try:
        uuid.UUID(command_id)
    except ValueError:
        raise ApiError("InvalidCommandId") from None
    return [command for command in commands if command.id == command_id]


def _parse_filters(body: Body, known: frozenset[str]) -> dict[str, str]:
    filters = {one["key"]: one["value"] for one in body.get("Filters") or ()}
    if not filters.keys() <= known:
        raise ApiError("InvalidFilterKey")
    return filters


def _passes(filters: Mapping[str, str], command: EmulatedCommand, status: Status) -> bool:
    for key, value in filters.items():
        if key == "InvokedAfter":
            fits = command.requested >= _parse_time(value)
        elif key == "InvokedBefore":
            fits = command.requested <= _parse_time(value)
        elif key == "Status":
            fits = value in {status.name, status.details}
        elif key == _STAGE:
            fits = (value == "Complete") == status.terminal
        else:
            fits = value == command.request.document
        if not fits:
            return False
    return True


def _parse_time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError("ValidationException", f"Not a timestamp: {text}") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _page(body: Body, rows: Sequence[Row], name: str, show: Callable[[Row], Output]) -> Output:
    token = body.get("NextToken") or "0"
    if not token.isdecimal() or int(token) > len(rows):
        raise ApiError("InvalidNextToken")
    start, size = int(token), body.get("MaxResults", _PAGE)
    answer: Output = {name: [show(row) for row in rows[start : start + size]]}
    if start + size < len(rows):
        answer["NextToken"] = str(start + size)
    return answer


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
