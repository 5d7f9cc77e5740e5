"""What became of a commit on a target's hosts: by what each host says it runs, and by nothing else.

A target may have been sent the same commit several times (a redelivery, a host that was asleep), so
the newest run of each host counts. Whatever order events come in, the same history gives the same
verdict.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.history import Command, Invocation, RollOut, plain_status
from chalicelib.core.results import OUTCOMES_AT_UPSTREAM, HostResult, ResultError, parse_result

AT, OVERTAKEN, OFFLINE, FAILED = "at", "overtaken", "offline", "failed"
NOT_BEGUN, CANCELLED, RUNNING = "not begun", "cancelled", "running"

# Outcomes of runs that ended before they changed anything (docs/host.md).
_PASSING = frozenset({"busy", "unreachable"})
_UNTOUCHED = frozenset({"busy", "unreachable", "missing_commit", "bad_parameter", "no_checkout"})
_SHA = re.compile("[0-9a-f]{40}")
_SAVED = re.compile("refs/pulley/saved/[0-9A-Za-z-]{1,60}")
# Invocations without a result, by their status details without spaces: the kind, and why.
_NOT_RUN = {
    "deliverytimedout": (OFFLINE, ""),
    "undeliverable": (OFFLINE, ""),
    "terminated": (NOT_BEGUN, ""),
    "cancelled": (CANCELLED, ""),
    "accessdenied": (FAILED, "Systems Manager may not run commands on it"),
    "invalidplatform": (FAILED, "it does not run Linux"),
    "ratelimited": (FAILED, "Systems Manager's limits were reached"),
    "rateexceeded": (FAILED, "Systems Manager's limits were reached"),
    "limitexceeded": (FAILED, "it has too many commands under way"),
}


@dataclass(frozen=True)
class HostVerdict:
    """Where a host stands. `words` says why it failed, by whom it was overtaken, what it kept.

    `back_at` is the commit that a host was rolled back to, in short, where GitHub knows it too.
    `upstream` is the branch's commit that it runs, where it says that it runs one;
    `touched_nothing` is of a run that failed before it changed anything, `may_pass` of one that
    failed for what passes without anyone: GitHub was not to be reached, say.
    """

    host: str
    kind: str
    words: str = ""
    updated: bool = False
    ended: datetime | None = None
    back_at: str = ""
    upstream: str = ""
    touched_nothing: bool = False
    may_pass: bool = False


@dataclass(frozen=True)
class Run:
    """One command for a commit, with its invocations: all of them."""

    command: Command
    roll_out: RollOut
    invocations: tuple[Invocation, ...]

    @property
    def is_settled(self) -> bool:
        """Whether the command is over and every host's word is in: AWS may say the first before."""
        return (
            self.command.is_over
            and len(self.invocations) >= self.command.target_count
            and all(invocation.is_over for invocation in self.invocations)
        )


@dataclass(frozen=True)
class Verdict:
    """A commit on a target: each host's, whether it is final, and what was done with the newest."""

    command_id: str
    roll_out: RollOut
    hosts: tuple[HostVerdict, ...]
    is_final: bool
    expected_hosts: int
    was_cancelled: bool

    def count(self, *kinds: str) -> int:
        """How many hosts stand so."""
        return sum(host.kind in kinds for host in self.hosts)

    def of(self, *kinds: str) -> tuple[HostVerdict, ...]:
        """The hosts that stand so."""
        return tuple(host for host in self.hosts if host.kind in kinds)

    @property
    def is_everywhere(self) -> bool:
        """Whether every host that could be reached is at the commit, and there is one."""
        return (
            self.is_final and self.count(AT) > 0 and self.count(AT, OFFLINE) == self.expected_hosts
        )


def judge(runs: Iterable[Run], *, now: datetime, others: Iterable[Run] = ()) -> Verdict:
    """The verdict on one commit for one target, from at least one run of it, in any order.

    `others` are the target's runs of other commits: a host that they led elsewhere is not at this
    one any more, unless it was brought back. Those after the newest run of the commit do not count.
    `now` (aware) is for commands that should long be over and of which a host says nothing more.
    """
    ordered = sorted(runs, key=age)
    newest = ordered[-1]
    elsewhere = [run for run in others if age(run) < age(newest)]
    hosts: dict[str, tuple[Invocation, HostVerdict]] = {}
    for run in sorted([*ordered, *elsewhere], key=age):
        if run.roll_out.commit != newest.roll_out.commit:
            for one in run.invocations:
                if one.instance_id in hosts:
                    hosts[one.instance_id] = (one, _led_away(hosts[one.instance_id][1], one, run))
            continue
        if run.is_settled and not run.roll_out.attempt:
            # It was for the whole target: a host that is not in it has gone.
            there = {one.instance_id for one in run.invocations}
            hosts = {id_: known for id_, known in hosts.items() if id_ in there}
        for one in run.invocations:
            known = hosts.get(one.instance_id)
            judged = judge_host(one, run.roll_out)
            hosts[one.instance_id] = (one, _better(known[1], judged, one) if known else judged)
    by_name = sorted(hosts.values(), key=lambda host: (host[0].host, host[0].instance_id))
    verdicts = [verdict for _, verdict in by_name]
    has_expired = all(now > run.command.expires for run in ordered)
    if has_expired:
        verdicts = [
            HostVerdict(one.host, FAILED, "no answer in time") if one.kind == RUNNING else one
            for one in verdicts
        ]
    has_run = newest.is_settled and all(one.kind != RUNNING for one in verdicts)
    return Verdict(
        command_id=newest.command.id,
        roll_out=newest.roll_out,
        hosts=tuple(verdicts),
        is_final=has_run or has_expired,
        expected_hosts=max(len(hosts), newest.command.target_count),
        was_cancelled=newest.command.is_cancelled,
    )


def _better(known: HostVerdict, judged: HostVerdict, invocation: Invocation) -> HostVerdict:
    """What holds of a host after one more run of the commit."""
    if not invocation.is_over:
        return judged
    if known.kind == AT and (not invocation.has_begun or judged.touched_nothing):
        return known
    if not invocation.has_begun and known.kind in {FAILED, OVERTAKEN}:
        return known
    return judged


def _led_away(known: HostVerdict, invocation: Invocation, run: Run) -> HostVerdict:
    """What holds of a host after a run of another commit."""
    if known.kind != AT or not (invocation.is_over and invocation.has_begun):
        return known
    led = judge_host(invocation, run.roll_out)
    if led.kind in {AT, OVERTAKEN} and led.upstream and led.upstream != known.upstream:
        return HostVerdict(known.host, NOT_BEGUN)
    return known


def age(run: Run) -> tuple[int, datetime, str]:
    """What runs are ordered by: when they were issued."""
    return run.roll_out.issued, run.command.requested, run.command.id


def judge_host(invocation: Invocation, roll_out: RollOut) -> HostVerdict:
    """Where one host stands with the commit. Its own word, if there is one, is before AWS's."""
    host, details = invocation.host, plain_status(invocation.details)
    if not invocation.is_over:
        return HostVerdict(host, RUNNING)
    if invocation.is_refused:
        return HostVerdict(host, FAILED, invocation.refusal, touched_nothing=True)
    try:
        result = parse_result(invocation.output)
    except ResultError as error:
        if details == "cancelled" and invocation.has_begun:
            return HostVerdict(host, CANCELLED, "while it ran")
        if details in _NOT_RUN:
            return HostVerdict(host, *_NOT_RUN[details])
        late = plain_status(invocation.status) == "timedout"
        words = f"stopped at its limit of {roll_out.timeout} s" if late else str(error)
        return HostVerdict(host, FAILED, words)
    return _judge_result(host, result, roll_out, invocation.ended)


def _judge_result(
    host: str, result: HostResult, roll_out: RollOut, ended: datetime | None
) -> HostVerdict:
    if result.target != roll_out.target:
        return HostVerdict(host, FAILED, "its result is of another target")
    if result.is_at(roll_out.commit):
        updated = result.outcome == "updated"
        return HostVerdict(
            host, AT, _kept(result), updated=updated, ended=ended, upstream=roll_out.commit.sha
        )
    upstream = result.upstream if result.upstream and _SHA.fullmatch(result.upstream) else ""
    if result.outcome == "superseded" or result.outcome in OUTCOMES_AT_UPSTREAM:
        # Under a newer command for the same commit, it is not the commit that overtook itself.
        newer = "" if upstream == roll_out.commit.sha else upstream[:7]
        return HostVerdict(host, OVERTAKEN, newer, ended=ended, upstream=upstream)
    is_back = result.outcome == "rolled_back" and not result.local_commits
    back_at = result.after if is_back and result.after and _SHA.fullmatch(result.after) else ""
    if result.outcome == "rolled_back" and upstream not in {"", roll_out.commit.sha}:
        # The branch had moved on, and what failed was that.
        if back_at == roll_out.commit.sha:
            return HostVerdict(host, AT, ended=ended, back_at=back_at[:7], upstream=back_at)
        return HostVerdict(host, OVERTAKEN, upstream[:7], ended=ended)
    return HostVerdict(
        host,
        FAILED,
        failure_words(result),
        ended=ended,
        back_at=back_at[:7],
        touched_nothing=result.outcome in _UNTOUCHED,
        may_pass=result.outcome in _PASSING,
    )


def _kept(result: HostResult) -> str:
    """What a host at the commit has of its own. A host may say anything at all."""
    notes = []
    if type(result.local_commits) is int and 0 < result.local_commits < 1_000_000:
        plural = "s" if result.local_commits > 1 else ""
        notes.append(f"{result.local_commits} local commit{plural} on top")
    if result.saved and _SAVED.fullmatch(result.saved):
        notes.append(f"kept {result.saved}")
    return ", ".join(notes)


def failure_words(result: HostResult) -> str:
    """Why a host is not at the commit, for people."""
    outcome = result.outcome.replace("_", " ")
    detail = result.detail
    if result.attempt > 1:
        detail += f" (attempt {result.attempt})"
    if result.step:
        step = result.step.replace("_", " ")
        detail = f"{step}: {detail}" if detail else step
    if detail.startswith(outcome) or not detail:
        return detail or outcome
    return f"{outcome}: {detail}"


def runs_by_commit(runs: Iterable[Run]) -> Mapping[str, Sequence[Run]]:
    """The runs of each commit."""
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.roll_out.commit.sha, []).append(run)
    return grouped
