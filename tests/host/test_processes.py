"""Processes of a failed step are ended, and daemons of a successful step keep running."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.host.conftest import AS_OWNER, Site, held_to_contract, run_in_own_group

AFTER = "deploy/after"
# A child of a step writes its process id to `child` at once, and would write `late` at its end.
WAYS = {
    "in a session of its own": "setsid sh {child} &",
    "forked twice": "(setsid sh -c 'sh {child} & exit' &)",
    "ignoring SIGTERM": "(trap '' TERM; exec setsid sh {child}) &",
    "with an empty environment": "env -i sh {child} &",
    "with an empty environment, in a session of its own, below a marked parent": (
        "setsid sh -c 'env -i setsid -w sh {child}; :' &"
    ),
    "with an empty environment, in a session of a marked process": (
        "setsid sh -c '(env -i sh {child} &) ; exec sleep 300' &"
    ),
}
DAEMONS = {
    "in a session of its own": "setsid sh {child} &",
    "in the run's group": "sh {child} &",
    "in the run's group, with an empty environment": "env -i sh {child} &",
}
UNTIL_CHILD_RUNS = "until [ -s {root}/child ]; do :; done"


class Children:
    """The long-lived children of the steps of a site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.script = site.write(
            "child.sh",
            f"echo $$ >{site.root}/child.new\nmv {site.root}/child.new {site.root}/child\n"
            f"sleep 300\necho late >{site.root}/late\n",
            where=site.root,
        )

    def started(self, way: str) -> str:
        """The lines of a script that starts a child, and waits until it runs."""
        return way.format(child=self.script) + "\n" + UNTIL_CHILD_RUNS.format(root=self.site.root)

    @property
    def pid(self) -> int:
        return int((self.site.root / "child").read_text())

    def is_alive(self) -> bool:
        return is_alive(self.pid)

    def is_gone_for_good(self) -> bool:
        """No process runs that could write the `late` file, and it was not written."""
        return not self.is_alive() and not (self.site.root / "late").exists()


def is_alive(pid: int) -> bool:
    """A zombie is not alive. It stays listed if nobody reaps it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "XZ"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def children(site: Site) -> Iterator[Children]:
    children = Children(site)
    yield children
    for comm in Path("/proc").glob("[0-9]*/cmdline"):  # this site's only, by the path of its script
        with contextlib.suppress(OSError):
            if str(children.script).encode() in comm.read_bytes():
                os.kill(int(comm.parent.name), signal.SIGKILL)


def commit_steps(site: Site, script: str) -> str:
    return site.commit({AFTER: f"#!/bin/sh\n{script}\n"})


@pytest.fixture(scope="module")
def good_site(make_shared_site: Callable[[str], Site]) -> Site:
    """A site whose after_pull notes whether a child of another commit runs at the same time."""
    site = make_shared_site("sh")
    alive = "grep -q '^State:.[^XZ]' /proc/$(cat ../child)/status"
    commit_steps(site, f"! {alive} || echo >../beside")
    site.pull(AfterPull=AFTER).must_be("updated")
    return site


class TestFailedStep:
    @pytest.fixture(scope="class")
    @classmethod
    def like(cls, good_site: Site) -> Site:
        return good_site

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    def test_a_child_is_gone_before_the_roll_back(
        self, site: Site, children: Children, way: str
    ) -> None:
        good = site.head()
        commit_steps(site, children.started(way) + "\nexit 3")
        run = site.pull(AfterPull=AFTER)
        assert (run.result.outcome, run.result.after) == ("rolled_back", good)
        assert children.is_gone_for_good(), run.stderr
        assert not (site.root / "beside").exists()
        assert "== ending what it left at work: process" in run.stderr
        assert f"rolling back to {good}" in run.stderr
        assert (site.checkout / ".git/pulley/step").read_text() == ""

    def test_child_of_a_timed_out_step_is_gone_before_the_roll_back(
        self, site: Site, children: Children
    ) -> None:
        good = site.head()
        commit_steps(site, children.started(WAYS["in a session of its own"]) + "\nsleep 300")
        run = site.pull(AfterPull=AFTER, Timeout="20", late=7)
        run.must_be("rolled_back", "longer than", after=good)
        assert children.is_gone_for_good(), run.stderr
        assert not (site.root / "beside").exists()

    def test_process_that_starts_its_child_again_is_ended(
        self, site: Site, children: Children
    ) -> None:
        again = "(trap '' TERM; while :; do env -i sh {child}; sleep 0.01 & done) &"
        commit_steps(site, children.started(again) + "\nexit 3")
        run = site.pull(AfterPull=AFTER)
        assert run.result.outcome == "rolled_back"
        assert "do not end" not in run.stderr
        assert str(children.script).encode() not in command_lines()

    def test_child_is_gone_if_the_step_deleted_the_notes(
        self, site: Site, children: Children
    ) -> None:
        commit_steps(site, children.started("setsid sh {child} &") + "\nrm -rf .git/pulley; exit 3")
        assert site.pull(AfterPull=AFTER).result.outcome == "broken"
        assert children.is_gone_for_good()

    def test_process_that_the_step_did_not_start_is_left_alone(
        self, site: Site, children: Children
    ) -> None:
        with subprocess.Popen(
            [*AS_OWNER, "sh", str(children.script)], cwd=site.checkout, env=site.environ
        ) as other:
            commit_steps(site, UNTIL_CHILD_RUNS.format(root=site.root) + "\nsleep 300 &\nexit 3")
            assert site.pull(AfterPull=AFTER).result.outcome == "rolled_back"
            assert children.is_alive()
            other.kill()


class TestSucceededStep:
    @pytest.mark.parametrize("way", DAEMONS.values(), ids=DAEMONS)
    def test_daemon_keeps_running_even_if_a_later_commit_fails(
        self, site: Site, children: Children, way: str
    ) -> None:
        start = children.started(way)
        commit_steps(site, f"[ ! -e bad ] || exit 3\n[ -e {site.root}/child ] || {{\n{start}\n}}")
        run = site.pull(AfterPull=AFTER)
        assert run.result.outcome == "updated", run.stderr
        assert (site.checkout / ".git/pulley/step").read_text() == ""
        site.commit({"bad": "bad\n"})
        assert site.pull(AfterPull=AFTER).result.outcome == "rolled_back"
        assert children.is_alive()


class TestKilledRun:
    @pytest.fixture(scope="class")
    @classmethod
    def like(cls, good_site: Site) -> Site:
        return good_site

    def test_kill_of_the_group_kills_the_child_in_it(self, site: Site, children: Children) -> None:
        commit_steps(site, children.started("sh {child} &") + "\nkill -9 -$PULLEY_GROUP")
        assert not run_in_own_group(site, AfterPull=AFTER)
        assert children.is_gone_for_good()

    def test_next_run_ends_the_child_that_the_step_left(
        self, site: Site, children: Children
    ) -> None:
        kill = "kill -9 -$PULLEY_GROUP"
        commit_steps(site, children.started("setsid sh {child} &") + f"\n{kill}")
        assert not run_in_own_group(site, AfterPull=AFTER)
        assert children.is_alive()
        site.commit({AFTER: (site.upstream / AFTER).read_text().split("setsid")[0] + "exit 0\n"})
        run = site.pull(AfterPull=AFTER)
        assert run.result.outcome == "updated", run.stderr
        assert children.is_gone_for_good()

    def test_next_run_ends_the_child_even_if_it_has_a_conflict(
        self, site: Site, children: Children
    ) -> None:
        commit_steps(site, children.started("setsid sh {child} &") + "\nkill -9 -$PULLEY_GROUP")
        assert not run_in_own_group(site, AfterPull=AFTER)
        site.write("untracked", "mine\n")
        site.commit({"untracked": "theirs\n"})
        assert site.pull(AfterPull=AFTER).result.outcome == "conflict"
        assert children.is_gone_for_good()

    def test_half_written_note_ends_no_process(self, site: Site, children: Children) -> None:
        commit_steps(site, children.started("setsid sh {child} &"))
        assert site.pull(AfterPull=AFTER).result.outcome == "updated"
        for note in ("", "4", "\0\0\0\n", "PATH 1 1 1 whole\n", "- 1 1 1\n"):
            site.write(".git/pulley/step", note)
            site.pull(AfterPull=AFTER).must_be("unchanged")
            assert children.is_alive()

    def test_run_that_a_signal_stops_ends_the_child_itself(
        self, site: Site, children: Children
    ) -> None:
        commit_steps(site, children.started("setsid sh {child} &") + "\nexec sleep 300")
        command, environ = site.command(AfterPull=AFTER)
        run = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
        )
        wait_for((site.root / "child").exists)
        os.killpg(run.pid, signal.SIGTERM)
        stdout, stderr = run.communicate(timeout=60)
        done = subprocess.CompletedProcess(command, run.returncode, stdout, stderr)
        assert held_to_contract(done).result.detail == "stopped by a signal"
        assert children.is_gone_for_good()


class TestFetch:
    @pytest.mark.parametrize("way", ["sh {child}", "setsid sh {child} & wait"])
    def test_fetch_that_timed_out_leaves_no_process(
        self, site: Site, children: Children, way: str
    ) -> None:
        site.git("remote", "set-url", "origin", "git@example.invalid:octo/site.git")
        site.tool("ssh", way.format(child=children.script) + "\nexit 1")
        run = site.pull(Timeout="20", late=7)
        run.must_be("unreachable", "did not answer within")
        assert children.is_gone_for_good(), run.stderr
        assert str(children.script).encode() not in command_lines()


class TestReason:
    def test_reason_says_that_the_step_wrote_nothing(self, site: Site) -> None:
        commit_steps(site, "exit 3")
        result = site.pull(AfterPull=AFTER).result
        assert result.detail.startswith("exit code 3: it wrote nothing")

    @pytest.mark.parametrize("shebang", ["#!/bin/sh", "#!/usr/bin/env sh", "#!/bin/sh -e"])
    def test_reason_names_windows_line_endings(self, site: Site, shebang: str) -> None:
        site.commit({AFTER: f"{shebang}\r\nexit 0\r\n"})
        file = site.upstream / AFTER
        file.write_bytes(f"{shebang}\r\nexit 0\r\n".encode())
        site.commit({})
        site.pull(AfterPull=AFTER).must_be("broken", "Windows line endings", step="after_pull")

    def test_reason_has_the_last_line_that_the_step_wrote(self, site: Site) -> None:
        commit_steps(site, "echo first; echo last; echo; exit 3")
        assert "exit code 3: last" in site.pull(AfterPull=AFTER).result.detail


def command_lines() -> bytes:
    """Return the command lines of all processes on this machine."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(file.read_bytes())
    return b"\n".join(lines)


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")
