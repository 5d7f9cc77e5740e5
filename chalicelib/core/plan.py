"""Plans what to do with each host of a target: nothing, send a command, wait, or park it.

Pure: the same facts give the same plan to a round, an operator and a page. A plan never
resumes a roll-out that was stopped or cancelled. It may send hosts back to the last good commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.core.attempts import FailedAttempt, HostRuns, failed_attempt, is_new, runs_by_host
from chalicelib.core.commands import DocumentPin, SendRequest, build_send_request
from chalicelib.core.history import Run
from chalicelib.core.holds import CANCELLED, Hold, find_hold
from chalicelib.core.hosts import Host
from chalicelib.core.observations import FAILED, OVERTAKEN, Observation, newest_observations
from chalicelib.core.recheck import due_for_recheck
from chalicelib.core.targets import MAX_IDS, TAG, Target
from chalicelib.core.wanted import TargetFacts, Wanted, wanted_of

NOTHING, SEND, WAIT, PARKED = "nothing", "send", "wait", "parked"


@dataclass(frozen=True)
class HostPlan:
    """The plan for a host: an action and its reason. `at` is the host's commit, "" if unknown.

    `wanted` is the commit for it, if known. `seen` is the time of its newest observation. `since`
    is when the last attempt on a parked host failed. A SEND with an `attempt` of 0 is a recheck.
    `set_aside` is a file whose local edit was set aside; only a person can merge it, so it is no
    reason to send a command. `failure` says why the newest run failed, or did not deploy `at` for
    this target. `failed` is the newest attempt to bring it to `wanted`, if that failed. `is_busy`:
    a command is under way for it, or may be.
    """

    host: Host
    at: str
    action: str
    reason: str
    attempt: int = 0
    wanted: Wanted | None = None
    since: datetime | None = None
    seen: datetime | None = None
    is_there: bool = False
    has_drifted: bool = False
    set_aside: str = ""
    failure: str = ""
    failed: FailedAttempt | None = None
    is_busy: bool = False


@dataclass(frozen=True)
class Send:
    """One command, to fifty hosts at most. `attempt` counts from 1; it is 0 for a recheck.

    `is_launch`: these hosts are being launched. The failure of one says nothing about the others,
    so it stops no command and holds no commit.
    """

    target: Target
    wanted: Wanted
    attempt: int
    instance_ids: tuple[str, ...]
    is_launch: bool = False

    def request(
        self, *, stage: str, issued: int, document_pin: DocumentPin | None, by: str = ""
    ) -> SendRequest:
        """The request to Systems Manager. `issued` is in epoch milliseconds."""
        return build_send_request(
            replace(self.target, max_errors="100%") if self.is_launch else self.target,
            stage=stage,
            commit=self.wanted.commit,
            issued=issued,
            cause="reconcile",
            update=self.wanted.update,
            instance_ids=self.instance_ids,
            attempt=self.attempt,
            document_pin=document_pin,
            by=by,
            tag=self.wanted.tag,
        )


@dataclass(frozen=True)
class TargetPlan:
    """The plan of a target. `hold` is the hold to store.

    `held`: why no round sends the wanted commit, or why none is wanted; else "". `launching` are
    the ids of its hosts that are being launched (core/launch_plan.py).
    """

    target: Target
    wanted: Wanted | None
    held: str
    hosts: tuple[HostPlan, ...]
    hold: Hold | None = None
    launching: frozenset[str] = frozenset()

    @property
    def sends(self) -> tuple[Send, ...]:
        """The commands to send; all may run at the same time.

        A commit that is on no host yet goes to at most fifty hosts first, in one command, because
        the target's limits (max_concurrency, max_errors) apply to each command separately.
        """
        groups: dict[tuple[bool, Wanted, int], list[str]] = {}
        for one in self.hosts:
            if one.action == SEND and one.wanted:
                key = one.host.instance_id in self.launching, one.wanted, one.attempt
                groups.setdefault(key, []).append(one.host.instance_id)
        sends = [
            Send(self.target, wanted, attempt, tuple(ids[start : start + MAX_IDS]), is_launch)
            for (is_launch, wanted, attempt), ids in groups.items()
            for start in range(0, len(ids), MAX_IDS)
        ]
        of_launches = [one for one in sends if one.is_launch]
        others = [one for one in sends if not one.is_launch]
        is_somewhere = any(one.is_there for one in self.hosts)
        return (*of_launches, *(others if is_somewhere else others[:1]))


@dataclass(frozen=True)
class Case:
    """The facts that all hosts of a target share in a plan.

    AWS lists the hosts of a command one after the other. `half_listed` has an entry for each
    running command of which AWS has not listed every host yet: the hosts listed so far. `busy` are
    the hosts that run a command. `is_rolling_out`: a roll-out of the wanted commit is running.
    `trusts_asking`: the branch's tip is not known, so a host that was sent the wanted commit, and
    ended at any commit, counts as there.
    """

    target: str
    wanted: Wanted
    now: datetime
    trusts_asking: bool
    half_listed: tuple[frozenset[str], ...]
    busy: frozenset[str]
    is_rolling_out: bool

    @classmethod
    def of(cls, facts: TargetFacts, wanted: Wanted, now: datetime) -> "Case":
        """The case of a target for a commit. `now` is aware."""
        under_way = [run for run in facts.runs if _is_under_way(run, now)]
        beside = [run for run in facts.beside if _is_under_way(run, now)]
        return cls(
            target=facts.target.name,
            wanted=wanted,
            now=now,
            trusts_asking=facts.head is None and not wanted.stops_at_commit,
            half_listed=tuple(
                frozenset(one.instance_id for one in run.invocations)
                for run in [*under_way, *beside]
                if len(run.invocations) < max(run.command.target_count, 1)
            ),
            busy=frozenset(
                one.instance_id
                for run in [*facts.runs, *facts.beside]
                if now <= run.command.expires
                for one in run.invocations
                if not one.is_over
            ),
            is_rolling_out=any(
                run.roll_out.commit == wanted.commit and not run.roll_out.is_recheck
                for run in under_way
            ),
        )

    def why_not_yet(self, host: Host) -> str:
        """Why a host that is behind has to wait for a later round; "" if it need not."""
        if any(host.instance_id not in listed for listed in self.half_listed):
            return "a command is under way, and may be for it"
        if self.is_rolling_out:
            # Its results are not known yet, and it may still be stopped.
            return f"a roll-out of {self.wanted.commit.short} is under way"
        return ""


def plan_target(facts: TargetFacts, *, now: datetime) -> TargetPlan:
    """Plan one target."""
    own = own_runs(facts)
    seen = newest_observations([*own, *facts.beside], facts.looks)
    wanted = wanted_of(facts, now=now)
    if wanted is None:
        pin = facts.pin
        held = str(pin) if pin and pin.holds(now) else _unknown(facts.target)
        return TargetPlan(facts.target, None, held, _all_wait(facts, seen, held), facts.hold)
    by_host = runs_by_host(own)
    hold = find_hold(facts.runs, facts.beside, wanted.commit, facts.hold)
    if hold is None:
        case = Case.of(facts, wanted, now)
        plans = [
            plan_host(host, by_host.get(host.instance_id, ()), seen.get(host.instance_id), case)
            for host in facts.hosts
        ]
        kept = facts.hold if wanted.is_exact else None  # this hold counts again when the pin ends
        return TargetPlan(facts.target, wanted, "", _with_rechecks(plans, facts, case), kept)
    held = str(hold)
    # A pin names its commit: no other commit may replace it.
    if hold.good is None or wanted.is_exact:
        return TargetPlan(facts.target, wanted, held, _all_wait(facts, seen, held), hold)
    reason = f"{wanted.commit.short} is held; it is the last good one"
    back = Wanted(hold.good, "exact", reason, is_way_back=True, tag=wanted.tag)
    case = Case.of(facts, back, now)
    hosts = []
    for host in facts.hosts:
        runs, known = by_host.get(host.instance_id, ()), seen.get(host.instance_id)
        if hold.kind == CANCELLED or is_new(runs, hold.good.sha):
            hosts.append(plan_host(host, runs, known, case))
        else:
            hosts.append(_host_plan(host, known, facts.target.name, WAIT, held))
    return TargetPlan(facts.target, wanted, held, tuple(hosts), hold)


def own_runs(facts: TargetFacts) -> Sequence[Run]:
    """The target's runs in its checkout. What ran in another one before says nothing about this."""
    return [run for run in facts.runs if run.roll_out.checkout == facts.target.checkout]


def _unknown(target: Target) -> str:
    if target.gates:
        return "no commit has passed the gates yet"
    return "no tag that fits was sent yet" if target.tag else "no commit is known yet"


def _host_plan(
    host: Host, known: Observation | None, target: str, action: str, reason: str
) -> HostPlan:
    if known is None:
        return HostPlan(host, "", action, reason)
    return HostPlan(
        host,
        known.commit,
        action,
        reason,
        seen=known.seen,
        has_drifted=known.has_drifted,
        set_aside=known.set_aside,
        failure=_failure(known, target),
    )


def _failure(known: Observation, target: str) -> str:
    if known.roll_out.target != target:
        return f"the target {known.roll_out.target} ran in its checkout"
    if known.verdict.kind == FAILED:
        return known.verdict.words
    if known.verdict.back_at:
        return "a newer commit failed there"
    if _claims_another(known):
        return f"it says that it runs {known.commit[:7]}, which was never sent"
    return ""


def _claims_another(known: Observation) -> bool:
    """Whether a host that had to go to one commit says that it runs another.

    The script never reports this. A host that lies could open the gate `after` of another target,
    for a commit that has not passed the gates of its own.
    """
    asked, said = known.roll_out, known.verdict
    stops = asked.stops_at_commit and asked.update != TAG  # a tag may have moved meanwhile
    is_other = said.kind == OVERTAKEN and not said.is_superseded and known.commit != ""
    return stops and is_other and known.commit != asked.commit.sha


def plan_host(host: Host, runs: HostRuns, known: Observation | None, case: Case) -> HostPlan:
    """Plan one host. `runs` are its own, oldest first; `known` is its newest observation."""
    is_there = known is not None and _is_there(known, case)
    made = replace(
        _host_plan(host, known, case.target, WAIT, ""), wanted=case.wanted, is_there=is_there
    )
    if not host.is_online:
        return replace(made, reason="it is offline")
    if host.instance_id in case.busy:
        return replace(made, reason="a command for it is under way", is_busy=True)
    if is_there:
        return replace(made, action=NOTHING, reason="it is there")
    not_yet = case.why_not_yet(host)
    if not_yet:
        return replace(made, reason=not_yet, is_busy=True)
    failed = failed_attempt(runs, case.wanted, knows_tip=not case.trusts_asking)
    if failed:
        return _plan_after(made, failed, case)
    return replace(made, action=SEND, reason=_where(known, case), attempt=1)


def _plan_after(made: HostPlan, failed: FailedAttempt, case: Case) -> HostPlan:
    made = replace(made, failed=failed)
    if failed.is_last:
        reason = f"{failed.attempts} attempts failed: {failed.words}"
        return replace(
            made, action=PARKED, reason=reason, attempt=failed.attempts, since=failed.ended
        )
    if case.now < failed.due:
        reason = f"it failed, and is tried again at {failed.due:%H:%M} UTC"
        return replace(made, reason=reason, attempt=failed.attempts)
    reason = failed.words or "it was not reached"
    return replace(made, action=SEND, reason=reason, attempt=failed.next_attempt)


def _with_rechecks(
    plans: Sequence[HostPlan], facts: TargetFacts, case: Case
) -> tuple[HostPlan, ...]:
    if case.is_rolling_out or case.half_listed:
        return tuple(plans)
    seen = {one.host.instance_id: one.seen for one in plans if one.action == NOTHING and one.seen}
    due = due_for_recheck(facts.target, seen, now=case.now)
    return tuple(
        replace(one, action=SEND, reason=f"last seen at {one.seen:%Y-%m-%d %H:%M} UTC")
        if one.host.instance_id in due
        else one
        for one in plans
    )


def _is_under_way(run: Run, now: datetime) -> bool:
    return not run.is_settled and now <= run.command.expires


def _all_wait(
    facts: TargetFacts, seen: Mapping[str, Observation], why: str
) -> tuple[HostPlan, ...]:
    name = facts.target.name
    return tuple(
        _host_plan(host, seen.get(host.instance_id), name, WAIT, why) for host in facts.hosts
    )


def _where(known: Observation | None, case: Case) -> str:
    if known is None:
        return "nothing is known of it"
    if known.has_drifted:
        return "it has drifted"
    if known.roll_out.target != case.target:
        return f"the target {known.roll_out.target} ran in its checkout"
    if known.commit:
        return f"it is at {known.commit[:7]}"
    kind = known.verdict.kind
    return "its last run failed" if kind == FAILED else f"its last run was {kind}"


def _is_there(known: Observation, case: Case) -> bool:
    """Whether the host has the wanted commit, reached by the wanted `update`.

    The branch's tip contains every commit that was sent before. So if the tip is not known, it is
    enough that this commit was sent to the host, and that the run ended at some commit.
    """
    wanted, asked = case.wanted, known.roll_out
    if asked.target != case.target:
        return False
    if wanted.is_way_back:
        return known.commit == wanted.commit.sha
    if known.verdict.back_at or asked.is_exact != wanted.is_exact:
        return False  # a rolled back host is not at the commit of its run
    was_asked = case.trusts_asking and asked.commit == wanted.commit and known.commit != ""
    return was_asked or known.commit == wanted.commit.sha
