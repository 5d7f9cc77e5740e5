"""Calls AWS with retries, until the caller's deadline.

GitHub waits ten seconds for an answer. The SDK retries throttling, 5xx and time-outs by itself;
the deadline here stops an attempt that could not end in time. An attempt that begins just before
the deadline takes at most CONNECT_SECONDS + READ_SECONDS and a backoff of 2 s.

The SDK is imported where it is used: `pulley --help` and completion must not wait for it. Lambda
imports it while a function starts (app.py).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 1.0, 2.5, 3
DELIVERY_SECONDS = 3.5

# What to do about common errors: each advice, with the errors to which it applies (names of the
# SDK's classes, or AWS's codes).
_WHAT_TO_DO = {
    "there is no region: set AWS_DEFAULT_REGION, or give --region": {"NoRegionError"},
    "there are no credentials: set AWS_PROFILE, or run aws configure": {"NoCredentialsError"},
    "the credentials have expired: sign in again (aws sso login), or renew AWS_SESSION_TOKEN": {
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired"),
        *("UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError"),
    },
    "AWS does not know these credentials: see AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret": {
        *("InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"),
        *("InvalidSignatureException", "SignatureDoesNotMatch"),
    },
}
_NO_CONNECTION = ("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError")
_THROTTLED = ("Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown")


class LateError(UnavailableError):
    """The time for an answer ran out before an attempt could begin."""


class Deadline:
    """The time until which an attempt may begin; there is no limit before `restart`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, who: str = "AWS") -> None:
        """`clock` is in seconds; `who` is named in the error."""
        self._clock = clock
        self._who = who
        self._at = float("inf")

    def restart(self, seconds: float = DELIVERY_SECONDS) -> None:
        """Set the deadline so many seconds from now."""
        self._at = self._clock() + seconds

    def extend(self, seconds: float) -> None:
        """Move the deadline, to give back seconds that another call has used."""
        self._at += seconds

    def left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self._at - self._clock()

    def check(self, **_event: object) -> None:
        """Raise LateError past the deadline. Also botocore's `before-send` handler."""
        if self.left() <= 0:
            raise LateError(f"{self._who} did not answer in time")


def build_ssm_client(deadline: Deadline | None = None) -> "SSMClient":
    """With a deadline (for a delivery), its time-outs are short. Raises UnavailableError."""
    client: SSMClient = _build("ssm", "Systems Manager", deadline)
    if deadline is not None:
        client.meta.events.register("before-send.ssm", deadline.check)
    return client


def build_lambda_client(deadline: Deadline | None = None) -> "LambdaClient":
    """With a deadline (for a delivery), its time-outs are short. Raises UnavailableError."""
    client: LambdaClient = _build("lambda", "Lambda", deadline)
    if deadline is not None:
        client.meta.events.register("before-send.lambda", deadline.check)
    return client


def build_sns_client() -> "SNSClient":
    """A patient client of SNS in boto3's usual region. Raises UnavailableError."""
    client: SNSClient = _build("sns", "SNS")
    return client


def build_autoscaling_client() -> "AutoScalingClient":
    """A patient client of EC2 Auto Scaling in boto3's usual region. Raises UnavailableError."""
    client: AutoScalingClient = _build("autoscaling", "Auto Scaling")
    return client


def build_ec2_client(deadline: Deadline | None = None) -> "EC2Client":
    """A client of EC2 in boto3's usual region. With a deadline, its time-outs are short.

    Raises UnavailableError.
    """
    client: EC2Client = _build("ec2", "EC2", deadline)
    if deadline is not None:
        client.meta.events.register("before-send.ec2", deadline.check)
    return client


def _build(service: str, name: str, deadline: Deadline | None = None) -> Any:  # noqa: ANN401 - boto3 makes its class
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    prompt, patient = (CONNECT_SECONDS, READ_SECONDS, ATTEMPTS), (3, 10, 6)
    connect, read, attempts = prompt if deadline else patient
    config = Config(
        connect_timeout=connect,
        read_timeout=read,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    try:
        return boto3.client(service, config=config)  # type: ignore[call-overload] # of literals
    except (BotoCoreError, ValueError) as error:  # for example no region, or an invalid endpoint
        raise error_for(f"a client of {name}", error) from None


@contextmanager
def calling(operation: str) -> Iterator[None]:
    """Wrap a call and the reading of its answer: every error becomes Refused or UnavailableError.

    An answer that lacks a field or has another shape (a proxy's page, for example) is an error too.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise error_for(operation, error) from None
    # Reading raises these if JSON or XML does not match the SDK's model.
    except (ResponseParserError, LookupError, TypeError, ValueError, AttributeError) as error:
        words = f"AWS's answer cannot be read for {operation}"
        raise UnavailableError(words, detail=f"{type(error).__name__}: {error}") from None


def error_for(operation: str, error: "BotoCoreError | ClientError | ValueError") -> PulleyError:
    """Map an error of the SDK to one of ours. AWS's own message goes to the log only."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        name, detail = type(error).__name__, str(error)
        if name in _NO_CONNECTION:
            detail = f"{detail.rstrip('.')}: check the region and the network"
        detail = _what_to_do(name) or detail
        return UnavailableError(f"AWS could not be reached for {operation}", detail=detail)
    code = error.response.get("Error", {}).get("Code", "")
    detail = _what_to_do(code) or str(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500 or code.startswith(_THROTTLED):
        return UnavailableError(f"AWS is too busy for {operation}", detail=detail)
    return RefusedError(f"AWS refused {operation} ({code})", detail=detail)


def _what_to_do(name: str) -> str:
    return next((words for words, names in _WHAT_TO_DO.items() if name in names), "")
