"""The log: one JSON object a line on stdout, which Lambda sends to CloudWatch Logs.

CloudWatch makes metrics from these lines, so that no call to AWS is needed.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import TextIO

from chalicelib.core.decisions import Decision

_ENCODER = json.JSONEncoder(default=str)


class Journal:
    """Logs decisions."""

    def __init__(
        self,
        stage: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is in epoch seconds. Without a stream, each note goes to the current stdout."""
        self._stage = stage
        self._stream = stream
        self._clock = clock

    def note(self, decision: Decision) -> None:
        """Write one line."""
        fields = decision.fields(stage=self._stage, epoch_ms=int(self._clock() * 1000))
        stream = self._stream or sys.stdout
        stream.write(f"{_ENCODER.encode(fields)}\n")
        stream.flush()
