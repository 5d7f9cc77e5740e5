"""The real `chalice deploy` of every stage, a second deploy, and `chalice delete`.

The stages share an account, as they may in AWS. tests/deploy/test_package.py tests the settings of
each function.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pulley.operator.stage.policies import PLACEHOLDER, read_policies, write_policy
from pulley.sandbox.account import Account
from tests.app.policies import POLICY_FILES
from tests.deploy.gateway import AccountWithImport
from tests.deploy.project import STAGES, chalice, copy_project

pytestmark = pytest.mark.xdist_group("chalice deploy")
every_stage = pytest.mark.parametrize("stage", STAGES)
every_function = pytest.mark.parametrize("function", POLICY_FILES)
EVENT_FUNCTIONS = ("report_status_change", "reconcile_targets", "receive_launch")
HANDLERS = {
    "api_handler": "app.app",
    "report_status_change": "app.report_status_change",
    "reconcile_targets": "app.reconcile_targets",
    "receive_launch": "app.receive_launch",
}
METHODS = (
    ("/github", "POST"),
    *((path, "GET") for path in ("/", "/state.json", "/history.json", "/badge/{file}")),
)
LOG_DAYS = {"dev": 14, "prod": 90}

Found = dict[str, Any]


@dataclass
class Record:
    """The account after each step, and Chalice's records."""

    account: Account
    project: Path
    deployed: Found = field(default_factory=dict)
    again: Found = field(default_factory=dict)
    deleted: Found = field(default_factory=dict)
    noted: dict[str, list[Found]] = field(default_factory=dict)
    noted_again: list[Found] = field(default_factory=list)

    def chalice(self, command: str, stage: str) -> str:
        return chalice(self.project, command, "--stage", stage, environ=self.account.environ)

    def resources(self, stage: str) -> list[Found]:
        """The resources that Chalice recorded for its next run."""
        path = self.project / f".chalice/deployed/{stage}.json"
        resources: list[Found] = json.loads(path.read_text())["resources"]
        return resources


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    project = copy_project(tmp_path_factory.mktemp("deploy") / "pulley")
    with AccountWithImport(region="eu-central-1") as account:
        record = Record(account, project)
        for stage in STAGES:
            for policy in read_policies(project / ".chalice", stage, account.id):
                write_policy(policy)
            assert "Rest API URL: https://" in record.chalice("deploy", stage)
            record.noted[stage] = record.resources(stage)
        record.deployed = look(account)
        record.chalice("deploy", "dev")
        record.noted_again = record.resources("dev")
        record.again = look(account)
        for stage in STAGES:
            record.chalice("delete", stage)
        record.deleted = look(account)
        yield record


def look(account: Account) -> Found:
    """All resources of the account, without times and other values that AWS makes up."""
    functions, iam = account.client("lambda"), account.client("iam")
    events, gateway = account.client("events"), account.client("apigateway")
    logs = account.client("logs")
    return {
        "functions": {
            one["FunctionName"]: {
                name: value
                for name, value in one.items()
                if name not in {"LastModified", "RevisionId", "ResponseMetadata"}
            }
            for one in functions.list_functions()["Functions"]
        },
        "permissions": {
            one["FunctionName"]: [
                (said["Principal"]["Service"], said["Condition"]["ArnLike"]["AWS:SourceArn"])
                for said in json.loads(
                    functions.get_policy(FunctionName=one["FunctionName"])["Policy"]
                )["Statement"]
            ]
            for one in functions.list_functions()["Functions"]
        },
        "roles": {
            one["RoleName"]: {
                name: iam.get_role_policy(RoleName=one["RoleName"], PolicyName=name)[
                    "PolicyDocument"
                ]
                for name in iam.list_role_policies(RoleName=one["RoleName"])["PolicyNames"]
            }
            for one in iam.list_roles()["Roles"]
        },
        "attached": [
            attached
            for one in iam.list_roles()["Roles"]
            for attached in iam.list_attached_role_policies(RoleName=one["RoleName"])[
                "AttachedPolicies"
            ]
        ],
        "rules": {
            one["Name"]: {
                "schedule": one.get("ScheduleExpression"),
                "pattern": json.loads(one.get("EventPattern", "null")),
                "state": one["State"],
                "targets": events.list_targets_by_rule(Rule=one["Name"])["Targets"],
            }
            for one in events.list_rules()["Rules"]
        },
        "apis": {
            one["id"]: {
                "name": one["name"],
                "endpoint": one["endpointConfiguration"]["types"],
                "stages": [
                    stage["stageName"] for stage in gateway.get_stages(restApiId=one["id"])["item"]
                ],
                "methods": {
                    (resource["path"], method): gateway.get_integration(
                        restApiId=one["id"], resourceId=resource["id"], httpMethod=method
                    )["uri"]
                    for resource in gateway.get_resources(restApiId=one["id"])["items"]
                    for method in resource.get("resourceMethods", {})
                },
            }
            for one in gateway.get_rest_apis()["items"]
        },
        "logs": {
            one["logGroupName"]: one.get("retentionInDays")
            for one in logs.describe_log_groups()["logGroups"]
        },
    }


def name_of(function: str, stage: str) -> str:
    return f"pulley-{stage}" + ("" if function == "api_handler" else f"-{function}")


class TestDeploy:
    def test_account_has_only_the_functions_of_both_stages(self, record: Record) -> None:
        wanted = {name_of(function, stage) for function in HANDLERS for stage in STAGES}
        assert set(record.deployed["functions"]) == wanted

    @every_stage
    @every_function
    def test_function_has_its_stage_and_its_own_role_with_the_policy_file(
        self, record: Record, function: str, stage: str
    ) -> None:
        made = record.deployed["functions"][name_of(function, stage)]
        assert (made["Handler"], made["Architectures"]) == (HANDLERS[function], ["arm64"])
        assert made["Environment"]["Variables"] == {"PULLEY_STAGE": stage}
        role = f"pulley-{stage}-{function}"
        assert made["Role"].endswith(f":role/{role}")
        text = (record.project / POLICY_FILES[function].format(stage=stage)).read_text()
        assert PLACEHOLDER not in text
        assert record.account.id in text
        assert record.deployed["roles"][role] == {role: json.loads(text)}
        assert len(record.deployed["roles"]) == len(HANDLERS) * len(STAGES)
        assert not record.deployed["attached"]

    @every_stage
    @pytest.mark.parametrize("function", EVENT_FUNCTIONS)
    def test_each_rule_calls_the_function_of_its_stage(
        self, record: Record, function: str, stage: str
    ) -> None:
        name = name_of(function, stage)
        rule = record.deployed["rules"][f"pulley-{stage}-{function}-event"]
        if function == "report_status_change":
            assert rule["pattern"]["detail"] == {"document-name": [f"pulley-{stage}-pull"]}
        elif function == "receive_launch":
            assert rule["pattern"]["detail"]["LifecycleHookName"][0] == f"pulley-{stage}"
        else:
            assert rule["schedule"] == "rate(15 minutes)"
        arn = record.deployed["functions"][name]["FunctionArn"]
        assert rule["state"] == "ENABLED"
        assert rule["targets"] == [{"Id": "1", "Arn": arn}]
        source = f"arn:aws:events:eu-central-1:{record.account.id}:rule/pulley-{stage}-{function}"
        assert record.deployed["permissions"][name] == [("events.amazonaws.com", f"{source}-event")]
        assert len(record.deployed["rules"]) == len(STAGES) * len(EVENT_FUNCTIONS)

    @every_stage
    def test_api_has_only_the_webhook_and_the_page(self, record: Record, stage: str) -> None:
        (noted,) = (one for one in record.noted[stage] if one["resource_type"] == "rest_api")
        api_id, name = noted["rest_api_id"], name_of("api_handler", stage)
        arn = record.deployed["functions"][name]["FunctionArn"]
        path = f"lambda:path/2015-03-31/functions/{arn}/invocations"
        assert len(record.deployed["apis"]) == len(STAGES)
        assert record.deployed["apis"][api_id] == {
            "name": "pulley",
            "endpoint": ["REGIONAL"],
            "stages": [stage],
            "methods": dict.fromkeys(METHODS, f"arn:aws:apigateway:eu-central-1:{path}"),
        }
        source = f"arn:aws:execute-api:eu-central-1:{record.account.id}:{api_id}/*"
        assert record.deployed["permissions"][name] == [("apigateway.amazonaws.com", source)]
        assert noted["rest_api_url"].endswith(f".amazonaws.com/{stage}/")

    def test_only_event_functions_have_log_groups_and_these_expire(self, record: Record) -> None:
        """Chalice would make one for the webhook under a name that Lambda does not use."""
        assert record.deployed["logs"] == {
            f"/aws/lambda/{name_of(function, stage)}": LOG_DAYS[stage]
            for function in EVENT_FUNCTIONS
            for stage in STAGES
        }


class TestDeployAgain:
    def test_second_deploy_changes_nothing(self, record: Record) -> None:
        assert record.again == record.deployed
        assert record.noted_again == record.noted["dev"]


class TestDelete:
    @pytest.mark.parametrize("kind", ["functions", "permissions", "roles", "rules", "apis"])
    def test_delete_leaves_nothing_but_logs(self, record: Record, kind: str) -> None:
        assert record.deployed[kind]
        assert not record.deleted[kind]
        assert [record.resources(stage) for stage in STAGES] == [[], []]

    def test_delete_keeps_the_logs(self, record: Record) -> None:
        assert record.deleted["logs"] == dict.fromkeys(record.deployed["logs"])
