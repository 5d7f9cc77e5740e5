"""No command sends escape codes from other people's text to the terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.core.refs import Repository
from pulley.cli.output import say
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import NAMES, Pulley, stored

PULLEY = str(Path(sys.executable).with_name("pulley"))
GIVEN = "\x1b]0;PWNED\x07hi \x1b[2J\x9b1m\u202e there"
EVIL = GIVEN + "\ud800"  # half a surrogate pair, which JSON can hold and no argument can


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("plan",),
        ("history",),
        ("doctor",),
        ("unpin", "web"),
        ("targets", "show"),
        ("status", GIVEN),
        ("targets", "show", GIVEN),
        ("targets", "check", GIVEN),
        ("logs", GIVEN),
        ("deploy", GIVEN, "--yes"),
    ],
    ids=lambda arguments: " ".join(arguments).encode("ascii", "ignore").decode()[:20],
)
def test_stored_text_and_arguments_are_printed_without_escape_codes(
    sandbox: Sandbox, pulley: Pulley, arguments: tuple[str, ...]
) -> None:
    pin = {"state": "frozen", "reason": EVIL, "by": EVIL}
    bad = {"name": EVIL, "repository": "octo/other", EVIL: EVIL}
    with (
        stored(sandbox, NAMES.pin("web"), json.dumps(pin)),
        stored(sandbox, NAMES.targets(Repository("octo", "other")), json.dumps([bad])),
    ):
        done = pulley(*arguments)
    for code in ("\x1b", "\x07", "\x9b", "\u202e"):
        assert code not in done.output
    assert done.output


def test_simulated_payload_is_printed_without_escape_codes(
    sandbox: Sandbox, pulley: Pulley
) -> None:
    payload = {
        "ref": f"refs/heads/{EVIL}",
        "after": "4" * 40,
        "repository": {"full_name": FULL_NAME},
        "pusher": {"name": EVIL},
    }
    done = pulley("simulate", "-", stdin=json.dumps(payload))
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output


def test_harmless_text_is_printed_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    say("ж 💥 [bold] :smile: \\")
    assert capsys.readouterr().out == "ж 💥 [bold] :smile: \\\n"


class TestOutput:
    """What a program prints goes to a place that may not take it."""

    @pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("document",)])
    def test_full_disk_is_one_line_and_exit_code_1(self, arguments: tuple[str, ...]) -> None:
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [PULLEY, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert done.stderr == "Error: the output cannot be written: No space left on device\n"
        assert done.returncode == 1

    @pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("document",)])
    def test_closed_pipe_ends_it_without_a_word(self, arguments: tuple[str, ...]) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [PULLEY, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writer)
        assert (done.stderr, done.returncode) == ("", 1)
