"""`make .venv/ready` installs only the pins, with any pip, even if newer releases are published.

The folder of wheels has a newer release of each pinned package. Before pip 23.3 a pin without its
extras let such a release in. The wheels are stand-ins, and the pins have their hashes: `make` of
this environment shows that PyPI has the pinned releases. The environments of these tests start
without Python's own pip, which takes as long to install as all the rest.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pip
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pulley.host.document import RELEASE
from tests.app.policies import PROJECT
from tests.deploy.wheels import repin, write_empty, write_installed

pytestmark = pytest.mark.xdist_group("install")
NEEDED = ("Makefile", "pyproject.toml", "README.md", "LICENSE", "requirements-dev.txt")
LATER = "9999"
WITHOUT_PIP = f"""\
#!/bin/sh
case "$*" in "-m venv "*) set -- "$@" --without-pip ;; esac
exec {sys.executable} "$@"
"""
# The pip of Python 3.11.0. Newer Pythons cannot run it, and have a newer one.
OLD_PIP = "pip==22.3 --hash=sha256:1daab4b8d3b97d1d763caeb01a4640a2250a0ea899e257b1e44b9eded91e15ab"
LISTED = """
import importlib.metadata, json
print(json.dumps({one.name: one.version for one in importlib.metadata.distributions()}))
"""


def pins() -> dict[str, str]:
    """The pins for this Python on this system: package names and versions."""
    text = (PROJECT / "requirements-dev.txt").read_text().replace("\\\n", " ")
    lines = [line.split(" --hash")[0] for line in text.splitlines() if "==" in line]
    found = [Requirement(line.strip()) for line in lines]
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in found
        if one.marker is None or one.marker.evaluate()
    }


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each pinned package, and an empty later release of each."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in pins():
        write_installed(folder, name)
        write_empty(folder, name, LATER)
    return folder


def old_pip(folder: Path) -> str:
    """The oldest pip that this Python can run, as an argument of `python`."""
    if sys.version_info >= (3, 12):
        return "-m pip"
    (folder / "pip.txt").write_text(OLD_PIP)
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "-d", folder, "-r", folder / "pip.txt"],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("pip-*.whl")
    return unpacked_pip(wheel)


@pytest.fixture(scope="module")
def new_pip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """This environment's pip, which is the pinned one, as an argument of `python`."""
    folder = tmp_path_factory.mktemp("new") / "pip"
    shutil.copytree(Path(pip.__file__).parent, folder)
    return str(folder)


def unpacked_pip(wheel: Path) -> str:
    """Unpack a wheel of pip, because an unpacked pip runs faster.

    The metadata stays out: with it pip would find itself already installed.
    """
    folder = wheel.with_suffix("")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [one for one in archive.namelist() if one.startswith("pip/")])
    return str(folder / "pip")


def make(project: Path, pip_path: str, wheels: Path) -> "subprocess.CompletedProcess[str]":
    """Run `make .venv/ready` in a project without an environment, with only these wheels."""
    unlike = {"MAKEFLAGS", "MAKELEVEL", "PYTHONDONTWRITEBYTECODE"}  # the last makes pip slow
    clean = {name: one for name, one in os.environ.items() if name not in unlike}
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_COMPILE": "1"}
    python = project / "python"
    python.write_text(WITHOUT_PIP)
    python.chmod(0o755)
    return subprocess.run(
        ["make", ".venv/ready", f"PYTHON={python}", f"PIP={pip_path}"],
        cwd=project,
        env=clean | settings,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def project(tmp_path: Path, wheels: Path) -> Path:
    """The files that an installation needs, with the stand-ins' hashes."""
    folder = tmp_path / "pulley"
    folder.mkdir()
    for name in NEEDED:
        shutil.copy(PROJECT / name, folder)
    locked = folder / "requirements-dev.txt"
    locked.write_text(repin(locked.read_text(), wheels))
    for name in ("chalicelib", "pulley"):
        shutil.copytree(PROJECT / name, folder / name)
    return folder


@pytest.mark.parametrize("release", ["old", "new"])
def test_make_installs_only_the_pins_and_prints_one_line(
    release: str, new_pip: str, project: Path, wheels: Path, tmp_path: Path
) -> None:
    done = make(project, new_pip if release == "new" else old_pip(tmp_path), wheels)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Making .venv, which takes about a minute ...\n"
    assert done.stderr == ""
    python = project / ".venv/bin/python"
    listed = subprocess.check_output([python, "-c", LISTED], text=True, cwd=tmp_path)
    installed = {str(canonicalize_name(name)): one for name, one in json.loads(listed).items()}
    assert installed.pop("pulley") == RELEASE
    assert installed == pins()


@pytest.mark.parametrize("name", ["pip", "setuptools"])
def test_pinned_pip_and_setuptools_replace_those_of_python(name: str) -> None:
    """`make` made this environment, so the test looks at its versions."""
    assert version(name) == pins()[name]


def test_failed_install_shows_the_error_of_pip(project: Path, wheels: Path, new_pip: str) -> None:
    locked = project / "requirements-dev.txt"
    name, separator, rest = locked.read_text().partition("--hash=sha256:")
    (first, *_) = rest.split(maxsplit=1)
    locked.write_text(f"{name}{separator}{'0' * len(first)}\n")
    done = make(project, new_pip, wheels)
    assert done.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert not (project / ".venv/ready").exists()
