"""A view of the page: 50 targets with 20 hosts, against an AWS that takes 50 ms for each answer.

The account is emulated on loopback, in this process, so the time includes the emulation's own.
boto3, HTTP and everything that the page's function does are real.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from benchmarks.figures import Figure
from chalicelib.page.reading import StageReading
from tests.page.fleet import Fleet

TARGETS, HOSTS, DELAY = 50, 20, 0.05
SECONDS_GOAL, FIRST_GOAL, LATER_GOAL = 3.0, 135, 35
ROUNDS, QUICK_ROUNDS = 5, 1


def measure(*, quick: bool) -> Iterator[Figure]:
    """Views of a new function, each followed by a second view."""
    firsts, laters = [], []
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        fleet = Fleet(TARGETS, HOSTS, delay=DELAY)
        with fleet.source() as source:
            reading = StageReading(source)
            firsts.append(_view(reading, fleet))
            laters.append(_view(reading, fleet))
    for name, views, goal in (("first", firsts, FIRST_GOAL), ("later", laters, LATER_GOAL)):
        seconds = sorted(taken for taken, _ in views)
        middle, at = seconds[len(seconds) // 2], len(seconds) // 4
        what = f"a {name} view of the page, {TARGETS} targets with {HOSTS} hosts"
        yield Figure(what, middle, "s", SECONDS_GOAL, seconds[at], seconds[-1 - at])
        yield Figure(f"{what}: AWS calls", max(calls for _, calls in views), "calls", goal)


def _view(reading: StageReading, fleet: Fleet) -> tuple[float, int]:
    fleet.calls.clear()
    begun = time.perf_counter()
    state = reading.state(now=datetime.now(UTC))
    taken = time.perf_counter() - begun
    if not all(one["well"] for one in state["targets"]):  # type: ignore[attr-defined] # JSON
        raise AssertionError(state)
    return taken, fleet.calls.total()
