"""What a command imports before it does anything: the person at the prompt waits for it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pulley.cli import main
from pulley.host.document import RELEASE

PULLEY = str(Path(sys.executable).with_name("pulley"))
# Packages that take long to load.
SLOW = {"boto3", "botocore", "chalice", "git", "moto", "requests", "rich", "urllib3", "werkzeug"}
PROGRAM = """
import json, sys
from pulley.cli import main

codes = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["pulley", *arguments]
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code)
print(json.dumps({"codes": codes, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


def started(*lines: Sequence[str], **environ: str) -> tuple[str, set[str]]:
    """Run pulley several times in one process: the output, and the modules imported at the end."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(lines)],
        env={**os.environ, **environ},
        check=True,
        capture_output=True,
        text=True,
    )
    said = json.loads(done.stderr.splitlines()[-1])
    assert said["codes"] == [0] * len(lines), done.stderr
    return done.stdout, set(said["modules"])


def completed(*words: str, shell: str = "bash") -> tuple[list[str], set[str]]:
    """The completions that a shell gets for the last word, and the modules imported for them."""
    line = " ".join(("pulley", *words))
    printed, modules = started(
        (), _PULLEY_COMPLETE=f"{shell}_complete", COMP_WORDS=line, COMP_CWORD=str(len(words))
    )
    return [one.partition(",")[2] for one in printed.splitlines()], modules


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


class TestHelp:
    def test_list_of_commands_imports_no_command(self) -> None:
        printed, modules = started(["--help"])
        assert "  rollback    Go back to the last good commit" in printed
        assert not packages(modules) & SLOW
        ours = {name for name in modules if name.startswith(("pulley.", "chalicelib.status."))}
        assert ours == {
            *(
                "pulley.cli",
                "pulley.fit",
                "pulley.cli.formatter",
                "pulley.cli.group",
                "pulley.cli.streams",
            ),
            "chalicelib.status.safe_text",
        }

    @pytest.mark.parametrize("name", sorted(set(main.list_commands(click.Context(main)))))
    def test_summary_in_the_list_is_the_command_s_own_short_help(self, name: str) -> None:
        context = click.Context(main)
        command = main.get_command(context, name)
        assert command is not None
        assert main.summary_of(context, name) == command.get_short_help_str(limit=1000)

    def test_help_of_a_command_imports_no_slow_library(self) -> None:
        names = ["status", "deploy", "doctor", "setup", "simulate", "plan"]
        printed, modules = started(*([name, "--help"] for name in names))
        assert printed.count("  --stage ") == len(names)
        assert not packages(modules) & SLOW


class TestVersion:
    def test_version_is_the_release_and_imports_no_slow_library(self) -> None:
        printed, modules = started(["--version"])
        assert printed == f"pulley {RELEASE}\n"
        assert not packages(modules) & SLOW


class TestCompletion:
    def test_name_of_a_command_is_completed_without_importing_it(self) -> None:
        words, modules = completed("ro")
        assert words == ["rollback"]
        assert "pulley.cli.rollback" not in modules
        assert not packages(modules) & SLOW

    def test_option_of_a_command_is_completed_without_its_libraries(self) -> None:
        words, modules = completed("status", "--ch")
        assert words == ["--check"]
        assert not packages(modules) & SLOW

    def test_command_below_a_command_is_completed(self) -> None:
        assert completed("targets", "ap")[0] == ["apply"]

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_each_shell_is_given_its_own_program(self, shell: str) -> None:
        done = CliRunner().invoke(main, ["completion", shell])
        assert (done.exit_code, f"_PULLEY_COMPLETE={shell}_complete" in done.stdout) == (0, True)

    def test_bash_completes_with_the_printed_program(self) -> None:
        bash = shutil.which("bash")
        assert bash
        program = (
            f'eval "$({PULLEY} completion bash)"\n'
            f"COMP_WORDS=({PULLEY} stat); COMP_CWORD=1\n"
            f"_pulley_completion {PULLEY}\n"
            'printf "%s\\n" "${COMPREPLY[@]}"\n'
        )
        printed = subprocess.check_output([bash, "-c", program], text=True)
        assert printed == "status\n"

    def test_unsupported_shell_is_a_wrong_command_line(self) -> None:
        done = CliRunner().invoke(main, ["completion", "csh"])
        assert (done.exit_code, "bash" in done.stderr) == (2, True)


class TestWithoutTheSandbox:
    """As after `pipx install .`: without the packages of the demo and the sandbox."""

    @pytest.mark.parametrize("name", ["demo", "sandbox"])
    def test_command_without_its_extra_names_the_extra_and_how_to_install_it(
        self, name: str, tmp_path: Path
    ) -> None:
        (tmp_path / "moto.py").write_text(
            "import warnings; warnings.warn('moto lacks something', stacklevel=2)\n"
            "raise ModuleNotFoundError(\"No module named 'moto'\", name='moto')\n"
        )
        done = subprocess.run(
            [PULLEY, name],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith(f'Error: pulley {name} needs the extra "sandbox"')
        assert "pipx install --force '.[sandbox]'" in done.stderr
