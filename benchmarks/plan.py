# ruff: noqa: T201 - it prints its results
"""How long one plan takes, and how much memory, as a stage grows to 500 targets and 10,000 hosts.

It measures the pure `plan`, with the facts that a round has already read. Each target has twenty
hosts and a history of ten commands. A tenth of its hosts is off, a tenth is behind, and one has
failed. One target in ten has a held commit, which costs the most. Time is the best of several
plans. Memory is the peak of one more plan, by tracemalloc, and that of the process at the end, with
the facts in it.

    .venv/bin/python -m benchmarks.plan [plot.svg]
"""

import gc
import json
import resource
import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

from benchmarks.figures import Curve
from chalicelib.core.history import Command, Invocation, RollOut, Run
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.plan import (
    NOTHING,
    SEND,
    plan_target,
)
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.targets import Instances, Target
from chalicelib.core.wanted import TargetFacts

SECONDS_GOAL = 2.0
MEMORY_GOAL = 512  # MB
HOSTS_A_TARGET = 20
RUNS_A_TARGET = 10
SIZES = range(1000, 10_001, 1000)  # hosts
REPEATS = 5
NOW = datetime(2030, 1, 1, 8, tzinfo=UTC)
MB = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    """One size: its hosts, the seconds that a plan takes, the MB that it needs at its peak."""

    hosts: int
    seconds: float
    megabytes: float


def commit_of(number: int) -> CommitSha:
    """The commit of that number."""
    return CommitSha(f"{number:040x}")


def target_of(number: int) -> Target:
    """The target of that number."""
    return Target(
        name=f"site-{number}",
        repository=Repository("octo", f"site-{number}"),
        branch=Branch("main"),
        instances=Instances(tags=(("role", (f"site-{number}",)),)),
        checkout="/srv/site",
    )


def hosts_of(target: Target, number: int) -> list[Host]:
    """The target's hosts, a tenth of them off."""
    return [
        Host(
            instance_id=f"i-{number * HOSTS_A_TARGET + one:017x}",
            name=f"{target.name}-{one}",
            tags={"pulley": "dev", "role": target.name},
            is_online=one % 10 != 0,
        )
        for one in range(HOSTS_A_TARGET)
    ]


def invocation_of(host: Host, target: Target, commit: CommitSha, *, is_well: bool) -> Invocation:
    """The result of a commit on a host, with a line of typical length."""
    result = {
        "v": 1,
        "target": target.name,
        "outcome": "updated" if is_well else "rolled_back",
        "before": "a" * 40,
        "after": commit.sha if is_well else "a" * 40,
        "upstream": commit.sha,
        "local_commits": 0,
        "saved": None,
        "step": None if is_well else "health_check",
        "detail": "" if is_well else "the last answer was 502 (attempt 1)",
        "seconds": 4.2,
    }
    status = "Success" if is_well else "Failed"
    return Invocation(host.instance_id, host.name, status, status, json.dumps(result), NOW)


def run_of(target: Target, hosts: Sequence[Host], number: int, *, is_stopped: bool) -> Run:
    """The target's command of that number, a day after the previous one."""
    requested = NOW - timedelta(days=RUNS_A_TARGET - number)
    commit = commit_of(number + 1)
    reached = hosts if number < RUNS_A_TARGET - 1 else hosts[: len(hosts) * 9 // 10]
    invocations = [
        invocation_of(host, target, commit, is_well=index > 0 or number < RUNS_A_TARGET - 1)
        for index, host in enumerate(reached)
    ]
    if is_stopped:
        last = hosts[-1]
        invocations.append(Invocation(last.instance_id, last.name, "Cancelled", "Terminated"))
    roll_out = RollOut(
        target=target.name,
        repository=target.repository,
        commit=commit,
        issued=int(requested.timestamp() * 1000),
        cause="push",
        delivery="",
        deployment=None,
        timeout="600",
        pushed_at=requested,
    )
    command = Command(
        id=f"{target.name}-{number}",
        status="Success",
        details="Success",
        requested=requested,
        expires=requested + timedelta(minutes=20),
        target_count=len(invocations),
        roll_out=roll_out,
    )
    return Run(command, tuple(invocations))


def facts_of(hosts: int) -> list[TargetFacts]:
    """A stage with this many hosts."""
    targets = [target_of(number) for number in range(hosts // HOSTS_A_TARGET)]
    everyone = [one for number, target in enumerate(targets) for one in hosts_of(target, number)]
    fleet = Fleet(everyone, "dev")
    facts = []
    for number, target in enumerate(targets):
        own = fleet.of(target)
        last = RUNS_A_TARGET - 1
        runs = [
            run_of(target, own, run, is_stopped=run == last and number % 10 == 0)
            for run in range(RUNS_A_TARGET)
        ]
        facts.append(TargetFacts(target, own, runs, commit_of(RUNS_A_TARGET)))
    return facts


def measure(hosts: int) -> Measured:
    """Measure the best time of several plans, then the memory of one more."""
    facts = facts_of(hosts)
    times = []
    for _ in range(REPEATS):
        gc.collect()
        begun = time.perf_counter()
        made = tuple(plan_target(one, now=NOW) for one in facts)
        times.append(time.perf_counter() - begun)
    actions = [one.action for target in made for one in target.hosts]
    if len(actions) != hosts or not {SEND, NOTHING} <= set(actions):
        raise SystemExit("the plan is not of this stage: nothing was measured")
    del made
    tracemalloc.start()
    for one in facts:
        plan_target(one, now=NOW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Measured(hosts, min(times), peak / MB)


def fit(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """The line through points by least squares: slope, intercept, and R squared."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    start = mean_y - slope * mean_x
    left = sum((y - start - slope * x) ** 2 for x, y in points)
    total = sum((y - mean_y) ** 2 for _, y in points)
    return slope, start, 1 - left / total if total else 1.0


def draw(measured: Sequence[Measured], slope: float, start: float, where: Path) -> None:
    """Draw the times and their line, if matplotlib is installed."""
    try:
        plots = import_module("benchmarks.plots")
    except ImportError:
        print("No plot: matplotlib is not installed.")
        return
    series = {
        "measured": [(one.hosts, one.seconds) for one in measured],
        "linear fit": [(one.hosts, start + slope * one.hosts) for one in measured],
    }
    plots.draw(Curve("plan", "One plan, 20 hosts a target", "hosts", "seconds", series), where)
    print(f"Plot: {where}")


def main() -> int:
    """Measure, print, draw; 1 if a goal is missed."""
    print(f"{'targets':>8} {'hosts':>8} {'seconds':>9} {'peak MB':>9}")
    measured = []
    for hosts in SIZES:
        one = measure(hosts)
        measured.append(one)
        targets = hosts // HOSTS_A_TARGET
        print(f"{targets:>8} {hosts:>8} {one.seconds:>9.3f} {one.megabytes:>9.1f}")
    slope, start, square = fit([(one.hosts, one.seconds) for one in measured])
    print(f"\nseconds = {start:.4f} + {slope * 1e6:.1f} us a host, R2 = {square:.4f}")
    slope_mb, start_mb, square_mb = fit([(one.hosts, one.megabytes) for one in measured])
    print(f"peak MB = {start_mb:.2f} + {slope_mb * 1024:.2f} KB a host, R2 = {square_mb:.4f}")
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MB; KB on Linux
    largest = measured[-1]
    print(f"the whole process, the facts of {largest.hosts} hosts in it: {whole:.0f} MB")
    draw(measured, slope, start, Path(sys.argv[1] if len(sys.argv) > 1 else "plan.svg"))
    is_met = largest.seconds <= SECONDS_GOAL and whole <= MEMORY_GOAL
    print(f"Goal, {SECONDS_GOAL:.0f} s and {MEMORY_GOAL} MB: {'met' if is_met else 'MISSED'}")
    return 0 if is_met else 1


if __name__ == "__main__":
    raise SystemExit(main())
