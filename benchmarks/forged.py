"""Forged deliveries: how much time and how many calls a stranger can make the webhook spend.

They are signed with a secret that the stage does not have, name a known or a made-up repository,
and go to one warm process. Each delivery moves the clock by 1/128 second. The goal of the calls is
what chalicelib/edges/parameters.py lets strangers spend in that time. Hostile requests are those of
tests/app/test_hostile.py, good ones among them. The app's own time is processor time, with boto3's
work, so that other processes do not count. The costliest bodies are as large as Lambda allows, and
full of text that takes long to search or to parse.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks.compare import compare
from benchmarks.deliveries import LARGE, REPOSITORY, SMALL, event, push
from benchmarks.figures import Figure
from benchmarks.stub import App, Aws, without_log
from chalicelib.core.unverified import MAX_PARSED_UNVERIFIED
from chalicelib.core.webhook import MAX_BODY_BYTES
from chalicelib.edges.parameters import BUDGET, REMEMBERED_SECONDS
from tests.app.test_hostile import REQUESTS, SEED, event_of, make_request

GOAL = 1.0  # ratio to a good delivery
HOSTILE_GOAL = 0.050  # s
FORGED = 10_000
GUESSED = "guessed"
A_SECOND = 128  # deliveries in a second; a power of two, so that the clock's sums are exact

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
ALMOST = b"a" * 64 + b"/" + b"b" * 100
COSTLY = (
    (FORM, b"%22full_name%22%3A%22" + ALMOST + b"%2", MAX_BODY_BYTES),
    (FORM, b"%", MAX_BODY_BYTES),
    (JSON, b'"full_name":"' + ALMOST, MAX_BODY_BYTES),
    (JSON, b'"', MAX_BODY_BYTES),
    (JSON, b'[{"":0},', MAX_PARSED_UNVERIFIED),
    (JSON, b"[", MAX_PARSED_UNVERIFIED),
    (FORM, b"%5B%7B%7D", MAX_PARSED_UNVERIFIED),
)

Event = Mapping[str, Any]


def measure(*, quick: bool) -> Iterator[Figure]:
    """Measure time beside a good delivery, calls to AWS, and the longest time of thousands."""
    yield from _beside_good("7 KB", SMALL, rounds=5 if quick else 100, calls=40)
    yield from _beside_good("5 MB", LARGE, rounds=3 if quick else 40, calls=1)
    made_up = (f"octo/made-up-{number}" for number in range(FORGED))
    seconds = FORGED // A_SECOND
    # A wrong secret is read again from half of the budget; the other half is for good deliveries.
    yield _calls("a known repository's name", lambda: REPOSITORY, BUDGET // 2 + seconds)
    # When the budget is spent, the known repositories are listed once a minute.
    lists = 1 + int(seconds // REMEMBERED_SECONDS)
    yield _calls("as many made-up names", partial(next, made_up), BUDGET + seconds + lists)
    yield from _hostile(REQUESTS // 10 if quick else REQUESTS)
    yield _costliest()


def _beside_good(size: str, length: int, *, rounds: int, calls: int) -> Iterator[Figure]:
    body = push(length)
    app = App(Aws().sdk)
    good, forged = partial(app, event(body)), partial(app, event(body, secret=GUESSED))
    with without_log():
        if (statuses := (good()["statusCode"], forged()["statusCode"])) != (202, 401):
            raise AssertionError(statuses)
        timings = compare({"good": good, "forged": forged}, rounds=rounds, calls=calls)
    value, low, high = timings.ratio("forged", "good")
    detail = {f"{name}, µs": round(timings.median(name) * 1e6, 1) for name in timings.seconds}
    yield Figure(
        f"forged delivery of {size}: time / that of a good one", value, "x", GOAL, low, high, detail
    )


def _calls(words: str, name: Callable[[], str], goal: float) -> Figure:
    aws, now = Aws(), 0.0
    app = App(aws.port, clock=lambda: now)
    statuses = set()
    with without_log():
        for _ in range(FORGED):
            now += 1 / A_SECOND
            body = push(SMALL, name())
            statuses.add(app(event(body, secret=GUESSED))["statusCode"])
    if aws.calls["SendCommand"] or not statuses <= {401, 503}:
        raise AssertionError((statuses, aws.calls))
    rate = f"{A_SECOND} in each second of a simulated clock ({now:.0f} s)"
    what = f"{FORGED:,} forged deliveries, {rate}, {words}: calls to AWS"
    return Figure(what, aws.calls.total(), "calls", goal, detail=dict(aws.calls))


def _hostile(requests: int) -> Iterator[Figure]:
    app = App(Aws().sdk)
    seconds, accepted = [], 0
    with without_log():
        for seed in range(SEED, SEED + requests):
            request = event_of(make_request(seed))
            begun = time.thread_time()
            status = app(request)["statusCode"]
            seconds.append(time.thread_time() - begun)
            if status >= 500:
                raise AssertionError((seed, status))
            accepted += status == 202
    if accepted < requests // 20:
        raise AssertionError(f"{accepted} good ones: is the secret that of the tests?")
    what = f"{requests:,} hostile requests, the app's own time"
    yield Figure(f"{what}: the longest", max(seconds), "s", HOSTILE_GOAL)
    yield Figure(f"{what}: of 99 in 100", statistics.quantiles(seconds, n=100)[-1], "s")


def _costliest() -> Figure:
    """The longest time for a forged body of one of these shapes."""
    app = App(Aws().sdk)
    seconds = {}
    with without_log():
        for content_type, unit, size in COSTLY:
            body = (unit * (size // len(unit) + 1))[:size]
            delivery = event(body, secret=GUESSED, content_type=content_type)
            app(delivery)
            begun = time.thread_time()
            app(delivery)
            seconds[f"{size:,} bytes of {unit[:30]!r}"] = time.thread_time() - begun
    what = "the costliest forged bodies, the app's own time: the longest"
    return Figure(what, max(seconds.values()), "s", HOSTILE_GOAL, detail=seconds)
