"""How long a run of pull.sh takes, and which programs it starts, beside `git pull --rebase`.

Both run as the checkout's owner, the script in dash and without steps, in copies of two checkouts
of one repository, in which a pull ran before. Each run has a new copy, so that all runs of a case
do the same; the copying is not timed. The files are in memory if Linux has a folder for that,
because a slow disk, the same for both, would hide what the script adds. The goals: no slower than
git if nothing is new, 1.3 times otherwise.

Processes are the programs that one run starts, git's own among them, counted by strace if that is
installed. Their goals are what the script needs with git 2.39.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.compare import compare
from benchmarks.figures import Figure
from benchmarks.upstream import Commit, Upstream, copy_checkout, pieces
from pulley.host.build import build
from pulley.sandbox.hosts.users import AS_ROOT, OWNER, give_to_owner, run_as_owner

MEMORY = "/dev/shm"  # noqa: S108 - in a folder of its own that mkdtemp makes
OURS, PLAIN = "pull.sh", "git pull --rebase"
# As systemd gives it to the agent; a developer's own may have folders that take longer to search.
AGENT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Case:
    """New commits upstream, and the goals: of the ratio, and of processes if these are counted."""

    name: str
    commits: Callable[[], Iterable[Commit]]
    rounds: int
    goal: float | None
    processes: int | None = None


def small(commits: int) -> Iterable[Commit]:
    """Commits that each change a line in one of a hundred files."""
    return (
        [(f"file-{number % 100}.txt", f"commit {number}\n".encode())] for number in range(commits)
    )


def many_files() -> Commit:
    """A commit with as many files and folders as a large site has."""
    return [(f"site/{one // 100}/{one % 100}.txt", f"{one}\n".encode()) for one in range(20_000)]


CASES = (
    Case("nothing new", lambda: (), 150, 1.0, 8),
    Case("one commit", lambda: small(1), 150, 1.3, 13),
    Case("1,000 commits", lambda: small(1000), 40, 1.3, 13),
    Case("one commit of 20,000 files", lambda: [many_files()], 20, 1.3),
    Case("one commit of 100 MB", lambda: [pieces(100)], 6, 1.3),
)


class Bench:
    """An upstream repository, and for each side a checkout, which is copied for each run."""

    def __init__(self, root: Path) -> None:
        """Make a hundred files and a hundred commits. Both sides have pulled the last one."""
        self._root = root
        self._script = root / "pull.sh"
        self._script.write_text(build())
        (root / "octo").mkdir()  # the script wants owner/repository
        self._upstream = Upstream(root / "octo/site")
        self._upstream.push(small(99))
        give_to_owner(root)
        for side in (OURS, PLAIN):
            source, kept = str(self._upstream.path), str(self._kept(side))
            run_as_owner(["git", "clone", "-q", source, kept], cwd=root)
        self._push(small(1))
        self._begin = self._pushed
        for side in (OURS, PLAIN):
            self._run(side, self._kept(side))

    def open(self, case: Case) -> None:
        """Make the case's commits the only new commits upstream."""
        self._upstream.rewind(self._begin)
        self._push(case.commits())

    def renew(self, side: str) -> None:
        """Restore the checkout as it was before the run."""
        copy_checkout(self._kept(side), self._checkout(side), run_as_owner)

    def run(self, side: str) -> None:
        """Run one side once."""
        self._run(side, self._checkout(side))

    def check(self) -> None:
        """Check that both checkouts are at the push, after they have run."""
        for side in (OURS, PLAIN):
            head = (self._checkout(side) / ".git/refs/heads/main").read_text().strip()
            if head != self._pushed:
                raise RuntimeError(f"{side} has left its checkout at {head}")

    def processes(self, side: str) -> int:
        """How many programs one run starts."""
        self.renew(side)
        log = self._root / "strace.log"
        log.unlink(missing_ok=True)
        trace = ["strace", "-f", "-qq", "-e", "trace=execve", "-o", str(log)]
        self._run(side, self._checkout(side), before=trace)
        return sum(line.endswith("= 0") for line in log.read_text().splitlines())

    def _push(self, commits: Iterable[Commit]) -> None:
        self._pushed = self._upstream.push(commits)
        give_to_owner(self._upstream.path)

    def _kept(self, side: str) -> Path:
        return self._root / f"kept-{side[:4]}"

    def _checkout(self, side: str) -> Path:
        return self._root / side[:4]

    def _run(self, side: str, checkout: Path, *, before: Sequence[str] = ()) -> None:
        pull = ["git", "pull", "-q", "--rebase", "origin", "main"]
        # Without setpriv, because that would be one more process.
        ids: dict[str, Any] = {"user": OWNER.pw_uid, "group": OWNER.pw_gid, "extra_groups": []}
        subprocess.run(
            [*before, *(["dash", str(self._script)] if side == OURS else pull)],
            cwd=checkout,
            env=environ(self._root, checkout),
            capture_output=True,
            check=True,
            **(ids if AS_ROOT else {}),
        )


def environ(home: Path, checkout: Path) -> dict[str, str]:
    """The environment of an owner who is logged in, with what the agent gives the script."""
    return {
        "PATH": AGENT_PATH,
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_COMMITTER_NAME": "Someone",
        "GIT_COMMITTER_EMAIL": "someone@example.invalid",
        "SSM_Target": "web",
        "SSM_Repository": "octo/site",
        "SSM_Checkout": str(checkout),
        "SSM_Branch": "main",
    }


def measure(*, quick: bool) -> Iterator[Figure]:
    """The ratio for each case, and, if they are counted, the processes of both sides."""
    memory = MEMORY if Path(MEMORY).is_dir() else None
    with tempfile.TemporaryDirectory(prefix="pulley-bench-", dir=memory) as directory:
        root = Path(directory)
        root.chmod(0o755)
        bench = Bench(root)
        for case in CASES:
            if quick and not case.processes:
                continue
            bench.open(case)
            timings = compare(
                {side: partial(bench.run, side) for side in (OURS, PLAIN)},
                rounds=5 if quick else case.rounds,
                before=bench.renew,
            )
            bench.check()
            ratio, low, high = timings.ratio(OURS, PLAIN)
            medians = {side: timings.median(side) for side in (OURS, PLAIN)}
            name = f"{OURS} to {PLAIN}, {case.name}"
            yield Figure(name, ratio, "x", case.goal, low, high, medians)
            if case.processes and shutil.which("strace"):
                yield from counted(bench, case)


def counted(bench: Bench, case: Case) -> Iterator[Figure]:
    """The processes of both sides."""
    for side, goal in ((OURS, case.processes), (PLAIN, None)):
        name = f"processes of {side}, {case.name}"
        yield Figure(name, bench.processes(side), "processes", goal)
