"""SSM Run Command: sends the document to a target's hosts."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from chalicelib.core.commands import SendRequest
from chalicelib.core.errors import PulleyError
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import SendCommandRequestTypeDef

DELIVERY_TIMEOUT_SECONDS = 600  # for a host that is asleep; later, reconciling finds it
SENT_AT_ONCE = 8


class RunCommand:
    """Sends commands. Returns errors, since one target's must not stop the others."""

    def __init__(self, client: "SSMClient") -> None:
        """Several threads use the client: boto3 allows that."""
        self._client = client

    def send(self, requests: Sequence[SendRequest]) -> Sequence[str | PulleyError]:
        """Each request's command id, or its error, in the order of the requests."""
        if len(requests) <= 1:
            return [self._send(request) for request in requests]
        with ThreadPoolExecutor(SENT_AT_ONCE) as pool:
            return list(pool.map(self._send, requests))

    def _send(self, request: SendRequest) -> str | PulleyError:
        try:
            with calling(f"the command to {request.target}"):
                return self._client.send_command(**_arguments(request))["Command"]["CommandId"]
        except PulleyError as error:
            return error


def _arguments(request: SendRequest) -> "SendCommandRequestTypeDef":
    arguments: SendCommandRequestTypeDef = {
        "DocumentName": request.document,
        "Targets": [{"Key": key, "Values": values} for key, values in request.selectors],
        "Parameters": {name: [value] for name, value in request.parameters.items()},
        "Comment": request.comment,
        "TimeoutSeconds": DELIVERY_TIMEOUT_SECONDS,
        "MaxConcurrency": request.max_concurrency,
        "MaxErrors": request.max_errors,
    }
    if request.document_pin:
        arguments["DocumentVersion"] = request.document_pin.version
        arguments["DocumentHash"] = request.document_pin.hash
        arguments["DocumentHashType"] = "Sha256"
    if request.log_group:
        arguments["CloudWatchOutputConfig"] = {
            "CloudWatchOutputEnabled": True,
            "CloudWatchLogGroupName": request.log_group,
        }
    return arguments
