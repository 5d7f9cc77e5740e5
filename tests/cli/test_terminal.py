"""No command sends escape codes from other people's text to the terminal."""

import json

import pytest

from chalicelib.core.refs import Repository
from pulley.cli.output import say
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import NAMES, Pulley, stored

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
