"""click's formatter of help, which breaks lines between words only."""

from collections.abc import Iterable

import click

_NO_BREAK = "\N{NON-BREAKING HYPHEN}"  # click would break "--no-wait" at a hyphen


class WholeWords(click.HelpFormatter):
    """Writes help as click does, and breaks no word at a hyphen."""

    def write(self, string: str) -> None:
        """Write text that was wrapped."""
        super().write(string.replace(_NO_BREAK, "-"))

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(text.replace("-", _NO_BREAK))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write a list of names, each with its explanation."""
        whole = [(name, words.replace("-", _NO_BREAK)) for name, words in rows]
        super().write_dl(whole, col_max, col_spacing)
