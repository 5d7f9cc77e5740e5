"""Small wheels for a test's own index: the modules of a package do not matter there.

A stand-in has a package's metadata and none of its modules. Only setuptools is complete, because
the installation needs it; it comes from the environment that runs the tests.
"""

import re
import zipfile
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path

WHOLE = ("setuptools",)
_WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_OF_THE_INSTALLER = {"RECORD", "INSTALLER", "REQUESTED", "WHEEL"}


def write_wheel(folder: Path, name: str, version: str, contents: dict[str, bytes]) -> Path:
    """Write a wheel with these files, by their path in it."""
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    contents = {**contents, f"{stem}.dist-info/WHEEL": _WHEEL.encode()}
    contents[f"{stem}.dist-info/RECORD"] = "".join(f"{place},,\n" for place in contents).encode()
    with zipfile.ZipFile(path, "w") as wheel:
        for place, content in contents.items():
            wheel.writestr(place, content)
    return path


def write_empty(folder: Path, name: str, version: str) -> Path:
    """Write an empty wheel without requirements."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    place = f"{name.replace('-', '_')}-{version}.dist-info/METADATA"
    return write_wheel(folder, name, version, {place: metadata.encode()})


def write_installed(folder: Path, name: str) -> Path:
    """Write a wheel of an installed package: complete, or a stand-in with its metadata."""
    found = distribution(name)
    info = f"{name.replace('-', '_')}-{found.version}.dist-info"
    contents = {f"{info}/METADATA": (found.read_text("METADATA") or "").encode()}
    for file in (found.files or []) if name in WHOLE else []:
        top, *_ = file.parts
        if top == ".." or file.suffix == ".pyc":
            continue
        if not top.endswith(".dist-info"):
            contents[str(file)] = Path(file.locate()).read_bytes()
        elif file.name not in _OF_THE_INSTALLER:
            contents[f"{info}/{Path(*file.parts[1:])}"] = Path(file.locate()).read_bytes()
    return write_wheel(folder, name, found.version, contents)


def repin(requirements: str, folder: Path) -> str:
    """The same pins, each with the hash of its wheel in the folder, if it has one."""
    pin_and_hashes = r"^(([\w.-]+)[^=\n]*==([\w.!+-]+)[^\\\n]*)(?:\\\n +--hash=\S+ ?)+"

    def pin(match: re.Match[str]) -> str:
        line, name, version = match.groups()
        stem = re.sub(r"[-_.]+", "_", name).lower()
        wheel = folder / f"{stem}-{version}-py3-none-any.whl"
        if not wheel.exists():  # a pin for another system
            return match[0]
        return f"{line}\\\n    --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}"

    return re.sub(pin_and_hashes, pin, requirements, flags=re.MULTILINE)
