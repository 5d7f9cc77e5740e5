"""The clients of the services that only an uninstall changes, and how their errors are read."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib.edges.aws import calling, error_for

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Clients:
    """Clients for boto3's default region. Each raises UnavailableError if it cannot be built."""

    @cached_property
    def functions(self) -> "LambdaClient":
        """Lambda."""
        return self.functions_of(None)

    @cached_property
    def roles(self) -> "IAMClient":
        """IAM, which has no regions."""
        client: IAMClient = _build("iam")
        return client

    @cached_property
    def rules(self) -> "EventBridgeClient":
        """EventBridge."""
        client: EventBridgeClient = _build("events")
        return client

    @cached_property
    def apis(self) -> "APIGatewayClient":
        """API Gateway."""
        client: APIGatewayClient = _build("apigateway")
        return client

    @cached_property
    def logs(self) -> Any:  # noqa: ANN401 - without stubs
        """CloudWatch Logs."""
        return _build("logs")

    @cached_property
    def stacks(self) -> Any:  # noqa: ANN401 - without stubs
        """CloudFormation."""
        return _build("cloudformation")

    def functions_of(self, region: str | None) -> "LambdaClient":
        """Lambda in another region."""
        client: LambdaClient = _build("lambda", region)
        return client


def _build(service: str, region: str | None = None) -> Any:  # noqa: ANN401 - boto3 makes its class
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.client(service, region_name=region)  # type: ignore[call-overload] # of literals
    except BotoCoreError as error:
        raise error_for("a client", error) from None


def unless(codes: Collection[str], call: Callable[[], Answer]) -> Answer | None:
    """Call AWS; None for an error with one of these codes, which say that something is missing."""
    from botocore.exceptions import ClientError

    try:
        return call()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in codes:
            raise
        return None


def remove(what: str, gone: str, call: Callable[[], object]) -> None:
    """Call AWS to remove something. `gone` is the code of what is gone already.

    Raises RefusedError and UnavailableError.
    """
    with calling(f"removing {what}"):
        unless({gone}, call)
