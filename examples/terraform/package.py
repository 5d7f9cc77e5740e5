"""Make a Terraform module of Pulley's app: `chalice package`, without what Terraform refuses in it.

    python examples/terraform/package.py prod        # writes build/terraform/prod

Chalice 1.34 refuses log retention in this format, gives the rules of all stages the same names, and
asks for Terraform before 1.4, the AWS provider before 5, and the null provider, which nothing uses.
So this packages a copy of the app without the retention (main.tf has it), and corrects the rest.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
COPIED = ("app.py", "requirements.txt", "chalicelib", ".chalice")
NOT_COPIED = shutil.ignore_patterns("__pycache__", "deployed", "deployments")
CONFIG = PROJECT / ".chalice/config.json"
PLACEHOLDER = "000000000000"  # the account in a policy before `pulley setup`
VERSIONS = {
    "required_version": ">= 1.4",
    "required_providers": {"aws": {"source": "hashicorp/aws", "version": ">= 5, < 6"}},
}


def without_log_retention(settings: dict[str, Any]) -> dict[str, Any]:
    """Chalice's settings without `log_retention_in_days`, wherever it is."""
    return {
        key: without_log_retention(value) if isinstance(value, dict) else value
        for key, value in settings.items()
        if key != "log_retention_in_days"
    }


def corrected(module: dict[str, Any], stage: str) -> dict[str, Any]:
    """Chalice's module with present versions, no null provider, and rules named after the stage."""
    del module["data"]["null_data_source"]
    module["terraform"] = VERSIONS
    for rule in module["resource"]["aws_cloudwatch_event_rule"].values():
        rule["name"] = f"pulley-{stage}-{rule['name']}"
    return module


def problem_of(stage: str) -> str:
    """Why the stage cannot be packaged, and what to do; or ""."""
    stages = json.loads(CONFIG.read_text())["stages"]
    if stage not in stages:
        return f"{CONFIG} has no stage {stage}; there is {', '.join(stages)}"
    blocks = [stages[stage], *stages[stage].get("lambda_functions", {}).values()]
    for name in {one["iam_policy_file"] for one in blocks if "iam_policy_file" in one}:
        file = PROJECT / ".chalice" / name
        if not file.exists():
            return f"{file} is not there: copy that of another stage, and put {stage} into it"
        if PLACEHOLDER in file.read_text():
            return f"{file} has no account yet: pulley setup --stage {stage} puts it in"
    return ""


def package(stage: str) -> Path:
    """Write the module of a stage, and return its folder."""
    folder, copy = PROJECT / "build/terraform" / stage, PROJECT / "build/terraform/app"
    for old in (folder, copy):
        shutil.rmtree(old, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=NOT_COPIED)
        else:
            shutil.copy(source, copy)
    config = copy / ".chalice/config.json"
    config.write_text(json.dumps(without_log_retention(json.loads(config.read_text()))))
    chalice = [Path(sys.executable).with_name("chalice"), "package", "--stage", stage]
    environ = {
        "AWS_DEFAULT_REGION": "us-east-1",
        **os.environ,
    }  # any will do: Terraform has its own
    command = [*chalice, "--pkg-format", "terraform", str(folder)]
    subprocess.run(command, cwd=copy, check=True, env=environ)
    module = folder / "chalice.tf.json"
    module.write_text(json.dumps(corrected(json.loads(module.read_text()), stage), indent=2))
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Say which stage: python examples/terraform/package.py prod")
    if found := problem_of(sys.argv[1]):
        sys.exit(f"Error: {found}")
    print(package(sys.argv[1]))
