# ruff: noqa: INP001, T201 - a script by itself, and what it measures it prints
"""How long a run of pull.sh takes, as a ratio to a bare `git pull --rebase origin main`.

Both are run as the checkout's owner, in dash, without steps, in two clones of one upstream
repository on this machine. The runs are interleaved and take turns in going first, so that both
meet the same noise; the ratio is that of the medians. The goals are those of the contract with
whoever waits for a deploy: 1.0 where nothing is new, 1.3 where one commit is.

    .venv/bin/python benchmarks/host.py [rounds]
"""

import os
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "chalicelib/host/pull.sh"
NOTHING_NEW_GOAL = 1.0
ONE_COMMIT_GOAL = 1.3
# As root the checkout belongs to nobody: git as root, and a script that first drops root, would
# measure something else.
OWNER = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


@dataclass(frozen=True)
class Bench:
    """An upstream repository and two clones: one for the script, one for plain git."""

    root: Path

    @property
    def upstream(self) -> Path:
        """Ends in owner/repository, as the script wants it."""
        return self.root / "octo/site"

    @property
    def pulled(self) -> Path:
        """Where plain git pulls."""
        return self.root / "plain"

    @property
    def deployed(self) -> Path:
        """Where the script runs."""
        return self.root / "pulley"

    @property
    def environ(self) -> dict[str, str]:
        """Of an owner who has logged in."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Bench",
            "GIT_AUTHOR_EMAIL": "bench@example.invalid",
            "GIT_COMMITTER_NAME": "Bench",
            "GIT_COMMITTER_EMAIL": "bench@example.invalid",
            "SSM_Target": "web",
            "SSM_Repository": "octo/site",
            "SSM_Checkout": str(self.deployed),
            "SSM_Branch": "main",
        }

    def run(self, command: Sequence[str], where: Path) -> float:
        """Run as the owner; the seconds that it took."""
        ids = {"user": OWNER.pw_uid, "group": OWNER.pw_gid, "extra_groups": []}
        begun = time.perf_counter()
        subprocess.run(
            command,
            cwd=where,
            env=self.environ,
            capture_output=True,
            check=True,
            **(ids if os.geteuid() == 0 else {}),  # type: ignore[call-overload]
        )
        return time.perf_counter() - begun

    def commit(self, number: int) -> None:
        """One new commit upstream, in one of a hundred files."""
        file = self.upstream / f"file-{number % 100}.txt"
        self.run(["/bin/sh", "-c", f'echo "commit {number}" >>{file.name}'], self.upstream)
        self.run(["git", "add", file.name], self.upstream)
        self.run(["git", "commit", "-q", "-m", f"Commit {number}"], self.upstream)

    def script(self, *, before: Sequence[str] = ()) -> float:
        """One run of the script."""
        return self.run([*before, "dash", str(SCRIPT)], self.deployed)

    def plain(self, *, before: Sequence[str] = ()) -> float:
        """One bare pull."""
        pull = ["git", "pull", "-q", "--rebase", "origin", "main"]
        return self.run([*before, *pull], self.pulled)

    def processes(self, run: str) -> int | None:
        """How many programs one run starts, where strace is there to count them."""
        if not shutil.which("strace"):
            return None
        log = self.root / "strace.log"
        log.unlink(missing_ok=True)
        trace = ["strace", "-f", "-qq", "-e", "trace=execve", "-o", str(log)]
        (self.script if run == "script" else self.plain)(before=trace)
        return sum(line.endswith("= 0") for line in log.read_text().splitlines())


@contextmanager
def bench() -> Iterator[Bench]:
    """A hundred files and a hundred commits, cloned twice and pulled once."""
    root = Path(tempfile.mkdtemp(prefix="pulley-bench-"))
    try:
        root.chmod(0o755)
        os.chown(root, OWNER.pw_uid, OWNER.pw_gid)
        made = Bench(root)
        made.run(["git", "init", "-q", "-b", "main", str(made.upstream)], root)
        for number in range(100):
            made.commit(number)
        for clone in (made.pulled, made.deployed):
            made.run(["git", "clone", "-q", str(made.upstream), str(clone)], root)
        made.commit(100)  # hosts have pulled before
        made.script()
        made.plain()
        yield made
    finally:
        shutil.rmtree(root)


def spread(times: Sequence[float]) -> str:
    """The median and the middle half, in milliseconds."""
    low, middle, high = statistics.quantiles(times, n=4)
    return f"{middle * 1000:5.1f} ms ({low * 1000:.1f} to {high * 1000:.1f})"


def measure(made: Bench, *, rounds: int, new_commits: bool, goal: float) -> bool:
    """Print one comparison; whether the goal is met."""
    scripts, plains = [], []
    for turn in range(rounds):
        if new_commits:
            made.commit(1000 + turn)
        if turn % 2:
            scripts.append(made.script())
            plains.append(made.plain())
        else:
            plains.append(made.plain())
            scripts.append(made.script())
    if new_commits:
        made.commit(1000 + rounds)
    counts = [made.processes(run) for run in ("script", "plain")]
    ratio = statistics.median(scripts) / statistics.median(plains)
    by_round = [script / plain for script, plain in zip(scripts, plains, strict=True)]
    low, _, high = statistics.quantiles(by_round, n=4)
    print("One new commit" if new_commits else "Nothing new")
    print(f"  pull.sh            {spread(scripts)}, {counts[0] or '?'} processes")
    print(f"  git pull --rebase  {spread(plains)}, {counts[1] or '?'} processes")
    print(
        f"  ratio {ratio:.2f} (middle half of the rounds: {low:.2f} to {high:.2f}); "
        f"goal {goal}: {'met' if ratio <= goal else 'missed'}"
    )
    return ratio <= goal


def main() -> int:
    """Both comparisons; 1 where a goal is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with bench() as made:
        version = subprocess.check_output(["git", "--version"], text=True).strip()
        print(
            f"{version}, {os.cpu_count()} processors, {rounds} rounds, the middle half in brackets"
        )
        nothing = measure(made, rounds=rounds, new_commits=False, goal=NOTHING_NEW_GOAL)
        commit = measure(made, rounds=rounds, new_commits=True, goal=ONE_COMMIT_GOAL)
    return 0 if nothing and commit else 1


if __name__ == "__main__":
    sys.exit(main())
