"""The app's resources in the account, compared with Chalice's own plan."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pulley.sandbox.account import Account
from pulley.sandbox.app.deployed import LAUNCHER, RECONCILER, REPORTER, WEBHOOK, DeployedApp
from pulley.sandbox.sandbox import STAGE
from tests.app.policies import POLICY_FILES, PROJECT

FUNCTIONS = (WEBHOOK, REPORTER, RECONCILER, LAUNCHER)
ENVIRON = {"PULLEY_GITHUB_API": "http://127.0.0.1:1"}
# Prints Chalice's own graph of the app, from which it plans. It runs in a separate process, because
# the app reads its stage when it is imported.
GRAPH = """
import json, sys
from chalice.cli.factory import CLIFactory
from chalice.deploy.appgraph import ApplicationGraphBuilder
stage = sys.argv[1]
config = CLIFactory(".").create_config_obj(chalice_stage_name=stage)
names = "function_name runtime handler tags timeout memory_size environment_variables architecture"
graph = []
for one in ApplicationGraphBuilder().build(config, stage).resources:
    function = one.lambda_function
    graph.append({
        "type": one.resource_type,
        "rule_name": getattr(one, "rule_name", None),
        "rule_description": getattr(one, "rule_description", None),
        "schedule_expression": getattr(one, "schedule_expression", None),
        "event_pattern": getattr(one, "event_pattern", None),
        "api_gateway_stage": getattr(one, "api_gateway_stage", None),
        "endpoint_type": getattr(one, "endpoint_type", None),
        "function": {name: getattr(function, name) for name in names.split()},
        "resource_name": function.resource_name,
        "role_name": function.role.role_name,
        "trust_policy": function.role.trust_policy,
        "policy_file": function.role.policy.filename,
    })
print(json.dumps(graph))
"""

Graph = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def chalice() -> Graph:
    """Each function's part of the graph, by Chalice's name for the function."""
    printed = subprocess.check_output(
        [sys.executable, "-c", GRAPH, STAGE],
        cwd=PROJECT,
        env=os.environ | {"AWS_DEFAULT_REGION": "eu-west-1", "PULLEY_STAGE": STAGE},
        text=True,
    )
    return {one["resource_name"]: one for one in json.loads(printed)}


@pytest.fixture(scope="module")
def deployed() -> Iterator[DeployedApp]:
    with Account() as account:
        yield DeployedApp(account, stage=STAGE, environ=ENVIRON)


every_function = pytest.mark.parametrize("name", FUNCTIONS)


class TestFunctions:
    def test_account_has_only_the_app_s_functions(
        self, deployed: DeployedApp, chalice: Graph
    ) -> None:
        listed = {one["FunctionName"] for one in deployed.functions.list_functions()["Functions"]}
        assert listed == {one["function"]["function_name"] for one in chalice.values()}
        assert chalice.keys() == set(FUNCTIONS) == POLICY_FILES.keys()

    @every_function
    def test_function_has_the_settings_of_chalice(
        self, deployed: DeployedApp, chalice: Graph, name: str
    ) -> None:
        wanted = chalice[name]["function"]
        assert deployed.function_name(name) == wanted["function_name"]
        found = deployed.functions.get_function(FunctionName=wanted["function_name"])
        made = found["Configuration"]
        assert {
            "function_name": made["FunctionName"],
            "runtime": made["Runtime"],
            "handler": made["Handler"],
            "tags": found["Tags"],
            "timeout": made["Timeout"],
            "memory_size": made["MemorySize"],
            "architecture": made["Architectures"][0],
            "environment_variables": made["Environment"]["Variables"],
        } == wanted | {"environment_variables": wanted["environment_variables"] | ENVIRON}
        assert made["State"] == "Active"
        assert made["Role"].endswith(f":role/{chalice[name]['role_name']}")


class TestRoles:
    @every_function
    def test_role_has_its_policy_file_for_this_account(
        self, deployed: DeployedApp, chalice: Graph, name: str
    ) -> None:
        role = chalice[name]["role_name"]
        assert deployed.role_name(name) == role
        assert deployed.iam.list_role_policies(RoleName=role)["PolicyNames"] == [role]
        made = deployed.iam.get_role_policy(RoleName=role, PolicyName=role)["PolicyDocument"]
        with open(chalice[name]["policy_file"]) as file:  # noqa: PTH123 - Chalice's own path
            text = file.read()
        assert made == json.loads(text.replace("000000000000", deployed.account_id))
        assert "000000000000" not in json.dumps(made)

    @every_function
    def test_only_lambda_may_assume_the_role(
        self, deployed: DeployedApp, chalice: Graph, name: str
    ) -> None:
        role = deployed.iam.get_role(RoleName=chalice[name]["role_name"])["Role"]
        assert role["AssumeRolePolicyDocument"] == chalice[name]["trust_policy"]


class TestRules:
    @pytest.mark.parametrize("name", [REPORTER, RECONCILER, LAUNCHER])
    def test_rule_calls_its_function_and_has_the_permission(
        self, deployed: DeployedApp, chalice: Graph, name: str
    ) -> None:
        rule = chalice[name]["rule_name"]
        assert deployed.rule_name(name) == rule
        made = deployed.events.describe_rule(Name=rule)
        assert made["State"] == "ENABLED"
        assert made.get("ScheduleExpression") == chalice[name]["schedule_expression"]
        pattern = chalice[name]["event_pattern"]
        assert json.loads(made.get("EventPattern") or "null") == json.loads(pattern or "null")
        (target,) = deployed.events.list_targets_by_rule(Rule=rule)["Targets"]
        function = deployed.function_name(name)
        arn = deployed.functions.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
        assert target == {"Id": "1", "Arn": arn}
        assert allowed(deployed, name) == [("events.amazonaws.com", made["Arn"])]

    def test_account_has_only_the_app_s_rules(self, deployed: DeployedApp, chalice: Graph) -> None:
        rules = {one["Name"] for one in deployed.events.list_rules()["Rules"]}
        assert rules == {one["rule_name"] for one in chalice.values() if one["rule_name"]}


class TestRestApi:
    def test_api_has_one_route_one_stage_and_calls_the_webhook(
        self, deployed: DeployedApp, chalice: Graph
    ) -> None:
        (api,) = deployed.gateway.get_rest_apis()["items"]
        assert api["name"] == "pulley"
        assert api["endpointConfiguration"]["types"] == [chalice[WEBHOOK]["endpoint_type"]]
        stage = chalice[WEBHOOK]["api_gateway_stage"]
        (made,) = deployed.gateway.get_stages(restApiId=api["id"])["item"]
        assert made["stageName"] == stage
        resources = deployed.gateway.get_resources(restApiId=api["id"])["items"]
        (route,) = (one for one in resources if "resourceMethods" in one)
        assert (route["path"], set(route["resourceMethods"])) == ("/github", {"POST"})
        integration = deployed.gateway.get_integration(
            restApiId=api["id"], resourceId=route["id"], httpMethod="POST"
        )
        assert f":function:{deployed.function_name(WEBHOOK)}/invocations" in integration["uri"]
        source = f"arn:aws:execute-api:eu-west-1:{deployed.account_id}:{api['id']}/*"
        assert allowed(deployed, WEBHOOK) == [("apigateway.amazonaws.com", source)]
        url = f"https://{api['id']}.execute-api.eu-west-1.amazonaws.com/{stage}/"
        assert deployed.api_url == url


class TestRestore:
    def test_restore_repairs_function_rule_and_policy(self, deployed: DeployedApp) -> None:
        name, role = deployed.function_name(REPORTER), deployed.role_name(WEBHOOK)
        deployed.functions.delete_function(FunctionName=name)
        deployed.events.disable_rule(Name=deployed.rule_name(RECONCILER))
        deployed.iam.delete_role_policy(RoleName=role, PolicyName=role)
        with pytest.raises(ClientError, match="ResourceNotFound"):
            deployed.functions.get_function(FunctionName=name)
        deployed.restore()
        assert len(deployed.functions.list_functions()["Functions"]) == len(FUNCTIONS)
        rule = deployed.events.describe_rule(Name=deployed.rule_name(RECONCILER))
        assert rule["State"] == "ENABLED"
        assert deployed.iam.list_role_policies(RoleName=role)["PolicyNames"] == [role]
        (api,) = deployed.gateway.get_rest_apis()["items"]
        assert api["id"] == deployed.api_id


def allowed(deployed: DeployedApp, function: str) -> list[tuple[str, str]]:
    """The services and sources that may call a function."""
    name = deployed.function_name(function)
    policy = json.loads(deployed.functions.get_policy(FunctionName=name)["Policy"])
    return [
        (one["Principal"]["Service"], one["Condition"]["ArnLike"]["AWS:SourceArn"])
        for one in policy["Statement"]
    ]
