"""Lambda's Invoke, because moto would run the function in Docker.

A function is invoked if it runs beside the account; moto says whether it is deployed.
"""

import json
import re
from collections.abc import Callable

from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda.models import lambda_backends
from werkzeug.wrappers import Request, Response

from pulley.sandbox.run_command.send_request import ApiError

Invoked = Callable[[object], None]

_PATH = re.compile("/2015-03-31/functions/([^/]+)/invocations")


class Invocations:
    """The running functions of an account, by their names."""

    def __init__(self, *, account: str, region: str) -> None:
        """Without functions yet."""
        self._account, self._region = account, region
        self._running: dict[str, Invoked] = {}

    def add(self, name: str, invoked: Invoked) -> None:
        """Hand each event for this function to `invoked`, which must not wait for its end."""
        self._running[name] = invoked

    def answer(self, request: Request) -> Response | None:
        """Invoke the function that the request names. None for a request that is no Invoke."""
        path = _PATH.fullmatch(request.path)
        if not path:
            return None
        try:
            self._find(path[1])(_event_of(request))
        except ApiError as error:
            return Response(
                json.dumps({"Type": "User", "Message": error.message}),
                error.status,
                {"x-amzn-ErrorType": error.code},
                content_type="application/json",
            )
        return Response(status=202)

    def _find(self, name_or_arn: str) -> Invoked:
        """The running function. Raises ApiError."""
        prefix = f"arn:aws:lambda:{self._region}:{self._account}:function:"
        name = name_or_arn.removeprefix(prefix)
        if ":" in name or not self._is_deployed(name):
            arn = name if ":" in name else prefix + name
            words = f"Function not found: {arn}"
            raise ApiError("ResourceNotFoundException", words, status=404)
        if name not in self._running:
            words = f"the sandbox does not invoke {name}"
            raise ApiError("InvalidParameterValueException", words)
        return self._running[name]

    def _is_deployed(self, name: str) -> bool:
        try:
            lambda_backends[self._account][self._region].get_function(name)
        except UnknownFunctionException:
            return False
        return True


def _event_of(request: Request) -> object:
    """The payload. Raises ApiError."""
    kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
    if kind != "Event":
        words = f"the sandbox invokes functions with the type Event only, not {kind}"
        raise ApiError("InvalidParameterValueException", words)
    try:
        return json.loads(request.get_data() or b"{}")
    except ValueError as error:
        words = f"Could not parse request body into json: {error}"
        raise ApiError("InvalidRequestContentException", words) from None
