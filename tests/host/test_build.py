"""The built script is the parts, and fits into a document."""

import json
import shutil
import subprocess
import sys

from pulley.host.build import PARTS, build
from pulley.host.document import build_document, document_text
from tests.app.policies import PROJECT

FOLDER = PROJECT / "pulley/host"
# AWS's 64 KB have the values of a run in them, too.
# 56 of the 64 KB that a document and the values of a run may have, as AWS counts them.
MOST_BYTES, VALUES_BYTES = 56 * 1024, 2_270


def functions(script: str) -> str:
    """The functions as bash has understood them, without indentation."""
    bash = shutil.which("bash")
    assert bash
    definitions = script.removesuffix("main\n") + "declare -f\n"
    printed = subprocess.check_output([bash, "-c", definitions], text=True)
    return "\n".join(line.strip() for line in printed.splitlines())


def test_by_itself_it_prints_the_script_with_the_standard_library_alone() -> None:
    command = [sys.executable, "-I", "-S", str(FOLDER / "build.py")]
    assert subprocess.check_output(command, text=True) == build()


def test_every_part_is_in_it_and_is_short() -> None:
    assert {path.stem for path in FOLDER.glob("*.sh")} == set(PARTS)
    for name in PARTS:
        assert len((FOLDER / f"{name}.sh").read_text().splitlines()) < 200, name


def test_what_is_left_out_means_nothing() -> None:
    script = build()
    assert script.startswith("#!/bin/sh\n")
    assert functions(script) == functions(build(commented=True))


def test_document_carries_it_as_one_string_and_has_room_for_the_parameters() -> None:
    content = document_text(build_document(build()))
    (step,) = json.loads(content)["mainSteps"]
    assert step["inputs"]["runCommand"] == [build()]
    assert len(content.encode()) + VALUES_BYTES < MOST_BYTES
