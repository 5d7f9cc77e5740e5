"""Lambda: the asynchronous call of the reconciler, and the errors of a failure."""

import json
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.core.wake import build_wake, reconciler_name
from chalicelib.edges.wake import Waker
from tests.edges.clients import REGION, new_lambda
from tests.fakes import SITE, STAGE

NAME = reconciler_name(STAGE)
ARN = f"arn:aws:lambda:{REGION}:123456789012:function:{NAME}"


class TestWake:
    def test_round_is_called_asynchronously_with_the_repository(self) -> None:
        client = new_lambda()
        sent: list[dict[str, Any]] = []
        client.meta.events.register(
            "provide-client-params.lambda.Invoke", lambda params, **_event: sent.append(params)
        )
        with Stubber(client) as stubber:
            stubber.add_response("invoke", {"StatusCode": 202})
            Waker(client, NAME).wake(SITE)
        (arguments,) = sent
        assert json.loads(arguments.pop("Payload")) == build_wake(SITE)
        assert arguments == {"FunctionName": NAME, "InvocationType": "Event"}

    @pytest.mark.parametrize(
        ("code", "status", "kind"),
        [
            ("AccessDeniedException", 403, RefusedError),
            ("ResourceNotFoundException", 404, RefusedError),
            ("InvalidParameterValueException", 400, RefusedError),
            ("TooManyRequestsException", 429, UnavailableError),
            ("ThrottlingException", 400, UnavailableError),
            ("ServiceException", 500, UnavailableError),
            ("EC2ThrottledException", 502, UnavailableError),
        ],
    )
    def test_failure_is_a_refusal_or_unavailable_by_its_code(
        self, code: str, status: int, kind: type[RefusedError | UnavailableError]
    ) -> None:
        client = new_lambda()
        with Stubber(client) as stubber:
            stubber.add_client_error("invoke", code, f"on {ARN}", status)
            with pytest.raises(kind, match="waking the round") as caught:
                Waker(client, NAME).wake(SITE)
        assert ARN not in str(caught.value)
        assert ARN in caught.value.detail

    @pytest.mark.parametrize("status", [200, 204, 302])
    def test_answer_that_does_not_accept_the_event_is_unavailable(self, status: int) -> None:
        client = new_lambda()
        with Stubber(client) as stubber:
            stubber.add_response("invoke", {"StatusCode": status})
            with pytest.raises(UnavailableError, match="cannot be read for waking") as caught:
                Waker(client, NAME).wake(SITE)
        assert caught.value.detail == f"ValueError: status {status}"

    def test_failure_before_the_network_is_unavailable(self) -> None:
        client = new_lambda()

        def refuse(**_event: object) -> None:
            raise NoCredentialsError

        client.meta.events.register("before-send.lambda", refuse)
        with pytest.raises(UnavailableError, match="AWS could not be reached for waking"):
            Waker(client, NAME).wake(SITE)
