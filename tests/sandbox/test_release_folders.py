"""Release folders from a push to the pages that hosts serve, behind a balancer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.hosts.aws import find_python
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.load_balancing.balancer import Balancer
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox
from tests.sandbox.test_push import pin, push, store
from tests.sandbox.test_rolling import A_SECOND, HOSTS, deployed, heads, push_page, results, settle

pytestmark = pytest.mark.skipif(
    find_python() is None, reason="the owner of the checkouts can run no AWS command line here"
)
NAMES = ParameterNames(STAGE)


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Sandbox, Balancer]]:
    """Three hosts with release folders behind a balancer, all at the tip."""
    with Sandbox(HOSTS, restart_seconds=0.5, balancing_second=0.05) as sandbox:
        balancer = sandbox.balance(deregistration_delay=10)
        target = {
            **sandbox.target,
            "restart": ["site.service"],
            "timeout": 180,
            "max_concurrency": "1",
            "drain": {"target_group": balancer.arn},
            "layout": "releases",
            "keep": 3,
            "shared": ["uploads/"],
        }
        store(sandbox, NAMES.targets(Repository.parse(FULL_NAME)), [target])
        push_page(sandbox, "first")
        settle(sandbox, balancer)
        yield sandbox, balancer


@pytest.fixture
def shared(both: tuple[Sandbox, Balancer]) -> Sandbox:
    return both[0]


@pytest.fixture
def balancer(both: tuple[Sandbox, Balancer]) -> Balancer:
    return both[1]


def link_of(machine: Machine) -> str:
    return str((machine.checkout / "current").readlink())


def releases_of(machine: Machine) -> list[Path]:
    return sorted((machine.checkout / "releases").iterdir())


def test_no_request_is_lost_in_a_roll_out(shared: Sandbox, balancer: Balancer) -> None:
    settle(shared, balancer)
    sha, seen = deployed(shared, balancer, "aside")
    assert heads(shared) == {sha}
    assert (seen.failures, seen.total > 2 * A_SECOND) == ([], True)
    assert {one.outcome for one in results(shared)} == {"updated"}
    for machine in shared.machines:
        assert f"-{sha[:7]}-" in link_of(machine)
        assert (machine.work_tree / "uploads").readlink() == machine.checkout / "shared/uploads"


def test_pin_to_the_commit_before_switches_the_links_and_builds_nothing(
    shared: Sandbox, balancer: Balancer
) -> None:
    settle(shared, balancer)
    before = {machine.name: link_of(machine) for machine in shared.machines}
    good = shared.developer.head.commit.hexsha
    push_page(shared, "a commit to go back from")
    shared.wait_until_quiet()
    built = {machine.name: releases_of(machine) for machine in shared.machines}
    pin(shared, {"state": "pinned", "commit": good})
    shared.reconcile()
    shared.wait_until_quiet()
    assert {one.outcome for one in results(shared)} == {"updated"}
    assert {machine.name: link_of(machine) for machine in shared.machines} == before
    assert {machine.name: releases_of(machine) for machine in shared.machines} == built
    pin(shared, {"state": "none"})
    push_page(shared, "on again")


def test_commit_whose_build_fails_is_named_and_no_host_restarts(
    shared: Sandbox, balancer: Balancer
) -> None:
    settle(shared, balancer)
    good = shared.developer.head.commit.hexsha
    restarts = [machine.journal.read_text() for machine in shared.machines]
    build = Path(shared.developer.working_dir, "deploy/after-pull")
    working = build.read_text()
    shared.commit({"deploy/after-pull": "#!/bin/sh\nexit 9\n"}, "Break the build")
    push(shared, "main")
    shared.wait_until_quiet()
    assert heads(shared) == {good}
    (result, *_) = results(shared)
    assert (result.outcome, result.step) == ("rolled_back", "after_pull")
    assert [machine.journal.read_text() for machine in shared.machines] == restarts
    shared.commit({"deploy/after-pull": working}, "Mend the build")
    push(shared, "main")
