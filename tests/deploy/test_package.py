"""The package of `chalice package`: the files in its zip, and what its roles may do."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from chalicelib.core.commands import COMMAND_CHANGE, document_name
from chalicelib.core.launches import LAUNCH_ACTION, STATE_CHANGE, hook_name
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from chalicelib.core.wake import reconciler_name
from chalicelib.edges.github_api import READ_SECONDS
from chalicelib.flows.reconcile import RESERVE_SECONDS
from chalicelib.flows.report import LAG_PAUSES, LAG_SECONDS, LONGEST_PAUSE_SECONDS, TRIES
from pulley.operator.stage.settings import function_name
from tests.app.policies import (
    ARN,
    FUNCTION_ARN,
    HOST_ARN,
    POLICY_FILES,
    PROJECT,
    is_allowed,
    may_send,
    policy_text,
    statements,
)
from tests.deploy.project import STAGES, contents, resources_of
from tests.iam import as_list

pytestmark = pytest.mark.xdist_group("chalice package")
CHALICE_S_OWN = {"chalice/__init__.py", "chalice/app.py"}
# Every function writes a log; no client in edges/ calls these.
LOG_ACTIONS = {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}
# The functions of wiring.py that build the objects of each Lambda function.
BUILDERS = {
    "api_handler": ("_receiver", "_hosted_page"),
    "report_status_change": ("_reporter",),
    "reconcile_targets": ("_reconciler",),
    "receive_launch": ("_launch_watcher",),
}
HANDLERS = {
    "api_handler": "app.app",
    "report_status_change": "app.report_status_change",
    "reconcile_targets": "app.reconcile_targets",
    "receive_launch": "app.receive_launch",
}
SENDERS = ("api_handler", "reconcile_targets")
PUBLISHERS = ("report_status_change", "reconcile_targets")
WAKERS = ("api_handler", "report_status_change", "receive_launch")
# IAM's names of actions, where they are not the operations' names. Service Authorization Reference,
# "AWS Lambda".
ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction"}
# Actions for which AWS has no resource. Service Authorization Reference, "AWS Systems Manager" and
# "Amazon EC2".
WITHOUT_RESOURCE = {
    "ssm:ListCommands",
    "ssm:ListCommandInvocations",
    "ssm:GetCommandInvocation",
    "ssm:DescribeParameters",
    "ssm:DescribeInstanceInformation",
    "ec2:DescribeInstances",
    "autoscaling:DescribeAutoScalingInstances",
}
SITE = Repository("octo", "site")

every_stage = pytest.mark.parametrize("stage", STAGES)
every_function = pytest.mark.parametrize("function", POLICY_FILES)


@dataclass(frozen=True)
class Package:
    """A package of one stage."""

    stage: str
    files: frozenset[str]
    resources: dict[str, dict[str, Any]]

    def only(self, kind: str) -> dict[str, Any]:
        """The properties of the one resource of this kind."""
        (found,) = (one for one in self.resources.values() if one["Type"] == kind)
        properties: dict[str, Any] = found["Properties"]
        return properties

    def function(self, name: str) -> dict[str, Any]:
        """The properties of the function, by Chalice's name for it."""
        (found,) = (
            one["Properties"]
            for one in self.resources.values()
            if one["Type"] == "AWS::Serverless::Function"
            and one["Properties"]["Handler"] == HANDLERS[name]
        )
        properties: dict[str, Any] = found
        return properties


@pytest.fixture(params=STAGES)
def package(request: pytest.FixtureRequest, plain: dict[str, Path]) -> Package:
    made = plain[request.param]
    return Package(request.param, frozenset(contents(made)), resources_of(made))


class TestZip:
    def test_zip_has_only_the_app_and_tracked_files(self, package: Package) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "chalicelib"],
            cwd=PROJECT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        tracked = {name for name in listed if (PROJECT / name).exists()}
        assert "chalicelib/core/plan.py" in tracked
        assert package.files == {"app.py"} | tracked | CHALICE_S_OWN

    def test_each_imported_module_is_in_the_zip_or_in_lambda(self, package: Package) -> None:
        # boto3 needs botocore, which needs urllib3 and dateutil.
        sdk = {"boto3", "botocore", "urllib3", "dateutil"}
        in_lambda = {*sdk, "chalice", *sys.stdlib_module_names}
        for name in package.files - CHALICE_S_OWN:
            if not name.endswith(".py"):
                continue
            for module in imported_by(PROJECT / name):
                path = module.replace(".", "/")
                here = {f"{path}.py", f"{path}/__init__.py"} & package.files
                assert here or module.partition(".")[0] in in_lambda, f"{name} imports {module}"


class TestTemplate:
    def test_template_has_only_the_three_functions(self, package: Package) -> None:
        functions = [
            one["Properties"]["Handler"]
            for one in package.resources.values()
            if one["Type"] == "AWS::Serverless::Function"
        ]
        assert sorted(functions) == sorted(HANDLERS.values())
        assert HANDLERS.keys() == BUILDERS.keys() == POLICY_FILES.keys()

    @every_function
    def test_function_has_the_stage_in_its_environment(
        self, package: Package, function: str
    ) -> None:
        properties = package.function(function)
        assert properties["Environment"]["Variables"] == {"PULLEY_STAGE": package.stage}
        assert properties["MemorySize"] == 512

    def test_webhook_may_run_longer_than_github_waits_but_not_than_api_gateway(
        self, package: Package
    ) -> None:
        assert 10 <= package.function("api_handler")["Timeout"] < 29

    def test_reporter_may_run_longer_than_all_its_pauses_and_time_outs(
        self, package: Package
    ) -> None:
        waiting = LAG_PAUSES * LAG_SECONDS + (TRIES - 1) * LONGEST_PAUSE_SECONDS
        silent = TRIES * READ_SECONDS
        assert waiting + silent < package.function("report_status_change")["Timeout"] <= 900

    def test_round_may_run_as_long_as_lambda_allows(self, package: Package) -> None:
        assert RESERVE_SECONDS < package.function("reconcile_targets")["Timeout"] == 900

    @every_function
    def test_each_function_has_its_own_role_with_only_its_policy_file(
        self, package: Package, function: str
    ) -> None:
        roles = [package.function(name)["Role"]["Fn::GetAtt"][0] for name in HANDLERS]
        kinds = [one["Type"] for one in package.resources.values()]
        assert len(set(roles)) == kinds.count("AWS::IAM::Role") == len(HANDLERS)
        name, attribute = package.function(function)["Role"]["Fn::GetAtt"]
        role = package.resources[name]["Properties"]
        (policy,) = role["Policies"]
        assert attribute == "Arn"
        assert policy["PolicyDocument"] == json.loads(policy_text(function, package.stage))
        assert "ManagedPolicyArns" not in role

    def test_api_has_only_the_webhook_and_the_page(self, package: Package) -> None:
        api = package.only("AWS::Serverless::Api")
        assert api["StageName"] == package.stage
        paths = api["DefinitionBody"]["paths"]
        assert {path: set(methods) for path, methods in paths.items()} == {
            "/github": {"post"},
            "/": {"get"},
            "/state.json": {"get"},
            "/history.json": {"get"},
            "/badge/{file}": {"get"},
        }
        assert "Events" not in package.function("api_handler")

    def test_rule_matches_only_commands_of_the_stage_s_document(self, package: Package) -> None:
        (rule,) = package.function("report_status_change")["Events"].values()
        pattern = {
            "source": ["aws.ssm"],
            "detail-type": [COMMAND_CHANGE],
            "detail": {"document-name": [document_name(package.stage)]},
        }
        assert rule == {"Type": "CloudWatchEvent", "Properties": {"Pattern": pattern}}

    def test_launch_may_be_watched_as_long_as_lambda_allows(self, package: Package) -> None:
        assert package.function("receive_launch")["Timeout"] == 900

    def test_rule_matches_the_stage_s_hooks_and_instances_that_start(
        self, package: Package
    ) -> None:
        (rule,) = package.function("receive_launch")["Events"].values()
        pattern = {
            "source": ["aws.autoscaling", "aws.ec2"],
            "detail-type": [LAUNCH_ACTION, STATE_CHANGE],
            "detail": {
                "LifecycleHookName": [hook_name(package.stage), {"exists": False}],
                "state": ["running", {"exists": False}],
            },
        }
        assert rule == {"Type": "CloudWatchEvent", "Properties": {"Pattern": pattern}}

    def test_round_starts_every_15_minutes(self, package: Package) -> None:
        (schedule,) = package.function("reconcile_targets")["Events"].values()
        assert schedule == {"Type": "Schedule", "Properties": {"Schedule": "rate(15 minutes)"}}


class TestPolicies:
    def test_each_function_and_stage_has_a_policy_file(self) -> None:
        there = {str(path.relative_to(PROJECT)) for path in (PROJECT / ".chalice").glob("policy*")}
        named = [name.format(stage=stage) for name in POLICY_FILES.values() for stage in STAGES]
        assert there == set(named)

    @every_function
    def test_policies_of_dev_and_prod_differ_only_in_the_stage_s_name(self, function: str) -> None:
        dev, prod = policy_text(function, "dev"), policy_text(function, "prod")
        assert dev != prod
        assert re.sub(r"\bdev\b", "prod", dev) == prod

    @every_stage
    @every_function
    def test_policy_allows_exactly_the_calls_that_the_function_can_make(
        self, function: str, stage: str
    ) -> None:
        allowed = {
            action for one in statements(function, stage) for action in as_list(one["Action"])
        }
        called = {action for name in built_for(function) for action in calls()[name]}
        assert allowed == called | LOG_ACTIONS

    @every_stage
    @every_function
    def test_each_statement_allows_named_actions_on_named_resources(
        self, function: str, stage: str
    ) -> None:
        for one in statements(function, stage):
            assert one["Effect"] == "Allow"
            assert {"NotAction", "NotResource"}.isdisjoint(one)
            for action in as_list(one["Action"]):
                assert "*" not in action
            if one["Resource"] == "*":
                assert set(as_list(one["Action"])) <= WITHOUT_RESOURCE
                assert one["Sid"].endswith("ForWhichThereIsNoResource")
                continue
            for resource in as_list(one["Resource"]):
                assert re.match(
                    r"arn:aws:(ssm|ec2|logs|sns|lambda|autoscaling):\*:000000000000:[a-z/]",
                    resource,
                )

    @every_stage
    @every_function
    def test_function_can_read_only_the_parameters_it_needs_in_its_stage(
        self, function: str, stage: str
    ) -> None:
        for other in ("dev", "prod", "dev2", "de", "staging"):
            names = parameter_names(other)
            needed = names["shared"] + names[function] if other == stage else []
            if function == "receive_launch":  # it reads no parameter: it only wakes rounds
                needed = []
            for name in (name for group in names.values() for name in group):
                can_read = is_allowed(function, stage, "ssm:GetParameters", f"{ARN}parameter{name}")
                assert can_read == (name in needed), name

    DOCUMENT = "arn:aws:ssm:eu-central-1:000000000000:document/"
    MANAGED = "arn:aws:ssm:eu-central-1:000000000000:managed-instance/mi-0123456789abcdef0"
    HOST = f"{HOST_ARN}i-0123456789abcdef0"

    @every_stage
    @pytest.mark.parametrize("function", SENDERS)
    @pytest.mark.parametrize("host", [HOST, MANAGED])
    def test_sender_can_send_the_stage_s_document_to_the_stage_s_hosts(
        self, function: str, stage: str, host: str
    ) -> None:
        document = self.DOCUMENT + document_name(stage)
        assert may_send(function, stage, document, host, {"pulley": stage, "role": "web"})

    @every_stage
    @pytest.mark.parametrize("function", SENDERS)
    @pytest.mark.parametrize(
        ("document", "host", "tags"),
        [
            ("arn:aws:ssm:eu-central-1::document/AWS-RunShellScript", HOST, "own"),
            (f"{DOCUMENT}AWS-RunShellScript", HOST, "own"),
            (f"{DOCUMENT}pulley-other-pull", HOST, "own"),
            (f"{DOCUMENT}{{own}}2", HOST, "own"),
            ("arn:aws:ssm:eu-central-1:999999999999:document/{own}", HOST, "own"),
            (f"{DOCUMENT}{{own}}", HOST, "none"),
            (f"{DOCUMENT}{{own}}", HOST, "other"),
            (f"{DOCUMENT}{{own}}", HOST, "capitals"),
            (f"{DOCUMENT}{{own}}", MANAGED, "none"),
            (f"{DOCUMENT}{{own}}", HOST.replace("0" * 12, "9" * 12), "own"),
            (f"{DOCUMENT}{{own}}", "arn:aws:s3:::bucket", "own"),
        ],
    )
    def test_sender_cannot_send_other_documents_or_to_other_hosts(
        self, function: str, stage: str, document: str, host: str, tags: str
    ) -> None:
        other = {"dev": "prod", "prod": "dev"}[stage]
        tagged = {
            "own": {"pulley": stage},
            "none": {"role": "web"},
            "other": {"pulley": other},
            "capitals": {"pulley": stage.upper(), "Pulley": stage},
        }[tags]
        arn = document.replace("pulley-other-", f"pulley-{other}-")
        arn = arn.replace("{own}", document_name(stage))
        assert not may_send(function, stage, arn, host, tagged)

    @every_stage
    def test_reporter_cannot_send_commands(self, stage: str) -> None:
        document = self.DOCUMENT + document_name(stage)
        tags = {"pulley": stage}
        assert not may_send("report_status_change", stage, document, self.HOST, tags)

    @every_stage
    @pytest.mark.parametrize(
        ("function", "changing"),
        [
            ("api_handler", {"SendCommand", "InvokeFunction", "PutParameter", "DeleteParameters"}),
            ("report_status_change", {"Publish", "InvokeFunction"}),
            (
                "reconcile_targets",
                {
                    *("SendCommand", "PutParameter", "Publish"),
                    *("CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"),
                },
            ),
            ("receive_launch", {"InvokeFunction"}),
        ],
    )
    def test_function_has_only_these_changing_actions(
        self, function: str, changing: set[str], stage: str
    ) -> None:
        actions = {
            action for one in statements(function, stage) for action in as_list(one["Action"])
        }
        verbs = {action.partition(":")[2] for action in actions - LOG_ACTIONS}
        reading = ("Get", "List", "Describe")
        assert {verb for verb in verbs if not verb.startswith(reading)} == changing

    @every_stage
    @every_function
    def test_function_can_write_only_its_own_log(self, function: str, stage: str) -> None:
        own = f"pulley-{stage}" + ("" if function == "api_handler" else f"-{function}")
        logs = "arn:aws:logs:eu-central-1:000000000000:log-group:/aws/lambda/"
        for name in (own, "pulley-dev", "pulley-prod", "pulley-prod-eu", "pulley-production"):
            for tail in ("", ":log-stream:2030/01/01/[$LATEST]a"):
                can_write = is_allowed(function, stage, "logs:PutLogEvents", logs + name + tail)
                assert can_write == (name == own), (name, tail)

    @every_stage
    @pytest.mark.parametrize(
        ("function", "action"),
        [
            ("reconcile_targets", "CompleteLifecycleAction"),
            ("reconcile_targets", "RecordLifecycleActionHeartbeat"),
        ],
    )
    def test_lifecycle_actions_only_of_groups_tagged_for_the_stage(
        self, function: str, action: str, stage: str
    ) -> None:
        arn = "arn:aws:autoscaling:eu-central-1:000000000000:autoScalingGroup:x:"
        arn += "autoScalingGroupName/web"
        for tags in ({"pulley": "dev"}, {"pulley": "prod"}, {"role": stage}, {}):
            context = {f"autoscaling:ResourceTag/{key}": value for key, value in tags.items()}
            can = is_allowed(function, stage, f"autoscaling:{action}", arn, context)
            assert can == (tags == {"pulley": stage})

    @every_stage
    @pytest.mark.parametrize("function", PUBLISHERS)
    def test_publisher_can_publish_only_to_the_stage_s_topic(
        self, function: str, stage: str
    ) -> None:
        arn = "arn:aws:sns:eu-central-1:000000000000:pulley-"
        for other in ("dev", "prod", "dev2", "de"):
            can_publish = is_allowed(function, stage, "sns:Publish", arn + other)
            assert can_publish == (other == stage)

    @every_stage
    @pytest.mark.parametrize("function", WAKERS)
    def test_waker_can_call_only_the_stage_s_reconciler(self, function: str, stage: str) -> None:
        for other in ("dev", "prod", "dev2", "de"):
            for name in (*function_names(other), f"{reconciler_name(other)}2"):
                can_call = is_allowed(
                    function, stage, "lambda:InvokeFunction", f"{FUNCTION_ARN}{name}"
                )
                assert can_call == (name == reconciler_name(stage)), name
        elsewhere = FUNCTION_ARN.replace("0" * 12, "9" * 12) + reconciler_name(stage)
        assert not is_allowed(function, stage, "lambda:InvokeFunction", elsewhere)

    @every_stage
    def test_reconciler_can_call_no_function(self, stage: str) -> None:
        for name in function_names(stage):
            arn = f"{FUNCTION_ARN}{name}"
            assert not is_allowed("reconcile_targets", stage, "lambda:InvokeFunction", arn)

    @every_stage
    def test_reconciler_can_write_only_the_round_s_state(self, stage: str) -> None:
        for other in ("dev", "prod", "dev2", "de"):
            names = [*(name for group in parameter_names(other).values() for name in group)]
            for name in (*names, "/pulley", f"/pulley/{other}", f"/pulley/{other}/reconcile/x"):
                arn = f"{ARN}parameter{name}"
                can_write = is_allowed("reconcile_targets", stage, "ssm:PutParameter", arn)
                assert can_write == (name == ParameterNames(stage).reconcile), name

    @every_stage
    @pytest.mark.parametrize("action", ["PutParameter", "DeleteParameters"])
    def test_page_can_write_only_the_notes_of_used_links(self, action: str, stage: str) -> None:
        for other in ("dev", "prod", "dev2", "de"):
            names = ParameterNames(other)
            stored = [*(name for group in parameter_names(other).values() for name in group)]
            for name in (*stored, names.used_link("N" * 22), f"/pulley/{other}/page-linksx"):
                can_write = is_allowed(
                    "api_handler", stage, f"ssm:{action}", f"{ARN}parameter{name}"
                )
                is_note = name == ParameterNames(stage).used_link("N" * 22)
                assert can_write == is_note, name

    @every_stage
    @pytest.mark.parametrize("function", PUBLISHERS)
    def test_only_the_webhook_can_read_webhook_secrets(self, function: str, stage: str) -> None:
        names = ParameterNames(stage)
        for name in (names.webhook_secret, names.repository_webhook_secret(SITE)):
            arn = f"{ARN}parameter{name}"
            assert is_allowed("api_handler", stage, "ssm:GetParameters", arn)
            assert not is_allowed(function, stage, "ssm:GetParameters", arn)


class TestWiring:
    def test_each_class_that_calls_aws_is_built_for_a_function(self) -> None:
        built = {name for function in BUILDERS for name in built_for(function)}
        assert set(calls()) == built

    @every_function
    def test_function_builds_clients_only_for_services_it_calls(self, function: str) -> None:
        called = {
            action.partition(":")[0] for name in built_for(function) for action in calls()[name]
        }
        assert {name[len("build_") : -len("_client")] for name in client_builders(function)} == (
            called
        )


class TestCallsInEdges:
    def test_calls_of_both_clients_of_a_class_are_found(self, tmp_path: Path) -> None:
        source = tmp_path / "edge.py"
        source.write_text(
            "class Edge:\n"
            '    def __init__(self, ec2: "EC2Client", ssm: "SSMClient | None", n: int) -> None:\n'
            "        self._ec2 = ec2\n"
            "        self._of_systems = ssm\n"
            "        self._limit = n\n"
            "    def do(self) -> None:\n"
            "        self._ec2.get_paginator('describe_instances').paginate()\n"
            "        self._of_systems.list_commands(MaxItems=self._limit.real)\n"
        )
        assert calls_in([source]) == {"Edge": {"ec2:DescribeInstances", "ssm:ListCommands"}}

    def test_calls_of_a_base_class_are_found(self, tmp_path: Path) -> None:
        source = tmp_path / "edge.py"
        source.write_text(
            "class Edge:\n"
            '    def __init__(self, client: "SSMClient") -> None:\n'
            "        self._client = client\n"
            "    def do(self) -> None:\n"
            "        self._client.delete_parameter(Name='x')\n"
            "class More(Edge):\n"
            "    def undo(self) -> None:\n"
            "        self._client.put_parameter(Name='x')\n"
        )
        assert calls_in([source]) == {
            "Edge": {"ssm:DeleteParameter"},
            "More": {"ssm:DeleteParameter", "ssm:PutParameter"},
        }

    def test_class_that_does_not_keep_its_client_fails(self, tmp_path: Path) -> None:
        source = tmp_path / "edge.py"
        source.write_text(
            "class Edge:\n"
            '    def __init__(self, ssm: "SSMClient") -> None:\n'
            "        self._list = ssm.list_commands\n"
        )
        with pytest.raises(AssertionError, match="Edge"):
            calls_in([source])

    def test_each_service_has_one_client_builder_in_the_edges(self) -> None:
        built = [
            str(node.args[0].value)
            for path in [*edges(), PROJECT / "chalicelib/wiring.py", PROJECT / "app.py"]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) in {"boto3.client", "boto3.resource", "_build"}
            and isinstance(node.args[0], ast.Constant)
        ]
        called = {action.partition(":")[0] for actions in calls().values() for action in actions}
        assert sorted(built) == sorted(called)


def edges() -> list[Path]:
    return sorted((PROJECT / "chalicelib/edges").glob("*.py"))


class WithoutTypes(ast.NodeTransformer):
    """Removes the imports that only a type checker makes."""

    def visit_If(self, node: ast.If) -> ast.If | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else node


def imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(WithoutTypes().visit(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            package = PROJECT / base.replace(".", "/")
            for alias in node.names:
                is_module = (package / f"{alias.name}.py").exists()
                yield f"{base}.{alias.name}" if is_module else base


@cache
def calls() -> dict[str, set[str]]:
    """The IAM actions that each class in edges/ needs, without classes that need none."""
    return calls_in(edges())


def calls_in(paths: Sequence[Path]) -> dict[str, set[str]]:
    """The calls of each class and its bases to the clients that it keeps."""
    classes = {
        node.name: node
        for path in paths
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    found = {
        name: actions_in([node, *(classes[base] for base in bases_of(node) & classes.keys())])
        for name, node in classes.items()
    }
    return {name: actions for name, actions in found.items() if actions}


def bases_of(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(base) for base in node.bases}


def built_for(function: str) -> set[str]:
    """The classes that call AWS and that wiring.py builds for the function."""
    return names_in_builder(function) & calls().keys()


def client_builders(function: str) -> set[str]:
    return {name for name in names_in_builder(function) if re.fullmatch("build_.*_client", name)}


@cache
def names_in_builder(function: str) -> set[str]:
    """All names in the function's builders, and in what these name of wiring.py."""
    tree = ast.parse((PROJECT / "chalicelib/wiring.py").read_text())
    kinds = (ast.FunctionDef, ast.ClassDef)
    bodies = {node.name: node for node in tree.body if isinstance(node, kinds)}
    names, to_read = set[str](), {*BUILDERS[function]}
    while to_read:
        body = bodies[to_read.pop()]
        new = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)} - names
        names |= new
        to_read |= new & bodies.keys()
    return names


def actions_in(lineage: Sequence[ast.ClassDef]) -> set[str]:
    """The calls of a class; its bases follow it. The clients must be annotated."""
    clients = {kept: service for node in lineage for kept, service in clients_of(node).items()}
    actions = set()
    for call in (part for node in lineage for part in ast.walk(node)):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        service = clients.get(ast.unparse(call.func.value))
        if service:
            method = call.func.attr
            if method in {"get_paginator", "get_waiter"}:
                method = ast.literal_eval(call.args[0])
            actions.add(action_of(service, method))
    return actions


def clients_of(node: ast.ClassDef) -> dict[str, str]:
    """The service of each client that a class keeps, by the annotations in __init__.

    With `ssm: "SSMClient"` and `self._ssm = ssm`, "self._ssm" is of ssm.
    """
    services, kept = {}, {}
    for part in ast.walk(node):
        if isinstance(part, ast.arg) and part.annotation:
            named = re.search("([A-Za-z0-9]+)Client", ast.unparse(part.annotation))
            if named:
                services[part.arg] = named[1].lower()
        if isinstance(part, ast.Assign) and isinstance(part.value, ast.Name):
            kept[part.value.id] = ast.unparse(part.targets[0])
    # Otherwise the class could make calls that this function does not find.
    assert services.keys() <= kept.keys(), f"{node.name} does not keep its clients as they are"
    return {kept[name]: service for name, service in services.items()}


def action_of(service: str, method: str) -> str:
    operations = botocore.session.get_session().get_service_model(service).operation_names
    (operation,) = (name for name in operations if xform_name(name) == method)
    action = f"{service}:{operation}"
    return ACTIONS.get(action, action)


def parameter_names(stage: str) -> dict[str, list[str]]:
    """The parameters that each function reads; `shared` are those of all."""
    names = ParameterNames(stage)
    return {
        "shared": [
            names.targets(SITE),
            names.github_token,
            names.repository_github_token(SITE),
        ],
        "api_handler": [
            names.webhook_secret,
            names.repository_webhook_secret(SITE),
            names.pin("web"),
            names.document,
            names.reconcile,
            names.page_key,
        ],
        "report_status_change": [names.page_url],
        "reconcile_targets": [names.pin("web"), names.document, names.reconcile, names.page_url],
        "receive_launch": [],
    }


def function_names(stage: str) -> list[str]:
    """The names of a stage's functions in Lambda."""
    return [function_name("pulley", stage, function) for function in POLICY_FILES]
