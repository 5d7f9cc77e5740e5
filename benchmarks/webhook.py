"""One verified push through the whole app, warm, beside the tutorial's service.

Each is called in this process with a complete request: the app with API Gateway's event, the
service with a WSGI environment. So neither time contains a server, a socket or TLS. The tutorial's
pull is left out. "With boto3's work" contains writing, signing and reading Pulley's two calls to
AWS (the pins, SendCommand), but no network. Without it a stand-in answers in place of boto3's
client: that is the time of Pulley's own code, with the request for Run Command and two lines of
log, and of Chalice. No token is stored, so there are no calls to GitHub.
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

GOAL = 1.0  # ratio to the tutorial's service
OWN_GOAL = 150.0  # µs
empty = Chalice(app_name="empty")


@empty.route("/github", methods=["POST"], content_types=["*/*"])
def answer_nothing() -> Response:
    """The time of Chalice itself for a request."""
    return Response({}, headers={"Content-Type": "application/json"})


def measure(*, quick: bool) -> Iterator[Figure]:
    """Measure 7 KB, a push of one commit, and 5 MB, a push of two thousand commits."""
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
        yield Figure(f"{what}{words}: time / the tutorial's", value, "x", GOAL, low, high, detail)
    value, low, high = (s * 1e6 for s in timings.over("app", "empty route", "HMAC"))
    words = f"{what}: own code, over an empty route and the HMAC"
    yield Figure(words, value, "µs", own_goal, low, high, detail)
