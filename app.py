"""Every way in: unpack the request, call one flow, say its outcome in HTTP.

Only this module knows HTTP codes. An answer never has a stack trace, a secret or a path in it.
"""

from chalice.app import Chalice, Response

from chalicelib import wiring
from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.core.webhook import (
    ContentTypeError,
    Delivery,
    DeliveryError,
    SignatureError,
    TooLargeError,
)
from chalicelib.flows.receive import Accepted, Ignored

app = Chalice(app_name="pulley")
app.log.setLevel("INFO")

# The first class that fits counts.
STATUS_OF = {
    ContentTypeError: 415,
    TooLargeError: 413,
    SignatureError: 401,
    DeliveryError: 400,
    RefusedError: 502,
    UnavailableError: 503,
    PulleyError: 503,
}


# Any content type comes through, so that the answer to a wrong one is Pulley's too.
@app.route("/github", methods=["POST"], content_types=["*/*"])
def receive_delivery() -> Response:
    """GitHub's webhook."""
    request = app.current_request
    if request is None:
        raise AssertionError("Chalice calls a route with a request only")
    try:
        raw_body = request.raw_body
    except ValueError:  # base64 that is none, or half a surrogate pair
        return _answer(400, {"error": "the request's body cannot be decoded"})
    body = raw_body if isinstance(raw_body, bytes) else raw_body.encode()
    try:
        outcome = wiring.receive(Delivery.from_http(request.headers, body))
    except PulleyError as error:
        app.log.warning("delivery not taken: %s", error.detail or error)
        return _answer(_status_of(error), {"error": str(error)})
    if isinstance(outcome, Ignored):
        app.log.info("delivery %s ignored: %s", outcome.delivery, outcome.reason)
        return _answer(200, {"delivery": outcome.delivery, "ignored": outcome.reason})
    return _answer_accepted(outcome)


def _answer_accepted(accepted: Accepted) -> Response:
    """202; or where a target failed, the error, and with it what was sent all the same."""
    body: dict[str, object] = {
        "delivery": accepted.delivery,
        "commit": accepted.commit.sha,
        "deployments": [{"target": name, "command_id": id_} for name, id_ in accepted.sent],
        "skipped": [{"target": name, "reason": reason} for name, reason in accepted.skipped],
    }
    app.log.info("delivery %s: %s", accepted.delivery, body)
    for name, error in accepted.failed:
        app.log.error("delivery %s: %s failed: %s", accepted.delivery, name, error.detail or error)
    if not accepted.failed:
        return _answer(202, body)
    words = "; ".join(f"{name}: {error}" for name, error in accepted.failed)
    status = min(_status_of(error) for _, error in accepted.failed)
    return _answer(status, {"error": words} | body)


def _status_of(error: PulleyError) -> int:
    return next(status for kind, status in STATUS_OF.items() if isinstance(error, kind))


def _answer(status: int, body: dict[str, object]) -> Response:
    return Response(body=body, status_code=status, headers={"Content-Type": "application/json"})
