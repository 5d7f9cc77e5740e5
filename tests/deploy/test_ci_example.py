"""The example of a deploy from CI: its steps are run, and its policy allows what they do."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # Chalice's, and without types
from botocore.client import BaseClient

from pulley.operator.uninstall.stack import OUR_TYPES
from pulley.sandbox.app.deployed import DeployedApp
from pulley.sandbox.sandbox import Sandbox
from tests.app.policies import PROJECT
from tests.cli.conftest import invoke, no_settings
from tests.iam import as_list
from tests.processes import HANG_SECONDS

__all__ = ["no_settings"]
pytestmark = pytest.mark.xdist_group("chalice package")
EXAMPLE = PROJECT / "examples/ci"
WORKFLOW: Any = yaml.safe_load((EXAMPLE / "deploy.yml").read_text())
JOB: dict[str, Any] = WORKFLOW["jobs"]["deploy"]
POLICY: dict[str, Any] = json.loads((EXAMPLE / "policy.json").read_text())
BUCKET = "pulley-prod-123456789012"
TOML = """
[targets.web]
repository = "octo/site"
branch = "main"
instances = { tags = { role = "web" } }
checkout = "/srv/site"
timeout = 30
"""


def is_allowed(action: str) -> bool:
    """Whether some statement of the policy has the action."""
    return any(
        fnmatch.fnmatchcase(action.lower(), one.lower())
        for statement in POLICY["Statement"]
        for one in as_list(statement["Action"])
    )


class TestWorkflow:
    def test_job_has_no_key_and_asks_for_the_environment_that_the_role_trusts(self) -> None:
        text = (EXAMPLE / "deploy.yml").read_text()
        assert "secrets." not in text
        assert "access-key" not in text
        assert JOB["permissions"] == {"contents": "read", "id-token": "write"}
        assert WORKFLOW["concurrency"]["cancel-in-progress"] is False
        (statement,) = json.loads((EXAMPLE / "trust.json").read_text())["Statement"]
        told = statement["Condition"]["StringEquals"]
        issuer = "token.actions.githubusercontent.com"
        assert told[f"{issuer}:aud"] == "sts.amazonaws.com"
        assert told[f"{issuer}:sub"].endswith(f":environment:{JOB['environment']}")
        assert statement["Principal"]["Federated"].endswith(f":oidc-provider/{issuer}")

    def test_pull_request_starts_nothing(self) -> None:
        assert set(WORKFLOW[True]) == {"push", "workflow_dispatch"}  # YAML 1.1 takes on for true
        assert WORKFLOW[True]["push"] == {"branches": ["main"]}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """GitHub and an account with a host for prod, a bucket, and what the stack would have."""
    with Sandbox(["web-0"], empty=True) as opened:
        opened.add_machine("web-1", tags={"pulley": "prod", "role": "web"})
        opened.account.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": opened.account.region}
        )
        yield opened


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The runner's folder: the own repository, and Pulley's in it, with a virtual environment."""
    (tmp_path / "pulley.toml").write_text(TOML)
    left = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", ".*_cache", "deployed")
    shutil.copytree(PROJECT, tmp_path / "pulley", ignore=left)
    for name in ("requirements-dev.txt", "pyproject.toml"):  # so that make has nothing to install
        os.utime(tmp_path / "pulley" / name, (0, 0))
    # A folder of its own, so that a make that installs all the same cannot clear the real one.
    (tmp_path / "pulley/.venv").mkdir()
    for entry in Path(sys.executable).parents[1].iterdir():
        (tmp_path / "pulley/.venv" / entry.name).symlink_to(entry)
    return tmp_path


@pytest.mark.usefixtures("no_settings")
class TestSteps:
    def test_every_command_is_run_in_the_sandbox(self, sandbox: Sandbox, checkout: Path) -> None:
        """CloudFormation is not emulated that far: its deploy is run up to the change set."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = os.environ | sandbox.environ | {"PATH": path} | JOB["env"]
        environ.pop("PULLEY_WEBHOOK_URL")
        said = []
        for step in JOB["steps"]:
            if "run" not in step:
                continue
            command = step["run"]
            if "doctor" in command:  # what the stack would have made
                DeployedApp(sandbox.account, stage="prod", environ={})
            done = subprocess.run(
                ["bash", "-e", "-c", command],
                cwd=checkout / step.get("working-directory", "."),
                env=environ,
                check=False,
                capture_output=True,
                text=True,
                timeout=HANG_SECONDS,
            )
            is_deploy = command.startswith("aws cloudformation deploy ")
            assert (done.returncode == 0) != is_deploy, (command, done.stdout, done.stderr)
            if is_deploy:
                assert "when calling the CreateChangeSet operation" in done.stderr
            said.append(done.stdout)
        uploaded = json.loads((checkout / "packaged.json").read_text())["Resources"]
        codes = {
            one["Properties"]["CodeUri"].rpartition("/")[0]
            for one in uploaded.values()
            if one["Type"] == "AWS::Serverless::Function"
        }
        assert codes == {f"s3://{BUCKET}"}
        assert "Done: document: pulley-prod-pull: version 1 is the default" in "".join(said)
        assert " pass, 2 warn." in said[-1]


@pytest.mark.usefixtures("no_settings")
class TestPolicy:
    def test_calls_of_the_commands_are_allowed(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each call is recorded, and made."""
        (tmp_path / "pulley.toml").write_text(TOML)
        called: set[str] = set()
        call = BaseClient._make_api_call  # type: ignore[attr-defined]

        def record(client: Any, operation: str, arguments: Any) -> Any:  # noqa: ANN401
            called.add(f"{client.meta.service_model.signing_name}:{operation}")
            return call(client, operation, arguments)

        monkeypatch.setattr(BaseClient, "_make_api_call", record)
        for words in ("setup --yes", f"targets apply --yes {tmp_path}/pulley.toml", "doctor"):
            assert invoke(sandbox.environ, *words.split()).exit_code in {0, 3}
        assert {"ssm:CreateDocument", "ssm:PutParameter", "ssm:SendCommand"} <= called
        assert [one for one in called - {"sts:GetCallerIdentity"} if not is_allowed(one)] == []

    def test_everything_of_the_stack_may_be_made(self) -> None:
        """API Gateway's actions are the methods of HTTP."""
        needed = {
            "AWS::Lambda::Function": "lambda:CreateFunction",
            "AWS::Lambda::Permission": "lambda:AddPermission",
            "AWS::Lambda::EventInvokeConfig": "lambda:PutFunctionEventInvokeConfig",
            "AWS::IAM::Role": "iam:PutRolePolicy",
            "AWS::Events::Rule": "events:PutTargets",
            "AWS::ApiGateway::RestApi": "apigateway:POST",
            "AWS::ApiGateway::Deployment": "apigateway:POST",
            "AWS::ApiGateway::Stage": "apigateway:PATCH",
            "AWS::SQS::Queue": "sqs:CreateQueue",
            "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm",
            "AWS::Logs::LogGroup": "logs:PutRetentionPolicy",
            "AWS::SSM::Document": "ssm:UpdateDocument",
        }
        assert set(needed) == OUR_TYPES
        assert all(is_allowed(one) for one in needed.values())

    @pytest.mark.parametrize(
        "action", ["iam:CreateUser", "iam:AttachRolePolicy", "ec2:RunInstances", "s3:DeleteBucket"]
    )
    def test_what_no_step_needs_is_not_allowed(self, action: str) -> None:
        assert not is_allowed(action)

    def test_only_looks_are_allowed_everywhere(self) -> None:
        (look,) = (one for one in POLICY["Statement"] if one["Resource"] == "*")
        verbs = ("Describe", "Get", "List")
        assert all(one.partition(":")[2].startswith(verbs) for one in look["Action"])
