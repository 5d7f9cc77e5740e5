"""Instances that Auto Scaling launches, end to end: they take traffic only with their commit.

Auto Scaling is moto's with the emulated lifecycle; all else is real: the app, git, the script.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.auto_scaling.service import IN_SERVICE, WAITING
from pulley.sandbox.hosts.machines import CLONE
from pulley.sandbox.hosts.users import OWNER
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox
from tests.processes import HANG_SECONDS
from tests.sandbox.test_push import pin, push, store

NAMES = ParameterNames(STAGE)
BAD = "#!/bin/sh\necho this commit cannot be built >&2\nexit 1\n"
AFTER_PULL = "deploy/after-pull"


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(["web-1", "web-2"], launches=True) as opened:
        opened.make_group(hook_seconds=7200, has_checkout=True)
        yield opened


@pytest.fixture
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox, at rest: two hosts, no instance of the group, nothing pinned."""
    pin(shared, {"state": "none"})
    push_file(shared, "index.html", f"<h1>{len(list(shared.developer.iter_commits()))}</h1>\n")
    shared.wait_until_quiet()
    yield shared
    scale_in(shared)


def scale_in(sandbox: Sandbox, group: str = "web") -> None:
    client: Any = sandbox.account.client("autoscaling")
    client.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    sandbox.wait_until_quiet()


def push_file(sandbox: Sandbox, name: str, text: str, *, mode: int = 0o644) -> str:
    (Path(sandbox.developer.working_dir) / name).chmod(mode)
    sha = sandbox.commit({name: text}, f"Change {name}")
    push(sandbox, "main")
    return sha


def log_of(sandbox: Sandbox, about: str) -> list[dict[str, Any]]:
    lines = (sandbox.directory / "reconcile.log").read_text().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [one for one in found if one.get("about") == about]


def in_service(sandbox: Sandbox, *instance_ids: str) -> set[str]:
    """The commits of these instances, once they take traffic."""
    found = set()
    for one in instance_ids:
        sandbox.account.auto_scaling.wait_for(one, IN_SERVICE, timeout=HANG_SECONDS)
        found.add(sandbox.launched.wait_for(one).head())
    return found


class TestScaleOut:
    def test_instance_takes_traffic_only_with_the_commit(self, sandbox: Sandbox) -> None:
        (new,) = sandbox.scale_out()
        assert sandbox.account.auto_scaling.state_of(new) == WAITING
        assert in_service(sandbox, new) == {sandbox.developer.head.commit.hexsha}

    def test_ten_at_once(self, sandbox: Sandbox) -> None:
        before = len(sandbox.account.run_command.commands())
        new = sandbox.scale_out(by=10)
        assert len(new) == 10
        assert in_service(sandbox, *new) == {sandbox.developer.head.commit.hexsha}
        sandbox.wait_until_quiet()
        assert len(sandbox.account.run_command.commands()) - before <= 10

    def test_during_a_push(self, sandbox: Sandbox) -> None:
        (new,) = sandbox.scale_out()
        sha = push_file(sandbox, "index.html", "<h1>meanwhile</h1>\n")
        assert in_service(sandbox, new) <= {sha, sandbox.developer.commit("HEAD~1").hexsha}
        sandbox.wait_until_quiet()
        sandbox.reconcile()
        sandbox.wait_until_quiet()
        assert sandbox.launched.wait_for(new).head() == sha

    def test_during_a_freeze_it_gets_what_its_peers_run(self, sandbox: Sandbox) -> None:
        peers = sandbox.machines[0].head()
        pin(sandbox, {"state": "frozen", "reason": "a holiday"})
        push_file(sandbox, "index.html", "<h1>not yet</h1>\n")
        (new,) = sandbox.scale_out()
        assert in_service(sandbox, new) == {peers}
        assert {one.head() for one in sandbox.machines} == {peers}

    def test_pinned_target_gives_the_commit_of_its_pin(self, sandbox: Sandbox) -> None:
        old = sandbox.machines[0].head()
        pin(sandbox, {"state": "pinned", "commit": old})
        push_file(sandbox, "index.html", "<h1>later</h1>\n")
        (new,) = sandbox.scale_out()
        assert in_service(sandbox, new) == {old}

    def test_commit_that_fails_is_tried_once_and_its_peers_commit_serves(
        self, sandbox: Sandbox
    ) -> None:
        good = sandbox.machines[0].head()
        push_file(sandbox, AFTER_PULL, BAD, mode=0o755)
        sandbox.wait_until_quiet()
        assert {one.head() for one in sandbox.machines} == {good}
        (new,) = sandbox.scale_out()
        assert in_service(sandbox, new) == {good}
        sandbox.wait_until_quiet()
        revert(sandbox)

    def test_instance_that_cannot_be_brought_up_is_replaced_and_the_log_says_why(
        self, sandbox: Sandbox
    ) -> None:
        (new,) = sandbox.scale_out()
        machine = sandbox.launched.wait_for(new, timeout=HANG_SECONDS)
        # Its health check never passes: its curl is broken.
        machine.install_program("curl", "#!/bin/sh\nexit 7\n")
        client: Any = sandbox.account.client("autoscaling")
        client.suspend_processes(AutoScalingGroupName="web", ScalingProcesses=["Launch"])
        try:
            sandbox.account.auto_scaling.wait_for(new, "", timeout=HANG_SECONDS)
        finally:
            client.resume_processes(AutoScalingGroupName="web", ScalingProcesses=["Launch"])
        (line,) = [one for one in log_of(sandbox, "launch") if one["outcome"] == "abandoned"]
        assert line["instance_id"] == new
        assert "health check" in line["reason"]


def test_instance_without_a_checkout_gets_its_first_clone(sandbox: Sandbox) -> None:
    target = {**sandbox.target, "clone": CLONE, "owner": OWNER.pw_name}
    store(sandbox, NAMES.targets(Repository.parse(FULL_NAME)), [target])
    try:
        sandbox.make_group("bare", hook_seconds=7200)
        (new,) = sandbox.scale_out("bare")
        assert in_service(sandbox, new) == {sandbox.developer.head.commit.hexsha}
        checkout = sandbox.launched.wait_for(new).checkout
        assert checkout.stat().st_uid == OWNER.pw_uid
        assert CLONE in (checkout / ".git/config").read_text()
    finally:
        store(sandbox, NAMES.targets(Repository.parse(FULL_NAME)), [sandbox.target])
        scale_in(sandbox, "bare")


class TestFaults:
    def test_instance_that_is_terminated_meanwhile_ends_the_watch(self, sandbox: Sandbox) -> None:
        assert sandbox.launcher
        sandbox.launched.boot_seconds = HANG_SECONDS
        calls = sandbox.account.auto_scaling.calls
        try:
            (new,) = sandbox.scale_out()
            end = time.monotonic() + HANG_SECONDS
            while not any(new in one.fields.values() for one in calls):
                assert time.monotonic() < end
                time.sleep(0.05)
            scale_in(sandbox)
        finally:
            sandbox.launched.boot_seconds = 0.3
        last = sandbox.launcher.outcomes[-1]
        assert last.error == ""
        assert last.returned in ({"outcome": "gone"}, {"outcome": "answered"})

    def test_action_that_somebody_else_has_completed_ends_the_watch(self, sandbox: Sandbox) -> None:
        assert sandbox.launcher
        (new,) = sandbox.scale_out()
        client: Any = sandbox.account.client("autoscaling")
        client.complete_lifecycle_action(
            AutoScalingGroupName="web",
            LifecycleHookName=f"pulley-{STAGE}",
            InstanceId=new,
            LifecycleActionResult="CONTINUE",
        )
        sandbox.wait_until_quiet()
        assert {"outcome": "answered"} in [one.returned for one in sandbox.launcher.outcomes]


def revert(sandbox: Sandbox) -> None:
    good = sandbox.developer.git.show(f"HEAD~1:{AFTER_PULL}")
    push_file(sandbox, AFTER_PULL, f"{good}\n", mode=0o755)
    sandbox.wait_until_quiet()
