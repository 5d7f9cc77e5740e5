"""A rolling deploy behind a load balancer, which real requests go through: none is lost.

The hosts run the real AWS command line. A restart takes a site down for half a second.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.hosts.aws import find_python
from pulley.sandbox.load_balancing.balancer import Balancer
from pulley.sandbox.load_balancing.traffic import Seen, traffic
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox
from tests.processes import HANG_SECONDS
from tests.sandbox.test_push import push, store

pytestmark = pytest.mark.skipif(
    find_python() is None, reason="the owner of the checkouts can run no AWS command line here"
)
NAMES = ParameterNames(STAGE)
A_SECOND = 50  # requests
HOSTS = ("web-1", "web-2", "web-3")


@contextmanager
def opened(**changes: object) -> Iterator[tuple[Sandbox, Balancer]]:
    """Three hosts behind a balancer, all at the tip. The target has these changes.

    They are stored before the webhook reads them, because it keeps what it has read for a minute.
    """
    with Sandbox(HOSTS, restart_seconds=0.5, balancing_second=0.05) as sandbox:
        balancer = sandbox.balance(deregistration_delay=10)
        drain = {"target_group": balancer.arn}
        more = {"restart": ["site.service"], "timeout": 180, "max_concurrency": "1"}
        target = {**sandbox.target, **more, "max_errors": "100%", "drain": drain} | changes
        kept = {key: value for key, value in target.items() if value}
        store(sandbox, NAMES.targets(Repository.parse(FULL_NAME)), [kept])
        push_page(sandbox, "first")
        settle(sandbox, balancer)
        yield sandbox, balancer


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Sandbox, Balancer]]:
    with opened() as made:
        yield made


@pytest.fixture
def shared(both: tuple[Sandbox, Balancer]) -> Sandbox:
    return both[0]


@pytest.fixture
def balancer(both: tuple[Sandbox, Balancer]) -> Balancer:
    return both[1]


def settle(sandbox: Sandbox, balancer: Balancer) -> None:
    """Wait until all is quiet, and all hosts are in service."""
    sandbox.wait_until_quiet()
    for machine in sandbox.machines:
        balancer.wait_for(machine.host.instance_id, "healthy", timeout=HANG_SECONDS)


def push_page(sandbox: Sandbox, text: str) -> str:
    sha = sandbox.commit({"index.html": f"<h1>{text}</h1>\n"}, f"Say {text}")
    push(sandbox, "main")
    return sha


def deployed(sandbox: Sandbox, balancer: Balancer, text: str) -> tuple[str, Seen]:
    """Push, and let requests come until all is quiet. Returns the commit and the requests."""
    with traffic(balancer.url, A_SECOND) as seen:
        seen.wait_for_more(A_SECOND)
        sha = push_page(sandbox, text)
        sandbox.wait_until_quiet()
        seen.wait_for_more(A_SECOND)
    return sha, seen


def heads(sandbox: Sandbox) -> set[str]:
    return {machine.head() for machine in sandbox.machines}


def results(sandbox: Sandbox) -> list[Any]:
    """The result of each host of the newest command."""
    newest = max(sandbox.account.run_command.commands(), key=lambda one: one.requested)
    return [*sandbox.results(newest.id).values()]


def test_without_draining_requests_are_lost() -> None:
    with opened(drain=None) as (sandbox, balancer):
        sha, seen = deployed(sandbox, balancer, "in place")
        assert heads(sandbox) == {sha}
        assert seen.failed > 0


class TestRolling:
    def test_no_request_is_lost_in_a_roll_out(self, shared: Sandbox, balancer: Balancer) -> None:
        settle(shared, balancer)
        shared.account.load_balancing.calls.clear()
        sha, seen = deployed(shared, balancer, "one after the other")
        assert heads(shared) == {sha}
        assert (seen.failures, seen.total > 2 * A_SECOND) == ([], True)
        assert {one.outcome for one in results(shared)} == {"updated"}
        changes = [
            one.action
            for one in shared.account.load_balancing.calls
            if one.action in {"RegisterTargets", "DeregisterTargets"}
        ]
        # One host at a time: it is back before the next one leaves.
        assert changes == ["DeregisterTargets", "RegisterTargets"] * len(HOSTS)

    def test_no_request_is_lost_in_a_roll_back(self, shared: Sandbox, balancer: Balancer) -> None:
        settle(shared, balancer)
        good = shared.developer.head.commit.hexsha
        first = shared.machines[0]
        # The new commit is not well: its health check fails, until the old one is back.
        shared.commit({"index.html": "", "fails": "yes\n"}, "Break it")
        check = (
            f'grep -qs yes "{first.checkout}/fails" && exit 22\nexec {first.host.root}/bin/curl-'
        )
        curl = first.host.root / "bin/curl"
        (first.host.root / "bin/curl-").write_bytes(curl.read_bytes())
        (first.host.root / "bin/curl-").chmod(0o755)
        first.install_program("curl", f'#!/bin/sh\n{check} "$@"\n')
        with traffic(balancer.url, A_SECOND) as seen:
            seen.wait_for_more(A_SECOND)
            push(shared, "main")
            shared.wait_until_quiet()
            seen.wait_for_more(A_SECOND)
        outcomes = sorted(one.outcome for one in results(shared))
        first.install_program("curl", (first.host.root / "bin/curl-").read_text())
        assert outcomes == ["rolled_back", "updated", "updated"]
        assert first.head() == good
        assert seen.failures == []
        assert set(balancer.states().values()) == {"healthy"}

    @pytest.mark.parametrize("at", ["DeregisterTargets", "RegisterTargets"])
    def test_host_that_is_killed_outside_comes_back_with_the_next_run(
        self, shared: Sandbox, balancer: Balancer, at: str
    ) -> None:
        settle(shared, balancer)
        victim = shared.machines[0]
        kills: list[str] = []

        def kill(action: str) -> None:
            """Kill the first host's script the moment it asks for this."""
            if action == at and not kills:
                kills.append(action)
                for pid in pids_of(victim.host.root):
                    os.kill(pid, signal.SIGKILL)

        shared.account.load_balancing.fault = kill
        try:
            with traffic(balancer.url, A_SECOND) as seen:
                push_page(shared, f"killed at {at}")
                shared.wait_until_quiet()
        finally:
            shared.account.load_balancing.fault = lambda _action: None
        assert kills
        with traffic(balancer.url, A_SECOND) as later:
            settle_by_deploy(shared)
            later.wait_for_more(A_SECOND)
        assert seen.failures == later.failures == []
        assert heads(shared) == {shared.developer.head.commit.hexsha}
        for machine in shared.machines:
            balancer.wait_for(machine.host.instance_id, "healthy", timeout=HANG_SECONDS)
        note = victim.checkout / ".git/pulley/drained"
        assert note.read_text() == ""


def settle_by_deploy(sandbox: Sandbox) -> None:
    """Deploy again, as a person does after a kill: a round would wait for a quarter of an hour."""
    push_page(sandbox, "again")
    sandbox.wait_until_quiet()


def pids_of(root: Path) -> list[int]:
    """The processes of a host's script, by what is in their environment.

    By the whole path: other tests, which run at the same time, have hosts of the same name.
    """
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            text = (folder / "environ").read_bytes()
            if b"SSM_Target=" in text and f"{root}/".encode() in text:
                found.append(int(folder.name))
    return found


def test_hosts_call_nothing_but_what_their_policy_allows(
    shared: Sandbox, balancer: Balancer
) -> None:
    calls = shared.account.load_balancing.calls
    called = {one.action for one in calls if one.fields.get("TargetGroupArn") == balancer.arn}
    assert called == {"DescribeTargetHealth", "DeregisterTargets", "RegisterTargets"}
