"""The webhook's answers: the HTTP status and the body for each outcome of a delivery.

app.py sends them, and `pulley simulate` shows them. An answer never contains a stack trace, a
secret or a path.
"""

from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.core.webhook import ContentTypeError, DeliveryError, SignatureError, TooLargeError
from chalicelib.flows.receive import Accepted, Ignored

# The first class that matches counts.
STATUS_OF = {
    ContentTypeError: 415,
    TooLargeError: 413,
    SignatureError: 401,
    DeliveryError: 400,
    RefusedError: 502,
    UnavailableError: 503,
    PulleyError: 503,
}


def answer_to(outcome: Accepted | Ignored | PulleyError) -> tuple[int, dict[str, object]]:
    """The status and the body."""
    match outcome:
        case Ignored():
            body: dict[str, object] = {"delivery": outcome.delivery, "ignored": outcome.reason}
            if secret := outcome.secret:
                body["secret"] = {"parameter": secret.place, "position": secret.position}
            return 200, body
        case Accepted():
            return _answer_to_accepted(outcome)
        case error:
            return status_of(error), {"error": str(error)}


def status_of(error: PulleyError) -> int:
    """The HTTP status for an error."""
    return next(status for kind, status in STATUS_OF.items() if isinstance(error, kind))


def _answer_to_accepted(accepted: Accepted) -> tuple[int, dict[str, object]]:
    body: dict[str, object] = {
        "delivery": accepted.delivery,
        "commit": accepted.commit.sha,
        "deployments": [{"target": name, "command_id": id_} for name, id_ in accepted.sent],
        "skipped": [{"target": name, "reason": reason} for name, reason in accepted.skipped],
    }
    if not accepted.failed:
        return 202, body
    words = "; ".join(f"{name}: {error}" for name, error in accepted.failed)
    status = min(status_of(error) for _, error in accepted.failed)
    return status, {"error": words} | body
