"""Find the CloudFormation stack that has a stage's functions, and delete it.

A stack that has more than Pulley's template makes is somebody's own: it is left alone, and named.

Source: AWS CloudFormation API Reference, "DescribeStackResources" and "DeleteStack".
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from chalicelib.core.errors import RefusedError
from chalicelib.edges.aws import calling
from pulley.operator.uninstall.clients import Clients, unless
from pulley.operator.uninstall.found import Found, Left, Removal

STACK = "stack"
FUNCTION, DOCUMENT = "AWS::Lambda::Function", "AWS::SSM::Document"
QUEUE, ALARM, LOGS = "AWS::SQS::Queue", "AWS::CloudWatch::Alarm", "AWS::Logs::LogGroup"
# The types that the template has: Chalice's, as SAM makes them, and Pulley's own.
OUR_TYPES = frozenset(
    {
        FUNCTION,
        DOCUMENT,
        "AWS::Lambda::Permission",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::IAM::Role",
        "AWS::Events::Rule",
        "AWS::ApiGateway::RestApi",
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::Stage",
        QUEUE,
        ALARM,
        LOGS,
    }
)
ALARMS = ("server-errors", "failed-events", "silent-rounds")
_NO_STACK = "ValidationError"
# A stack that was deleted is still found for 90 days, also by what it was told to keep.
_DELETED = frozenset({"DELETE_COMPLETE", "DELETE_SKIPPED"})
_POLL_SECONDS, _POLLS = 5, 240  # 20 minutes


@dataclass(frozen=True)
class Stack:
    """A stack. `ids` are the physical ids of its resources, `foreign` those that are not ours."""

    name: str
    id: str
    ids: frozenset[str]
    foreign: tuple[str, ...]


def find_stack(clients: Clients, functions: tuple[str, ...], document: str) -> Stack | None:
    """The stack that has one of the functions or the document; None without one.

    Raises RefusedError and UnavailableError.
    """
    wanted = {**dict.fromkeys(functions, FUNCTION), document: DOCUMENT}
    for name, kind in wanted.items():
        ask = partial(clients.stacks.describe_stack_resources, PhysicalResourceId=name)
        with calling(f"looking for a stack that has {name}"):
            answer = unless({_NO_STACK}, ask) or {"StackResources": []}
            there = [
                one
                for one in answer["StackResources"]
                if one["ResourceStatus"] not in _DELETED and one.get("PhysicalResourceId")
            ]
            ids = {one["PhysicalResourceId"]: one["ResourceType"] for one in there}
            if ids.get(name) == kind:
                ours = names_of(functions, document)
                foreign = [one for one in there if not _is_ours(one, ours)]
                return Stack(
                    name=there[0]["StackName"],
                    id=there[0]["StackId"],
                    ids=frozenset(ids),
                    foreign=tuple(
                        f"{one['LogicalResourceId']} ({one['ResourceType']})" for one in foreign
                    ),
                )
    return None


def names_of(functions: Sequence[str], document: str) -> Mapping[str, Collection[str]]:
    """The names of what Pulley's template names, by type; the webhook's function is the first."""
    return {
        FUNCTION: functions,
        DOCUMENT: (document,),
        QUEUE: (f"{functions[0]}-failed-events",),
        ALARM: [f"{functions[0]}-{one}" for one in ALARMS],
        LOGS: [f"/aws/lambda/{one}" for one in functions],
    }


def _is_ours(resource: Mapping[str, str], ours: Mapping[str, Collection[str]]) -> bool:
    """Whether Pulley's template may have made the resource."""
    kind, name = resource["ResourceType"], resource["PhysicalResourceId"]
    if kind == QUEUE:  # its id is its URL
        name = name.rpartition("/")[2]
    return kind in OUR_TYPES and (kind not in ours or name in ours[kind])


def removal_of(
    clients: Clients, stack: Stack, foreign: Mapping[str, str] = MappingProxyType({})
) -> Found:
    """What to do with the stack. `foreign` says which functions are another stage's, and why."""
    others = [f"{name}: {why}" for name, why in foreign.items() if name in stack.ids]
    if others:
        how = f"aws cloudformation delete-stack --stack-name {stack.name}"
        return Found(left=(Left(STACK, stack.name, "; ".join(others), how),))
    if stack.foreign:
        why = f"it has more than Pulley's template: {', '.join(stack.foreign)}"
        how = "take Pulley's resources out of its template, deploy it, and run this again"
        return Found(left=(Left(STACK, stack.name, why, how),))
    why = f"CloudFormation deletes its {len(stack.ids)} resources"
    return Found((Removal(STACK, stack.name, why, remove=partial(_delete, clients, stack)),))


def _delete(clients: Clients, stack: Stack) -> None:
    """Delete the stack, and wait until it is gone. Raises RefusedError and UnavailableError."""
    from botocore.exceptions import WaiterError

    with calling(f"deleting the stack {stack.name}"):
        clients.stacks.delete_stack(StackName=stack.id)
        try:
            clients.stacks.get_waiter("stack_delete_complete").wait(
                StackName=stack.id,
                WaiterConfig={"Delay": _POLL_SECONDS, "MaxAttempts": _POLLS},
            )
        except WaiterError as error:
            last: Any = error.last_response
            shown = (last.get("Stacks") or [{}])[0]
            why = shown.get("StackStatusReason") or shown.get("StackStatus") or str(error)
            raise RefusedError(
                f"CloudFormation has not deleted the stack {stack.name}", detail=why
            ) from None
