"""Attempts that failed: how many there were on a host, and when the next one is due."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.history import Invocation, Run, age
from chalicelib.core.observations import FAILED, OFFLINE, OVERTAKEN, UNDER_WAY, judge_host
from chalicelib.core.wanted import Wanted

FIRST_BACKOFF = timedelta(minutes=15)  # doubled with each attempt that failed
LONGEST_BACKOFF = timedelta(hours=4)
MAX_ATTEMPTS = 5  # of reconciling; a push or an operator may always try again

HostRuns = Sequence[tuple[Run, Invocation]]  # of one host, oldest first


def runs_by_host(runs: Iterable[Run]) -> Mapping[str, HostRuns]:
    """What was sent to each host, oldest first."""
    by_host: dict[str, list[tuple[Run, Invocation]]] = {}
    for run in sorted(runs, key=lambda one: age(one.command)):
        for one in run.invocations:
            by_host.setdefault(one.instance_id, []).append((run, one))
    return by_host


def is_new(runs: HostRuns, good: str) -> bool:
    """Whether a host was never known to run anything, nor asked for more than what is good."""
    return all(
        run.roll_out.commit.sha == good and not judge_host(one, run.roll_out).upstream
        for run, one in runs
    )


@dataclass(frozen=True)
class FailedAttempt:
    """The newest attempt, which failed. One that `may_pass` by itself is made again, on and on."""

    attempts: int
    words: str
    ended: datetime
    may_pass: bool = False

    @property
    def is_last(self) -> bool:
        """Whether the host is given up until somebody pushes or deploys."""
        return self.attempts >= MAX_ATTEMPTS and not self.may_pass

    @property
    def due(self) -> datetime:
        """When to try again."""
        return self.ended + min(FIRST_BACKOFF * (1 << self.attempts), LONGEST_BACKOFF)

    @property
    def next_attempt(self) -> int:
        """The number of the next one. Beyond the last only those go on that may pass."""
        return min(self.attempts + 1, MAX_ATTEMPTS)


def failed_attempt(runs: HostRuns, wanted: Wanted, *, knows_tip: bool) -> FailedAttempt | None:
    """The newest run, if it was for what is wanted and did not lead the host there.

    Where a host was asleep for a push, nothing was attempted yet. A host that never answered counts
    as failed. Where nobody `knows_tip`, a host may be at a newer commit than was asked for.
    """
    if not runs or not _is_for(runs[-1][0], wanted):
        return None
    run, one = runs[-1]
    attempts, ended = run.roll_out.attempt, run.command.ended_on(one)
    verdict = judge_host(one, run.roll_out)
    may_pass, words = verdict.may_pass, ""
    if verdict.kind in UNDER_WAY:
        words, ended = "no answer in time", run.command.expires
    elif verdict.kind == OFFLINE and attempts:
        may_pass = True
    elif verdict.kind == FAILED:
        words = verdict.words
    elif verdict.back_at or (verdict.kind == OVERTAKEN and not verdict.upstream):
        words = "a newer commit failed there"
    elif verdict.kind == OVERTAKEN and knows_tip:
        words = f"it says that it runs {verdict.upstream[:7]}"
    else:
        return None
    return FailedAttempt(attempts, words, ended, may_pass)


def _is_for(run: Run, wanted: Wanted) -> bool:
    roll_out = run.roll_out
    return roll_out.commit == wanted.commit and roll_out.is_exact == wanted.is_exact
