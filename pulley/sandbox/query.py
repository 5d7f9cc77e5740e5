"""AWS's query protocol: which operation a request asks for, its parameters, and the answer in XML.

EC2, Auto Scaling and Elastic Load Balancing use it. Botocore's model has the shapes; moto reads and
writes them.
"""

import io
import logging
import re
from collections.abc import Callable, Iterable, Mapping
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
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html, and what SDKs retry.
THROTTLED = ApiError("Throttling", "Rate exceeded")
# The names that requests are signed for.
EC2, AUTO_SCALING, LOAD_BALANCING = "ec2", "autoscaling", "elasticloadbalancing"
# Botocore's models of the services that this package answers itself.
_MODELS = {AUTO_SCALING: "autoscaling", LOAD_BALANCING: "elbv2"}
# The scope of Signature Version 4: the key's id, the day, the Region, the service.
_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_LOG = logging.getLogger(__name__)
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
class Call:
    """A request to a service, for assertions."""

    action: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Query:
    """A request to one of these services. `fields` are the form's."""

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
            operation = self._model.operation_model(self.action)
            parsed: dict[str, Any] = QueryParser(operation).parse(
                {**_NO_REST, "values": self.fields}
            )
            if operation.input_shape is not None:
                check_input(parsed, operation.input_shape)
        except OperationNotFoundError:
            words = f"Could not find operation {self.action}"
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
        made = QuerySerializer(self._model.operation_model(self.action)).serialize(result)
        return Response(made["body"], made["status_code"], made["headers"])

    def respond(
        self,
        answer: Callable[[], Response | Iterable[bytes]],
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
    ) -> Iterable[bytes]:
        """What the WSGI server sends: our own answer, or the answer of moto's application."""
        try:
            answered = answer()
        except ApiError as error:
            answered = self.answer(error)
        except Exception:  # noqa: BLE001 - our own fault is a 500, as at AWS
            _LOG.exception("%s failed", self.action)
            answered = self.answer(ApiError("InternalFailure", status=500))
        return answered(environ, start_response) if isinstance(answered, Response) else answered

    @property
    def _model(self) -> ServiceModel:
        return _load_model(_MODELS[self.service])


def read_query(environ: "WSGIEnvironment", region: str) -> Query | None:
    """The query of a request in this Region; None for another request. Its body stays unread."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    known = {EC2, *_MODELS}
    if not scope or scope["service"] not in known or scope["region"] != region:
        return None
    body = Request(environ).get_data()
    environ["wsgi.input"] = io.BytesIO(body)
    fields = Request({**environ, "wsgi.input": io.BytesIO(body)}).values
    return Query(scope["service"], fields.get("Action", ""), MultiDict(fields.items()))


def invalid(message: str) -> ApiError:
    """The error of these services for input that does not fit."""
    return ApiError("ValidationError", message)


@cache
def _load_model(name: str) -> ServiceModel:
    model: ServiceModel = get_service_model(name)
    return model


def _answer_error(error: ApiError) -> Response:
    content = {"Type": "Sender", "Code": error.code, "Message": error.message}
    body = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in content.items())
    return Response(
        f"<ErrorResponse><Error>{body}</Error><RequestId>1</RequestId></ErrorResponse>",
        error.status,
        content_type="text/xml",
    )
