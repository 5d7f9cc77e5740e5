"""A stage that CloudFormation has made. moto makes plain functions, not SAM's: so does the test."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from chalicelib.core.commands import document_name
from chalicelib.core.errors import RefusedError
from pulley.operator.stage.cloudformation import LOGICAL_IDS, build_resources
from pulley.operator.stage.settings import StageSettings, function_name
from pulley.operator.uninstall import stack as stacks
from pulley.operator.uninstall.app import function_names
from pulley.operator.uninstall.clients import Clients
from pulley.operator.uninstall.stack import Stack, find_stack, names_of, removal_of
from tests.cli.conftest import invoke, no_settings
from tests.operator.uninstall.stacks import AccountWithStacks

__all__ = ["no_settings"]
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
QUEUE = "pulley-prod-failed-events"
BUCKET: dict[str, Any] = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "somebody-s"}}


def template(**more: dict[str, Any]) -> str:
    """A template with the app's functions, their roles, the queue, and more."""
    resources: dict[str, Any] = {
        "FailedEvents": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": QUEUE}}
    }
    for name, logical_id in LOGICAL_IDS.items():
        role = {"AssumeRolePolicyDocument": TRUST}
        resources[f"{logical_id}Role"] = {"Type": "AWS::IAM::Role", "Properties": role}
        properties = {
            "FunctionName": function_name("pulley", "prod", name),
            "Code": {"ZipFile": "x"},
            "Handler": "app.app",
            "Runtime": "python3.12",
            "Role": {"Fn::GetAtt": [f"{logical_id}Role", "Arn"]},
            "Environment": {"Variables": {"PULLEY_STAGE": "prod"}},
        }
        resources[logical_id] = {"Type": "AWS::Lambda::Function", "Properties": properties}
    return json.dumps({"Resources": resources | more})


@pytest.fixture
def account(no_settings: None) -> Iterator[AccountWithStacks]:
    with AccountWithStacks() as opened:
        yield opened


def make(account: AccountWithStacks, **more: dict[str, Any]) -> None:
    account.client("cloudformation").create_stack(
        StackName="pulley-prod", TemplateBody=template(**more)
    )


def found(account: AccountWithStacks) -> dict[str, int]:
    """How much of each kind the account has."""
    stacks = account.client("cloudformation").list_stacks()["StackSummaries"]
    return {
        "stacks": len([one for one in stacks if one["StackStatus"] != "DELETE_COMPLETE"]),
        "functions": len(account.client("lambda").list_functions()["Functions"]),
        "roles": len(account.client("iam").list_roles()["Roles"]),
        "queues": len(account.client("sqs").list_queues().get("QueueUrls", [])),
        "parameters": len(account.ssm.describe_parameters()["Parameters"]),
    }


class TestStack:
    def test_stack_is_deleted_and_the_rest_of_the_stage(self, account: AccountWithStacks) -> None:
        make(account)
        assert invoke(account.environ, "setup", "--stage", "prod", "--yes").exit_code == 0
        assert found(account)["functions"] == found(account)["roles"] == 4
        done = invoke(account.environ, "uninstall", "--stage", "prod", "--yes")
        assert done.exit_code == 0, done.output
        removed = [line for line in done.stdout.splitlines() if line.startswith("Removed: ")]
        assert removed[0] == "Removed: stack: pulley-prod"
        assert [one.split(":")[1].strip() for one in removed[1:]] == [
            "document",
            "parameters",
            "secrets and tokens",
        ]
        assert set(found(account).values()) == {0}

    def test_stack_with_something_of_somebody_is_left_alone_and_named(
        self, account: AccountWithStacks
    ) -> None:
        make(account, Bucket=BUCKET)
        done = invoke(account.environ, "uninstall", "--stage", "prod", "--yes")
        assert done.exit_code == 0
        assert "it has more than Pulley's template: Bucket (AWS::S3::Bucket)" in done.stdout
        assert found(account) == dict.fromkeys(("functions", "roles"), 4) | {
            "stacks": 1,
            "queues": 1,
            "parameters": 0,
        }

    @pytest.mark.parametrize(
        ("kind", "properties"),
        [
            ("AWS::SQS::Queue", {"QueueName": "orders"}),
            ("AWS::Logs::LogGroup", {"LogGroupName": "/orders"}),
            (
                "AWS::SSM::Document",
                {
                    "Name": "pulley-dev-pull",
                    "DocumentType": "Command",
                    "DocumentFormat": "JSON",
                    "Content": {"schemaVersion": "2.2", "mainSteps": []},
                },
            ),
        ],
    )
    def test_stack_with_something_of_a_type_of_ours_but_another_name_is_left_alone(
        self, account: AccountWithStacks, kind: str, properties: dict[str, Any]
    ) -> None:
        make(account, Own={"Type": kind, "Properties": properties})
        done = invoke(account.environ, "uninstall", "--stage", "prod", "--yes")
        assert done.exit_code == 0
        assert f"it has more than Pulley's template: Own ({kind})" in done.stdout
        assert found(account)["stacks"] == 1

    def test_names_are_those_of_the_template(self) -> None:
        keys = {
            "AWS::SSM::Document": "Name",
            "AWS::SQS::Queue": "QueueName",
            "AWS::CloudWatch::Alarm": "AlarmName",
        }
        settings = StageSettings(
            "prod", "pulley", "api", None, 15, {one: {} for one in LOGICAL_IDS}
        )
        made: Any = build_resources(settings, {})["Resources"]
        ours = names_of(function_names("prod"), document_name("prod"))
        for kind, key in keys.items():
            named = {one["Properties"][key] for one in made.values() if one.get("Type") == kind}
            assert named == set(ours[kind])

    def test_what_a_deleted_stack_has_kept_is_in_no_stack(self) -> None:
        client = boto3.Session("x", "x", region_name="eu-west-1").client("cloudformation")
        clients = Clients()
        vars(clients)["stacks"] = client
        kept = {
            "StackName": "pulley-prod",
            "StackId": "arn:1",
            "LogicalResourceId": "Document",
            "PhysicalResourceId": "pulley-prod-pull",
            "ResourceType": "AWS::SSM::Document",
            "ResourceStatus": "DELETE_SKIPPED",
            "Timestamp": "2026-11-30T00:00:00Z",
        }
        with Stubber(client) as stub:
            stub.add_client_error("describe_stack_resources", "ValidationError")
            stub.add_response("describe_stack_resources", {"StackResources": [kept]})
            assert find_stack(clients, ("pulley-prod",), "pulley-prod-pull") is None

    def test_stack_whose_functions_are_another_stage_s_is_left_alone(
        self, account: AccountWithStacks
    ) -> None:
        make(account)
        account.client("lambda").update_function_configuration(
            FunctionName="pulley-prod", Environment={"Variables": {"PULLEY_STAGE": "live"}}
        )
        done = invoke(account.environ, "uninstall", "--stage", "prod", "--yes")
        assert done.exit_code == 0
        assert "pulley-prod: its PULLEY_STAGE is live, so it is another stage's" in done.stdout
        assert found(account)["stacks"] == 1

    def test_stack_that_has_another_resource_of_that_name_is_not_the_stage_s(
        self, account: AccountWithStacks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "x"}}
        account.client("cloudformation").create_stack(
            StackName="mine", TemplateBody=json.dumps({"Resources": {"Queue": queue}})
        )
        (resource,) = account.client("cloudformation").describe_stack_resources(StackName="mine")[
            "StackResources"
        ]
        for name, value in account.environ.items():
            monkeypatch.setenv(name, value)
        boto3.setup_default_session()
        names = (resource["PhysicalResourceId"],)
        assert find_stack(Clients(), names, "pulley-prod-pull") is None

    def test_stack_that_cannot_be_deleted_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stacks, "_POLL_SECONDS", 0)
        client = boto3.Session("x", "x", region_name="eu-west-1").client("cloudformation")
        clients = Clients()
        vars(clients)["stacks"] = client
        shown = {
            "StackName": "pulley-prod",
            "CreationTime": "2026-11-30T00:00:00Z",
            "StackStatus": "DELETE_FAILED",
            "StackStatusReason": "The following resource(s) failed to delete: [RestAPI].",
        }
        with Stubber(client) as stub:
            stub.add_response("delete_stack", {})
            stub.add_response("describe_stacks", {"Stacks": [shown]})
            (removal,) = removal_of(clients, Stack("pulley-prod", "x", frozenset(), ())).removals
            with pytest.raises(RefusedError) as raised:
                removal.remove()
        words = "CloudFormation has not deleted the stack pulley-prod"
        assert raised.value.in_full == f"{words}: {shown['StackStatusReason']}"
