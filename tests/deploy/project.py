"""A copy of the project, and Chalice's own command in it: nothing is written to the checkout."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.app.policies import PROJECT
from tests.processes import HANG_SECONDS

STAGES = ("dev", "prod")
REGION = "eu-central-1"
CHALICE = Path(sys.executable).with_name("chalice")
# Files that Python and Chalice leave in a checkout.
LEFT_BEHIND = shutil.ignore_patterns("deployments", "deployed", "__pycache__")


def copy_project(folder: Path) -> Path:
    """Copy all that Chalice reads, tracked or not, into a new folder, and return the folder."""
    folder.mkdir()
    for name in ("app.py", "requirements.txt"):
        shutil.copy(PROJECT / name, folder)
    for name in ("chalicelib", ".chalice"):
        shutil.copytree(PROJECT / name, folder / name, ignore=LEFT_BEHIND)
    return folder


def chalice(project: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run Chalice's command and return its output. If it fails, fail with its output."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PULLEY_"))
    }
    done = subprocess.run(
        [CHALICE, *arguments],
        cwd=project,
        env=clean
        | {"AWS_DEFAULT_REGION": REGION, "HOME": str(project), "PYTHONDONTWRITEBYTECODE": "1"}
        | dict(environ or {}),
        check=False,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def package(project: Path, folder: str, stage: str, *options: str) -> Path:
    """Run `chalice package` with a new zip: Chalice would use an existing one again.

    Returns the folder of the package.
    """
    for path in project.glob(".chalice/deployments/*"):
        path.unlink()
    # Chalice's configuration has the stage; the caller's variable must not count.
    environ = {"PULLEY_STAGE": "another"}
    chalice(project, "package", "--stage", stage, *options, folder, environ=environ)
    return project / folder


def resources_of(package: Path) -> dict[str, dict[str, Any]]:
    """The resources of the package's template, by logical name."""
    resources: dict[str, dict[str, Any]] = json.loads((package / "sam.json").read_text())[
        "Resources"
    ]
    return resources


def contents(package: Path) -> dict[str, tuple[int, bytes]]:
    """The mode and the bytes of each file of the package's zip."""
    with zipfile.ZipFile(package / "deployment.zip") as archive:
        return {one.filename: (one.external_attr, archive.read(one)) for one in archive.infolist()}
