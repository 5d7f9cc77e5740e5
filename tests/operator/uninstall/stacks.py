"""An account whose CloudFormation also finds a stack by one of its resources, which moto cannot.

Source: AWS CloudFormation API Reference, "DescribeStackResources", `PhysicalResourceId`.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

from moto.cloudformation.models import cloudformation_backends

from pulley.sandbox.account import Account

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class AccountWithStacks(Account):
    """Gives moto the name of the stack that has the resource."""

    def _answer(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        if "form" in environ.get("CONTENT_TYPE", ""):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            wanted = asked.pop("PhysicalResourceId", None)
            if wanted and asked["Action"] == "DescribeStackResources":
                body = urlencode(asked | {"StackName": self._stack_of(wanted)}).encode()
                environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = BytesIO(body)
        return super()._answer(environ, start_response)

    def _stack_of(self, physical_id: str) -> str:
        stacks: Any = cloudformation_backends[self.id][self.region].stacks.values()
        for stack in stacks:
            if any(one.physical_resource_id == physical_id for one in stack.stack_resources):
                return str(stack.name)
        return f"for {physical_id}"  # AWS: "Stack for ... does not exist"
