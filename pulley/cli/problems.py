"""Report every mistake of a command line in one message."""

import click

from chalicelib.core.errors import PulleyError


class Problems:
    """The mistakes of a command line, so that all are reported at once.

    A `with` block catches a mistake, and the command goes on until `tell` raises them.
    """

    def __init__(self) -> None:
        self._found: list[click.UsageError | PulleyError] = []

    def __enter__(self) -> None:
        """Begin a part of the command line."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        """Keep a mistake, or an error that prevented the check."""
        if isinstance(error, click.UsageError | PulleyError):
            self._found.append(error)
            return True
        return False

    def tell(self) -> None:
        """Raise the errors that were kept, if there are any."""
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            lines = [
                one.format_message() if isinstance(one, click.UsageError) else one.in_full
                for one in self._found
            ]
            raise click.UsageError("\n".join(lines))
