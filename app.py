"""The entry points. Each unpacks its event, calls one flow or the page, and returns the outcome.

chalicelib/answers.py has the HTTP codes.
"""

# edges/aws.py imports boto3 only when it is first used.
import boto3  # noqa: F401 - so that Lambda loads it while the function starts
from chalice.app import Chalice, CloudWatchEvent, Rate, Request, Response

from chalicelib import wiring
from chalicelib.answers import answer_to, status_of
from chalicelib.core.decisions import Decision, Level, count
from chalicelib.core.errors import PulleyError
from chalicelib.core.webhook import Delivery, DeliveryError
from chalicelib.flows.receive import Accepted, Ignored

app = Chalice(app_name="pulley")

MAX_DELIVERY_ID = 64  # characters in the log; GitHub's are GUIDs


# Accept any content type, so that Pulley answers a wrong one too.
@app.route("/github", methods=["POST"], content_types=["*/*"])
def receive_delivery() -> Response:
    """Answer a delivery of GitHub's webhook."""
    request = app.current_request
    if request is None:
        raise AssertionError("Chalice calls a route with a request only")
    try:
        outcome = wiring.receive(Delivery.from_http(request.headers, _body_of(request)))
    except PulleyError as error:
        _note_refusal(request, error)
        return _answer(error)
    return _answer(outcome)


# Accept any content type here too: Chalice's own answer would tell a stranger who answers.
@app.route("/", content_types=["*/*"])
def show_page() -> Response:
    """Show what runs where, to those whom a link of `pulley open --hosted` has let in."""
    return _page_answer("/")


@app.route("/state.json", content_types=["*/*"])
def show_state() -> Response:
    """Answer with the facts that the page shows."""
    return _page_answer("/state.json")


@app.route("/history.json", content_types=["*/*"])
def show_history() -> Response:
    """Answer with a target's deploys."""
    return _page_answer("/history.json")


@app.route("/badge/{file}", content_types=["*/*"])
def show_badge(file: str) -> Response:
    """Answer with a target's badge, to everybody."""
    return _page_answer(f"/badge/{file}")


@app.on_cw_event(wiring.STATUS_CHANGES)
def report_status_change(event: CloudWatchEvent) -> dict[str, str]:
    """Report a command whose status changed. Lambda retries if this raises."""
    from chalicelib.core.events import NotReported

    outcome = wiring.report(event.to_dict())
    if isinstance(outcome, NotReported):
        return {"ignored": outcome.reason}
    return {
        "command_id": outcome.command_id,
        "state": outcome.status.state,
        "description": outcome.status.description,
    }


@app.schedule(Rate(wiring.RECONCILE_MINUTES, unit=Rate.MINUTES))
def reconcile_targets(event: CloudWatchEvent) -> dict[str, object]:
    """Run a round: bring hosts to the wanted commit, and repair what was lost.

    Other functions call it for one repository when a gate of its targets may have opened, or for
    one host that is being launched.
    """
    context = event.context
    return vars(wiring.reconcile(event.to_dict(), lambda: _seconds_left(context)))


@app.on_cw_event(wiring.LAUNCHES)
def receive_launch(event: CloudWatchEvent) -> dict[str, str]:
    """Watch a new instance until it has what its targets want. Lambda retries if this raises."""
    from chalicelib.core.launches import NotLaunched

    context = event.context
    outcome = wiring.watch_launch(event.to_dict(), lambda: _seconds_left(context))
    if isinstance(outcome, NotLaunched):
        return {"ignored": outcome.reason}
    return {"outcome": outcome.outcome}


def _seconds_left(context: object) -> float:
    """Seconds before the Lambda times out; infinite outside Lambda."""
    milliseconds = getattr(context, "get_remaining_time_in_millis", None)
    return milliseconds() / 1000 if milliseconds else float("inf")


def _page_answer(path: str) -> Response:
    request = app.current_request
    if request is None:
        raise AssertionError("Chalice calls a route with a request only")
    answer = wiring.show_page(path, request.query_params or {}, request.headers.get("cookie", ""))
    return Response(body=answer.body, status_code=answer.status, headers=dict(answer.headers))


def _body_of(request: Request) -> bytes:
    try:
        raw_body = request.raw_body
    except ValueError:  # invalid base64, or half a surrogate pair
        raise DeliveryError("the request's body cannot be decoded") from None
    return raw_body if isinstance(raw_body, bytes) else raw_body.encode()


def _note_refusal(request: Request, error: PulleyError) -> None:
    status = status_of(error)
    facts = {
        # A stranger may have written this header: cut it here; the journal escapes it.
        "delivery": request.headers.get("x-github-delivery", "")[:MAX_DELIVERY_ID],
        "status": status,
        "reason": error.in_full,
    }
    outcome = "failed" if status >= 500 else "refused"
    level: Level = "error" if status >= 500 else "warning"
    wiring.JOURNAL.note(Decision("delivery", outcome, facts, level, count("Deliveries")))


def _answer(outcome: Accepted | Ignored | PulleyError) -> Response:
    status, body = answer_to(outcome)
    return Response(body=body, status_code=status, headers={"Content-Type": "application/json"})
