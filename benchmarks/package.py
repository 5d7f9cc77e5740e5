"""The contents of the zip that `chalice package` makes and Lambda unpacks at each cold start."""

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.stub import ENVIRON
from tests.deploy.project import chalice, copy_project

BYTES_GOAL = 180_000
# A cold start reads only what a first delivery imports: tests/app/test_imports.py lists it.
FILES_GOAL = 84
# What only the page needs: no delivery imports it.
PAGE = ("chalicelib/page/", "chalicelib/status/")
PAGE_BYTES_GOAL, PAGE_FILES_GOAL = 36_000, 24
# Chalice adds its own runtime. Nothing else is bundled, because requirements.txt is empty.
OWN = ("app.py", "chalicelib/", "chalice/")


def measure(*, quick: bool) -> Iterator[Figure]:
    """Measure the zip, which is the same each time."""
    del quick
    with tempfile.TemporaryDirectory(prefix="pulley-bench-") as folder:
        project = copy_project(Path(folder) / "pulley")
        chalice(project, "package", "--stage", ENVIRON["PULLEY_STAGE"], "out")
        path = project / "out/deployment.zip"
        with zipfile.ZipFile(path) as archive:
            names = [one.filename for one in archive.infolist() if not one.is_dir()]
        size = path.stat().st_size
        page = [one for one in archive.infolist() if one.filename.startswith(PAGE)]
    bundled = [name for name in names if not name.startswith(OWN)]
    taken = sum(one.compress_size for one in page)
    yield Figure("zip: size without the page", size - taken, "bytes", BYTES_GOAL)
    yield Figure("zip: files without the page's", len(names) - len(page), "files", FILES_GOAL)
    yield Figure("zip: size of the page", taken, "bytes", PAGE_BYTES_GOAL)
    yield Figure("zip: files of the page", len(page), "files", PAGE_FILES_GOAL)
    yield Figure(
        "zip: files of bundled packages", len(bundled), "files", 0, detail={"are": bundled}
    )
