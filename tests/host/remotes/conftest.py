"""What a remote's fault must leave unchanged."""

from collections.abc import Callable

import pytest

from tests.host.conftest import Run, Site
from tests.host.remotes.processes import left_by_runs
from tests.host.test_processes import wait_for


@pytest.fixture
def site(site: Site) -> Site:
    """A site without pauses between the tries."""
    site.tool("sleep", "exit 0")
    return site


@pytest.fixture
def assert_unreachable(site: Site) -> Callable[[Run, str], None]:
    """Checks a run's reason, that nothing moved since this fixture, and that no process is left."""
    state = site.state()

    def check(run: Run, reason: str) -> None:
        assert (run.result.outcome, run.exit_code) == ("unreachable", 69), run
        assert reason in run.result.detail
        assert site.state() == state
        assert run.result.before == run.result.after == site.head()
        wait_for(lambda: not left_by_runs(site))
        assert not list((site.checkout / ".git/objects").rglob("tmp_*"))

    return check
