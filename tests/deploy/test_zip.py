"""The zip is the same twice; docs/deploying.md says what Chalice cannot promise."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.deploy.project import contents, package

pytestmark = pytest.mark.xdist_group("chalice package")
CACHE = Path("chalicelib/core/__pycache__/refs.cpython-311.pyc")


def zip_of(package: Path) -> bytes:
    return (package / "deployment.zip").read_bytes()


def test_same_checkout_s_is_the_same_byte_for_byte_whatever_the_stage(
    project: Path, plain: dict[str, Path]
) -> None:
    again = package(project, "again", "dev")
    assert zip_of(again) == zip_of(plain["dev"]) == zip_of(plain["prod"])


class TestOtherClone:
    """Of the same commit, checked out at another time, its files in another order."""

    @pytest.fixture(scope="class")
    @classmethod
    def other(cls, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        clone = tmp_path_factory.mktemp("clone")
        for top in ("app.py", "requirements.txt", "chalicelib", ".chalice"):
            paths = [project / top, *(project / top).rglob("*")]
            for path in sorted(filter(Path.is_file, paths), reverse=True):
                copied = clone / path.relative_to(project)
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copied)
                os.utime(copied, (0, 0))
        (clone / CACHE).parent.mkdir()
        (clone / CACHE).write_bytes(b"")
        return package(clone, "out", "dev")

    def test_contents_are_the_same_and_python_s_caches_which_are_to_be_removed_first(
        self, plain: dict[str, Path], other: Path
    ) -> None:
        packed = contents(other)
        assert packed.pop(str(CACHE))
        assert packed == contents(plain["dev"])
        assert "chalicelib/core/plan.py" in packed

    def test_no_time_is_in_it(self, other: Path) -> None:
        """So the order of the files is all that differs: the file system's."""
        with zipfile.ZipFile(other / "deployment.zip") as archive:
            times = {one.date_time for one in archive.infolist()}
        assert times == {(1980, 1, 1, 0, 0, 0)}
