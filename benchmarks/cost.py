"""What a stage costs in a month, by AWS's list prices, beside a server that runs all month.

The webhook's own time is measured here and scaled to the share of a processor that 512 MB of Lambda
have. The time of the other functions is estimated from their calls. How long AWS and GitHub take to
answer is assumed. Free tiers are not deducted, although they cover more than a hundred pushes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.deliveries import SMALL, event, push
from benchmarks.figures import Curve, Figure
from benchmarks.stub import App, Aws, without_log

# Prices in us-east-1, in USD, as listed in November 2025. Lambda's prices are for arm64.
GB_SECOND, LAMBDA_REQUEST = 0.0000133334, 0.20 / 1e6
GATEWAY_REQUEST, DECRYPTION = 3.50 / 1e6, 0.03 / 1e4
LOG_BYTE, METRIC_MONTH = 0.50 / 1e9, 0.30
NANO_HOUR, ADDRESS_HOUR, DISK_MONTH = 0.0042, 0.005, 8 * 0.08
HOURS = 730
MEMORY_GB = 0.5
PROCESSORS = 512 / 1769  # Lambda developer guide: a function of 1,769 MB gets one processor
# Assumed: the time until an answer, in seconds.
AWS_ANSWERS, GITHUB_ANSWERS = 0.030, 0.200
LOG_BYTES = 1_200  # for each invocation: Lambda's own three lines, and one or two of Pulley's
ROUNDS = HOURS * 4
# A push's metrics are charged by the hour; a round's three metrics always exist.
METRICS_OF_A_PUSH, METRICS_OF_A_ROUND = 4, 3
PUSHES = (100, 10_000, 1_000_000)


@dataclass(frozen=True)
class Invocation:
    """One call of a function. A push causes two events: the command has begun, and has ended."""

    aws_calls: int
    github_calls: int
    decryptions: int


WEBHOOK = Invocation(aws_calls=2, github_calls=2, decryptions=2)
REPORT = Invocation(aws_calls=6, github_calls=5, decryptions=1)
ROUND = Invocation(aws_calls=9, github_calls=2, decryptions=1)


def measure(*, quick: bool) -> Iterator[Figure | Curve]:
    """The month's price at three rates of pushes, and the rate at which a server costs the same."""
    a_call = processor_seconds(20 if quick else 200) / WEBHOOK.aws_calls
    server = HOURS * (NANO_HOUR + ADDRESS_HOUR) + DISK_MONTH
    for pushes in PUSHES:
        price = month(pushes, a_call)
        yield Figure(
            f"a month with {pushes:,} pushes", price, "USD", detail={"processor_seconds": a_call}
        )
    yield Figure("a month of a t4g.nano with an address and 8 GB", server, "USD")
    slope = (month(1_000_000, a_call) - month(10_000, a_call)) / 990_000
    equal = 10_000 + (server - month(10_000, a_call)) / slope
    yield Figure("pushes a month at which both cost the same", equal, "pushes")
    sizes = [round(10 ** (power / 4)) for power in range(8, 25)]
    yield Curve(
        "cost",
        "A month's price",
        "pushes a month",
        "USD",
        {
            "Pulley": [(size, month(size, a_call)) for size in sizes],
            "t4g.nano": [(size, server) for size in sizes],
        },
    )


def month(pushes: int, a_call: float) -> float:
    """The price in USD; `a_call` is the processor's seconds for a call to AWS and its code."""
    price = pushes * (invocation(WEBHOOK, a_call) + GATEWAY_REQUEST)
    price += 2 * pushes * invocation(REPORT, a_call)
    price += ROUNDS * invocation(ROUND, a_call)
    hours = min(pushes, HOURS) / HOURS
    return price + METRIC_MONTH * (METRICS_OF_A_ROUND + METRICS_OF_A_PUSH * hours)


def invocation(one: Invocation, a_call: float) -> float:
    """The price in USD."""
    calls = one.aws_calls + one.github_calls
    seconds = a_call * calls / PROCESSORS
    seconds += one.aws_calls * AWS_ANSWERS + one.github_calls * GITHUB_ANSWERS
    price = LAMBDA_REQUEST + seconds * MEMORY_GB * GB_SECOND
    return price + one.decryptions * DECRYPTION + LOG_BYTES * LOG_BYTE


def processor_seconds(pushes: int) -> float:
    """The processor's seconds of one push in a warm process, the SDK's included."""
    app, one = App(Aws().sdk), event(push(SMALL))
    with without_log():
        app(one)
        begun = time.process_time()
        for _ in range(pushes):
            app(one)
        return (time.process_time() - begun) / pushes
