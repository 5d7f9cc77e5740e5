"""kill -9 of the whole process group, as the agent does it: one more run must converge.

A plain `git pull --rebase` killed at a random instant is stuck for good in half of all trials.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host.conftest import AS_OWNER, SHELLS, Site, run_in_own_group

LONG = "".join(f"line {n}\n" for n in range(40))
RANDOM_KILLS = int(os.environ.get("PULLEY_KILLS", "12"))
IN_FULL = "PULLEY_KILLS" in os.environ


def prepare(site: Site, *, edits: bool, local_commits: bool) -> str:
    """Commit every kind of change that a move must bring; returns the upstream commit."""
    site.commit({"long.txt": LONG, "old.txt": "old\n", "dir/a.txt": "a\n"})
    site.pull()
    if local_commits:
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.commit({"local2.txt": "mine too\n"}, where=site.checkout)
    if edits:
        site.write("long.txt", LONG + "edited\n")
        site.write("config.txt", "setting = 2\n")
    site.write("untracked.txt", "untracked\n")
    files = {f"new/{n}.txt": f"{n}\n" * 50 for n in range(20)}
    return site.commit(
        {"long.txt": "first\n" + LONG, "old.txt": None, "dir/a.txt": None, "dir": "file\n"} | files
    )


def assert_converged(site: Site, commit: str, *, edits: bool, local_commits: bool) -> None:
    result = site.pull().result
    assert result.outcome in {"updated", "unchanged"}, result
    assert result.upstream == commit
    assert result.local_commits == (2 if local_commits else 0)
    assert (site.checkout / "untracked.txt").read_text() == "untracked\n"
    assert (site.checkout / "new/7.txt").read_text() == "7\n" * 50
    assert (site.checkout / "dir").read_text() == "file\n"
    expected = "first\n" + LONG + ("edited\n" if edits else "")
    found = (site.checkout / "long.txt").read_text()
    assert found == expected, (result, site.saved())  # saved is not lost, but must not happen here
    assert (site.checkout / "config.txt").read_text() == f"setting = {2 if edits else 1}\n"
    assert (site.checkout / "local.txt").exists() == local_commits
    changed = " M config.txt\n M long.txt\n" if edits else ""
    assert site.as_owner("git", "status", "--porcelain") == (changed + "?? untracked.txt").strip()
    site.git("fsck", "--strict", "--no-dangling")
    assert site.pull().result.outcome == "unchanged"


def kill(site: Site, after_seconds: float, **parameters: str) -> bool:
    """Start a run and kill its process group after a while. False if it had ended before."""
    command, environ = site.command(**parameters)
    run = subprocess.Popen(
        command,
        cwd="/",
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(after_seconds)
    ended = run.poll() is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    return not ended


CASES = [
    pytest.param(edits, local_commits, id=f"{edits=}-{local_commits=}")
    for edits in (False, True)
    for local_commits in (False, True)
]


@pytest.mark.parametrize(("edits", "local_commits"), CASES)
class TestKilled:
    def test_next_run_converges_after_a_kill_before_or_after_each_git_call(
        self, make_site: Callable[..., Site], *, edits: bool, local_commits: bool
    ) -> None:
        real_git = subprocess.check_output(["/bin/sh", "-c", "command -v git"], text=True).strip()
        prepared, killed = make_site("sh"), 0
        commit = prepare(prepared, edits=edits, local_commits=local_commits)
        has_most_calls = edits and local_commits
        # After one call is before the next, except for what the shell itself does in between.
        for when in ("before", "after") if IN_FULL and has_most_calls else ("before",):
            # The plain case and the case with the most calls cover nearly all calls of the others.
            step = 5 if has_most_calls else 7 if edits or local_commits else 3
            for call in range(1, 60, 1 if IN_FULL else step):
                site = make_site(SHELLS[killed % len(SHELLS)], prepared)
                count = site.write("count", "0\n", where=site.root)
                # Git's calls of itself, such as a rebase's, do not come here.
                site.tool(
                    "git",
                    f"read -r n <{count}; n=$((n + 1)); echo $n >{count}\n"
                    f"[ {when} = after ] || [ $n -ne {call} ] || kill -9 -$PULLEY_GROUP\n"
                    f'{real_git} "$@"; status=$?\n'
                    f"[ {when} = before ] || [ $n -ne {call} ] || kill -9 -$PULLEY_GROUP\n"
                    "exit $status",
                )
                ended = run_in_own_group(site)
                (site.tools / "git").unlink()
                assert_converged(site, commit, edits=edits, local_commits=local_commits)
                if ended:
                    break
                killed += 1
            else:
                raise AssertionError("the run never came to its end")
        assert killed >= (5 if IN_FULL or has_most_calls else 2)

    def test_next_run_converges_after_kills_at_random_instants(
        self, make_site: Callable[..., Site], *, edits: bool, local_commits: bool
    ) -> None:
        choose = random.Random(f"{edits}{local_commits}")  # noqa: S311 - not for secrets
        prepared, killed = make_site("sh"), 0
        commit = prepare(prepared, edits=edits, local_commits=local_commits)
        # Each trial has three kills. With PULLEY_KILLS, RANDOM_KILLS is the number of trials of all
        # cases; without it, the number of kills.
        for trial in range(RANDOM_KILLS // len(CASES) // (1 if IN_FULL else 3)):
            site = make_site(SHELLS[(trial + edits + local_commits) % len(SHELLS)], prepared)
            for _ in range(3):  # a run that recovers may be killed as well
                killed += kill(site, choose.uniform(0.005, 0.09))
            assert_converged(site, commit, edits=edits, local_commits=local_commits)
        assert killed


def test_run_recovers_from_a_rebase_of_plain_git_that_was_killed(
    make_site: Callable[..., Site],
) -> None:
    """The killed git leaves the folder of a rebase, its autostash, and locks."""
    choose = random.Random(7)  # noqa: S311 - not for secrets
    prepared, left_over = make_site("sh"), 0
    commit = prepare(prepared, edits=True, local_commits=True)
    for trial in range(1000):
        if left_over >= 3 and trial >= RANDOM_KILLS // 4:
            break
        site = make_site(SHELLS[trial % len(SHELLS)], prepared)
        environ = site.environ
        pull = subprocess.Popen(
            [*AS_OWNER, "git", "pull", "-q", "--rebase", "--autostash", "origin", "main"],
            cwd=site.checkout,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            pull.wait(choose.uniform(0.005, 0.06) * (1 + trial // 10))  # on a busy machine
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pull.pid, signal.SIGKILL)
        pull.wait()
        stuck = is_stuck(site.checkout / ".git")
        left_over += stuck
        if stuck or IN_FULL:
            assert_converged(site, commit, edits=True, local_commits=True)
    assert left_over


def is_stuck(git_dir: Path) -> bool:
    return (git_dir / "rebase-merge").exists() or bool(list(git_dir.rglob("*.lock")))


def test_branch_stays_after_a_kill_during_the_roll_back_from_a_pin(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(SHELLS[0])
    first = site.commit({"deploy/after": "#!/bin/sh\nexit 1\n"})
    site.commit({"deploy/after": "#!/bin/sh\n"})
    site.pull(AfterPull="deploy/after")
    mine = site.commit({"local.txt": "mine\n"}, where=site.checkout)
    site.pull(AfterPull="deploy/after")
    real_git = subprocess.check_output(["/bin/sh", "-c", "command -v git"], text=True).strip()
    seen = site.write("seen", "", where=site.root)
    # The second move is the roll back; the kill follows it.
    site.tool(
        "git",
        f'{real_git} "$@"; status=$?\n'
        f'case "$*" in *checkout*--detach*) echo >>{seen} ;; *) exit $status ;; esac\n'
        f"[ $(wc -l <{seen}) -ne 2 ] || kill -9 -$PULLEY_GROUP\nexit $status",
    )
    assert not run_in_own_group(
        site, Update="exact", Commit=first, AfterPull="deploy/after", Timeout="60"
    )
    (site.tools / "git").unlink()
    site.pull(Update="exact", Commit=first, AfterPull="deploy/after")
    assert site.git("rev-parse", "refs/heads/main") == mine


class TestKilledMoveToAnotherBranch:
    """A run that goes to the branch dev is killed before or after its checkout."""

    @pytest.fixture
    def killed(self, make_site: Callable[..., Site], when: str) -> Site:
        site = make_site(SHELLS[0])
        site.pull()
        site.commit({"local.txt": "mine\n"}, where=site.checkout)
        site.git("checkout", "-q", "--detach")
        site.git("checkout", "-q", "-b", "dev", cwd=site.upstream)
        site.commit({"app.txt": "dev\n"})
        kill_at_the_checkout(site, when, Branch="dev")
        return site

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_next_run_takes_it_back_and_goes_to_the_branch(self, killed: Site) -> None:
        killed.pull(Branch="dev").must_be("updated", after=killed.tip(killed.upstream))
        killed.pull(Branch="dev").must_be("unchanged")

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_next_run_of_another_branch_takes_it_back_and_keeps_its_own_branch(
        self, killed: Site
    ) -> None:
        mine = killed.git("rev-parse", "main")
        killed.pull(Branch="main").must_be("unchanged", after=mine, local_commits=1)
        assert killed.git("for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/main"


def kill_at_the_checkout(site: Site, when: str, **parameters: str) -> None:
    """Kill a run before or after the git call that moves HEAD."""
    real_git = shutil.which("git")
    kill = 'case "$*" in *no-overwrite-ignore*) kill -9 -$PULLEY_GROUP ;; esac'
    call = f'{real_git} "$@"; status=$?'
    site.tool(
        "git", "\n".join((kill, call) if when == "before" else (call, kill)) + "\nexit $status"
    )
    assert not run_in_own_group(site, **parameters)
    (site.tools / "git").unlink()
