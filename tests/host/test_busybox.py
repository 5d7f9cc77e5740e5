"""With busybox as shell and tools, the script works or names the tool that it needs."""

import os
import shutil
from collections.abc import Callable

import pytest

from tests.host.busybox import LEFT_OUT, applets
from tests.host.conftest import Site
from tests.host.test_processes import WAYS, Children
from tests.host.test_reports import kill_in_a_move

pytestmark = pytest.mark.skipif(
    not shutil.which("busybox"), reason="takes busybox: install busybox"
)
AFTER = "deploy/after"


@pytest.fixture
def site(make_site: Callable[[str], Site]) -> Site:
    return make_site("busybox")


@pytest.fixture
def assume_unchanged(site: Site) -> None:
    """The host edits config.txt, and also `settings`, which is marked assume-unchanged in git."""
    site.commit({"settings": "default\n"})
    site.pull()
    site.git("update-index", "--assume-unchanged", "settings")
    site.write("settings", "of this host\n")
    site.write("config.txt", "edited\n")


def assert_kept(site: Site) -> None:
    assert (site.checkout / "settings").read_text() == "of this host\n"
    assert (site.checkout / "config.txt").read_text() == "edited\n"


class TestUnsuitableTool:
    def test_timeout_of_busybox_is_named_and_nothing_is_touched(self, site: Site) -> None:
        site.commit({"app.txt": "two\n"})
        state = site.state()
        path = f"{applets(left_out='')}:{os.environ['PATH']}"
        site.pull(more_environ={"PATH": path}).must_be("no_checkout", LEFT_OUT, "--foreground")
        assert site.state() == state

    def test_flock_without_a_wait_option_is_named_and_nothing_is_touched(self, site: Site) -> None:
        """Debian's busybox has no flock, so a fake prints the error of busybox's flock."""
        site.tool("flock", "echo 'flock: unrecognized option: w' >&2\nexit 1")
        site.commit({"app.txt": "two\n"})
        state = site.state()
        site.pull().must_be("no_checkout", "flock (util-linux)", "unrecognized option")
        assert site.state() == state


@pytest.mark.usefixtures("assume_unchanged")
class TestAssumeUnchanged:
    def test_update_keeps_a_file_marked_assume_unchanged(self, site: Site) -> None:
        commit = site.commit({"new.txt": "new\n"})
        site.pull().must_be("updated", after=commit, saved=None)
        assert_kept(site)

    def test_conflict_keeps_the_marked_file_and_local_commits(self, site: Site) -> None:
        mine = site.commit({"app.txt": "mine\n"}, where=site.checkout)
        site.commit({"app.txt": "theirs\n"})
        state = site.state()
        site.pull().must_be("conflict", "conflict in app.txt", after=mine)
        assert site.state() == state
        assert_kept(site)

    def test_run_after_a_kill_keeps_the_marked_file(self, site: Site) -> None:
        commit = kill_in_a_move(site)
        site.write("app.txt", "precious\n")
        result = site.pull().must_be("updated", after=commit)
        assert result.saved
        assert site.git("show", f"{result.saved}:app.txt") == "precious"
        assert_kept(site)


class TestSteps:
    @pytest.mark.parametrize(
        ("way", "end"),
        [
            ("in a session of its own", "exec sleep 300"),
            ("with an empty environment", "exit 3"),
        ],
    )
    def test_process_that_a_failed_or_timed_out_step_started_is_ended(
        self, site: Site, way: str, end: str
    ) -> None:
        children = Children(site)
        good = site.commit({AFTER: "#!/bin/sh\n"})
        site.pull(AfterPull=AFTER)
        site.commit({AFTER: f"#!/bin/sh\n{children.started(WAYS[way])}\n{end}\n"})
        run = site.pull(AfterPull=AFTER, Timeout="20", late=7)
        assert (run.result.outcome, run.result.after) == ("rolled_back", good), run.stderr
        assert children.is_gone_for_good(), run.stderr

    def test_roll_back_moves_build_output_of_the_failed_step_aside(self, site: Site) -> None:
        after = "#!/bin/sh\n[ ! -e bad ] || { mkdir -p dist; echo built >dist/app.js; exit 1; }\n"
        good = site.commit({AFTER: after, "dist/app.js": "tracked\n"})
        site.pull(AfterPull=AFTER)
        site.commit({"dist/app.js": None, "bad": "x\n"})
        site.pull(AfterPull=AFTER).must_be("rolled_back", after=good)
        assert (site.checkout / ".git/pulley/made/dist/app.js").read_text() == "built\n"
        assert (site.checkout / "dist/app.js").read_text() == "tracked\n"
