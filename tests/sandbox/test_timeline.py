"""The demo's timeline: somebody who watches is never left without a word."""

import io
import threading

from rich.console import Console

from pulley.timeline import Timeline
from tests.processes import HANG_SECONDS


class Told(io.StringIO):
    """What was printed. `heard` is set when something was."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self.heard.set()
        return written


def timeline(told: io.StringIO, *, is_terminal: bool, width: int = 60) -> Timeline:
    console = Console(file=told, force_terminal=is_terminal, width=width, color_system=None)
    return Timeline(console)


def test_without_a_terminal_a_line_says_now_and_then_what_is_waited_for() -> None:
    told = Told()
    with timeline(told, is_terminal=False).waiting("The hosts pull", every=0.01):
        assert told.heard.wait(HANG_SECONDS)
    assert told.getvalue().split("\n")[0].endswith(" s  The hosts pull ...")


def test_wait_that_ends_soon_needs_no_word() -> None:
    told = Told()
    with timeline(told, is_terminal=False).waiting("The hosts pull", every=HANG_SECONDS):
        pass
    assert told.getvalue() == ""


def test_on_a_terminal_the_line_moves_and_is_removed_at_the_end() -> None:
    told = Told()
    with timeline(told, is_terminal=True).waiting("The hosts pull"):
        assert told.heard.wait(HANG_SECONDS)
    assert "The hosts pull ..." in told.getvalue()
    assert "\n" not in told.getvalue().rpartition("The hosts pull ...")[2].strip("\n")


def test_narrow_terminal_gets_lines_that_break_between_words() -> None:
    told = Told()
    timeline(told, is_terminal=True, width=30).say("one two three http://127.0.0.1:34601/github at")
    assert [line[9:] for line in told.getvalue().splitlines()] == [
        "one two three",
        "http://127.0.0.1:34601/github",
        "at",
    ]
    assert all(line[:9].isspace() for line in told.getvalue().splitlines()[1:])
