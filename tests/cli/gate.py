"""An IAM in front of the sandbox's AWS, which has none: it judges each call of a command."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.hooks import BaseEventHooks
from botocore.model import OperationModel

from pulley.operator.people.refusals import explain_refusals
from pulley.sandbox.sandbox import Sandbox
from tests.iam import allows, as_list

FREE = {"sts:GetCallerIdentity"}  # AWS asks no permission for it
ME = "arn:aws:sts::123456789012:assumed-role/ops/mona"
# Their resource is everything. Source: Service Authorization Reference.
_ON_EVERYTHING = {
    *("ssm:DescribeParameters", "ssm:DescribeInstanceInformation", "ssm:ListCommands"),
    *("ssm:ListCommandInvocations", "ssm:GetCommandInvocation", "ssm:CancelCommand"),
    *("ec2:DescribeInstances", "events:ListRuleNamesByTarget"),
    *("ec2:DescribeRegions", "iam:ListPolicies"),
    *("autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeLifecycleHooks"),
}


@dataclass(frozen=True)
class Access:
    """What IAM is asked: an action on a resource, which may have tags."""

    action: str
    arn: str
    tags: tuple[tuple[str, str], ...] = ()

    def is_allowed_by(self, statements: Sequence[Mapping[str, Any]]) -> bool:
        context = {f"ssm:resourceTag/{key}": value for key, value in self.tags}
        return allows(statements, self.action, self.arn, context)


@dataclass
class Gate:
    """Refuses what a policy does not allow, and keeps what was asked.

    Without a policy nothing is refused. `before_write` is called with the arguments of each
    PutParameter.
    """

    sandbox: Sandbox
    policy: Mapping[str, Any] | None = None
    asked: set[Access] = field(default_factory=set)
    refused: list[Access] = field(default_factory=list)
    before_write: Callable[[Mapping[str, Any]], None] | None = None

    @property
    def actions(self) -> set[str]:
        return {one.action for one in self.asked}

    @contextmanager
    def of(self, policy: Mapping[str, Any] | None) -> Iterator[set[Access]]:
        """Judge by this policy. Gives what is asked meanwhile."""
        before = self.policy, self.asked, self.refused
        self.policy, self.asked, self.refused = policy, set(), []
        try:
            yield self.asked
        finally:
            self.policy, self.asked, self.refused = before

    def attach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """See the calls of every stage's session. The sandbox has sessions of its own."""

        def made(events: BaseEventHooks, name: str) -> None:
            explain_refusals(events, name)
            events.register("before-parameter-build", self._keep)
            # By the stubs a handler returns nothing, but it may return an answer.
            events.register("before-call", cast("Callable[..., None]", self._judge))

        monkeypatch.setattr("pulley.operator.stage.stage.explain_refusals", made)
        # No session with these handlers is left to the tests that come after.
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)

    def _keep(self, params: Mapping[str, Any], context: dict[str, Any], **_: object) -> None:
        context["gate"] = dict(params)

    def _judge(
        self, model: OperationModel, context: Mapping[str, Any], **_: object
    ) -> tuple[object, dict[str, Any]] | None:
        action = f"{model.service_model.signing_name}:{model.name}"
        if action.startswith("apigateway:"):  # its actions are HTTP's methods
            action = f"apigateway:{model.http['method']}"
        if action in FREE:
            return None
        asked = context["gate"]
        if action == "ssm:PutParameter" and self.before_write:
            self.before_write(asked)
        accesses = list(self._accesses(action, asked))
        self.asked.update(accesses)
        statements = None if self.policy is None else as_list(self.policy["Statement"])
        for one in accesses:
            if statements is not None and not one.is_allowed_by(statements):
                self.refused.append(one)
                return SimpleNamespace(status_code=400), _refusal(one)
        return None

    def _accesses(self, action: str, asked: Mapping[str, Any]) -> Iterator[Access]:
        service, operation = action.split(":")
        if action in _ON_EVERYTHING:
            yield Access(action, "*")
            return
        if operation == "SendCommand":
            yield from self._hosts(action, asked["Targets"])
        region = "" if service == "iam" else self.sandbox.account.region
        at = f"arn:aws:{service}:{region}:{self.sandbox.account.id}:"
        yield from (
            Access(action, one if one.startswith("arn:") else f"{at}{one}")
            for one in _resources(service, operation, asked)
        )

    def _hosts(self, action: str, targets: Sequence[Mapping[str, Any]]) -> Iterator[Access]:
        region, account = self.sandbox.account.region, self.sandbox.account.id
        wanted = {one["Key"]: set(one["Values"]) for one in targets}
        ids = wanted.pop("InstanceIds", None)
        answer = self.sandbox.account.ec2.describe_instances()
        for instance in (one for each in answer["Reservations"] for one in each["Instances"]):
            tags = {one["Key"]: one["Value"] for one in instance.get("Tags", [])}
            is_meant = instance["InstanceId"] in ids if ids else True
            if is_meant and all(tags.get(key[4:]) in values for key, values in wanted.items()):
                arn = f"arn:aws:ec2:{region}:{account}:instance/{instance['InstanceId']}"
                yield Access(action, arn, tuple(sorted(tags.items())))


def _resources(service: str, operation: str, asked: Mapping[str, Any]) -> Iterator[str]:
    """What a call is about: the ends of ARNs, or whole ones."""
    if service == "ssm" and "Parameter" in operation:
        yield from (f"parameter{name}" for name in asked.get("Names") or [asked["Name"]])
    elif service == "ssm":
        yield f"document/{asked.get('DocumentName') or asked['Name']}"
    elif service == "lambda":
        yield f"function:{asked['FunctionName']}"
    elif service == "events":
        yield f"rule/{asked.get('Name') or asked['Rule']}"
    elif service == "autoscaling":
        groups = [one["ResourceId"] for one in asked.get("Tags", [])]
        for group in groups or [asked["AutoScalingGroupName"]]:
            yield f"autoScalingGroup:1-2-3:autoScalingGroupName/{group}"
    elif service == "iam":
        kinds = {"RoleName": "role/", "InstanceProfileName": "instance-profile/", "PolicyArn": ""}
        kinds["PolicyName"] = "policy/"
        key = next(one for one in kinds if one in asked)  # a role's policy is about the role
        yield f"{kinds[key]}{asked[key]}"
    elif service in {"apigateway", "cloudformation", "logs"}:
        yield "*"  # only those ask who may do everything
    else:
        raise AssertionError(service)


def _refusal(access: Access) -> dict[str, Any]:
    """IAM's refusal. EC2 has another code for it than the other services."""
    is_ec2 = access.action.startswith("ec2:")
    message = (
        f"User: {ME} is not authorized to perform: {access.action} on resource: {access.arn} "
        f"because no identity-based policy allows the {access.action} action"
    )
    code = "UnauthorizedOperation" if is_ec2 else "AccessDeniedException"
    return {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}
