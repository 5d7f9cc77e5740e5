"""Keeps an answer for some seconds, so that many lookers cost no more calls than one."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from chalicelib.core.errors import PulleyError, UnavailableError

ERROR_SECONDS = 2.0
Value = TypeVar("Value")


class KeptError(UnavailableError):
    """The value could not be made some moments ago, and is not tried again yet."""


class Kept(Generic[Value]):
    """A value, made at most once in so many seconds.

    An error is kept for ERROR_SECONDS, so that strangers do not burden an AWS that fails.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.time) -> None:
        """`clock` is in seconds, and goes on while Lambda freezes the function."""
        self._seconds = seconds
        self._clock = clock
        self._made: tuple[float, Value] | None = None
        self._failed: tuple[float, str] | None = None
        self._lock = threading.Lock()

    def get(self, make: Callable[[], Value]) -> Value:
        """The value, which `make` makes if the kept one is too old.

        Raises what `make` does, and KeptError for some seconds after.
        """
        with self._lock:
            if self._made and self._is_young(self._made[0], self._seconds):
                return self._made[1]
            if self._failed and self._is_young(self._failed[0], ERROR_SECONDS):
                raise KeptError(self._failed[1])
            try:
                value = make()
            except Exception as error:
                words = str(error) if isinstance(error, PulleyError) else "it failed"
                self._failed = self._clock(), words
                raise
            self._made = self._clock(), value
            return value

    def _is_young(self, then: float, seconds: float) -> bool:
        return 0 <= self._clock() - then < seconds
