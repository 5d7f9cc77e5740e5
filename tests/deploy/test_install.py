"""`make .venv/ready` installs the pins and nothing else: with any pip, whatever is published later.

"Later" is a folder that has a newer release of every package that is pinned. Before pip 23.3 a pin
without its extras let such a release in.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.app.policies import PROJECT

pytestmark = pytest.mark.xdist_group("install")
NEEDED = ("Makefile", "pyproject.toml", "README.md", "LICENSE", "requirements-dev.txt")
LATER = "9999"
# What Python 3.11.0 brings. Newer Pythons cannot run it, and bring a newer one.
OLD_PIP = "pip==22.3 --hash=sha256:1daab4b8d3b97d1d763caeb01a4640a2250a0ea899e257b1e44b9eded91e15ab"
LISTED = """
import importlib.metadata, json
print(json.dumps({one.name: one.version for one in importlib.metadata.distributions()}))
"""


def pins() -> dict[str, str]:
    """What is pinned for this Python on this system: the version by the package's name."""
    text = (PROJECT / "requirements-dev.txt").read_text().replace("\\\n", " ")
    lines = [line.split(" --hash")[0] for line in text.splitlines() if "==" in line]
    found = [Requirement(line.strip()) for line in lines]
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in found
        if one.marker is None or one.marker.evaluate()
    }


def download(folder: Path, requirements: Path) -> None:
    """Put the wheels of pinned requirements into a folder."""
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "--dest", folder, "-r", requirements],
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of everything that is pinned, and a later release of each, which is empty."""
    folder = tmp_path_factory.mktemp("wheels")
    download(folder, PROJECT / "requirements-dev.txt")
    for name in (one.replace("-", "_") for one in pins()):
        info = f"{name}-{LATER}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{LATER}-py3-none-any.whl", "w") as wheel:
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {LATER}\n"
            wheel.writestr(f"{info}/METADATA", metadata)
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    return folder


def old_pip(folder: Path) -> str:
    """The oldest pip that this Python can run, as an argument of `python`."""
    if sys.version_info >= (3, 12):
        return "-m pip"
    (folder / "pip.txt").write_text(OLD_PIP)
    download(folder, folder / "pip.txt")
    (wheel,) = folder.glob("pip-*.whl")
    return str(wheel / "pip")  # a wheel of pip runs where it lies


def new_pip(wheels: Path) -> str:
    """The pip that is pinned, as an argument of `python`."""
    return str(wheels / f"pip-{pins()['pip']}-py3-none-any.whl/pip")


def make(project: Path, pip: str, wheels: Path) -> "subprocess.CompletedProcess[str]":
    """`make .venv/ready` in a project without an environment, where the wheels are all there is."""
    clean = {
        name: one for name, one in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}
    }
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_COMPILE": "1"}
    return subprocess.run(
        ["make", ".venv/ready", f"PYTHON={sys.executable}", f"PIP={pip}"],
        cwd=project,
        env=clean | settings,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout's part that is installed."""
    folder = tmp_path / "pulley"
    folder.mkdir()
    for name in NEEDED:
        shutil.copy(PROJECT / name, folder)
    for name in ("chalicelib", "pulley"):
        shutil.copytree(PROJECT / name, folder / name)
    return folder


class TestTheDayAfter:
    @pytest.mark.parametrize("release", ["old", "new"])
    def test_environment_is_the_pinned_one_and_nothing_is_said(
        self, release: str, project: Path, wheels: Path, tmp_path: Path
    ) -> None:
        pip = new_pip(wheels) if release == "new" else old_pip(tmp_path)
        done = make(project, pip, wheels)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "Making .venv, which takes about a minute ...\n"
        assert done.stderr == ""
        python = project / ".venv/bin/python"
        listed = subprocess.check_output([python, "-c", LISTED], text=True, cwd=tmp_path)
        installed = {str(canonicalize_name(name)): one for name, one in json.loads(listed).items()}
        assert installed.pop("pulley") == "0.1.0"
        assert installed == pins()


def test_what_pip_said_is_shown_where_it_fails(project: Path, wheels: Path) -> None:
    locked = project / "requirements-dev.txt"
    name, separator, rest = locked.read_text().partition("--hash=sha256:")
    (first, *_) = rest.split(maxsplit=1)
    locked.write_text(f"{name}{separator}{'0' * len(first)}\n")
    done = make(project, new_pip(wheels), wheels)
    assert done.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert not (project / ".venv/ready").exists()
