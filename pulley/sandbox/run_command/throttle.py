"""Limits the calls to an account's Systems Manager: a bucket of tokens for each API family.

AWS publishes Parameter Store's rate only: 40 transactions a second by default, shared by
GetParameter, GetParameters and GetParametersByPath, for each account and Region. Source: AWS
General Reference, "AWS Systems Manager endpoints and quotas", Parameter Store, "Max throughput" (as
quoted in 2022 and after); the User Guide's "Changing Parameter Store throughput" (2026) says how to
raise it. Run Command's rates are not published: SendCommand's rate here is a cautious guess. It is
also a guess that a full bucket holds the tokens of one second. A refused call is a
ThrottlingException, "Rate exceeded" (AWS re:Post, "How do I prevent ThrottlingException errors ...
when I use Parameter Store?").
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pulley.sandbox.run_command.send_request import ApiError

PARAMETERS_A_SECOND = 40
COMMANDS_A_SECOND = 20  # a guess
_FAMILIES = {
    ("GetParameter", "GetParameters", "GetParametersByPath"): PARAMETERS_A_SECOND,
    ("SendCommand",): COMMANDS_A_SECOND,
}


class _Bucket:
    """Tokens that are refilled at a rate, up to one second's worth."""

    def __init__(self, a_second: float, now: float) -> None:
        self._a_second = self._left = a_second
        self._counted_at = now

    def take(self, now: float) -> bool:
        """Take a token. Returns whether there was one."""
        back = (now - self._counted_at) * self._a_second
        self._left, self._counted_at = min(self._a_second, self._left + back), now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Throttle:
    """Counts calls, and decides which of them to refuse. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}
        for names, a_second in _FAMILIES.items():
            self._buckets |= dict.fromkeys(names, _Bucket(a_second, clock()))
        self.taken: Counter[str] = Counter()  # calls, by the operation's name
        self.refused: Counter[str] = Counter()

    def refuses(self, operation: str) -> bool:
        """Whether to refuse this call."""
        with self._lock:
            bucket = self._buckets.get(operation)
            is_taken = bucket is None or bucket.take(self._clock())
            (self.taken if is_taken else self.refused)[operation] += 1
            return not is_taken


def refuse(_body: Mapping[str, Any]) -> NoReturn:
    """The operation of a refused call."""
    raise ApiError("ThrottlingException", "Rate exceeded")
