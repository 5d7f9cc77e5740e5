"""kill -9 of a roll back, and of the ways of updating; then a person works in the checkout.

All edits, before the kill and after it, are in the work tree or under a ref, and later runs
converge.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from tests.host.conftest import SHELLS, Run, Site
from tests.host.test_kill import RANDOM_KILLS
from tests.host.test_processes import wait_for

AFTER = "deploy/after"
LINES = "line\n" * 40
ROLLED_BACK = "{} that is rolled back"
WAYS = (
    *(ROLLED_BACK.format("rebase"), ROLLED_BACK.format("reset")),
    *("reset", "exact", "rebase-to", "reset-to", "tag", "tag-to"),
)
TRIALS = max(2, RANDOM_KILLS // len(WAYS) // 2)


@dataclass(frozen=True)
class Prepared:
    """A site whose next run moves, and what a person typed in it before."""

    site: Site
    parameters: Mapping[str, str]
    before: str  # what is deployed
    tip: str
    typed: tuple[str, ...]

    @property
    def is_rolled_back(self) -> bool:
        return "AfterPull" in self.parameters


@pytest.fixture(scope="module")
def deployed(make_shared_site: Callable[[str], Site]) -> Site:
    """A site with two local commits, the first one deployed, and a new commit that fails."""
    site = make_shared_site("sh")
    site.commit({AFTER: "#!/bin/sh\n", "long.txt": LINES, "dir/a.txt": "a\n"})
    site.commit({"app.txt": "two\n", "long.txt": LINES + "end\n"})
    site.pull(AfterPull=AFTER)
    site.commit({"mine.txt": "first-typed\n"}, where=site.checkout)
    site.pull(AfterPull=AFTER)  # a roll back returns to that commit
    site.commit({"mine2.txt": "second-typed\n"}, where=site.checkout)
    files = {f"new/{n}.txt": f"{n}\n" * 50 for n in range(20)}
    fails = "#!/bin/sh\necho >>../failed\nexit 1\n"
    site.commit({AFTER: fails, "app.txt": "3\n", "dir/a.txt": None, "dir": "file\n"} | files)
    return site


def prepare(site: Site, way: str, *, edits: bool) -> Prepared:
    if edits:
        site.write("config.txt", "staged-typed\n")
        site.git("add", "config.txt")
        site.write("long.txt", "edited-typed\n" + LINES + "end\n")
    tip = site.tip(site.upstream)
    parameters = {"Update": way.split(maxsplit=1)[0]}
    if way in WAYS[3:]:
        parameters["Commit"] = site.git("rev-parse", "HEAD~2", cwd=site.upstream)
    if way.startswith("tag"):
        parameters["Branch"] = "v1"
        site.git("tag", "-f", "-a", "-m", "x", "v1", parameters["Commit"], cwd=site.upstream)
    if way in WAYS[:2]:
        parameters["AfterPull"] = AFTER
    marker = (site.checkout / ".git/pulley/deployed").read_text().split()[1]
    typed = ("first-typed", "second-typed", "staged-typed", "edited-typed")
    return Prepared(site, parameters, marker, tip, typed if edits else typed[:2])


def kill_at_a_call(site: Site, parameters: Mapping[str, str], call: int, when: str) -> None:
    """Kill the run before or after its git call of that number."""
    git = shutil.which("git")
    count = site.write("count", "0\n", where=site.root)
    kill = f"[ $n -ne {call} ] || kill -9 -$PULLEY_GROUP"
    site.tool(
        "git",
        f"read -r n <{count}; n=$((n + 1)); echo $n >{count}\n"
        + (
            f'{kill}\nexec {git} "$@"' if when == "before" else f'{git} "$@"; s=$?\n{kill}\nexit $s'
        ),
    )
    start(site, parameters).wait()
    (site.tools / "git").unlink()


def kill_at_an_instant(site: Site, parameters: Mapping[str, str], seconds: float) -> None:
    """Kill the run so long after its step failed, or after its start if it has no step."""
    run = start(site, parameters)
    if "AfterPull" in parameters:
        wait_for(lambda: (site.root / "failed").exists() or run.poll() is not None)
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def start(site: Site, parameters: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    command, environ = site.command(**parameters)
    return subprocess.Popen(
        ["/bin/sh", "-c", 'export PULLEY_GROUP=$$; exec "$@"', "sh", *command],
        cwd="/",
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )


def pull(site: Site, parameters: Mapping[str, str]) -> Run:
    return site.pull(
        Branch=parameters.get("Branch", "main"),
        AfterPull=parameters.get("AfterPull", ""),
        Update=parameters.get("Update", "rebase"),
        Commit=parameters.get("Commit", ""),
    )


def work(site: Site, choose: random.Random, word: str) -> None:
    """A person works in the checkout as the kill has left it."""
    (site.checkout / ".git/index.lock").unlink(missing_ok=True)  # as git tells them to
    tracked = [
        path for path in site.git("ls-files").splitlines() if (site.checkout / path).is_file()
    ]
    how = choose.choice(["edit", "stage", "commit", "new", "stage new"])
    if how == "commit":  # only what upstream does not change: else each run is a conflict
        tracked = [path for path in tracked if path in {"mine.txt", "mine2.txt", "config.txt"}]
    path = f"{word}.txt" if how in {"new", "stage new"} else choose.choice(tracked)
    file = site.checkout / path
    text = file.read_text() if file.exists() else ""
    site.write(path, f"{text}{word}\n")
    if how in {"stage", "commit", "stage new"}:
        site.as_owner("git", "add", path, check=False)
    if how == "commit":
        site.as_owner("git", "commit", "-qm", word, "--", path, check=False)


def assert_kept(site: Site, words: tuple[str, ...]) -> None:
    kept = site.git("log", "--all", "-p", "-m", "--text", "--format=")
    for path in site.checkout.rglob("*"):
        if ".git" not in path.relative_to(site.checkout).parts and path.is_file():
            kept += path.read_text()
    assert [word for word in words if word not in kept] == []


def assert_converges(prepared: Prepared, site: Site) -> None:
    """A few runs converge, and then a good commit is deployed."""
    parameters = prepared.parameters
    wanted = parameters.get("Commit") or prepared.tip
    if prepared.is_rolled_back:
        pull(site, parameters).must_be("rolled_back", after=prepared.before)
        wanted = site.commit({AFTER: "#!/bin/sh\n"})
    result = pull(site, parameters).result
    assert result.outcome in {"updated", "unchanged"}, result
    assert result.upstream == wanted
    if not parameters["Update"].startswith("rebase"):
        assert site.head() == wanted
    assert pull(site, parameters).result.outcome == "unchanged"
    site.git("fsck", "--strict", "--no-dangling")


def assert_carried(prepared: Prepared, site: Site) -> None:
    """If nobody worked in between, a rebase carries the edits to the commit and back."""
    if prepared.parameters["Update"].startswith("rebase") and len(prepared.typed) == 4:
        assert (site.checkout / "config.txt").read_text() == "staged-typed\n"
        assert (site.checkout / "long.txt").read_text().startswith("edited-typed\n")


@pytest.mark.parametrize("way", WAYS)
def test_no_edit_is_lost_and_no_run_is_stuck_after_kills(
    make_site: Callable[..., Site], deployed: Site, way: str
) -> None:
    both = [prepare(make_site("sh", deployed), way, edits=edits) for edits in (True, False)]
    counted = make_site("sh", both[0].site)
    kill_at_a_call(counted, both[0].parameters, -1, "before")
    calls = int((counted.root / "count").read_text())
    for trial in range(TRIALS):
        seed = f"{way} {trial}"
        choose = random.Random(seed)  # noqa: S311 - not for secrets
        prepared = both[trial % 2]
        site = make_site(SHELLS[trial // 2 % len(SHELLS)], prepared.site)
        words: tuple[str, ...] = ()
        for kill in range(choose.choice([1, 1, 2])):  # the run that cleans up may be killed too
            if choose.random() < 0.7:
                first = calls // 3 if prepared.is_rolled_back and kill == 0 else 1
                call = choose.randint(first, calls)
                kill_at_a_call(site, prepared.parameters, call, choose.choice(["before", "after"]))
            else:
                kill_at_an_instant(site, prepared.parameters, choose.uniform(0.005, 0.15))
            if choose.random() < 0.7:
                words += (f"since-{trial}-{kill}-typed",)
                work(site, choose, words[-1])
        try:
            assert_converges(prepared, site)
            assert_kept(site, prepared.typed + words)
            if not words:
                assert_carried(prepared, site)
        except AssertionError as error:
            error.add_note(f"The seed is {seed!r}.")
            raise
