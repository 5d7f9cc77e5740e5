"""The requests that fail while a fleet behind a load balancer deploys, and a new instance's start.

git, the app, the script, the hosts' sites and the requests are real. AWS and the load balancer are
emulated, and all share this machine. A restart takes a site down for half a second. The balancer
checks a site's health every five of its seconds, which are a twentieth of a second long here.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.figures import Figure
from chalicelib.core.refs import Repository
from chalicelib.core.results import HostResult
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.load_balancing.balancer import Balancer
from pulley.sandbox.load_balancing.traffic import Seen, traffic
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox

A_SECOND = 50  # requests
HOSTS = tuple(f"web-{number}" for number in range(1, 13))
AT_ONCE = "25%"


def measure(*, quick: bool) -> Iterator[Figure]:
    """Deploy to twelve hosts in three ways. Then launch an instance."""
    del quick
    ways: Mapping[str, Mapping[str, object]] = {
        "in place": {},
        "with drain": {"drain": True},
        "release folders with drain": {"drain": True, "layout": "releases"},
    }
    back: list[float] = []
    for name, way in ways.items():
        with Sandbox(HOSTS, restart_seconds=0.5, balancing_second=0.05) as sandbox:
            seen = _roll_out(sandbox, way)
            if "layout" in way:
                back = _go_back(sandbox)
        detail = {"requests": seen.total, "failed": seen.failed}
        goal = 0.0 if "drain" in way else None
        yield Figure(
            f"a roll-out over {len(HOSTS)} hosts, {AT_ONCE} at once, {name}: failed requests",
            1000 * seen.share_failed,
            "in 1,000",
            goal,
            detail=detail,
        )
    yield Figure(
        "a roll back to a release that is still there, without drain: a host's run",
        back[len(back) // 2],
        "s",
        low=back[0],
        high=back[-1],
        detail={"hosts, one after the other": len(back)},
    )
    with Sandbox(["web-1"], launches=True, balancing_second=0.05) as sandbox:
        seconds = sorted(_launches(sandbox))
    yield Figure(
        "an instance with Pulley's hook: from its start to its first request",
        seconds[len(seconds) // 2],
        "s",
        low=seconds[len(seconds) // 4],
        high=seconds[-len(seconds) // 4],
    )


def _roll_out(sandbox: Sandbox, way: Mapping[str, object]) -> Seen:
    """Push a page to all hosts, while requests come."""
    balancer = sandbox.balance(deregistration_delay=10)
    drain = {"drain": {"target_group": balancer.arn}} if "drain" in way else {}
    _store(sandbox, {"max_concurrency": AT_ONCE, **way, **drain})
    sandbox.commit({"index.html": "<h1>old</h1>\n"}, "The page before")
    _push(sandbox)
    _wait_for([one.host.instance_id for one in sandbox.machines], balancer)
    sha = sandbox.commit({"index.html": "<h1>new</h1>\n"}, "A new page")
    with traffic(balancer.url, A_SECOND) as seen:
        seen.wait_for_more(A_SECOND)
        _push(sandbox)
        seen.wait_for_more(A_SECOND)
    if {one.head() for one in sandbox.machines} != {sha}:
        raise RuntimeError("a host was not brought to the commit")
    return seen


def _go_back(sandbox: Sandbox) -> list[float]:
    """Pin all hosts to the commit before, one by one; returns the seconds of their runs."""
    _store(sandbox, {"max_concurrency": "1", "layout": "releases"})
    before = sandbox.developer.head.commit.parents[0].hexsha
    sandbox.account.ssm.put_parameter(
        Name=ParameterNames(STAGE).pin("web"),
        Value=json.dumps({"state": "pinned", "commit": before}),
        Type="String",
    )
    sandbox.reconcile()
    sandbox.wait_until_quiet()
    newest = max(sandbox.account.run_command.commands(), key=lambda one: one.requested)
    results = sandbox.results(newest.id).values()
    return sorted(one.seconds for one in results if isinstance(one, HostResult))


def _store(sandbox: Sandbox, changes: Mapping[str, object]) -> None:
    target = {**sandbox.target, "restart": ["site.service"], "timeout": 120, **changes}
    sandbox.account.ssm.put_parameter(
        Name=ParameterNames(STAGE).targets(Repository.parse(FULL_NAME)),
        Value=json.dumps([target]),
        Overwrite=True,
    )


def _launches(sandbox: Sandbox, rounds: int = 5) -> Iterator[float]:
    """Launch one instance after the other; yields the seconds until the balancer asks it."""
    balancer = sandbox.balance()
    sandbox.make_group(hook_seconds=600, has_checkout=True, target_groups=[balancer.arn])
    for _ in range(rounds):
        with traffic(balancer.url, A_SECOND) as seen:
            begun = time.monotonic()
            (new,) = sandbox.scale_out()
            while not any(one.instance_id == new and not one.is_failed for one in seen.answers):
                seen.wait_for_more(1)
            yield time.monotonic() - begun


def _push(sandbox: Sandbox) -> None:
    folder = sandbox.developer.working_dir
    subprocess.run(
        ["git", "push", "-q", "origin", "main"], cwd=folder, capture_output=True, check=True
    )
    sandbox.wait_until_quiet()


def _wait_for(instance_ids: Sequence[str], balancer: Balancer) -> None:
    for one in instance_ids:
        balancer.wait_for(one, "healthy")
