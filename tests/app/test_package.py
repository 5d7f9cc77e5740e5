"""What `chalice package` makes: what is in the zip, and what its role may do."""

import ast
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from chalicelib.core.commands import document_name
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames

PROJECT = Path(__file__).parents[2]
STAGES = ("dev", "prod")
CHALICE_S_OWN = {"chalice/__init__.py", "chalice/app.py"}
# What any function needs that writes a log; no client in edges/ calls it.
LOG_ACTIONS = {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}
RECEIVE_POLICY = ".chalice/policy-receive-{stage}.json"
SITE = Repository("octo", "site")


def as_list(value: Any) -> list[Any]:  # noqa: ANN401 - IAM's JSON: one of a thing or a list of it
    return value if isinstance(value, list) else [value]


def policy_text(stage: str) -> str:
    return (PROJECT / RECEIVE_POLICY.format(stage=stage)).read_text()


def statements(stage: str) -> list[dict[str, Any]]:
    return as_list(json.loads(policy_text(stage))["Statement"])


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


@pytest.fixture(scope="module", params=STAGES)
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Made from a copy of all that lies in the checkout, tracked or not."""
    stage, copy = request.param, tmp_path_factory.mktemp(request.param)
    for name in ("app.py", "requirements.txt"):
        shutil.copy(PROJECT / name, copy)
    for name in ("chalicelib", ".chalice"):
        without = shutil.ignore_patterns("deployments", "deployed")
        shutil.copytree(PROJECT / name, copy / name, ignore=without)
    subprocess.run(
        [
            sys.executable,
            "-c",
            "from chalice.cli import main; main()",
            "package",
            f"--stage={stage}",
            "out",
        ],
        cwd=copy,
        env=os.environ | {"AWS_DEFAULT_REGION": "eu-central-1"},
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(copy / "out/deployment.zip") as archive:
        files = frozenset(archive.namelist())
    template = json.loads((copy / "out/sam.json").read_text())
    return Package(stage, files, template["Resources"])


class TestZip:
    def test_it_has_the_app_and_what_git_tracks_and_nothing_else(self, package: Package) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "chalicelib"],
            cwd=PROJECT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        tracked = {name for name in listed if (PROJECT / name).exists()}
        assert "chalicelib/host/pull.sh" in tracked
        assert package.files == {"app.py"} | tracked | CHALICE_S_OWN

    def test_every_module_that_the_app_imports_is_in_it_or_in_lambda(
        self, package: Package
    ) -> None:
        in_lambda = {"boto3", "botocore", "urllib3", "chalice", *sys.stdlib_module_names}
        for name in package.files - CHALICE_S_OWN:
            if not name.endswith(".py"):
                continue
            for module in imported_by(PROJECT / name):
                path = module.replace(".", "/")
                here = {f"{path}.py", f"{path}/__init__.py"} & package.files
                assert here or module.partition(".")[0] in in_lambda, f"{name} imports {module}"


class TestTemplate:
    def test_function_knows_its_stage(self, package: Package) -> None:
        function = package.only("AWS::Serverless::Function")
        assert function["Environment"]["Variables"] == {"PULLEY_STAGE": package.stage}
        assert function["Handler"] == "app.app"

    def test_function_outlives_github_s_patience_and_not_api_gateway_s(
        self, package: Package
    ) -> None:
        function = package.only("AWS::Serverless::Function")
        assert 10 <= function["Timeout"] < 29
        assert function["MemorySize"] == 512

    def test_role_s_policy_is_the_file_and_nothing_more(self, package: Package) -> None:
        role = package.only("AWS::IAM::Role")
        (policy,) = role["Policies"]
        assert policy["PolicyDocument"] == json.loads(policy_text(package.stage))
        assert "ManagedPolicyArns" not in role

    def test_only_way_in_is_post_github(self, package: Package) -> None:
        api = package.only("AWS::Serverless::Api")
        assert api["StageName"] == package.stage
        paths = api["DefinitionBody"]["paths"]
        assert {path: set(methods) for path, methods in paths.items()} == {"/github": {"post"}}


class TestPolicies:
    def test_stages_are_the_same_but_for_their_names(self) -> None:
        dev = policy_text("dev")
        assert dev != policy_text("prod")
        assert re.sub(r"\bdev\b", "prod", dev) == policy_text("prod")

    @pytest.mark.parametrize("stage", STAGES)
    def test_every_call_that_the_edges_make_is_allowed_and_nothing_is_spare(
        self, stage: str
    ) -> None:
        allowed = {action for one in statements(stage) for action in as_list(one["Action"])}
        called = {action for path in edges() for action in actions_in(path)}
        assert allowed == called | LOG_ACTIONS

    @pytest.mark.parametrize("stage", STAGES)
    def test_every_statement_allows_named_actions_on_named_resources(self, stage: str) -> None:
        for one in statements(stage):
            assert one["Effect"] == "Allow"
            assert {"NotAction", "NotResource"}.isdisjoint(one)
            for action in as_list(one["Action"]):
                assert "*" not in action
            for resource in as_list(one["Resource"]):
                assert re.match(r"arn:aws:(ssm|ec2|logs):\*:000000000000:[a-z]", resource)

    @pytest.mark.parametrize("stage", STAGES)
    def test_parameters_of_this_stage_are_readable_and_no_other_s(self, stage: str) -> None:
        (readable,) = (
            as_list(one["Resource"])
            for one in statements(stage)
            if as_list(one["Action"]) == ["ssm:GetParameters"]
        )
        for other in ("dev", "prod", "dev2", "de", "staging"):
            for name in parameter_names(other):
                arn = f"arn:aws:ssm:eu-central-1:000000000000:parameter{name}"
                is_readable = any(fnmatch.fnmatchcase(arn, pattern) for pattern in readable)
                assert is_readable == (other == stage), name

    @pytest.mark.parametrize("stage", STAGES)
    def test_tokens_for_github_are_not_readable_here(self, stage: str) -> None:
        for name in ("github-token", f"repositories/{SITE}/github-token"):
            arn = f"arn:aws:ssm:eu-central-1:000000000000:parameter/pulley/{stage}/{name}"
            for one in statements(stage):
                for pattern in as_list(one["Resource"]):
                    assert not fnmatch.fnmatchcase(arn, pattern)

    @pytest.mark.parametrize("stage", STAGES)
    def test_commands_run_this_document_alone_on_hosts_of_this_stage_alone(
        self, stage: str
    ) -> None:
        sending = [one for one in statements(stage) if one["Action"] == "ssm:SendCommand"]
        on_documents, on_hosts = sending
        assert on_documents["Resource"] == (
            f"arn:aws:ssm:*:000000000000:document/{document_name(stage)}"
        )
        assert "Condition" not in on_documents
        assert set(on_hosts["Resource"]) == {
            "arn:aws:ec2:*:000000000000:instance/*",
            "arn:aws:ssm:*:000000000000:managed-instance/*",
        }
        assert on_hosts["Condition"] == {"StringEquals": {"ssm:resourceTag/pulley": stage}}


class TestActionsIn:
    def test_call_of_a_client_is_found_by_its_service(self, tmp_path: Path) -> None:
        source = tmp_path / "edge.py"
        source.write_text(
            "class Edge:\n"
            '    def __init__(self, client: "SSMClient") -> None:\n'
            "        self._client = client\n"
            "    def do(self) -> None:\n"
            "        self._client.delete_parameter(Name='x')\n"
            "class Other:\n"
            '    def __init__(self, client: "EC2Client") -> None:\n'
            "        self._client = client\n"
            "    def do(self) -> None:\n"
            "        self._client.get_paginator('describe_instances')\n"
        )
        assert set(actions_in(source)) == {"ssm:DeleteParameter", "ec2:DescribeInstances"}

    def test_every_client_that_is_built_is_of_a_class_that_is_read_here(self) -> None:
        built = {
            node.args[0].value
            for path in [*edges(), PROJECT / "chalicelib/wiring.py"]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) == "boto3.client"
            and isinstance(node.args[0], ast.Constant)
        }
        read = {action.partition(":")[0] for path in edges() for action in actions_in(path)}
        assert built == read


def edges() -> list[Path]:
    return sorted((PROJECT / "chalicelib/edges").glob("*.py"))


class WithoutTypes(ast.NodeTransformer):
    """Takes away what only a type checker imports."""

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


def actions_in(path: Path) -> Iterator[str]:
    """The IAM actions of each call on `self._client`, of a class whose client is annotated."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ClassDef):
            continue
        for call in ast.walk(node):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            if ast.unparse(call.func.value) == "self._client":
                method = call.func.attr
                if method in {"get_paginator", "get_waiter"}:
                    method = ast.literal_eval(call.args[0])
                yield action_of(service_of(node), method)


def service_of(node: ast.ClassDef) -> str:
    """From the annotation in __init__: "SSMClient" is ssm."""
    found = re.search(r"client: ['\"]?([A-Za-z0-9]+)Client", ast.unparse(node))
    assert found, f"{node.name} calls a client of an unknown service"
    return found[1].lower()


def action_of(service: str, method: str) -> str:
    operations = botocore.session.get_session().get_service_model(service).operation_names
    (operation,) = (name for name in operations if xform_name(name) == method)
    return f"{service}:{operation}"


def parameter_names(stage: str) -> list[str]:
    names = ParameterNames(stage)
    return [
        names.webhook_secret,
        names.repository_webhook_secret(SITE),
        names.targets(SITE),
        names.pin("web"),
        names.document,
    ]
