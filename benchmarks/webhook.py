"""One verified push through the whole app, warm, beside the tutorial's service.

Each is called in this process with a whole request: the app with API Gateway's event, the service
with a WSGI environment, so that neither has a server, a socket or TLS in its time. The tutorial
leaves its pull out. Of Pulley's two calls to AWS (the pins, SendCommand) the network is left out
in "with boto3's work": writing, signing and reading them is there, a millisecond that is boto3's.
Without it the calls are answered in the client's place, as the tutorial's pull is not made either:
that is the time of Pulley's own code, with the request for Run Command built, two lines of log
written, and Chalice. No token is stored, so nothing is said to GitHub.
"""

import hmac
from collections.abc import Callable, Iterator
from functools import partial

from chalice.app import Chalice, Response

from benchmarks.compare import Timings, compare
from benchmarks.deliveries import LARGE, SECRET, SMALL, event, headers, push
from benchmarks.figures import Figure
from benchmarks.stub import App, Aws, without_log
from benchmarks.tutorial import Caller, service

GOAL = 1.0  # to the tutorial's service
OWN_GOAL = 150.0  # µs
empty = Chalice(app_name="empty")


@empty.route("/github", methods=["POST"], content_types=["*/*"])
def answer_nothing() -> Response:
    """What Chalice itself takes for a request."""
    return Response({}, headers={"Content-Type": "application/json"})


def measure(*, quick: bool) -> Iterator[Figure]:
    """7 KB, as a push of one commit has, and the 5 MB that GitHub writes of two thousand."""
    yield from _figures("7 KB", _time(SMALL, rounds=5 if quick else 100, calls=40), OWN_GOAL)
    yield from _figures("5 MB", _time(LARGE, rounds=3 if quick else 40, calls=1), None)


def _time(size: int, *, rounds: int, calls: int) -> Timings:
    body = push(size)
    delivery = event(body)
    aws = Aws()
    tutorial = Caller(service(SECRET), body, headers(body))
    whole, own = App(aws.sdk), App(aws.port)
    with without_log():
        for app in (whole, own):
            if (answer := app(delivery))["statusCode"] != 202:
                raise AssertionError(answer)
        if not (said := tutorial())[0].startswith("200"):
            raise AssertionError(said)
        subjects: dict[str, Callable[[], object]] = {
            "app with boto3": partial(whole, delivery),
            "app": partial(own, delivery),
            "tutorial": tutorial,
            "empty route": partial(empty, delivery, None),
            "HMAC": partial(hmac.digest, SECRET.encode(), body, "sha256"),
        }
        return compare(subjects, rounds=rounds, calls=calls)


def _figures(size: str, timings: Timings, own_goal: float | None) -> Iterator[Figure]:
    detail = {f"{name}, µs": round(timings.median(name) * 1e6, 1) for name in timings.seconds}
    what = f"verified push of {size}"
    for name, words in (("app", ""), ("app with boto3", ", with boto3's work for two calls")):
        value, low, high = timings.ratio(name, "tutorial")
        yield Figure(f"{what}{words}: to the tutorial's", value, "x", GOAL, low, high, detail)
    value, low, high = (s * 1e6 for s in timings.over("app", "empty route", "HMAC"))
    words = f"{what}: own code, over an empty route and the HMAC"
    yield Figure(words, value, "µs", own_goal, low, high, detail)
