"""The contents of the zip that `chalice package` makes and Lambda unpacks at each cold start."""

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.stub import ENVIRON
from tests.deploy.project import chalice, copy_project

# Of everything but the parts below: bytes and files. The targets' keys `clone`, `owner` and
# `launch`, and the planning of new hosts, made room of 180,000 bytes too small.
GOALS = (187_000, 84)
# What no delivery imports. A cold start reads only what a first delivery imports:
# tests/app/test_imports.py lists it.
PARTS = {
    "page": (("chalicelib/page/", "chalicelib/status/"), (36_000, 24)),
    "launches": (
        (
            "chalicelib/core/launch_plan.py",
            "chalicelib/core/launches.py",
            "chalicelib/edges/auto_scaling.py",
            "chalicelib/flows/launch.py",
            "chalicelib/flows/launches.py",
        ),
        (10_000, 5),
    ),
}
# Chalice adds its own runtime. Nothing else is bundled, because requirements.txt is empty.
OWN = ("app.py", "chalicelib/", "chalice/")


def measure(*, quick: bool) -> Iterator[Figure]:
    """Measure the zip, which is the same each time."""
    del quick
    with tempfile.TemporaryDirectory(prefix="pulley-bench-") as folder:
        project = copy_project(Path(folder) / "pulley")
        chalice(project, "package", "--stage", ENVIRON["PULLEY_STAGE"], "out")
        path = project / "out/deployment.zip"
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            listed = [one for one in archive.infolist() if not one.is_dir()]
    files = {one.filename: one.compress_size for one in listed}
    bundled = [name for name in files if not name.startswith(OWN)]
    for part, (prefixes, goals) in PARTS.items():
        own = {name: taken for name, taken in files.items() if name.startswith(prefixes)}
        files = {name: taken for name, taken in files.items() if name not in own}
        size -= sum(own.values())
        yield from _figures(f"of the {part}", sum(own.values()), len(own), goals)
    yield from _figures("of the rest", size, len(files), GOALS)
    yield Figure(
        "zip: files of bundled packages", len(bundled), "files", 0, detail={"are": bundled}
    )


def _figures(what: str, size: int, files: int, goals: tuple[int, int]) -> Iterator[Figure]:
    bytes_goal, files_goal = goals
    yield Figure(f"zip: size {what}", size, "bytes", bytes_goal)
    yield Figure(f"zip: files {what}", files, "files", files_goal)
