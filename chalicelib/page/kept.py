"""Keeps an answer for some seconds, so that many lookers cost no more calls than one."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from chalicelib.core.errors import PulleyError

ERROR_SECONDS = 2.0
Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by key, each made at most once in so many seconds.

    An error is kept for ERROR_SECONDS, so that strangers do not burden an AWS that fails.
    """

    def __init__(
        self, seconds: float, clock: Callable[[], float] = time.monotonic, most: int = 100
    ) -> None:
        """`clock` is in seconds. Over `most` values, all are made anew."""
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._known: dict[str, tuple[float, Value]] = {}
        self._failed: dict[str, tuple[float, PulleyError]] = {}
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[], Value]) -> Value:
        """The value of the key, which `make` makes if the kept one is too old.

        Raises what `make` does.
        """
        with self._lock:
            failed_at, error = self._failed.pop(key, (0.0, None))
            if error is not None and self._clock() - failed_at < ERROR_SECONDS:
                self._failed[key] = failed_at, error
                raise error
            made_at, value = self._known.get(key, (0.0, None))
            if value is not None and self._clock() - made_at < self._seconds:
                return value
            try:
                made = make()
            except PulleyError as failure:
                self._failed = {key: (self._clock(), failure)}  # of the last key alone
                raise
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[key] = self._clock(), made
            return made
