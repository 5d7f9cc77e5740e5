"""What each function's role may do, read as IAM would read it."""

import fnmatch
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
# By Chalice's names of the functions. The account's number is put in where it is deployed.
POLICY_FILES = {
    "api_handler": ".chalice/policy-receive-{stage}.json",
    "report_status_change": ".chalice/policy-report-{stage}.json",
    "reconcile_targets": ".chalice/policy-reconcile-{stage}.json",
}
ARN = "arn:aws:ssm:eu-central-1:000000000000:"
HOST_ARN = "arn:aws:ec2:eu-central-1:000000000000:instance/"


def as_list(value: Any) -> list[Any]:  # noqa: ANN401 - IAM's JSON: one of a thing or a list of it
    return value if isinstance(value, list) else [value]


def policy_text(function: str, stage: str) -> str:
    return (PROJECT / POLICY_FILES[function].format(stage=stage)).read_text()


def statements(function: str, stage: str) -> list[dict[str, Any]]:
    return as_list(json.loads(policy_text(function, stage))["Statement"])


def is_allowed(
    function: str,
    stage: str,
    action: str,
    arn: str,
    context: Mapping[str, str] | None = None,
) -> bool:
    """Whether one statement allows the action on the resource.

    `context` has the condition keys of the request. Without one, conditions are let pass: where
    the host's tags are not what is asked about. An operator of conditions that is not known here
    allows nothing.
    """
    return any(
        any(
            fnmatch.fnmatchcase(action.lower(), one_action.lower())
            for one_action in as_list(one["Action"])
        )
        and any(fnmatch.fnmatchcase(arn, pattern) for pattern in as_list(one["Resource"]))
        and (context is None or _holds(one.get("Condition", {}), context))
        for one in statements(function, stage)
    )


def may_send(function: str, stage: str, document: str, host: str, tags: Mapping[str, str]) -> bool:
    """Whether the function may run a document (its ARN) on a host (its ARN) with these tags.

    SendCommand is checked on each of the two. Source: Systems Manager User Guide, "Setting up
    Run Command", on restricting access by instance tags.
    """
    context = {f"ssm:resourceTag/{key}": value for key, value in tags.items()}
    return is_allowed(function, stage, "ssm:SendCommand", document, {}) and is_allowed(
        function, stage, "ssm:SendCommand", host, context
    )


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Every operator, for each of its keys: one of the values. A key that is not there fails."""
    return all(
        operator == "StringEquals" and context.get(key) in as_list(values)
        for operator, keys in condition.items()
        for key, values in keys.items()
    )


def is_call_allowed(
    function: str, stage: str, operation: str, arguments: Mapping[str, Any]
) -> bool:
    """Whether the function may make this call of Systems Manager."""
    arns = [f"{ARN}parameter{name}" for name in arguments.get("Names", [])]
    if operation == "PutParameter":
        arns = [f"{ARN}parameter{arguments['Name']}"]
    if operation == "SendCommand":
        hosts = [one["Values"] for one in arguments["Targets"] if one["Key"] == "InstanceIds"]
        arns = [HOST_ARN + id_ for ids in hosts for id_ in ids]
        arns.append(f"{ARN}document/{arguments['DocumentName']}")
    arns = arns or ["*"]
    return all(is_allowed(function, stage, f"ssm:{operation}", arn) for arn in arns)
