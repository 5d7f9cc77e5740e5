"""What is to be done about each host of a target that is not where it is wanted.

Pure: the same facts give the same plan, for whoever asks: the schedule, an operator, a page. It
costs nothing where all is well, and never undoes what somebody stopped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from chalicelib.core.history import Invocation, RollOut
from chalicelib.core.hosts import Host
from chalicelib.core.targets import MAX_IDS, Target
from chalicelib.core.verdicts import (
    AT,
    FAILED,
    OFFLINE,
    OVERTAKEN,
    RUNNING,
    HostVerdict,
    Run,
    age,
    judge_host,
)
from chalicelib.core.wanted import TargetFacts, Wanted, last_good, wanted_of, why_held

FIRST_BACKOFF = timedelta(minutes=15)  # doubled with each attempt that failed
LONGEST_BACKOFF = timedelta(hours=4)
MAX_ATTEMPTS = 5  # of reconciling; a push or an operator may always try again

NOTHING, SEND, WAIT, PARKED = "nothing", "send", "wait", "parked"

HostRuns = Sequence[tuple[Run, Invocation]]  # of one host, oldest first


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
        """The commands that the plan asks for, all of which may run at once.

        A commit that is on no host yet goes to fifty hosts at first, however many are behind: each
        command keeps the target's limits for itself alone.
        """
        groups: dict[tuple[Wanted, int], list[str]] = {}
        for one in self.hosts:
            if one.action == SEND and one.wanted:
                groups.setdefault((one.wanted, one.attempt), []).append(one.host.instance_id)
        sends = tuple(
            Send(self.target, wanted, attempt, tuple(ids[start : start + MAX_IDS]))
            for (wanted, attempt), ids in groups.items()
            for start in range(0, len(ids), MAX_IDS)
        )
        is_somewhere = any(one.action == NOTHING for one in self.hosts)
        return sends if is_somewhere else sends[:1]


class _Failed(NamedTuple):
    """An attempt that failed. One that `may_pass` by itself is made again, on and on."""

    attempts: int
    words: str
    ended: datetime
    may_pass: bool = False


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
    good = None if wanted.is_exact else last_good(facts.runs, wanted.commit, facts.hosts, now)
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
    return HostPlan(host, at, SEND, _where(runs), 1, case.wanted)


def _plan_after(host: Host, at: str, failed: _Failed, case: _Case) -> HostPlan:
    attempts, words, ended, may_pass = failed
    if attempts >= MAX_ATTEMPTS and not may_pass:
        reason = f"{attempts} attempts failed: {words}"
        return HostPlan(host, at, PARKED, reason, attempts, since=ended)
    due = ended + min(FIRST_BACKOFF * 2**attempts, LONGEST_BACKOFF)
    if case.now < due:
        reason = f"it failed, and is due again at {due:%H:%M} UTC"
        return HostPlan(host, at, WAIT, reason, attempts)
    # Beyond the last attempt only those go on whose failure may pass by itself.
    attempt = min(attempts + 1, MAX_ATTEMPTS)
    reason = words or "it was not reached"
    return HostPlan(host, at, SEND, reason, attempt, case.wanted)


def _all_wait(facts: TargetFacts, why: str) -> tuple[HostPlan, ...]:
    by_host = _runs_by_host(facts.runs)
    return tuple(
        HostPlan(host, _runs_at(by_host.get(host.instance_id, ())), WAIT, why)
        for host in facts.hosts
    )


def _runs_by_host(runs: Iterable[Run]) -> Mapping[str, HostRuns]:
    """What was sent to each host, oldest first."""
    by_host: dict[str, list[tuple[Run, Invocation]]] = {}
    for run in sorted(runs, key=age):
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


def _where(runs: HostRuns) -> str:
    """Where a host is that is behind, in words."""
    known = _newest_begun(runs)
    if known is None:
        return "nothing is known of it"
    verdict = known[0]
    if verdict.upstream:
        return f"it is at {verdict.upstream[:7]}"
    return "its last run failed" if verdict.kind == FAILED else f"its last run was {verdict.kind}"


def _is_there(runs: HostRuns, wanted: Wanted, *, trusts_asking: bool) -> bool:
    """Whether the host has what is wanted, reached in the wanted way.

    A branch's tip holds every commit that was asked for before. So where nobody knows the tip, it
    is enough that the host was asked for this commit and is where it was led.
    """
    known = _newest_begun(runs)
    if known is None or known[0].kind not in {AT, OVERTAKEN}:
        return False
    verdict, roll_out = known
    if verdict.back_at or (roll_out.update == "exact") != wanted.is_exact:
        return False  # a host that went back is not where its run was to lead it
    was_asked = trusts_asking and roll_out.commit == wanted.commit and verdict.upstream != ""
    return was_asked or verdict.upstream == wanted.commit.sha


def _failed_attempt(runs: HostRuns, wanted: Wanted) -> _Failed | None:
    """The newest run, if it was for what is wanted and failed.

    Where a host was asleep for a push, nothing was attempted yet. One that never said a word has
    failed too.
    """
    if not runs:
        return None
    run, one = runs[-1]
    roll_out, verdict = run.roll_out, judge_host(one, run.roll_out)
    if roll_out.commit != wanted.commit or (roll_out.update == "exact") != wanted.is_exact:
        return None
    if verdict.back_at or (verdict.kind == OVERTAKEN and not verdict.upstream):
        # A newer commit of the branch was tried there, and the host went back.
        words = verdict.words if verdict.kind == FAILED else "a newer commit failed there"
        return _Failed(roll_out.attempt, words, one.ended or run.command.requested)
    if verdict.kind == FAILED or (verdict.kind == OFFLINE and roll_out.attempt):
        may_pass = verdict.may_pass or verdict.kind == OFFLINE
        ended = one.ended or run.command.requested
        return _Failed(roll_out.attempt, verdict.words, ended, may_pass=may_pass)
    if verdict.kind == RUNNING:
        return _Failed(roll_out.attempt, "no answer in time", run.command.expires)
    return None


def _is_new(runs: HostRuns, good: Wanted) -> bool:
    """Whether a host was never known to run anything, nor asked for more than what is good."""
    return all(
        run.roll_out.commit == good.commit and not judge_host(one, run.roll_out).upstream
        for run, one in runs
    )
