"""The zip is reproducible; docs/deploying.md names the limits."""

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


def test_zips_of_one_checkout_are_identical_for_all_stages(
    project: Path, plain: dict[str, Path]
) -> None:
    again = package(project, "again", "dev")
    assert zip_of(again) == zip_of(plain["dev"]) == zip_of(plain["prod"])


class TestOtherClone:
    """A clone of the same commit, with other file times and another order of files."""

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

    def test_contents_are_the_same_but_for_python_s_caches(
        self, plain: dict[str, Path], other: Path
    ) -> None:
        packed = contents(other)
        assert packed.pop(str(CACHE))
        assert packed == contents(plain["dev"])
        assert "chalicelib/core/plan.py" in packed

    def test_zip_contains_no_file_times(self, other: Path) -> None:
        """So two zips differ only in the order of files, which is the file system's."""
        with zipfile.ZipFile(other / "deployment.zip") as archive:
            times = {one.date_time for one in archive.infolist()}
        assert times == {(1980, 1, 1, 0, 0, 0)}
