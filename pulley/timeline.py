"""The demo's timeline: what happens, with the seconds since the beginning."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from pulley.fit import fitted

_INDENT = 9  # columns of the seconds
_LEAST = 20  # columns for words, however narrow the terminal is
SILENT_SECONDS = 5.0  # after so long without a terminal, a line says what is being waited for


@dataclass
class Timeline:
    """Prints what happens, with the seconds since the beginning."""

    console: Console
    began: float = field(default_factory=time.monotonic)

    def say(self, words: str) -> None:
        """Print a line of the timeline."""
        seconds = time.monotonic() - self.began
        self._print(f"[dim]{seconds:5.1f} s[/dim]  ", words)

    def add(self, words: str) -> None:
        """Print a continuation of the last line, without a time."""
        self._print(" " * _INDENT, words)

    def _print(self, begin: str, words: str) -> None:
        """Print a line after its beginning. On a narrow terminal it is broken between words."""
        whole, end = Text.from_markup(words), 0
        room = max(_LEAST, self.console.width - _INDENT) if self.console.is_terminal else None
        for part in fitted(whole.plain, room, hang=0).split("\n"):
            start = whole.plain.index(part, end)
            end = start + len(part)
            shown = Text.from_markup(begin).append_text(whole[start:end])
            self.console.print(shown, highlight=False, soft_wrap=True)
            begin = " " * _INDENT

    @contextmanager
    def waiting(self, words: str, *, every: float = SILENT_SECONDS) -> Iterator[None]:
        """Show that something is being waited for: moving on a terminal, else a line now and then.

        Lines may be printed meanwhile. `every` is in seconds.
        """
        if self.console.is_terminal:
            with self.console.status(f"{words} ...", spinner="line"):
                yield
            return
        is_over = threading.Event()

        def tell() -> None:
            while not is_over.wait(every):
                self.say(f"{words} ...")

        telling = threading.Thread(target=tell, daemon=True)
        telling.start()
        try:
            yield
        finally:
            is_over.set()
            telling.join()
