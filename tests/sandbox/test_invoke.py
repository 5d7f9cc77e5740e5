"""Lambda's Invoke in the account: what a running function gets, and what is refused."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from pulley.sandbox.account import Account
from pulley.sandbox.app.deployed import RECONCILER, REPORTER, DeployedApp

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

STAGE = "dev"
EVENT = {"source": "pulley", "detail": {"repository": "octo/zürich"}}


class Function:
    """The function that runs rounds, deployed; `events` are those it was invoked with."""

    def __init__(self, account: Account) -> None:
        self.deployed = DeployedApp(account, stage=STAGE, environ={})
        self.name = self.deployed.function_name(RECONCILER)
        self.arn = self.client.get_function(FunctionName=self.name)["Configuration"]["FunctionArn"]
        self.events: list[object] = []
        account.run_function(self.name, self.events.append)

    @property
    def client(self) -> "LambdaClient":
        return self.deployed.functions


@pytest.fixture(scope="module")
def account_function() -> Iterator[Function]:
    with Account() as account:
        yield Function(account)


@pytest.fixture
def function(account_function: Function) -> Function:
    account_function.events.clear()
    return account_function


class TestInvoke:
    def test_event_is_accepted_at_once_and_reaches_the_function(self, function: Function) -> None:
        answer = function.client.invoke(
            FunctionName=function.name, InvocationType="Event", Payload=json.dumps(EVENT)
        )
        assert answer["StatusCode"] == 202
        assert not answer.keys() & {"FunctionError"}
        assert answer["Payload"].read() == b""
        assert function.events == [EVENT]

    def test_function_may_be_named_by_its_arn(self, function: Function) -> None:
        function.client.invoke(FunctionName=function.arn, InvocationType="Event", Payload="{}")
        assert function.events == [{}]

    def test_event_without_a_payload_is_an_empty_object(self, function: Function) -> None:
        function.client.invoke(FunctionName=function.name, InvocationType="Event")
        assert function.events == [{}]

    @pytest.mark.parametrize("name", ["pulley-prod-reconcile_targets", "reconcile_targets"])
    def test_unknown_function_is_not_found(self, function: Function, name: str) -> None:
        with pytest.raises(ClientError) as caught:
            function.client.invoke(FunctionName=name, InvocationType="Event", Payload="{}")
        error = caught.value.response
        assert error["Error"]["Code"] == "ResourceNotFoundException"
        assert error["Error"]["Message"].endswith(f":function:{name}")
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 404

    @pytest.mark.parametrize(("part", "other"), [("123456789012", "9" * 12), ("-west-", "-east-")])
    def test_function_of_another_account_or_region_is_not_found(
        self, function: Function, part: str, other: str
    ) -> None:
        arn = function.arn.replace(part, other)
        assert arn != function.arn
        with pytest.raises(ClientError, match=f"ResourceNotFoundException.*{arn}"):
            function.client.invoke(FunctionName=arn, InvocationType="Event", Payload="{}")
        assert function.events == []

    def test_function_that_does_not_run_here_is_refused(self, function: Function) -> None:
        name = function.deployed.function_name(REPORTER)
        with pytest.raises(ClientError, match=f"the sandbox does not invoke {name}"):
            function.client.invoke(FunctionName=name, InvocationType="Event", Payload="{}")

    def test_deleted_function_is_not_found(self, function: Function) -> None:
        function.client.delete_function(FunctionName=function.name)
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            function.client.invoke(FunctionName=function.name, InvocationType="Event", Payload="{}")
        function.deployed.restore()
        function.client.invoke(FunctionName=function.name, InvocationType="Event", Payload="{}")
        assert function.events == [{}]

    def test_payload_that_is_not_json_is_refused(self, function: Function) -> None:
        with pytest.raises(ClientError, match="InvalidRequestContentException"):
            function.client.invoke(FunctionName=function.name, InvocationType="Event", Payload="{")
        assert function.events == []

    def test_call_that_waits_for_the_result_is_refused(self, function: Function) -> None:
        with pytest.raises(ClientError, match="with the type Event only, not RequestResponse"):
            function.client.invoke(FunctionName=function.name, Payload="{}")
        with pytest.raises(ClientError, match="with the type Event only, not DryRun"):
            function.client.invoke(FunctionName=function.name, InvocationType="DryRun")
        assert function.events == []

    def test_other_calls_of_lambda_are_moto_s(self, function: Function) -> None:
        reporter = function.deployed.function_name(REPORTER)
        found = function.client.get_function_configuration(FunctionName=reporter)
        assert found["Handler"] == "app.report_status_change"
