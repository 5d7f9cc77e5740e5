"""Lambda: one asynchronous call of the function that runs rounds."""

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from chalicelib.core.wake import build_wake
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from chalicelib.core.wake import Woken


class Waker:
    """Starts rounds. It does not wait for them."""

    def __init__(self, client: "LambdaClient", function_name: str) -> None:
        """`function_name` is `reconciler_name` of the stage."""
        self._client = client
        self._function_name = function_name

    def wake(self, of: "Woken") -> None:
        """Start a round for this repository, or this host. Raises RefusedError, UnavailableError.

        A retry of the SDK may start a second round, which finds nothing to do.
        """
        with calling("waking the round"):
            answer = self._client.invoke(
                FunctionName=self._function_name,
                InvocationType="Event",
                Payload=json.dumps(build_wake(of)),
            )
            # A proxy's page has another status: Lambda accepts an event with 202 only.
            if answer["StatusCode"] != HTTPStatus.ACCEPTED:
                raise ValueError(f"status {answer['StatusCode']}")
