"""`chalice package` merged with Pulley's own CloudFormation resources."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chalice.config import Config

from chalicelib.core.decisions import Decision, count
from chalicelib.wiring import RECONCILE_MINUTES
from pulley.host.build import build
from pulley.host.document import build_document
from pulley.operator.stage.cloudformation import LOGICAL_IDS, build_resources
from pulley.operator.stage.policies import PoliciesError, read_policies
from pulley.operator.stage.settings import StageSettings, read_stage_settings
from pulley.operator.uninstall.stack import OUR_TYPES
from tests.app.policies import POLICY_FILES, PROJECT, policy_text
from tests.deploy.project import STAGES, copy_project, package, resources_of

pytestmark = pytest.mark.xdist_group("chalice package")
every_function = pytest.mark.parametrize("function", POLICY_FILES)
event_functions = pytest.mark.parametrize(
    "function", ["report_status_change", "reconcile_targets", "receive_launch"]
)
DOCUMENT = build_document(build())
ACCOUNT = "123456789012"
WEEK = 7 * 24 * 60 * 60

Resources = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Package:
    """A stage's template: Chalice's resources, the extra ones, and the merged template."""

    stage: str
    plain: Resources
    extra: Resources
    template: dict[str, Any]

    def properties(self, logical_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.template["Resources"][logical_id]["Properties"]
        return found

    def only(self, kind: str) -> dict[str, Any]:
        """The properties of the one resource of this kind."""
        (found,) = (
            one["Properties"] for one in self.template["Resources"].values() if one["Type"] == kind
        )
        properties: dict[str, Any] = found
        return properties


@pytest.fixture(scope="module")
def packages(project: Path, plain: dict[str, Path]) -> dict[str, Package]:
    packages = {}
    for stage in STAGES:
        extra = build_resources(read_stage_settings(project, stage), DOCUMENT)
        (project / "extra.json").write_text(json.dumps(extra))
        made = package(project, f"out-{stage}", stage, "--merge-template", "extra.json")
        packages[stage] = Package(
            stage=stage,
            plain=resources_of(plain[stage]),
            extra=json.loads(json.dumps(extra["Resources"])),
            template=json.loads((made / "sam.json").read_text()),
        )
    return packages


@pytest.fixture(name="package", params=STAGES)
def package_of_stage(request: pytest.FixtureRequest, packages: dict[str, Package]) -> Package:
    return packages[request.param]


class TestTemplate:
    def test_extra_template_changes_only_chalice_s_resources_and_adds_only_new_ones(
        self, package: Package
    ) -> None:
        new = {name for name, one in package.extra.items() if "Type" in one}
        assert package.extra.keys() - new <= package.plain.keys()
        assert not new & package.plain.keys()

    def test_merge_changes_no_property_of_chalice_but_policies(self, package: Package) -> None:
        for name, one in package.plain.items():
            changed = package.extra.get(name, {}).get("Properties", {})
            merged = package.properties(name)
            untouched = one["Properties"].keys() - changed.keys()
            assert {key: merged[key] for key in untouched} == {
                key: one["Properties"][key] for key in untouched
            }
            assert one["Properties"].keys() & changed.keys() <= {"Policies"}

    def test_uninstall_takes_every_type_of_the_template_for_pulley_s(
        self, package: Package
    ) -> None:
        """It leaves a stack with anything else alone. SAM makes known types of its own ones."""
        types = {one["Type"] for one in package.template["Resources"].values()}
        assert types - OUR_TYPES == {"AWS::Serverless::Function", "AWS::Serverless::Api"}


class TestFunctions:
    @every_function
    def test_function_has_the_name_of_chalice_deploy_and_reserves_no_concurrency(
        self, package: Package, function: str
    ) -> None:
        """New accounts have no concurrency to reserve."""
        name = f"pulley-{package.stage}"
        properties = package.properties(LOGICAL_IDS[function])
        wanted = name if function == "api_handler" else f"{name}-{function}"
        assert properties["FunctionName"] == wanted
        assert "ReservedConcurrentExecutions" not in properties
        assert properties["Architectures"] == ["arm64"]

    @every_function
    def test_role_has_the_policy_file_for_the_stack_s_account_and_partition(
        self, package: Package, function: str
    ) -> None:
        policy = package.properties(role_of(package, function))["Policies"][0]
        text = policy_text(function, package.stage).replace("000000000000", ACCOUNT)
        assert in_account(policy["PolicyDocument"], partition="aws") == json.loads(text)
        assert "000000000000" not in json.dumps(policy)
        assert "arn:aws:" not in json.dumps(in_account(policy, partition="aws-cn"))

    def test_log_groups_keep_logs_for_the_stage_s_days(self, package: Package) -> None:
        groups = {
            one["Properties"]["LogGroupName"]["Fn::Sub"]: one["Properties"]["RetentionInDays"]
            for one in package.template["Resources"].values()
            if one["Type"] == "AWS::Logs::LogGroup"
        }
        names = {f"/aws/lambda/${{{LOGICAL_IDS[function]}}}" for function in POLICY_FILES}
        assert groups == dict.fromkeys(names, {"dev": 14, "prod": 90}[package.stage])


class TestFailedEvents:
    @event_functions
    def test_event_that_fails_three_times_goes_to_the_queue(
        self, package: Package, function: str
    ) -> None:
        assert package.properties(f"{LOGICAL_IDS[function]}InvokeConfig") == {
            "FunctionName": {"Ref": LOGICAL_IDS[function]},
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 2,
            "DestinationConfig": {
                "OnFailure": {"Destination": {"Fn::GetAtt": ["FailedEvents", "Arn"]}}
            },
        }

    @event_functions
    def test_event_function_may_send_only_to_the_queue(
        self, package: Package, function: str
    ) -> None:
        _, policy = package.properties(role_of(package, function))["Policies"]
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert statement["Effect"] == "Allow"
        assert statement["Action"] == "sqs:SendMessage"
        assert statement["Resource"] == {"Fn::GetAtt": ["FailedEvents", "Arn"]}

    def test_webhook_may_not_send_to_the_queue(self, package: Package) -> None:
        assert len(package.properties(role_of(package, "api_handler"))["Policies"]) == 1

    def test_queue_has_the_stage_s_name_and_keeps_messages_for_two_weeks(
        self, package: Package
    ) -> None:
        assert package.only("AWS::SQS::Queue") == {
            "QueueName": f"pulley-{package.stage}-failed-events",
            "MessageRetentionPeriod": 2 * WEEK,
            "SqsManagedSseEnabled": True,
        }


class TestDocument:
    def test_document_is_built_from_this_checkout_and_updated_by_new_versions(
        self, package: Package
    ) -> None:
        assert package.only("AWS::SSM::Document") == {
            "Name": f"pulley-{package.stage}-pull",
            "DocumentType": "Command",
            "DocumentFormat": "JSON",
            "UpdateMethod": "NewVersion",
            "Content": DOCUMENT,
        }


class TestThrottling:
    def test_all_methods_share_limits_that_the_operator_may_set(self, package: Package) -> None:
        (limits,) = package.properties("RestAPI")["MethodSettings"]
        assert limits == {
            "ResourcePath": "/*",
            "HttpMethod": "*",
            "ThrottlingRateLimit": {"Ref": "ThrottlingRate"},
            "ThrottlingBurstLimit": {"Ref": "ThrottlingBurst"},
        }
        parameters = package.template["Parameters"]
        assert parameters["ThrottlingRate"]["Default"] == 100
        assert parameters["ThrottlingBurst"]["Default"] == 200

    def test_api_has_no_second_stage_without_a_limit(self, package: Package) -> None:
        """SAM makes one, "Stage", for an API without this property."""
        assert package.properties("RestAPI")["OpenApiVersion"] == "2.0"


class TestAlarms:
    def test_each_alarm_notifies_the_operator_s_topic_if_one_is_set(self, package: Package) -> None:
        tell = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
        alarms = [
            one["Properties"]
            for one in package.template["Resources"].values()
            if one["Type"] == "AWS::CloudWatch::Alarm"
        ]
        assert len(alarms) == 3
        assert all(one["AlarmActions"] == one["OKActions"] == tell for one in alarms)
        assert package.template["Parameters"]["AlarmTopicArn"]["Default"] == ""

    def test_server_errors_alarm_counts_5xx_of_the_stage_s_api(self, package: Package) -> None:
        alarm = package.properties("ServerErrorsAlarm")
        api = package.properties("RestAPI")
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/ApiGateway", "5XXError")
        assert dimensions(alarm) == {
            "ApiName": api["DefinitionBody"]["info"]["title"],
            "Stage": api["StageName"],
        }
        assert fires_at_one(alarm)

    def test_failed_events_alarm_counts_the_messages_in_the_queue(self, package: Package) -> None:
        alarm = package.properties("FailedEventsAlarm")
        assert alarm["Namespace"] == "AWS/SQS"
        assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        assert dimensions(alarm) == {"QueueName": {"Fn::GetAtt": ["FailedEvents", "QueueName"]}}
        assert fires_at_one(alarm)

    def test_silent_rounds_alarm_fires_after_an_hour_without_rounds(self, package: Package) -> None:
        alarm = package.properties("SilentRoundsAlarm")
        whole, cut_short, rounds, filled = alarm["Metrics"]
        for metric, outcome in ((whole, "whole"), (cut_short, "cut_short")):
            counted = metric["MetricStat"]
            assert metric["Id"] == outcome
            assert is_counted(package.stage, outcome, counted["Metric"])
            assert counted["Stat"] == "Sum"
            assert counted["Period"] * alarm["EvaluationPeriods"] == 3600
        assert rounds["Expression"] == "SUM([whole, cut_short])"
        assert filled["Expression"] == "FILL(rounds, 0)"
        assert [one["ReturnData"] for one in alarm["Metrics"]] == [False, False, False, True]
        assert alarm["DatapointsToAlarm"] == alarm["EvaluationPeriods"]
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
        assert alarm["TreatMissingData"] == "breaching"

    @pytest.mark.parametrize("minutes", [1, 14, 16, 59, 60, 61, 1440, 9999])
    def test_silent_rounds_alarm_spans_at_least_a_round_and_fits_cloudwatch(
        self, minutes: int
    ) -> None:
        """PutMetricAlarm allows a day in all, or a week if a period is an hour or longer."""
        settings = StageSettings(
            "dev", "pulley", "dev", None, minutes, {name: {} for name in LOGICAL_IDS}
        )
        resources: Any = build_resources(settings, {})["Resources"]
        alarm = resources["SilentRoundsAlarm"]["Properties"]
        period = alarm["Metrics"][0]["MetricStat"]["Period"]
        seconds = period * alarm["EvaluationPeriods"]
        assert period % 60 == 0
        assert max(3600, minutes * 60) <= seconds <= (WEEK if period >= 3600 else WEEK // 7)
        assert "ApiHandlerLogGroup" not in resources


class TestStageSettings:
    def test_default_minutes_are_the_app_s(self) -> None:
        assert read_stage_settings(PROJECT, "prod").round_minutes == RECONCILE_MINUTES

    @pytest.mark.parametrize(("said", "minutes"), [("60", 60), ("0", 15), ("often", 15)])
    def test_minutes_are_read_as_the_app_reads_them(
        self, settings: dict[str, Any], tmp_path: Path, said: str, minutes: int
    ) -> None:
        variables = settings["stages"]["prod"]["environment_variables"]
        variables["PULLEY_RECONCILE_MINUTES"] = said
        (tmp_path / ".chalice/config.json").write_text(json.dumps(settings))
        assert read_stage_settings(tmp_path, "prod").round_minutes == minutes

    def test_unknown_stage_is_an_error(self) -> None:
        with pytest.raises(PoliciesError, match=r"config.json: has no stage qa"):
            read_stage_settings(PROJECT, "qa")

    def test_missing_policy_file_is_an_error(
        self, settings: dict[str, Any], tmp_path: Path
    ) -> None:
        assert settings["stages"]["prod"]
        (tmp_path / ".chalice/policy-report-prod.json").unlink()
        with pytest.raises(PoliciesError, match=r"policy-report-prod.json: cannot be read"):
            read_stage_settings(tmp_path, "prod")

    def test_policy_with_an_account_number_keeps_it(
        self, settings: dict[str, Any], tmp_path: Path
    ) -> None:
        """`pulley setup` has put the number in."""
        for policy in read_policies(tmp_path / ".chalice", "prod", ACCOUNT):
            policy.path.write_text(policy.wanted)
        resources: Any = build_resources(read_stage_settings(tmp_path, "prod"), {})["Resources"]
        (policy,) = resources["ApiHandlerRole"]["Properties"]["Policies"]
        text = policy_text("api_handler", "prod").replace("000000000000", ACCOUNT)
        assert policy["PolicyDocument"] == json.loads(text)

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Any:  # noqa: ANN401 - JSON
        """The config.json of a copy of the project."""
        copy_project(tmp_path / "pulley")
        (tmp_path / "pulley/.chalice").rename(tmp_path / ".chalice")
        return json.loads((tmp_path / ".chalice/config.json").read_text())

    @pytest.mark.parametrize("stage", STAGES)
    def test_config_gives_the_webhook_s_log_days_to_the_stage_not_to_chalice(
        self, stage: str
    ) -> None:
        """Chalice's template would refer to a function that does not exist."""
        settings = json.loads((PROJECT / ".chalice/config.json").read_text())
        days = {
            function: Config(
                chalice_stage=stage, function_name=function, config_from_disk=settings
            ).log_retention_in_days
            for function in POLICY_FILES
        }
        assert days.pop("api_handler") is None
        assert set(days.values()) == {read_stage_settings(PROJECT, stage).log_days}


def role_of(package: Package, function: str) -> str:
    role: str = package.plain[LOGICAL_IDS[function]]["Properties"]["Role"]["Fn::GetAtt"][0]
    return role


def in_account(value: Any, *, partition: str) -> Any:  # noqa: ANN401 - a part of a template
    """A part of a template after CloudFormation's substitutions."""
    if isinstance(value, list):
        return [in_account(one, partition=partition) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"Fn::Sub"}:
        text: str = value["Fn::Sub"]
        text = text.replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Partition}", partition)
        return text.replace("${!", "${")
    return {name: in_account(one, partition=partition) for name, one in value.items()}


def dimensions(alarm: Mapping[str, Any]) -> dict[str, Any]:
    return {one["Name"]: one["Value"] for one in alarm["Dimensions"]}


def fires_at_one(alarm: Mapping[str, Any]) -> bool:
    threshold = (alarm["ComparisonOperator"], alarm["Threshold"], alarm["TreatMissingData"])
    return threshold == ("GreaterThanOrEqualToThreshold", 1, "notBreaching")


def is_counted(stage: str, outcome: str, metric: Mapping[str, Any]) -> bool:
    """Whether the journal's line of a round counts for this metric."""
    line: Any = Decision("round", outcome, metrics=count("Rounds")).fields(stage=stage, epoch_ms=0)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    return (
        metric["Namespace"] == directive["Namespace"]
        and metric["MetricName"] in [one["Name"] for one in directive["Metrics"]]
        and dimensions(metric) == {name: line[name] for name in directive["Dimensions"][0]}
    )
