"""The zip, unpacked once, and the Python of Lambda to run it."""

import json
import shutil
import zipfile

import pytest

from tests.deploy.project import chalice, copy_project
from tests.deploy.runtime import Python, Unpacked
from tests.fakes import STAGE


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    folder = tmp_path_factory.mktemp("lambda")
    project = copy_project(folder / "pulley")
    chalice(project, "package", "--stage", STAGE, "out")
    with zipfile.ZipFile(project / "out/deployment.zip") as archive:
        archive.extractall(folder / "task")
    resources = json.loads((project / "out/sam.json").read_text())["Resources"]
    shutil.rmtree(project)
    functions = {
        one["Properties"]["Handler"].partition(".")[2]: one["Properties"]
        for one in resources.values()
        if one["Type"] == "AWS::Serverless::Function"
    }
    return Unpacked(folder / "task", functions)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Python:
    return Python.build(tmp_path_factory.mktemp("python"))
