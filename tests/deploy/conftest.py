"""The packages of `chalice package`, made once for all tests, and Lambda's Python."""

import zipfile
from pathlib import Path

import pytest

from tests.deploy.project import STAGES, copy_project, package, resources_of
from tests.deploy.runtime import Python, Unpacked
from tests.fakes import STAGE


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with tracked and untracked files."""
    return copy_project(tmp_path_factory.mktemp("package") / "pulley")


@pytest.fixture(scope="session")
def plain(project: Path) -> dict[str, Path]:
    """Chalice's own package of each stage."""
    return {stage: package(project, f"plain-{stage}", stage) for stage in STAGES}


@pytest.fixture(scope="session")
def unpacked(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    folder = tmp_path_factory.mktemp("lambda")
    made = package(project, "unpacked", STAGE)
    with zipfile.ZipFile(made / "deployment.zip") as archive:
        archive.extractall(folder)
    functions = {
        one["Properties"]["Handler"].partition(".")[2]: one["Properties"]
        for one in resources_of(made).values()
        if one["Type"] == "AWS::Serverless::Function"
    }
    return Unpacked(folder, functions)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Python:
    return Python.build(tmp_path_factory.mktemp("python"))
