"""The requests that fail while a fleet behind a load balancer deploys, and a new instance's start.

git, the app, the script, the hosts' sites and the requests are real. AWS and the load balancer are
emulated, and all share this machine. A restart takes a site down for half a second. The balancer
checks a site's health every five of its seconds, which are a twentieth of a second long here.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence

from benchmarks.figures import Figure
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.load_balancing.balancer import Balancer
from pulley.sandbox.load_balancing.traffic import Seen, traffic
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox

A_SECOND = 50  # requests
HOSTS = tuple(f"web-{number}" for number in range(1, 13))
AT_ONCE = "25%"


def measure(*, quick: bool) -> Iterator[Figure]:
    """Deploy to twelve hosts, without `drain` and with it. Then launch an instance."""
    del quick
    for name, drains in (("in place", False), ("with drain", True)):
        with Sandbox(HOSTS, restart_seconds=0.5, balancing_second=0.05) as sandbox:
            seen = _roll_out(sandbox, drains=drains)
        detail = {"requests": seen.total, "failed": seen.failed}
        goal = 0.0 if drains else None
        yield Figure(
            f"a roll-out over {len(HOSTS)} hosts, {AT_ONCE} at once, {name}: failed requests",
            1000 * seen.share_failed,
            "in 1,000",
            goal,
            detail=detail,
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


def _roll_out(sandbox: Sandbox, *, drains: bool) -> Seen:
    """Push a page to all hosts, while requests come."""
    balancer = sandbox.balance(deregistration_delay=10)
    more = {"restart": ["site.service"], "timeout": 120, "max_concurrency": AT_ONCE}
    drain = {"drain": {"target_group": balancer.arn}} if drains else {}
    stored = [{**sandbox.target, **more, **drain}]
    names = ParameterNames(STAGE)
    sandbox.account.ssm.put_parameter(
        Name=names.targets(Repository.parse(FULL_NAME)), Value=json.dumps(stored), Overwrite=True
    )
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
