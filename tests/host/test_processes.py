"""What a failed step started ends with it, and what a step that succeeded left running lives on."""

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
# A child of a step writes its number to `child` at once, and would write `late` at its end.
WAYS = {
    "in a session of its own": "setsid sh {child} &",
    "that was forked twice": "(setsid sh -c 'sh {child} & exit' &)",
    "that ignores SIGTERM": "(trap '' TERM; exec setsid sh {child}) &",
    "with an empty environment": "env -i sh {child} &",
    "with an empty environment, in a session of its own, below one that has not": (
        "setsid sh -c 'env -i setsid -w sh {child}; :' &"
    ),
    "with an empty environment, in a session that a marked one made": (
        "setsid sh -c '(env -i sh {child} &) ; exec sleep 300' &"
    ),
}
DAEMONS = {
    "in a session of its own": "setsid sh {child} &",
    "in the run's group": "sh {child} &",
    "in the run's group, with an empty environment": "env -i sh {child} &",
}
UNTIL_IT_IS_THERE = "until [ -s {root}/child ]; do :; done"


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
        """The lines of a script that starts one, and waits until it is there."""
        return way.format(child=self.script) + "\n" + UNTIL_IT_IS_THERE.format(root=self.site.root)

    @property
    def pid(self) -> int:
        return int((self.site.root / "child").read_text())

    def is_alive(self) -> bool:
        return is_alive(self.pid)

    def is_gone_for_good(self) -> bool:
        """Nothing runs that could write the late file, and it was not written."""
        return not self.is_alive() and not (self.site.root / "late").exists()


def is_alive(pid: int) -> bool:
    """A zombie is not: where nobody reaps, it stays in the list."""
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
    """Its after_pull notes whether a child of another commit's was at work beside it."""
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

    def test_at_the_time_limit_too(self, site: Site, children: Children) -> None:
        good = site.head()
        commit_steps(site, children.started(WAYS["in a session of its own"]) + "\nsleep 300")
        run = site.pull(AfterPull=AFTER, Timeout="20", late=7)
        run.must_be("rolled_back", "longer than", after=good)
        assert children.is_gone_for_good(), run.stderr
        assert not (site.root / "beside").exists()

    def test_one_that_starts_its_child_again_is_ended(self, site: Site, children: Children) -> None:
        again = "(trap '' TERM; while :; do env -i sh {child}; sleep 0.01 & done) &"
        commit_steps(site, children.started(again) + "\nexit 3")
        run = site.pull(AfterPull=AFTER)
        assert run.result.outcome == "rolled_back"
        assert "do not end" not in run.stderr
        assert str(children.script).encode() not in command_lines()

    def test_where_it_deleted_the_notes_its_child_is_gone(
        self, site: Site, children: Children
    ) -> None:
        commit_steps(site, children.started("setsid sh {child} &") + "\nrm -rf .git/pulley; exit 3")
        assert site.pull(AfterPull=AFTER).result.outcome == "broken"
        assert children.is_gone_for_good()

    def test_what_others_run_is_left_alone(self, site: Site, children: Children) -> None:
        with subprocess.Popen(
            [*AS_OWNER, "sh", str(children.script)], cwd=site.checkout, env=site.environ
        ) as other:
            commit_steps(site, UNTIL_IT_IS_THERE.format(root=site.root) + "\nsleep 300 &\nexit 3")
            assert site.pull(AfterPull=AFTER).result.outcome == "rolled_back"
            assert children.is_alive()
            other.kill()


class TestSucceededStep:
    @pytest.mark.parametrize("way", DAEMONS.values(), ids=DAEMONS)
    def test_its_daemon_lives_on_also_when_a_later_commit_fails(
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

    def test_the_kill_of_the_group_takes_what_is_in_it(
        self, site: Site, children: Children
    ) -> None:
        commit_steps(site, children.started("sh {child} &") + "\nkill -9 -$PULLEY_GROUP")
        assert not run_in_own_group(site, AfterPull=AFTER)
        assert children.is_gone_for_good()

    def test_the_next_one_ends_what_its_step_left(self, site: Site, children: Children) -> None:
        kill = "kill -9 -$PULLEY_GROUP"
        commit_steps(site, children.started("setsid sh {child} &") + f"\n{kill}")
        assert not run_in_own_group(site, AfterPull=AFTER)
        assert children.is_alive()
        site.commit({AFTER: (site.upstream / AFTER).read_text().split("setsid")[0] + "exit 0\n"})
        run = site.pull(AfterPull=AFTER)
        assert run.result.outcome == "updated", run.stderr
        assert children.is_gone_for_good()

    def test_before_it_moves_anything(self, site: Site, children: Children) -> None:
        commit_steps(site, children.started("setsid sh {child} &") + "\nkill -9 -$PULLEY_GROUP")
        assert not run_in_own_group(site, AfterPull=AFTER)
        site.write("untracked", "mine\n")
        site.commit({"untracked": "theirs\n"})
        assert site.pull(AfterPull=AFTER).result.outcome == "conflict"
        assert children.is_gone_for_good()

    def test_a_note_that_is_half_written_ends_nothing(self, site: Site, children: Children) -> None:
        commit_steps(site, children.started("setsid sh {child} &"))
        assert site.pull(AfterPull=AFTER).result.outcome == "updated"
        for note in ("", "4", "\0\0\0\n", "PATH 1 1 1 whole\n", "- 1 1 1\n"):
            site.write(".git/pulley/step", note)
            site.pull(AfterPull=AFTER).must_be("unchanged")
            assert children.is_alive()

    def test_a_run_that_is_stopped_by_a_signal_ends_it_itself(
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
    def test_one_that_timed_out_leaves_no_process(
        self, site: Site, children: Children, way: str
    ) -> None:
        site.git("remote", "set-url", "origin", "git@example.invalid:octo/site.git")
        site.tool("ssh", way.format(child=children.script) + "\nexit 1")
        run = site.pull(Timeout="20", late=7)
        run.must_be("unreachable", "did not answer within")
        assert children.is_gone_for_good(), run.stderr
        assert str(children.script).encode() not in command_lines()


class TestWords:
    def test_of_a_step_that_wrote_nothing(self, site: Site) -> None:
        commit_steps(site, "exit 3")
        result = site.pull(AfterPull=AFTER).result
        assert result.detail.startswith("exit code 3: it wrote nothing")

    @pytest.mark.parametrize("shebang", ["#!/bin/sh", "#!/usr/bin/env sh", "#!/bin/sh -e"])
    def test_of_a_script_with_windows_line_endings(self, site: Site, shebang: str) -> None:
        site.commit({AFTER: f"{shebang}\r\nexit 0\r\n"})
        file = site.upstream / AFTER
        file.write_bytes(f"{shebang}\r\nexit 0\r\n".encode())
        site.commit({})
        site.pull(AfterPull=AFTER).must_be("broken", "Windows line endings", step="after_pull")

    def test_of_what_it_wrote_last(self, site: Site) -> None:
        commit_steps(site, "echo first; echo last; echo; exit 3")
        assert "exit code 3: last" in site.pull(AfterPull=AFTER).result.detail


def command_lines() -> bytes:
    """Of all that runs on this machine."""
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
