"""`chalice deploy` of every stage to its end, once more, and `chalice delete`: the real command.

The stages share an account, as they may in AWS. What the settings say of a function is in
tests/deploy/test_package.py.
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
EVENT_FUNCTIONS = ("report_status_change", "reconcile_targets")
HANDLERS = {
    "api_handler": "app.app",
    "report_status_change": "app.report_status_change",
    "reconcile_targets": "app.reconcile_targets",
}
LOG_DAYS = {"dev": 14, "prod": 90}

Found = dict[str, Any]


@dataclass
class Story:
    """What the account had after each step, and what Chalice wrote down."""

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
        """What Chalice would know again, in another run."""
        path = self.project / f".chalice/deployed/{stage}.json"
        resources: list[Found] = json.loads(path.read_text())["resources"]
        return resources


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    project = copy_project(tmp_path_factory.mktemp("deploy") / "pulley")
    with AccountWithImport(region="eu-central-1") as account:
        story = Story(account, project)
        for stage in STAGES:
            for policy in read_policies(project / ".chalice", stage, account.id):
                write_policy(policy)
            assert "Rest API URL: https://" in story.chalice("deploy", stage)
            story.noted[stage] = story.resources(stage)
        story.deployed = look(account)
        story.chalice("deploy", "dev")
        story.noted_again = story.resources("dev")
        story.again = look(account)
        for stage in STAGES:
            story.chalice("delete", stage)
        story.deleted = look(account)
        yield story


def look(account: Account) -> Found:
    """All that is in the account, but for times and other things that AWS itself makes up."""
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
    def test_functions_are_those_of_every_stage_and_no_other(self, told: Story) -> None:
        wanted = {name_of(function, stage) for function in HANDLERS for stage in STAGES}
        assert set(told.deployed["functions"]) == wanted

    @every_stage
    @every_function
    def test_function_has_its_stage_and_a_role_of_its_own_with_the_policy_file_for_this_account(
        self, told: Story, function: str, stage: str
    ) -> None:
        made = told.deployed["functions"][name_of(function, stage)]
        assert (made["Handler"], made["Architectures"]) == (HANDLERS[function], ["arm64"])
        assert made["Environment"]["Variables"] == {"PULLEY_STAGE": stage}
        role = f"pulley-{stage}-{function}"
        assert made["Role"].endswith(f":role/{role}")
        text = (told.project / POLICY_FILES[function].format(stage=stage)).read_text()
        assert PLACEHOLDER not in text
        assert told.account.id in text
        assert told.deployed["roles"][role] == {role: json.loads(text)}
        assert len(told.deployed["roles"]) == len(HANDLERS) * len(STAGES)
        assert not told.deployed["attached"]

    @every_stage
    @pytest.mark.parametrize("function", EVENT_FUNCTIONS)
    def test_rule_calls_its_function_of_this_stage_and_there_are_no_other_rules(
        self, told: Story, function: str, stage: str
    ) -> None:
        name = name_of(function, stage)
        rule = told.deployed["rules"][f"pulley-{stage}-{function}-event"]
        if function == "report_status_change":
            assert rule["pattern"]["detail"] == {"document-name": [f"pulley-{stage}-pull"]}
        else:
            assert rule["schedule"] == "rate(15 minutes)"
        arn = told.deployed["functions"][name]["FunctionArn"]
        assert rule["state"] == "ENABLED"
        assert rule["targets"] == [{"Id": "1", "Arn": arn}]
        source = f"arn:aws:events:eu-central-1:{told.account.id}:rule/pulley-{stage}-{function}"
        assert told.deployed["permissions"][name] == [("events.amazonaws.com", f"{source}-event")]
        assert len(told.deployed["rules"]) == len(STAGES) * len(EVENT_FUNCTIONS)

    @every_stage
    def test_url_leads_to_the_webhook_and_nowhere_else(self, told: Story, stage: str) -> None:
        (noted,) = (one for one in told.noted[stage] if one["resource_type"] == "rest_api")
        api_id, name = noted["rest_api_id"], name_of("api_handler", stage)
        arn = told.deployed["functions"][name]["FunctionArn"]
        path = f"lambda:path/2015-03-31/functions/{arn}/invocations"
        assert len(told.deployed["apis"]) == len(STAGES)
        assert told.deployed["apis"][api_id] == {
            "name": "pulley",
            "endpoint": ["REGIONAL"],
            "stages": [stage],
            "methods": {("/github", "POST"): f"arn:aws:apigateway:eu-central-1:{path}"},
        }
        source = f"arn:aws:execute-api:eu-central-1:{told.account.id}:{api_id}/*"
        assert told.deployed["permissions"][name] == [("apigateway.amazonaws.com", source)]
        assert noted["rest_api_url"].endswith(f".amazonaws.com/{stage}/")

    def test_event_function_s_log_is_kept_for_a_time_and_none_is_made_that_nobody_writes(
        self, told: Story
    ) -> None:
        """Chalice would make one for the webhook under a name that Lambda does not use."""
        assert told.deployed["logs"] == {
            f"/aws/lambda/{name_of(function, stage)}": LOG_DAYS[stage]
            for function in EVENT_FUNCTIONS
            for stage in STAGES
        }


class TestDeployAgain:
    def test_nothing_is_changed_and_chalice_knows_it_for_the_same(self, told: Story) -> None:
        assert told.again == told.deployed
        assert told.noted_again == told.noted["dev"]


class TestDelete:
    @pytest.mark.parametrize("kind", ["functions", "permissions", "roles", "rules", "apis"])
    def test_nothing_is_left(self, told: Story, kind: str) -> None:
        assert told.deployed[kind]
        assert not told.deleted[kind]
        assert [told.resources(stage) for stage in STAGES] == [[], []]

    def test_logs_are_left_for_whoever_wants_to_read_them(self, told: Story) -> None:
        assert told.deleted["logs"] == dict.fromkeys(told.deployed["logs"])
