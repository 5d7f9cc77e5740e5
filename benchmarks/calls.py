"""Calls to AWS that one push makes, by the number of repositories and targets.

Calls are counted at the point where boto3 would send them. Systems Manager selects the hosts by
their tags and the webhook never lists hosts, so the number of hosts does not matter.
"""

import json
from collections.abc import Iterator, Mapping

from benchmarks.deliveries import COMMIT, REPOSITORY, SMALL, event, push
from benchmarks.figures import Curve, Figure
from benchmarks.stub import STORED, TARGET, App, Aws, without_log
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames

NAMES = ParameterNames("dev")
SIZES = (1, 10, 100, 1000)
MOST_TARGETS = 30  # of one repository, in the 8 KB of an advanced parameter


def measure(*, quick: bool) -> Iterator[Figure | Curve]:
    """Counts are the same each time, so a quick run makes all of them."""
    del quick
    yield count("a push in a process that has just started", goal=3, warm=False)
    yield count("a push in a warm process", goal=2)
    by_repositories = []
    for size in SIZES:
        figure = count(
            f"a push, {size:,} repositories with a target stored", goal=2, stored=repositories(size)
        )
        by_repositories.append((size, figure.value))
        yield figure
    by_targets = []
    for size in (1, 10, MOST_TARGETS):
        # One SendCommand a target. GetParameters takes ten names: the pins, also the document's.
        goal = size + (size + 1 + 9) // 10
        figure = count(
            f"a push that {size} of its targets follow", goal=goal, stored=followed_by(size)
        )
        by_targets.append((size, figure.value))
        yield figure
    yield Curve(
        "calls",
        "AWS calls of one push, in a warm process",
        "how many there are",
        "calls",
        {
            "repositories stored, each with a target": by_repositories,
            "targets that follow the branch": by_targets,
        },
    )


def repositories(size: int) -> Mapping[str, str]:
    """The stored parameters for so many repositories, the pushed one included."""
    others = [f"octo/other-{number}" for number in range(size - 1)]
    return STORED | {
        NAMES.targets(Repository.parse(one)): json.dumps([{**TARGET, "repository": one}])
        for one in others
    }


def followed_by(size: int) -> Mapping[str, str]:
    """The stored parameters for so many targets that follow the pushed branch."""
    targets = [{**TARGET, "name": f"web-{number}"} for number in range(size)]
    return STORED | {NAMES.targets(Repository.parse(REPOSITORY)): json.dumps(targets)}


def count(name: str, *, goal: int, stored: Mapping[str, str] = STORED, warm: bool = True) -> Figure:
    """The calls of one push. Checks that it was answered 202."""
    aws = Aws(stored)
    app = App(aws.sdk)
    for _ in range(1 + warm):
        aws.calls.clear()
        with without_log():
            answer = app(event(push(SMALL)))
        if answer["statusCode"] != 202 or COMMIT not in answer["body"]:
            raise AssertionError(answer)
    return Figure(name, aws.calls.total(), "calls", goal, detail=dict(aws.calls))
