"""How Pulley calls AWS: patiently within a delivery's time, and no longer.

GitHub waits ten seconds for an answer. The SDK retries throttling, 5xx and time-outs by itself;
the deadline here keeps it from beginning an attempt that could not end in time. An attempt begun
at the deadline takes CONNECT_SECONDS + READ_SECONDS and a backoff of 2 s at the most.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 1.0, 2.5, 3
DELIVERY_SECONDS = 3.5

_THROTTLED = ("Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown")


class LateError(UnavailableError):
    """The time for an answer ran out before an attempt could begin."""


class Deadline:
    """The time until which an attempt may begin. Without one, any time will do."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._clock = clock
        self._at = float("inf")

    def restart(self, seconds: float = DELIVERY_SECONDS) -> None:
        """Count from now."""
        self._at = self._clock() + seconds

    def check(self, **_event: object) -> None:
        """Raise LateError past the deadline. Also botocore's `before-send` handler."""
        if self._clock() >= self._at:
            raise LateError("AWS did not answer in time")


def build_ssm_client(deadline: Deadline) -> "SSMClient":
    """A client of Systems Manager that keeps the deadline, in boto3's usual region.

    Raises UnavailableError.
    """
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    try:
        client = boto3.client("ssm", config=config)
    except BotoCoreError as error:  # no region, say
        raise error_for("a client of Systems Manager", error) from None
    client.meta.events.register("before-send.ssm", deadline.check)
    return client


def error_for(operation: str, error: BotoCoreError | ClientError) -> PulleyError:
    """What an error of the SDK means for a caller. AWS's own words go to the log only."""
    detail = f"{operation}: {error}"
    if not isinstance(error, ClientError):
        return UnavailableError(f"AWS could not be reached for {operation}", detail=detail)
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500 or code.startswith(_THROTTLED):
        return UnavailableError(f"AWS is too busy for {operation}", detail=detail)
    return RefusedError(f"AWS refused {operation} ({code})", detail=detail)
