"""AWS's query protocol: which operation a request asks for, its parameters, and the answer in XML.

EC2 and Auto Scaling use it. Botocore's model has the shapes; moto reads and writes them.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from botocore.model import OperationNotFoundError
from moto.core.model import ServiceModel
from moto.core.parse import QueryParser, RequestDict
from moto.core.serialize import QuerySerializer
from moto.core.utils import get_service_model
from werkzeug.datastructures import Headers, MultiDict
from werkzeug.wrappers import Request, Response

from pulley.sandbox.run_command.send_request import ApiError, check_input

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

EC2, AUTO_SCALING = "ec2", "autoscaling"
# The scope of Signature Version 4: the key's id, the day, the Region, the service.
_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
# What moto's parsers of other protocols read.
_NO_REST: RequestDict = {
    "body": "",
    "headers": Headers(),
    "method": "POST",
    "url_params": {},
    "url_path": "/",
    "values": MultiDict(),
}


@dataclass(frozen=True)
class Query:
    """A request to EC2 or to Auto Scaling. `fields` are the form's."""

    service: str
    action: str
    fields: MultiDict[str, str]

    @property
    def only_reads(self) -> bool:
        """Whether the operation changes nothing."""
        return self.action.startswith(("Describe", "Get"))

    def parameters(self) -> Mapping[str, Any]:
        """The parameters, parsed and checked. Raises ApiError."""
        try:
            operation = _model().operation_model(self.action)
            parsed: dict[str, Any] = QueryParser(operation).parse(
                {**_NO_REST, "values": self.fields}
            )
            if operation.input_shape is not None:
                check_input(parsed, operation.input_shape)
        except OperationNotFoundError:
            words = f"Could not find operation {self.action} for version 2011-01-01"
            raise ApiError("InvalidAction", words) from None
        except ValueError as error:  # a number that is none
            raise invalid(str(error)) from None
        except ApiError as error:
            raise invalid(error.message) from None
        return parsed

    def answer(self, result: object) -> Response:
        """The answer with the operation's result, or with an ApiError."""
        if isinstance(result, ApiError):
            return _answer_error(result)
        made = QuerySerializer(_model().operation_model(self.action)).serialize(result)
        return Response(made["body"], made["status_code"], made["headers"])


def read_query(environ: "WSGIEnvironment", region: str) -> Query | None:
    """The query of a request in this Region; None for another request. Its body stays unread."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if not scope or scope["service"] not in {EC2, AUTO_SCALING} or scope["region"] != region:
        return None
    body = Request(environ).get_data()
    environ["wsgi.input"] = io.BytesIO(body)
    fields = Request({**environ, "wsgi.input": io.BytesIO(body)}).values
    return Query(scope["service"], fields.get("Action", ""), MultiDict(fields.items()))


def invalid(message: str) -> ApiError:
    """Auto Scaling's error for input that does not fit."""
    return ApiError("ValidationError", message)


@cache
def _model() -> ServiceModel:
    model: ServiceModel = get_service_model(AUTO_SCALING)
    return model


def _answer_error(error: ApiError) -> Response:
    content = {"Type": "Sender", "Code": error.code, "Message": error.message}
    body = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in content.items())
    return Response(
        f"<ErrorResponse><Error>{body}</Error><RequestId>1</RequestId></ErrorResponse>",
        error.status,
        content_type="text/xml",
    )
