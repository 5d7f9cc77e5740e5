"""What `chalice deploy` leaves in an account: functions, their roles, rules, and the REST API.

They are in moto, to look at: the sandbox runs the app itself elsewhere, so nothing is ever invoked
there. Every name is Chalice's (`chalice/deploy/appgraph.py`, `planner.py`, and
`awsclient.py` for the ids), and a test compares them with Chalice's own plan for this app.
"""

import io
import json
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalice.app import Rate
from chalice.config import Config
from moto.apigateway.models import apigateway_backends
from moto.awslambda.models import lambda_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends

from chalicelib import wiring
from chalicelib.core.commands import document_name
from chalicelib.core.launches import hook_name
from pulley.project import project
from pulley.sandbox.account import Account

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient

WEBHOOK, REPORTER, RECONCILER = "api_handler", "report_status_change", "reconcile_targets"
LAUNCHER = "receive_launch"
_HANDLERS = {
    WEBHOOK: "app.app",
    REPORTER: "app.report_status_change",
    RECONCILER: "app.reconcile_targets",
    LAUNCHER: "app.receive_launch",
}
_NO_ACCOUNT = "000000000000"  # the account's id in the policies of .chalice/
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "",
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


class DeployedApp:
    """The app of a stage as deployed in an account. A test may break any part with the clients."""

    def __init__(
        self,
        account: Account,
        *,
        stage: str,
        environ: Mapping[str, str],
        folder: Path | None = None,
    ) -> None:
        """Deploy. `environ` is added to the functions' environment from Chalice's settings."""
        self.stage, self.account_id, self.region = stage, account.id, account.region
        self._environ, self._project = environ, folder or project()
        self._settings = json.loads((self._project / ".chalice/config.json").read_text())
        self.iam: IAMClient = account.client("iam")
        self.functions: LambdaClient = account.client("lambda")
        self.events: EventBridgeClient = account.client("events")
        self.gateway: APIGatewayClient = account.client("apigateway")
        self._deploy()

    def function_name(self, function: str) -> str:
        """Lambda's name for one of the app's functions, as Chalice's settings call it."""
        # Chalice's first function has the app's name alone.
        return self._name if function == WEBHOOK else f"{self._name}-{function}"

    def role_name(self, function: str) -> str:
        """IAM's name for a function's role, and for the only policy in it."""
        return f"{self._name}-{function}"

    def rule_name(self, function: str) -> str:
        """EventBridge's name for the rule that calls a function."""
        return f"{self._name}-{function}-event"

    @property
    def api_url(self) -> str:
        """The address that `chalice url` prints. Nothing answers there: see `Sandbox.webhook`."""
        host = f"{self.api_id}.execute-api.{self.region}.amazonaws.com"
        return f"https://{host}/{self._config(WEBHOOK).api_gateway_stage}/"

    def restore(self) -> None:
        """Delete everything and deploy again: a test may have broken any part."""
        iam_backends[self.account_id]["aws"].reset()
        for backends in (lambda_backends, events_backends, apigateway_backends):
            backends[self.account_id][self.region].reset()
        self._deploy()

    @property
    def _name(self) -> str:
        return f"{self._settings['app_name']}-{self.stage}"

    def _config(self, function: str) -> Config:
        return Config(
            chalice_stage=self.stage, function_name=function, config_from_disk=self._settings
        )

    def _deploy(self) -> None:
        arns = {function: self._create_function(function) for function in _HANDLERS}
        # Their `detail` is of this process's stage.
        of_commands = {"document-name": [document_name(self.stage)]}
        detail: Any = wiring.LAUNCHES["detail"]
        of_hook = [hook_name(self.stage), {"exists": False}]
        of_launches = {**detail, "LifecycleHookName": of_hook}
        for function, pattern in {
            REPORTER: {**wiring.STATUS_CHANGES, "detail": of_commands},
            LAUNCHER: {**wiring.LAUNCHES, "detail": of_launches},
        }.items():
            rule = self.rule_name(function)
            made = self.events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
            self._connect(rule, made["RuleArn"], arns[function])
        rule = self.rule_name(RECONCILER)
        schedule = Rate(wiring.RECONCILE_MINUTES, unit=Rate.MINUTES).to_string()
        made = self.events.put_rule(Name=rule, ScheduleExpression=schedule, Description="")
        self._connect(rule, made["RuleArn"], arns[RECONCILER])
        self.api_id = self._create_api(arns[WEBHOOK])

    def _create_function(self, function: str) -> str:
        """Make a function and its role. Returns the function's ARN."""
        config, role = self._config(function), self.role_name(function)
        arn = self.iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(_TRUST))[
            "Role"
        ]["Arn"]
        policy = (self._project / ".chalice" / config.iam_policy_file).read_text()
        self.iam.put_role_policy(
            RoleName=role,
            PolicyName=role,
            PolicyDocument=policy.replace(_NO_ACCOUNT, self.account_id),
        )
        # Chalice has them as text; boto3's types list the known values.
        runtime: Any = config.lambda_python_version
        architecture: Any = config.lambda_architecture
        made = self.functions.create_function(
            FunctionName=self.function_name(function),
            Runtime=runtime,
            Handler=_HANDLERS[function],
            Role=arn,
            Code={"ZipFile": _zip(self._project / "app.py")},
            Timeout=config.lambda_timeout,
            MemorySize=config.lambda_memory_size,
            Environment={"Variables": {**config.environment_variables, **self._environ}},
            Architectures=[architecture],
            Tags=config.tags,
        )
        return made["FunctionArn"]

    def _connect(self, rule: str, rule_arn: str, function_arn: str) -> None:
        self.events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": function_arn}])
        self._permit(function_arn, "events", rule_arn)

    def _permit(self, function_arn: str, service: str, source_arn: str) -> None:
        self.functions.add_permission(
            Action="lambda:InvokeFunction",
            FunctionName=function_arn,
            StatementId=str(uuid.uuid4()),
            Principal=f"{service}.amazonaws.com",
            SourceArn=source_arn,
        )

    def _create_api(self, function_arn: str) -> str:
        """Make the REST API with its route and its stage. Returns its id.

        Chalice imports a document, which moto does not support; the result is the same.
        """
        config = self._config(WEBHOOK)
        api = self.gateway.create_rest_api(
            name=config.app_name, endpointConfiguration={"types": ["REGIONAL"]}
        )
        resource = self.gateway.create_resource(
            restApiId=api["id"], parentId=api["rootResourceId"], pathPart="github"
        )
        self.gateway.put_method(
            restApiId=api["id"],
            resourceId=resource["id"],
            httpMethod="POST",
            authorizationType="NONE",
        )
        invoke = f"lambda:path/2015-03-31/functions/{function_arn}/invocations"
        self.gateway.put_integration(
            restApiId=api["id"],
            resourceId=resource["id"],
            httpMethod="POST",
            type="AWS_PROXY",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:{self.region}:{invoke}",
        )
        source = f"arn:aws:execute-api:{self.region}:{self.account_id}:{api['id']}/*"
        self._permit(function_arn, "apigateway", source)
        self.gateway.create_deployment(restApiId=api["id"], stageName=config.api_gateway_stage)
        return api["id"]


def _zip(app: Path) -> bytes:
    """A deployment package. AWS requires one; nobody runs it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.write(app, app.name)
    return made.getvalue()
