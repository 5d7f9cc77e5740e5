"""The command as `pipx install .` makes it, against a sandbox that another environment runs."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pulley.host.document import RELEASE
from pulley.sandbox.sandbox import Sandbox
from tests.app.policies import PROJECT
from tests.fakes import push_json

MOST_BYTES = 80_000_000
NOT_NEEDED = {"chalice", "cfn-lint", "flask", "moto", "werkzeug", "pytest"}

# Reads arguments and stdin as a line of JSON; prints the exit code, all output, and stdout.
COMMANDS = """
import json, sys
from click.testing import CliRunner
from pulley.cli import main
for line in sys.stdin:
    arguments, given = json.loads(line)
    done = CliRunner().invoke(main, arguments, input=given)
    said = done.output + str(done.exception or "")
    print(json.dumps([done.exit_code, said, done.stdout]), flush=True)
"""

Installed = Callable[..., str]


def pip(*arguments: str | Path) -> None:
    """Run this environment's pip, which works on others too."""
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True, capture_output=True)


def needed(requirements: list[str] | None) -> dict[str, Distribution]:
    """The packages installed here that these requirements need, directly or indirectly."""
    found: dict[str, Distribution] = {}
    for requirement in map(Requirement, requirements or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            one = distribution(requirement.name)
            found |= {requirement.name: one} | needed(one.requires)
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with only the command: its wheel, and the packages that the wheel requires.

    Its packages are links to this environment's own: to fetch and to compile them takes longer than
    all commands together. `tests/deploy` tests that the pinned packages install.
    """
    folder = tmp_path_factory.mktemp("installed")
    (source := folder / "source").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for name in ("chalicelib", "pulley"):
        shutil.copytree(PROJECT / name, source / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    pip("--python", folder / "venv/bin/python", "install", "--no-deps", wheel)
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    (metadata,) = packages.glob("pulley-*.dist-info")
    for one in needed(Distribution.at(metadata).requires).values():
        for name in {path.parts[0] for path in one.files or [] if path.parts[0] != ".."}:
            if not (packages / name).exists():
                (packages / name).symlink_to(Path(str(one.locate_file(name))))
    return folder / "venv"


@pytest.fixture
def installed(environment: Path, sandbox: Sandbox, tmp_path: Path) -> Iterator[Installed]:
    """Run an installed command in a folder that is no checkout. It must exit with 0.

    All run in one process, because a start takes longer than most commands.
    """
    (program := tmp_path / "commands.py").write_text(COMMANDS)
    settings = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **sandbox.environ}
    with subprocess.Popen(
        [environment / "bin/python", "-P", program],
        cwd=tmp_path,
        env=settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked, told = process.stdin, process.stdout
        assert asked
        assert told

        def run(*arguments: str, stdin: str = "") -> str:
            print(json.dumps([arguments, stdin]), file=asked, flush=True)
            code, output, stdout = json.loads(told.readline())
            assert code == 0, output
            return str(stdout)

        yield run
        asked.close()


def test_environment_is_small_and_lacks_the_sandbox_s_packages(environment: Path) -> None:
    (packages,) = environment.glob("lib/python*/site-packages")
    names = {path.name.partition("-")[0].lower() for path in packages.glob("*.dist-info")}
    assert {"boto3", "click", "gitpython", "pulley", "rich"} <= names
    assert not names & NOT_NEEDED
    assert not (packages / "app.py").exists()
    files = (file for path in packages.iterdir() for file in (path, *path.rglob("*")))
    assert sum(file.stat().st_size for file in files) < MOST_BYTES


def test_installed_program_prints_its_release(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "bin/pulley"), "--version"]
    printed = subprocess.check_output(command, cwd=tmp_path, text=True)
    assert RELEASE in printed


def test_every_command_on_a_stage_works(sandbox: Sandbox, installed: Installed) -> None:
    commit = sandbox.developer.head.commit.hexsha
    assert installed("setup", "--yes").startswith("Nothing to do")
    shown = installed("targets", "show")
    assert "[targets.web]" in shown
    assert "is valid: web" in installed("targets", "check", "-", stdin=shown)
    assert installed("targets", "apply", "--yes", "-", stdin=shown)
    assert "Payload URL" in installed("connect", "--print-only", "octo/site")
    assert "ping" in installed("connect", "--yes", "octo/site")
    assert "web-1: at" in installed("deploy", "web")
    assert json.loads(installed("plan", "--json"))
    assert "success: 2 of 2 hosts" in installed("status", "--check")
    assert commit[:7] in installed("history", "web")
    assert "web-1" in installed("logs", "web", "web-1")
    assert "frozen" in installed("freeze", "web", "--reason", "a holiday")
    assert "follows" in installed("unpin", "web")
    assert commit[:7] in installed("pin", "web", commit, "--reason", "the release")
    assert installed("unpin", "web")
    installed("cancel", "web")
    assert "nothing is saved on 2 hosts" in installed("saved", "web")
    push = json.dumps(push_json(after=commit))
    assert "would answer 202" in installed("simulate", "-", stdin=push)
    assert "host web-2" in installed("doctor")
    assert json.loads(installed("document"))["schemaVersion"] == "2.2"
    assert installed("completion", "fish")
