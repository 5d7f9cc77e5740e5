"""An account for `chalice deploy`: moto's, with the import that moto's API Gateway lacks.

moto imports only OpenAPI 3 documents, and Chalice writes Swagger 2. This module makes of
the document what API Gateway makes of it: resources, methods, integrations.
Source: Amazon API Gateway API Reference, "ImportRestApi" and "PutRestApi".
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from pulley.sandbox.account import Account

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from mypy_boto3_apigateway import APIGatewayClient


class AccountWithImport(Account):
    """An account whose API Gateway takes Chalice's document."""

    def _answer(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        request = Request(environ)
        named = re.fullmatch("/restapis(?:/([a-z0-9]+))?", request.path)
        mode = request.args.get("mode")
        if not named or (request.method, mode) not in {("POST", "import"), ("PUT", "overwrite")}:
            return super()._answer(environ, start_response)
        document = json.loads(request.get_data())
        gateway: APIGatewayClient = self.client("apigateway")
        api_id = named[1] or _create(gateway, document, request.args["endpointConfigurationTypes"])
        _overwrite(gateway, api_id, document)
        made = {"id": api_id, "name": document["info"]["title"]}
        return Response(json.dumps(made), 201, content_type="application/json")(
            environ, start_response
        )


def _create(gateway: "APIGatewayClient", document: Mapping[str, Any], endpoint: Any) -> str:  # noqa: ANN401 - as the query has it
    types = {"types": [endpoint]}
    return gateway.create_rest_api(
        name=document["info"]["title"],
        endpointConfiguration=types,  # type: ignore[arg-type]
    )["id"]


def _overwrite(gateway: "APIGatewayClient", api_id: str, document: Mapping[str, Any]) -> None:
    for resource in gateway.get_resources(restApiId=api_id)["items"]:
        if resource["path"] != "/":
            gateway.delete_resource(restApiId=api_id, resourceId=resource["id"])
    (root,) = gateway.get_resources(restApiId=api_id)["items"]
    made = {"": root["id"]}
    for path, methods in document["paths"].items():
        at = ""
        for part in filter(None, path.split("/")):
            above, at = at, f"{at}/{part}"
            if at not in made:
                made[at] = gateway.create_resource(
                    restApiId=api_id, parentId=made[above], pathPart=part
                )["id"]
        resource_id = made[at]
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            where: Any = {
                "restApiId": api_id,
                "resourceId": resource_id,
                "httpMethod": method.upper(),
            }
            gateway.put_method(**where, authorizationType="NONE")
            gateway.put_integration(
                **where,
                type=integration["type"].upper(),
                integrationHttpMethod=integration["httpMethod"],
                uri=integration["uri"],
            )
