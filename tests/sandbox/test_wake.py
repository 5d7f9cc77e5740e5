"""A wake in the sandbox: Lambda's Invoke starts a round in the real function."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.core.refs import Repository
from chalicelib.core.wake import reconciler_name
from chalicelib.edges.wake import Waker
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox

SITE = Repository.parse(FULL_NAME)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1"]) as opened:
        yield opened


@pytest.fixture
def waker(sandbox: Sandbox) -> Waker:
    return Waker(sandbox.account.client("lambda"), reconciler_name(STAGE))


class TestWake:
    def test_wake_brings_a_host_to_the_wanted_commit(self, sandbox: Sandbox, waker: Waker) -> None:
        tip = sandbox.developer.head.commit.hexsha
        waker.wake(SITE)
        sandbox.wait_until_quiet()
        (outcome,) = sandbox.reconciler.outcomes
        assert (outcome.error, outcome.attempts) == ("", 1)
        (command,) = sandbox.account.run_command.commands()
        assert sandbox.machines[0].head() == tip
        deployment = sandbox.deployment(command.id)
        assert deployment is not None
        assert (deployment.sha, deployment.state) == (tip, "success")

    def test_wakes_and_manual_rounds_at_once_all_run(self, sandbox: Sandbox, waker: Waker) -> None:
        sandbox.wait_until_quiet()
        before = len(sandbox.reconciler.outcomes)
        with ThreadPoolExecutor() as callers:
            rounds = [callers.submit(sandbox.reconcile) for _ in range(2)]
            for _ in range(2):
                waker.wake(SITE)
        assert all("targets" in ended.result() for ended in rounds)
        sandbox.wait_until_quiet()
        outcomes = sandbox.reconciler.outcomes[before:]
        assert [(one.error, one.attempts) for one in outcomes] == [("", 1)] * 4
