"""The Terraform example: the module that `chalice package` makes, corrected, and what is around it.

Terraform itself validates it where Terraform and the AWS provider are: without these, that test is
skipped. Nothing here asks AWS.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.app.policies import PROJECT
from tests.deploy.project import STAGES, copy_project
from tests.processes import HANG_SECONDS

pytestmark = pytest.mark.xdist_group("chalice package")
TERRAFORM = shutil.which("terraform")
# A folder with the AWS provider, as `terraform providers mirror` makes it: for machines without
# the network.
PLUGINS = Path(os.environ.get("PULLEY_TERRAFORM_PLUGINS", "/opt/tf-plugins"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the clone, in which the example's program has been run for each stage."""
    folder = copy_project(tmp_path_factory.mktemp("terraform") / "pulley")
    shutil.copytree(PROJECT / "examples", folder / "examples")
    for policy in (folder / ".chalice").glob("policy-*.json"):
        policy.write_text(policy.read_text().replace("000000000000", "123456789012"))
    for stage in STAGES:
        assert package(folder, stage).returncode == 0
    return folder


def package(folder: Path, *stage: str) -> subprocess.CompletedProcess[str]:
    """Run the example's program, with no region configured."""
    environ = {name: value for name, value in os.environ.items() if name != "AWS_DEFAULT_REGION"}
    return subprocess.run(
        [sys.executable, "examples/terraform/package.py", *stage],
        cwd=folder,
        env=environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )


def test_stage_that_cannot_be_packaged_is_one_line(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "pulley")
    shutil.copytree(PROJECT / "examples", folder / "examples")
    for stage, words in (
        ([], "Say which stage: python examples/terraform/package.py prod"),
        (["prdo"], "has no stage prdo; there is dev, prod"),
        (["prod"], "has no account yet: pulley setup --stage prod puts it in"),
    ):
        done = package(folder, *stage)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert words in done.stderr


def module_of(clone: Path, stage: str) -> dict[str, Any]:
    module: dict[str, Any] = json.loads(
        (clone / f"build/terraform/{stage}/chalice.tf.json").read_text()
    )
    return module


@pytest.mark.parametrize("stage", STAGES)
class TestModule:
    def test_functions_roles_and_rules_have_the_names_of_chalice_deploy(
        self, clone: Path, stage: str
    ) -> None:
        resources = module_of(clone, stage)["resource"]
        names = {one["function_name"] for one in resources["aws_lambda_function"].values()}
        events = ("report_status_change", "reconcile_targets", "receive_launch")
        assert names == {f"pulley-{stage}", *(f"pulley-{stage}-{one}" for one in events)}
        roles = {one["name"] for one in resources["aws_iam_role"].values()}
        assert roles == {f"pulley-{stage}-{one}" for one in ("api_handler", *events)}
        rules = {one["name"] for one in resources["aws_cloudwatch_event_rule"].values()}
        assert rules == {f"pulley-{stage}-{one}-event" for one in events}

    def test_roles_have_the_policy_files(self, clone: Path, stage: str) -> None:
        policies = module_of(clone, stage)["resource"]["aws_iam_role_policy"]
        for name, part in {
            "api_handler_role": "receive",
            "report_status_change_role": "report",
            "reconcile_targets_role": "reconcile",
            "receive_launch_role": "launch",
        }.items():
            wanted = json.loads((clone / f".chalice/policy-{part}-{stage}.json").read_text())
            assert json.loads(policies[name]["policy"]) == wanted

    def test_clone_s_own_settings_are_left_as_they_are(self, clone: Path, stage: str) -> None:
        assert (clone / ".chalice/config.json").read_text() == (
            PROJECT / ".chalice/config.json"
        ).read_text()
        assert (clone / f"build/terraform/{stage}/deployment.zip").exists()


@pytest.mark.skipif(
    not TERRAFORM or not PLUGINS.is_dir(),
    reason="needs Terraform, and the AWS provider in a folder",
)
class TestTerraform:
    def terraform(self, clone: Path, *arguments: str) -> str:
        assert TERRAFORM
        (clone / "empty.tfrc").touch()
        done = subprocess.run(
            [TERRAFORM, *arguments],
            cwd=clone / "examples/terraform",
            env=os.environ | {"TF_CLI_CONFIG_FILE": str(clone / "empty.tfrc")},
            check=False,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def test_example_is_valid_and_formatted(self, clone: Path) -> None:
        self.terraform(clone, "fmt", "-check", "-diff")
        self.terraform(clone, "init", "-backend=false", f"-plugin-dir={PLUGINS}")
        found = json.loads(self.terraform(clone, "validate", "-json"))
        assert (found["valid"], found["error_count"]) == (True, 0)
