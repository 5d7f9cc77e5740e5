"""What a stage needs beside Chalice's resources, as a template to merge into Chalice's.

It is for `chalice package --merge-template`. It adds the document, alarms, log retention,
throttling, and a queue for failed events. It gives the functions the names that `chalice deploy`
gives them, and puts the stack's account into the roles' policies. So a stage is the same by both
ways.

CloudFormation cannot make a SecureString. Nor can it make the document's pin, because
AWS::SSM::Document has no attribute for its version or hash. `pulley setup` makes both.

Source: AWS CloudFormation Template Reference, and the SAM developer guide.
"""

from collections.abc import Mapping

from chalicelib.core.commands import document_name
from pulley.operator.stage.policies import PLACEHOLDER
from pulley.operator.stage.settings import LAUNCH, RECONCILE, REPORT, WEBHOOK, StageSettings

Json = dict[str, object]

# Chalice's names of the functions, and their logical ids in Chalice's template.
LOGICAL_IDS = {
    WEBHOOK: "APIHandler",
    REPORT: "ReportStatusChange",
    RECONCILE: "ReconcileTargets",
    LAUNCH: "ReceiveLaunch",
}
_ROLES = {name: f"{id_}Role" for name, id_ in LOGICAL_IDS.items()} | {WEBHOOK: "ApiHandlerRole"}
# EventBridge calls these, and nobody sees the answer: an event that fails must not be lost.
_EVENT_FUNCTIONS = tuple(name for name in LOGICAL_IDS if name != WEBHOOK)
_RATE, _BURST = 100, 200  # deliveries a second, and at once: more than any organization sends
_FOURTEEN_DAYS = 14 * 24 * 60 * 60  # the longest that SQS keeps a message, in seconds
_SILENT_ROUNDS = 4
_A_QUARTER_OF_AN_HOUR, _A_QUARTER_OF_A_WEEK = 15, 7 * 24 * 60 // 4  # in minutes


def build_resources(settings: StageSettings, document: Mapping[str, object]) -> Json:
    """The template to merge. `document` is what `build_document` returns."""
    resources = {
        **_document(settings, document),
        **_throttling(),
        **_functions(settings),
        **_failed_events(settings),
        **_alarms(settings),
    }
    return {"Parameters": _PARAMETERS, "Conditions": _CONDITIONS, "Resources": resources}


_PARAMETERS: Json = {
    "AlarmTopicArn": {
        "Type": "String",
        "Default": "",
        "Description": "The SNS topic that the alarms notify. Empty: the alarms notify nobody",
    },
    "ThrottlingRate": {
        "Type": "Number",
        "Default": _RATE,
        "Description": "Deliveries a second that API Gateway lets through",
    },
    "ThrottlingBurst": {
        "Type": "Number",
        "Default": _BURST,
        "Description": "Deliveries that API Gateway lets through at once",
    },
}
_CONDITIONS: Json = {
    "HasAlarmTopic": {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]},
}


def _document(settings: StageSettings, content: Mapping[str, object]) -> Json:
    properties = {
        "Name": document_name(settings.stage),
        "DocumentType": "Command",
        "DocumentFormat": "JSON",
        # By default CloudFormation deletes the document to change it.
        "UpdateMethod": "NewVersion",
        "Content": content,
    }
    return {"Document": {"Type": "AWS::SSM::Document", "Properties": properties}}


def _throttling() -> Json:
    every_method = {
        "ResourcePath": "/*",
        "HttpMethod": "*",
        "ThrottlingRateLimit": {"Ref": "ThrottlingRate"},
        "ThrottlingBurstLimit": {"Ref": "ThrottlingBurst"},
    }
    # Without OpenApiVersion, SAM makes a second stage, "Stage", without throttling.
    return {"RestAPI": {"Properties": {"MethodSettings": [every_method], "OpenApiVersion": "2.0"}}}


def _functions(settings: StageSettings) -> Json:
    """The functions' names, their roles' policies, and the webhook's log group.

    Chalice gets the name of that log group wrong. An event function's role may also send to the
    queue of failed events.
    """
    resources: Json = {}
    for name, logical_id in LOGICAL_IDS.items():
        function_name = settings.function_name(name)
        resources[logical_id] = {"Properties": {"FunctionName": function_name}}
        policies = [_policy("Pulley", _in_this_account(settings.policies[name]))]
        if name in _EVENT_FUNCTIONS:
            tell = {
                "Sid": "TellWhatFailed",
                "Effect": "Allow",
                "Action": "sqs:SendMessage",
                "Resource": {"Fn::GetAtt": ["FailedEvents", "Arn"]},
            }
            statement = {"Version": "2012-10-17", "Statement": [tell]}
            policies.append(_policy("FailedEvents", statement))
        resources[_ROLES[name]] = {"Properties": {"Policies": policies}}
    if settings.log_days:
        properties = {
            "LogGroupName": {"Fn::Sub": f"/aws/lambda/${{{LOGICAL_IDS[WEBHOOK]}}}"},
            "RetentionInDays": settings.log_days,
        }
        resources["ApiHandlerLogGroup"] = {"Type": "AWS::Logs::LogGroup", "Properties": properties}
    return resources


def _policy(name: str, document: object) -> Json:
    return {"PolicyName": name, "PolicyDocument": document}


def _in_this_account(value: object) -> object:
    """Put the stack's account in place of the placeholder in a policy's ARNs."""
    match value:
        case dict():
            return {key: _in_this_account(one) for key, one in value.items()}
        case list():
            return [_in_this_account(one) for one in value]
        case str() if value.startswith("arn:aws:") and f":{PLACEHOLDER}:" in value:
            text = value.replace("${", "${!").replace(PLACEHOLDER, "${AWS::AccountId}")
            return {"Fn::Sub": text.replace("arn:aws:", "arn:${AWS::Partition}:", 1)}
    return value


def _failed_events(settings: StageSettings) -> Json:
    """A queue for events that failed three times, and for their errors."""
    queue = {
        "QueueName": f"{settings.app_name}-{settings.stage}-failed-events",
        "MessageRetentionPeriod": _FOURTEEN_DAYS,
        "SqsManagedSseEnabled": True,
    }
    resources: Json = {"FailedEvents": {"Type": "AWS::SQS::Queue", "Properties": queue}}
    for name in _EVENT_FUNCTIONS:
        properties = {
            "FunctionName": {"Ref": LOGICAL_IDS[name]},
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 2,
            "DestinationConfig": {
                "OnFailure": {"Destination": {"Fn::GetAtt": ["FailedEvents", "Arn"]}}
            },
        }
        resources[f"{LOGICAL_IDS[name]}InvokeConfig"] = {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": properties,
        }
    return resources


def _alarms(settings: StageSettings) -> Json:
    minutes = min(max(settings.round_minutes, _A_QUARTER_OF_AN_HOUR), _A_QUARTER_OF_A_WEEK)
    return {
        "ServerErrorsAlarm": _alarm(
            f"{settings.function_name(WEBHOOK)}-server-errors",
            "A delivery was answered 5xx: see the webhook's log, fix it, then Redeliver on GitHub",
            {
                "Namespace": "AWS/ApiGateway",
                "MetricName": "5XXError",
                "Dimensions": _dimensions(ApiName=settings.app_name, Stage=settings.api_stage),
                "Statistic": "Sum",
                "Period": 300,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
            },
        ),
        "FailedEventsAlarm": _alarm(
            f"{settings.function_name(WEBHOOK)}-failed-events",
            "A report, a round or a launch failed three times: the queue has the event and error",
            {
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": _dimensions(QueueName={"Fn::GetAtt": ["FailedEvents", "QueueName"]}),
                "Statistic": "Maximum",
                "Period": 300,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
            },
        ),
        "SilentRoundsAlarm": _alarm(
            f"{settings.function_name(WEBHOOK)}-silent-rounds",
            f"No round for {_SILENT_ROUNDS * minutes} minutes: lost deliveries are not repaired",
            {
                "Metrics": [
                    _rounds(settings.stage, "whole", minutes),
                    _rounds(settings.stage, "cut_short", minutes),
                    {"Id": "rounds", "Expression": "SUM([whole, cut_short])", "ReturnData": False},
                    # With TreatMissingData alone the alarm would come late, because it looks at
                    # older periods, too.
                    {"Id": "filled", "Expression": "FILL(rounds, 0)", "ReturnData": True},
                ],
                "EvaluationPeriods": _SILENT_ROUNDS,
                "DatapointsToAlarm": _SILENT_ROUNDS,
                "Threshold": 1,
                "ComparisonOperator": "LessThanThreshold",
                "TreatMissingData": "breaching",
            },
        ),
    }


def _alarm(name: str, description: str, properties: Json) -> Json:
    tell = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    named = {"AlarmName": name, "AlarmDescription": description}
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {**named, **properties, "AlarmActions": tell, "OKActions": tell},
    }


def _rounds(stage: str, outcome: str, minutes: int) -> Json:
    """A metric that the journal writes."""
    metric = {
        "Namespace": "Pulley",
        "MetricName": "Rounds",
        "Dimensions": _dimensions(stage=stage, outcome=outcome),
    }
    stat = {"Metric": metric, "Stat": "Sum", "Period": minutes * 60}
    return {"Id": outcome, "MetricStat": stat, "ReturnData": False}


def _dimensions(**values: object) -> list[Json]:
    return [{"Name": name, "Value": value} for name, value in values.items()]
