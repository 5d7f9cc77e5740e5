"""The built script consists of the parts and fits into an SSM document."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from chalicelib.core.results import HostResult
from pulley.host.build import PARTS, build, short_names
from pulley.host.document import build_document, document_text
from tests.app.policies import PROJECT
from tests.host.conftest import EXIT_CODES

FOLDER = PROJECT / "pulley/host"
MOST_BYTES = 56_000  # of the document
# AWS's limit of 64 KB includes the parameter values of a run. The longest values and the names are
# 4,168 bytes, with 401 each for Restart, Paths and Releases, 180 for Clone, 519 for Drain and 201
# for each program: the script refuses more.
AWS_BYTES, VALUES_BYTES = 65_536, 4_200
# Of paths and refs, whose characters are checked before they get their values.
WITHOUT_SPACE = (
    *("state", "errors", "git_dir", "common_dir", "checkout_path"),
    *("local_ref", "remote_ref", "upstream_ref", "head_ref", "time_left", "exit_code"),
    *("marker_slot", "euid", "owner_uid"),
)
# Flags, commits, refs and checked parameters without a space, which may be empty.
WITHOUT_SPACE_OR_EMPTY = (
    *("asked_commit", "asks", "base_commit", "branch_tip", "drift_found", "edits_commit"),
    *("failed_step", "fault_name", "fetched", "goes_to_commit", "has_switched", "hidden_git"),
    *("is_inside", "marker_commit", "marker_upstream", "mount_id", "onto", "orig_head"),
    *("others_healthy", "release_before", "release_settings", "saved_ref", "seen"),
    *("stash_of_git", "this_release", "upstream_commit", "uses_lfs"),
    *("Clone", "Drain", "Issued", "Restart"),
)


def functions(script: str) -> str:
    """The functions as bash parses them, without indentation.

    `x=` and `x=''` are the same, and so are `<$x` and `<"$x"` in a POSIX shell, the variables that
    have no space in quotes and without them, calculations with and without spaces, `true >x` and
    `>x`, and `read -r` and the function that calls it.
    """
    bash = shutil.which("bash")
    assert bash
    definitions = script.removesuffix("main\n") + "declare -f\n"
    printed = subprocess.check_output([bash, "-c", definitions], text=True)
    lines = "\n".join(line.strip() for line in printed.splitlines())
    lines = re.sub(r"(?<==)''(?=[ ;]|$)", "", lines, flags=re.MULTILINE)
    lines = re.sub(rf"(?<![\w$]){short_names()['read_in']} ", "read -r ", lines)
    lines = lines.replace("true > ", "> ")
    lines = re.sub(r'([<>] ?)"(\$\w+(?:/[\w.]+)?)"', r"\1\2", lines)
    names = short_names()
    without_space = "|".join(names[one] for one in WITHOUT_SPACE)
    or_empty = "|".join(names.get(one, one) for one in WITHOUT_SPACE_OR_EMPTY)
    lines = re.sub(rf'(?<=\[ )((?:-z )?)"(\$(?:{or_empty}))"(?= \])', r"\1\2", lines)
    lines = re.sub(
        rf'(?m)(?:^|(?<= ))"(\$(?:{without_space})(?:[\w./-]|\$(?:{without_space})\b)*)"',
        r"\1",
        lines,
    )
    return re.sub(r"\$\(\((?:[^$\n]|\$[^(])*?\)\)", lambda one: one[0].replace(" ", ""), lines)


def test_build_prints_the_script_with_only_the_standard_library() -> None:
    command = [sys.executable, "-I", "-S", str(FOLDER / "build.py")]
    assert subprocess.check_output(command, text=True) == build()


def test_every_part_is_listed_and_has_fewer_than_200_lines() -> None:
    assert {path.stem for path in FOLDER.glob("*.sh")} == set(PARTS)
    for name in PARTS:
        assert len((FOLDER / f"{name}.sh").read_text().splitlines()) < 200, name


def test_built_script_defines_the_same_functions_as_the_commented_parts() -> None:
    script, commented = build(), build(commented=True)
    names = short_names()
    renamed = re.sub(r"\w+", lambda word: names.get(word[0], word[0]), commented)
    assert script.startswith("#!/bin/sh\n")
    calls_read = f'{names["read_in"]}(){{ read -r "$@";}};'
    assert calls_read in script
    assert functions(script.replace(calls_read, "")) == functions(renamed)


def test_exported_printed_or_evaluated_variable_keeps_its_name(
    tmp_path: Path,
) -> None:
    for name in PARTS:
        (tmp_path / f"{name}.sh").write_text("")
    (tmp_path / "main.sh").write_text(
        """main() {
    my_own=1
    read -r _ my_first my_second </dev/null
    echo "$my_own ${my_first-} ${#my_second} ${my_own#x}"
    export no_proxy="$my_own"
    printf '"told_so":%s' "$told_so"
    case $my_own in *user_id=*) my_sum=$((my_sum + 1)) ;; esac
    for my_turn in 1 2; do echo $my_turn; done
    eval "by_name=\\$$1"
    unset by_name
    another_s='echo $sm_path'
}
"""
    )
    script = build(folder=tmp_path)
    kept = {"no_proxy", "told_so", "user_id", "by_name", "sm_path"}
    assert kept <= set(re.findall(r"\w+", script))
    assert not re.search("my_own|my_first|my_second|my_sum|my_turn|another_s", script)


def test_root_passes_on_every_exit_code_of_the_owners_run_and_no_other() -> None:
    script = build(commented=True)
    (accepted,) = re.findall(
        r"^exit_as_owner\(\) \{.*\n    case \$1 in\n        (.+)\)$", script, re.MULTILINE
    )
    loop = f"while read -r code; do case $code in {accepted}) echo $code ;; esac; done"
    every_code = "".join(f"{code}\n" for code in range(256))
    passed_on = subprocess.check_output(["/bin/sh", "-c", loop], input=every_code, text=True)
    given = {int(code) for code in re.findall(r"\) exit_code=(\d+) ;;$", script, re.MULTILINE)}
    assert given == set(EXIT_CODES.values())
    assert {int(code) for code in passed_on.split()} == given


def test_script_composes_only_parameter_names_at_run_time() -> None:
    code = build()
    assert not re.findall(r"""(?:read|export|unset|eval|for) [^\n;|&]*[a-z]_\$""", code)
    assert len(re.findall(r"\beval ", code)) == 3  # of parameters, whose names begin with a capital


def test_only_functions_and_variables_get_short_names_that_clash_with_no_word() -> None:
    commented = build(commented=True)
    names = short_names()
    said = {*EXIT_CODES, *(field.name for field in dataclasses.fields(HostResult))}
    assert len(names) > 100
    assert not said & set(names)
    assert not set(names.values()) & set(re.findall(r"\w+", commented))
    code = re.sub(r"(?m)(?:^|\s)# .*$", "", commented)
    for name in names:
        if "_" not in name:
            as_function = rf"(?:^ *|[|&;{{(!)] |\b(?:then|do|else) |trap '){name}\b(?!=)"
            as_variable = (
                rf"\$(?:\{{#?)?{name}\b|(?<![\w$*-]){name}=|\bread -r [\w ]*\b{name}\b"
                rf"|\bfor {name}(?: in |;)|\$\(\((?:[^$\n]|\$[^(])*?(?<![\w${{]){name}\b"
            )
            found = [re.findall(way, code, re.MULTILINE) for way in (as_function, as_variable)]
            assert max(map(len, found)) == len(re.findall(rf"\b{name}\b", code)) > 0, name


def test_no_function_has_the_name_of_another() -> None:
    names = re.findall(r"^([a-z_]+)\(\) [({]", build(commented=True), re.MULTILINE)
    assert len(names) > 100
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)


def test_document_has_the_script_as_one_string_and_room_for_parameter_values() -> None:
    content = document_text(build_document(build()))
    (step,) = json.loads(content)["mainSteps"]
    assert step["inputs"]["runCommand"] == [build()]
    assert len(content.encode()) < MOST_BYTES
    assert len(content.encode()) + VALUES_BYTES < AWS_BYTES
