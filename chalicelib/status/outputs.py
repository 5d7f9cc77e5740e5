"""The end of what a failed run wrote on a host. A run that has ended writes nothing more."""

from typing import Protocol

from chalicelib.edges.command_output import Output
from chalicelib.status.safe_text import tail

LINES = 20
LONGEST_LINE = 500  # characters
MOST = 200  # outputs kept; over it, all are read again


class OutputReader(Protocol):
    """Reads outputs. Raises RefusedError and UnavailableError."""

    def read(self, command_id: str, instance_id: str) -> Output:
        """What the script wrote on a host."""


class Outputs:
    """Reads each output once."""

    def __init__(self, reader: OutputReader) -> None:
        self._reader = reader
        self._known: dict[tuple[str, str], str] = {}

    def end_of(self, command_id: str, instance_id: str) -> str:
        """The last lines that the steps wrote; "" if there are none.

        Raises RefusedError and UnavailableError.
        """
        key = command_id, instance_id
        if key not in self._known:
            lines = tail(self._reader.read(command_id, instance_id).stderr, LINES)
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[key] = "\n".join(line[:LONGEST_LINE] for line in lines)
        return self._known[key]
