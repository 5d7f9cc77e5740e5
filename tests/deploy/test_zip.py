"""The zip is the same twice; docs/deploying.md says what Chalice cannot promise."""

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.deploy.project import chalice, copy_project

pytestmark = pytest.mark.xdist_group("chalice package")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("zip") / "pulley")


@pytest.fixture(scope="module")
def first(project: Path) -> Path:
    return build(project, "first")


class TestSameCheckout:
    def test_it_is_the_same_byte_for_byte(self, project: Path, first: Path) -> None:
        again = build(project, "again")
        assert digest(again) == digest(first)

    def test_other_stage_s_is_the_same_byte_for_byte(self, project: Path, first: Path) -> None:
        assert digest(build(project, "other", stage="prod")) == digest(first)


class TestOtherClone:
    """Of the same commit, checked out at another time, its files in another order."""

    @pytest.fixture(scope="class")
    @classmethod
    def other(cls, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        clone = tmp_path_factory.mktemp("clone")
        paths = (path for path in project.rglob("*") if path.is_file())
        for path in sorted(paths, reverse=True):
            if path.parent.name in {"first", "again", "other", "deployments"}:
                continue
            copied = clone / path.relative_to(project)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copied)
            os.utime(copied, (0, 0))
        return build(clone, "out")

    def test_contents_are_the_same(self, first: Path, other: Path) -> None:
        assert contents(other) == contents(first)
        assert "chalicelib/core/plan.py" in contents(first)

    def test_no_time_is_in_it(self, other: Path) -> None:
        """So the order of the files is all that differs: the file system's."""
        with zipfile.ZipFile(other) as archive:
            times = {one.date_time for one in archive.infolist()}
        assert times == {(1980, 1, 1, 0, 0, 0)}


class TestCaches:
    def test_chalice_packs_python_s_too_so_they_are_to_be_removed_first(
        self, tmp_path: Path
    ) -> None:
        project = copy_project(tmp_path / "pulley")
        cache = project / "chalicelib/core/__pycache__/refs.cpython-311.pyc"
        cache.parent.mkdir()
        cache.write_bytes(b"")
        assert str(cache.relative_to(project)) in contents(build(project, "out"))


def build(project: Path, folder: str, *, stage: str = "dev") -> Path:
    """Build the zip anew: Chalice would take one of the same source that lies there."""
    for path in project.glob(".chalice/deployments/*"):
        path.unlink()
    chalice(project, "package", "--stage", stage, folder)
    return project / folder / "deployment.zip"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents(path: Path) -> dict[str, tuple[int, bytes]]:
    """Each file's mode and bytes."""
    with zipfile.ZipFile(path) as archive:
        return {one.filename: (one.external_attr, archive.read(one)) for one in archive.infolist()}
