"""What each function's role may do, read as IAM would read it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.iam import allows, as_list

PROJECT = Path(__file__).parents[2]
# By Chalice's names of the functions. The deployment puts in the account's number.
POLICY_FILES = {
    "api_handler": ".chalice/policy-receive-{stage}.json",
    "report_status_change": ".chalice/policy-report-{stage}.json",
    "reconcile_targets": ".chalice/policy-reconcile-{stage}.json",
    "receive_launch": ".chalice/policy-launch-{stage}.json",
}
ARN = "arn:aws:ssm:eu-central-1:000000000000:"
FUNCTION_ARN = "arn:aws:lambda:eu-central-1:000000000000:function:"
HOST_ARN = "arn:aws:ec2:eu-central-1:000000000000:instance/"


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
    """Whether one statement of a function's policy allows it: see `allows`."""
    return allows(statements(function, stage), action, arn, context)


def may_send(function: str, stage: str, document: str, host: str, tags: Mapping[str, str]) -> bool:
    """Whether the function may run a document (its ARN) on a host (its ARN) with these tags.

    SendCommand is checked on each of the two. Source: Systems Manager User Guide, "Setting up
    Run Command", on restricting access by instance tags.
    """
    context = {f"ssm:resourceTag/{key}": value for key, value in tags.items()}
    return is_allowed(function, stage, "ssm:SendCommand", document, {}) and is_allowed(
        function, stage, "ssm:SendCommand", host, context
    )


def is_call_allowed(
    function: str, stage: str, operation: str, arguments: Mapping[str, Any]
) -> bool:
    """Whether the function may make this call of Systems Manager, or Invoke of Lambda."""
    if operation == "Invoke":
        arn = FUNCTION_ARN + arguments["FunctionName"]
        return is_allowed(function, stage, "lambda:InvokeFunction", arn)
    arns = [f"{ARN}parameter{name}" for name in arguments.get("Names", [])]
    if operation == "GetParametersByPath":
        arns = [f"{ARN}parameter{arguments['Path']}"]
    if operation == "PutParameter":
        arns = [f"{ARN}parameter{arguments['Name']}"]
    if operation == "SendCommand":
        hosts = [one["Values"] for one in arguments["Targets"] if one["Key"] == "InstanceIds"]
        arns = [HOST_ARN + id_ for ids in hosts for id_ in ids]
        arns.append(f"{ARN}document/{arguments['DocumentName']}")
    arns = arns or ["*"]
    return all(is_allowed(function, stage, f"ssm:{operation}", arn) for arn in arns)
