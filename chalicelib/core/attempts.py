"""Failed attempts on a host: their number, and when the next one is due."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.history import Invocation, Run, age
from chalicelib.core.observations import (
    FAILED,
    OFFLINE,
    OVERTAKEN,
    UNDER_WAY,
    HostVerdict,
    judge_host,
)
from chalicelib.core.refs import CommitSha
from chalicelib.core.wanted import Wanted

FIRST_BACKOFF = timedelta(minutes=15)  # doubles with each failed attempt
LONGEST_BACKOFF = timedelta(hours=4)
MAX_ATTEMPTS = 5  # by rounds; a push or an operator may always try again

HostRuns = Sequence[tuple[Run, Invocation]]  # of one host, oldest first


def runs_by_host(runs: Iterable[Run]) -> Mapping[str, HostRuns]:
    """The runs of each host, oldest first, by instance id."""
    by_host: dict[str, list[tuple[Run, Invocation]]] = {}
    for run in sorted(runs, key=lambda one: age(one.command)):
        for one in run.invocations:
            by_host.setdefault(one.instance_id, []).append((run, one))
    return by_host


def is_new(runs: HostRuns, good: str) -> bool:
    """Whether a host has run no commit yet, and was sent none except perhaps `good`.

    That is the full SHA of the last good commit, while another is held.
    """
    return all(
        run.roll_out.commit.sha == good and not judge_host(one, run.roll_out).upstream
        for run, one in runs
    )


def has_failed_at(runs: HostRuns, commit: CommitSha) -> bool:
    """Whether a host has failed at a commit after it had begun to change something."""
    verdicts = (judge_host(one, run.roll_out) for run, one in runs if run.roll_out.commit == commit)
    return any(one.kind == FAILED and not _is_untouched(one) for one in verdicts)


@dataclass(frozen=True)
class FailedAttempt:
    """The newest attempt, which failed. A fault that `may_pass` by itself is retried for ever.

    `touched_nothing`: the run ended before it changed anything on the host.
    """

    attempts: int
    words: str
    ended: datetime
    may_pass: bool = False
    touched_nothing: bool = False

    @property
    def is_last(self) -> bool:
        """Whether the host is parked: only a push or a deploy tries it again."""
        return self.attempts >= MAX_ATTEMPTS and not self.may_pass

    @property
    def due(self) -> datetime:
        """When the next attempt is due."""
        return self.ended + min(FIRST_BACKOFF * (1 << self.attempts), LONGEST_BACKOFF)

    @property
    def next_attempt(self) -> int:
        """The number of the next attempt; it stays at MAX_ATTEMPTS for faults that may pass."""
        return min(self.attempts + 1, MAX_ATTEMPTS)


def failed_attempt(runs: HostRuns, wanted: Wanted, *, knows_tip: bool) -> FailedAttempt | None:
    """The newest run, if it was for the wanted commit and failed to bring the host there.

    A push that did not reach an offline host is no attempt. A host that never answered counts as
    failed. If the branch's tip is not known (`knows_tip` is false), a host that reports a newer
    commit has not failed.
    """
    if not runs:
        return None
    run, one = runs[-1]
    if (run.roll_out.commit, run.roll_out.is_exact) != (wanted.commit, wanted.is_exact):
        return None
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
    return FailedAttempt(attempts, words, ended, may_pass, _is_untouched(verdict))


def _is_untouched(verdict: HostVerdict) -> bool:
    """Whether the run changed nothing: it failed before that, never began, or came too late."""
    never_began = verdict.kind == OFFLINE or verdict.is_superseded
    return verdict.touched_nothing or verdict.may_pass or never_began
