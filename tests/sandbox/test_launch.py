"""The app's function for launches in the sandbox: which events it gets, and how it is called."""

from collections.abc import Iterator

import pytest

from pulley.sandbox.app.function import Function
from pulley.sandbox.auto_scaling.service import IN_SERVICE, WAITING
from pulley.sandbox.sandbox import Sandbox
from tests.processes import HANG_SECONDS


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1"], launches=True) as opened:
        opened.make_group(hook_seconds=7200, has_checkout=True)
        yield opened


@pytest.fixture
def launcher(sandbox: Sandbox) -> Function:
    assert sandbox.launcher is not None
    return sandbox.launcher


class TestLauncher:
    def test_hosts_from_before_are_no_launches(self, sandbox: Sandbox, launcher: Function) -> None:
        sandbox.account.wait_until_told()
        launcher.wait_until_idle()
        assert launcher.outcomes == []

    def test_instance_of_another_stage_is_ignored(
        self, sandbox: Sandbox, launcher: Function
    ) -> None:
        sandbox.add_machine("other", tags={"pulley": "other", "role": "web"})
        sandbox.account.wait_until_told()
        launcher.wait_until_idle()
        assert launcher.outcomes[-1].returned == {"ignored": "it is no instance of this stage"}

    def test_waiting_instance_gets_the_commit_and_goes_into_service(
        self, sandbox: Sandbox, launcher: Function
    ) -> None:
        (instance_id,) = sandbox.scale_out()
        assert sandbox.account.auto_scaling.state_of(instance_id) == WAITING
        sandbox.account.auto_scaling.wait_for(instance_id, IN_SERVICE, timeout=HANG_SECONDS)
        sandbox.wait_until_quiet()
        machine = sandbox.launched.wait_for(instance_id)
        assert machine.head() == sandbox.developer.head.commit.hexsha
        assert [one.error for one in launcher.outcomes] == [""] * len(launcher.outcomes)
