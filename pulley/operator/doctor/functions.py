"""Check what `chalice deploy` made: the functions, their roles, and the rules that call them."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib.core.commands import COMMAND_CHANGE, document_name
from chalicelib.core.launches import LAUNCH_ACTION, hook_name
from chalicelib.core.refs import shown
from chalicelib.edges.aws import calling, error_for
from pulley.operator.doctor.row import FAIL, WARN, Row, passed
from pulley.operator.stage.policies import PLACEHOLDER
from pulley.operator.stage.settings import (
    FUNCTIONS,
    LAUNCH,
    RECONCILE,
    REPORT,
    WEBHOOK,
    function_name,
)
from pulley.operator.suggest import suggest

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import FunctionConfigurationResponseTypeDef

_ANSWER_SECONDS = 10.0
_APP = "pulley"
_POLICIES = {WEBHOOK: "receive", REPORT: "report", RECONCILE: "reconcile", LAUNCH: "launch"}


@dataclass(frozen=True)
class Clients:
    """The clients of the AWS services that are asked."""

    functions: "LambdaClient"
    roles: "IAMClient"
    events: "EventBridgeClient"

    @classmethod
    def build(cls) -> "Clients":
        """Build them for boto3's default region. Raises UnavailableError."""
        import boto3
        from botocore.exceptions import BotoCoreError

        try:
            return cls(boto3.client("lambda"), boto3.client("iam"), boto3.client("events"))
        except BotoCoreError as error:
            raise error_for("a client", error) from None


@dataclass(frozen=True)
class Functions:
    """The functions of a stage. `policies` is the folder of the policy files; None without one.

    Raises RefusedError and UnavailableError if AWS does not allow a call.
    """

    clients: Clients
    stage: str
    account: str
    policies: Path | None

    def check(self) -> Iterator[Row]:
        """Check each function, its role, and its rule."""
        for handler in FUNCTIONS:
            name = function_name(_APP, self.stage, handler)
            found = self._find(name)
            if found is None:
                words = "there is no such function in this region"
                yield Row(f"Lambda {name}", FAIL, words, self.deploy)
                continue
            yield self._check_function(name, found)
            yield self._check_role(handler, name, found.get("Role", ""))
            if handler != WEBHOOK:
                yield self._check_rule(name, found["FunctionArn"])

    @property
    def deploy(self) -> str:
        """The command that fixes most of what is found."""
        return f"chalice deploy --stage {self.stage}"

    def _find(self, name: str) -> "FunctionConfigurationResponseTypeDef | None":
        with calling(f"reading the function {name}"):
            try:
                return self.clients.functions.get_function_configuration(FunctionName=name)
            except self.clients.functions.exceptions.ResourceNotFoundException:
                return None

    def _check_function(self, name: str, found: "FunctionConfigurationResponseTypeDef") -> Row:
        what = f"Lambda {name}"
        told = found.get("Environment", {}).get("Variables", {}).get("PULLEY_STAGE")
        if told != self.stage:
            words = f"its PULLEY_STAGE is {told or 'not set'}, not {self.stage}"
            return Row(what, FAIL, words, self.deploy)
        if found.get("State", "Active") not in {"Active", "Inactive"}:
            return Row(what, FAIL, f"it is {found.get('State')}", self.deploy)
        return passed(what, f"{found.get('Runtime', '')}, {found.get('MemorySize')} MB")

    def _check_role(self, handler: str, function: str, arn: str) -> Row:
        """Check that a function's role allows what its policy file says, and nothing else."""
        what, name = f"role of {function}", arn.rpartition("/")[2]
        if self.policies is None:
            words = "not compared: its policy file is in a clone of Pulley, and this is not one"
            return Row(what, WARN, words, f"run {suggest('doctor')} in a clone of Pulley")
        policy = self.policies / f"policy-{_POLICIES[handler]}-{self.stage}.json"
        roles = self.clients.roles
        try:
            wanted = json.loads(policy.read_text().replace(PLACEHOLDER, self.account))
        except (OSError, ValueError) as error:
            return Row(
                what, FAIL, f"{policy.name} cannot be read: {error}", "git checkout .chalice"
            )
        with calling(f"reading the role {name}"):
            attached = roles.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
            inline = roles.list_role_policies(RoleName=name)["PolicyNames"]
            documents: list[Any] = [
                roles.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]
                for one in inline
            ]
        if attached:
            names = ", ".join(one.get("PolicyName", "") for one in attached)
            words = f"{name} may do more than its job: {names} is attached to it"
            hints = [
                f"aws iam detach-role-policy --role-name {name} --policy-arn {one.get('PolicyArn')}"
                for one in attached
            ]
            return Row(what, FAIL, words, ", and ".join(hints))
        allowed = {_canonical(one) for document in documents for one in _statements(document)}
        needed = {_canonical(statement) for statement in _statements(wanted)}
        if allowed == needed:
            return passed(what, "allowed what it needs, and no more")
        missing, spare = len(needed - allowed), len(allowed - needed)
        words = f"{name} differs from {policy.name}: {missing} statements missing, {spare} extra"
        # Chalice replaces only the policy with the role's name.
        hints = [
            f"aws iam delete-role-policy --role-name {name} --policy-name {shlex.quote(one)}"
            for one in inline
            if one != name
        ]
        if missing or not hints:
            hints.append(self.deploy)
        return Row(what, FAIL, words, ", and ".join(hints))

    def _check_rule(self, function: str, arn: str) -> Row:
        """Check that a rule of EventBridge calls the function, and has the permission for it."""
        what = f"rule of {function}"
        with calling(f"reading what calls {function}"):
            names = self.clients.events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
            rules = [self.clients.events.describe_rule(Name=name) for name in names]
        fitting = [rule for rule in rules if _is_for(rule, function, self.stage)]
        if not fitting:
            return Row(what, FAIL, "no rule of EventBridge calls it", self.deploy)
        if all(one.get("State") != "ENABLED" for one in fitting):
            name = fitting[0].get("Name", "")
            words = f"the rule {name} is disabled"
            return Row(what, FAIL, words, f"aws events enable-rule --name {name}")
        if not _may_be_called(self.clients.functions, function):
            return Row(
                what,
                FAIL,
                "EventBridge may not call it: it has no permission for that",
                self.deploy,
            )
        schedule = fitting[0].get("ScheduleExpression")
        when = (
            "instance that starts" if function.endswith(LAUNCH) else "change of a command's status"
        )
        return passed(what, schedule or f"at each {when}")


def _is_for(rule: Mapping[str, Any], function: str, stage: str) -> bool:
    if function.endswith(RECONCILE):
        return bool(rule.get("ScheduleExpression"))
    try:
        pattern = json.loads(rule.get("EventPattern", "{}"))
        kinds, detail = pattern["detail-type"], pattern["detail"]
        if function.endswith(LAUNCH):
            return LAUNCH_ACTION in kinds and hook_name(stage) in detail["LifecycleHookName"]
        return COMMAND_CHANGE in kinds and document_name(stage) in detail["document-name"]
    except (ValueError, KeyError, TypeError):
        return False


def _may_be_called(functions: "LambdaClient", function: str) -> bool:
    with calling(f"reading who may call {function}"):
        try:
            policy = json.loads(functions.get_policy(FunctionName=function)["Policy"])
        except functions.exceptions.ResourceNotFoundException:
            return False
    return any(
        statement.get("Effect") == "Allow" and "events.amazonaws.com" in json.dumps(statement)
        for statement in _statements(policy)
    )


def _statements(policy: Any) -> list[Any]:  # noqa: ANN401 - JSON
    found = policy.get("Statement", [])
    return found if isinstance(found, list) else [found]


def _canonical(statement: Any) -> str:  # noqa: ANN401 - JSON
    """A statement as text to compare. Its Sid and the order of its lists do not count."""
    plain = {
        key: sorted(value) if isinstance(value, list) else [value] if key != "Condition" else value
        for key, value in statement.items()
        if key != "Sid"
    }
    return json.dumps(plain, sort_keys=True)


def check_address(url: str, stage: str) -> Iterator[Row]:
    """Check that Pulley answers at its address: it refuses a request without a signature."""
    import urllib3
    from urllib3.exceptions import HTTPError

    what = "the webhook's address"
    deploy = f"chalice deploy --stage {stage}"
    if not url:
        words = "it is not known: this checkout has not deployed the stage"
        hint = f"{deploy}, or set PULLEY_WEBHOOK_URL if the app was deployed from elsewhere"
        yield Row(what, WARN, words, hint)
        return
    try:
        answer = urllib3.request(
            "POST", url, body=b"{}", timeout=_ANSWER_SECONDS, retries=False, redirect=False
        )
    except HTTPError as error:
        yield Row(what, FAIL, f"{url} did not answer: {type(error).__name__}", deploy)
        return
    if answer.status == 401 and b"X-Hub-Signature-256" in answer.data:
        yield passed(what, url)
        return
    words = f"{url} answered {answer.status}, and not as Pulley does"
    if answer.status >= 500:
        words = f"{url} answered {answer.status}: {shown(answer.data[:200])}"
    function = function_name(_APP, stage, WEBHOOK)
    yield Row(what, FAIL, words, f"{deploy}; see the log /aws/lambda/{function}")
