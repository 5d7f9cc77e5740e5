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
    bundled = [name for name in names if not name.startswith(OWN)]
    yield Figure("zip: size", size, "bytes", BYTES_GOAL)
    yield Figure("zip: files", len(names), "files", FILES_GOAL)
    yield Figure(
        "zip: files of bundled packages", len(bundled), "files", 0, detail={"are": bundled}
    )
