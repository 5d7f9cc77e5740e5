"""What is wanted of each target, and what is to be done about each host that is not there.

Pure: the same facts give the same plan, for whoever asks: the schedule, an operator, a page. It
costs nothing where all is well, and never undoes what somebody stopped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.history import Invocation, RollOut, plain_status
from chalicelib.core.hosts import Host
from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import MAX_IDS, Target
from chalicelib.core.verdicts import (
    AT,
    FAILED,
    OFFLINE,
    OVERTAKEN,
    RUNNING,
    HostVerdict,
    Run,
    judge,
    judge_host,
    runs_by_commit,
)

FIRST_BACKOFF = timedelta(minutes=15)  # doubled with each attempt that failed
LONGEST_BACKOFF = timedelta(hours=4)
MAX_ATTEMPTS = 5  # of reconciling; a push or an operator may always try again

NOTHING, SEND, WAIT, PARKED = "nothing", "send", "wait", "parked"

HostRuns = Sequence[tuple[Run, Invocation]]  # of one host, oldest first


@dataclass(frozen=True)
class Wanted:
    """The commit that a target is to have, and how a host gets there (the document's `Update`)."""

    commit: CommitSha
    update: str
    reason: str

    @property
    def is_exact(self) -> bool:
        """Whether it is this commit and no later one."""
        return self.update == "exact"


@dataclass(frozen=True)
class TargetFacts:
    """All that there is to know of a target. `runs` are of any order; `head` is the branch's tip.

    Without a head nobody may ask GitHub, and the newest commit that was asked for is wanted.
    """

    target: Target
    hosts: Sequence[Host]
    runs: Sequence[Run]
    head: CommitSha | None = None
    pin: Pin | None = None


@dataclass(frozen=True)
class HostPlan:
    """What is done about a host, and why. `at` is the commit that it runs, "" if not known.

    `since` is when the last attempt at a parked host failed.
    """

    host: Host
    at: str
    action: str
    reason: str
    attempt: int = 0
    wanted: Wanted | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Send:
    """One command to be sent: to these hosts, fifty at the most. `attempt` counts from 1."""

    target: Target
    wanted: Wanted
    attempt: int
    instance_ids: tuple[str, ...]


@dataclass(frozen=True)
class TargetPlan:
    """A target's hosts, each with what is done. `held` says what keeps it as it is, or nothing."""

    target: Target
    wanted: Wanted | None
    held: str
    hosts: tuple[HostPlan, ...]

    @property
    def sends(self) -> tuple[Send, ...]:
        """The commands that the plan asks for."""
        groups: dict[tuple[Wanted, int], list[str]] = {}
        for one in self.hosts:
            if one.action == SEND and one.wanted:
                groups.setdefault((one.wanted, one.attempt), []).append(one.host.instance_id)
        return tuple(
            Send(self.target, wanted, attempt, tuple(ids[start : start + MAX_IDS]))
            for (wanted, attempt), ids in groups.items()
            for start in range(0, len(ids), MAX_IDS)
        )


@dataclass(frozen=True)
class _Case:
    """What is true for all hosts of a target, while one commit is brought to them.

    `half_listed` has the known hosts of each command under way that may have more of them: AWS
    lists them little by little. `is_rolling_out` is whether this very commit is under way.
    """

    wanted: Wanted
    now: datetime
    trusts_asking: bool
    half_listed: tuple[frozenset[str], ...]
    is_rolling_out: bool

    @classmethod
    def of(cls, facts: TargetFacts, wanted: Wanted, now: datetime) -> "_Case":
        under_way = [run for run in facts.runs if not run.is_settled and now <= run.command.expires]
        return cls(
            wanted=wanted,
            now=now,
            trusts_asking=facts.head is None and not wanted.is_exact,
            half_listed=tuple(
                frozenset(one.instance_id for one in run.invocations)
                for run in under_way
                if len(run.invocations) < max(run.command.target_count, 1)
            ),
            is_rolling_out=any(run.roll_out.commit == wanted.commit for run in under_way),
        )

    def why_not_yet(self, host: Host) -> str:
        """Why a host that is behind is sent nothing in this round, or "" if it may be."""
        if any(host.instance_id not in listed for listed in self.half_listed):
            return "a command is under way, and may be for it"
        if self.is_rolling_out:
            # What its hosts will say is not known yet, and it may still be stopped.
            return f"a roll-out of {self.wanted.commit.short} is under way"
        return ""


def plan(facts: Iterable[TargetFacts], *, now: datetime) -> tuple[TargetPlan, ...]:
    """What to do about every target, at this time (aware)."""
    return tuple(plan_target(one, now=now) for one in facts)


def wanted_of(facts: TargetFacts, *, now: datetime) -> Wanted | None:
    """The commit that the target is to have: the pin's, else the branch's tip, else the newest.

    None where it is to stay as it is, or where nothing is known.
    """
    pin = facts.pin if facts.pin and facts.pin.holds(now) else None
    if pin:
        if pin.state == "frozen" or pin.commit is None:
            return None
        return Wanted(pin.commit, "exact", "it is pinned")
    if facts.head:
        return Wanted(facts.head, facts.target.update, "it is the branch's tip")
    newest = _newest_asked(facts.runs)
    if newest is None:
        return None
    return Wanted(newest, facts.target.update, "it is the newest that was asked for")


def plan_target(facts: TargetFacts, *, now: datetime) -> TargetPlan:
    """What to do about one target."""
    wanted = wanted_of(facts, now=now)
    if wanted is None:
        pin = facts.pin
        held = str(pin) if pin and pin.holds(now) else "no commit is known yet"
        return TargetPlan(facts.target, None, held, _all_wait(facts, held))
    by_host = _runs_by_host(facts.runs)
    held = why_held(facts.runs, wanted.commit)
    if not held:
        case = _Case.of(facts, wanted, now)
        hosts = [_plan_host(host, by_host.get(host.instance_id, ()), case) for host in facts.hosts]
        return TargetPlan(facts.target, wanted, "", tuple(hosts))
    # A pin names its commit: no other one will do instead.
    good = None if wanted.is_exact else _last_good(facts.runs, wanted.commit, now)
    if good is None:
        return TargetPlan(facts.target, wanted, held, _all_wait(facts, held))
    case = _Case.of(facts, good, now)
    hosts = []
    for host in facts.hosts:
        runs = by_host.get(host.instance_id, ())
        if _is_new(runs, good):
            hosts.append(_plan_host(host, runs, case))
        else:
            hosts.append(HostPlan(host, _runs_at(runs), WAIT, held))
    return TargetPlan(facts.target, wanted, held, tuple(hosts))


def why_held(runs: Iterable[Run], commit: CommitSha) -> str:
    """Why reconciling must leave a commit alone: its newest roll-out was stopped. "" if not so.

    Reconciling goes on with the roll-out that a push or a person began: it can be stopped too, but
    what was stopped before it stays so.
    """
    since: list[Run] = []
    for run in sorted((one for one in runs if one.roll_out.commit == commit), key=_age):
        if run.roll_out.cause != "reconcile":
            since = []
        since.append(run)
    if any(run.command.is_cancelled for run in since):
        return f"the roll-out of {commit.short} was cancelled"
    if any(plain_status(one.details) == "terminated" for run in since for one in run.invocations):
        return f"the roll-out of {commit.short} was stopped by its failures"
    return ""


def _plan_host(host: Host, runs: HostRuns, case: _Case) -> HostPlan:
    at = _runs_at(runs)
    if not host.is_online:
        return HostPlan(host, at, WAIT, "it is offline")
    if any(not one.is_over and case.now <= run.command.expires for run, one in runs):
        return HostPlan(host, at, WAIT, "it is running a command")
    if _is_there(runs, case.wanted, trusts_asking=case.trusts_asking):
        return HostPlan(host, at, NOTHING, "it is there")
    not_yet = case.why_not_yet(host)
    if not_yet:
        return HostPlan(host, at, WAIT, not_yet)
    failed = _failed_attempt(runs, case.wanted)
    if failed:
        return _plan_after(host, at, failed, case)
    reason = f"it is at {at[:7]}" if at else "nothing is known of it"
    return HostPlan(host, at, SEND, reason, 1, case.wanted)


def _plan_after(host: Host, at: str, failed: tuple[int, str, datetime], case: _Case) -> HostPlan:
    attempts, words, ended = failed
    if attempts >= MAX_ATTEMPTS and words:
        reason = f"{attempts} attempts failed: {words}"
        return HostPlan(host, at, PARKED, reason, attempts, since=ended)
    due = ended + min(FIRST_BACKOFF * 2**attempts, LONGEST_BACKOFF)
    if case.now < due:
        reason = f"it failed, and is due again at {due:%H:%M} UTC"
        return HostPlan(host, at, WAIT, reason, attempts)
    # Beyond the last attempt only those go on that were not reached.
    attempt = min(attempts + 1, MAX_ATTEMPTS)
    reason = words or "it was not reached"
    return HostPlan(host, at, SEND, reason, attempt, case.wanted)


def _newest_asked(runs: Iterable[Run]) -> CommitSha | None:
    """The commit that was asked for last; not the one that was sent last.

    A redelivery asks for what its push asked for, when that was pushed. Reconciling asks for
    nothing: where a commit is known by it alone, what counts is when it first was.
    """
    pushed: dict[CommitSha, int] = {}
    found: dict[CommitSha, int] = {}
    for roll_out in (run.roll_out for run in runs):
        commit, issued = roll_out.commit, roll_out.issued
        if roll_out.update == "exact":
            continue
        if roll_out.cause == "reconcile":
            found[commit] = min(issued, found.get(commit, issued))
        else:
            told = roll_out.pushed_at
            asked = int(told.timestamp() * 1000) if told else issued
            pushed[commit] = max(asked, pushed.get(commit, asked))
    asked_at = found | pushed
    return max(asked_at, key=lambda commit: (asked_at[commit], commit.sha), default=None)


def _all_wait(facts: TargetFacts, why: str) -> tuple[HostPlan, ...]:
    by_host = _runs_by_host(facts.runs)
    return tuple(
        HostPlan(host, _runs_at(by_host.get(host.instance_id, ())), WAIT, why)
        for host in facts.hosts
    )


def _runs_by_host(runs: Iterable[Run]) -> Mapping[str, HostRuns]:
    """What was sent to each host, oldest first."""
    by_host: dict[str, list[tuple[Run, Invocation]]] = {}
    for run in sorted(runs, key=_age):
        for one in run.invocations:
            by_host.setdefault(one.instance_id, []).append((run, one))
    return by_host


def _newest_begun(runs: HostRuns) -> tuple[HostVerdict, RollOut] | None:
    """What the newest run that began on the host made of it."""
    for run, one in reversed(runs):
        if one.has_begun and one.is_over:
            return judge_host(one, run.roll_out), run.roll_out
    return None


def _runs_at(runs: HostRuns) -> str:
    """The commit that the host runs by its own word, "" if it is not known."""
    known = _newest_begun(runs)
    return known[0].upstream if known else ""


def _is_there(runs: HostRuns, wanted: Wanted, *, trusts_asking: bool) -> bool:
    """Whether the host has what is wanted, reached in the wanted way.

    A branch's tip holds every commit that was asked for before. So where nobody knows the tip, it
    is enough that the host was asked for this commit and is where it was led.
    """
    known = _newest_begun(runs)
    if known is None or known[0].kind not in {AT, OVERTAKEN}:
        return False
    verdict, roll_out = known
    if (roll_out.update == "exact") != wanted.is_exact:
        return False
    was_asked = trusts_asking and roll_out.commit == wanted.commit
    return was_asked or verdict.upstream == wanted.commit.sha


def _failed_attempt(runs: HostRuns, wanted: Wanted) -> tuple[int, str, datetime] | None:
    """The newest run, if it was for what is wanted and failed: its attempt, why, and when.

    The words are empty for a host that was not reached: it is tried on and on. Where it was asleep
    for a push, nothing was attempted yet. One that never said a word has failed too.
    """
    if not runs:
        return None
    run, one = runs[-1]
    roll_out, verdict = run.roll_out, judge_host(one, run.roll_out)
    if roll_out.commit != wanted.commit or (roll_out.update == "exact") != wanted.is_exact:
        return None
    if verdict.kind == FAILED or (verdict.kind == OFFLINE and roll_out.attempt):
        return roll_out.attempt, verdict.words, one.ended or run.command.requested
    if verdict.kind == RUNNING:
        return roll_out.attempt, "no answer in time", run.command.expires
    return None


def _is_new(runs: HostRuns, good: Wanted) -> bool:
    """Whether a host was never known to run anything, nor asked for more than what is good."""
    return all(
        run.roll_out.commit == good.commit and not judge_host(one, run.roll_out).upstream
        for run, one in runs
    )


def _last_good(runs: Iterable[Run], held: CommitSha, now: datetime) -> Wanted | None:
    """The newest commit before the held one that is on every host it was sent to."""
    verdicts = [
        judge(of_commit, now=now)
        for sha, of_commit in runs_by_commit(runs).items()
        if sha != held.sha
    ]
    good = [one.roll_out for one in verdicts if one.is_everywhere]
    if not good:
        return None
    newest = max(good, key=lambda roll_out: roll_out.issued)
    return Wanted(newest.commit, "exact", f"{held.short} is held; it is the last good one")


def _age(run: Run) -> tuple[int, datetime, str]:
    return run.roll_out.issued, run.command.requested, run.command.id
