"""Observations: what one command saw on one host, in one checkout.

A host's state is its newest observation in the target's checkout, whichever target sent the
command. A host's result counts only for that host.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter

from chalicelib.core.history import (
    NEVER_BEGUN,
    NOT_DELIVERED,
    Invocation,
    Look,
    RollOut,
    Run,
    age,
    plain_status,
)
from chalicelib.core.results import OUTCOMES_AT_UPSTREAM, HostResult, ResultError, parse_result

AT, OVERTAKEN, OFFLINE, FAILED = "at", "overtaken", "offline", "failed"
NOT_BEGUN, CANCELLED, RUNNING, WAITING = "not begun", "cancelled", "running", "waiting"
UNDER_WAY = frozenset({RUNNING, WAITING})

# Outcomes of runs that ended before they changed anything (docs/host.md).
_PASSING = frozenset({"busy", "unreachable"})
_UNTOUCHED = frozenset({"busy", "unreachable", "missing_commit", "bad_parameter", "no_checkout"})
_SHA = re.compile("[0-9a-f]{40}")
# A file's name becomes a part of GitHub's line, so it must not look like another part.
_FILE = re.compile(r"[^\x00-\x1f;,()]{1,100}")
_SAVED = re.compile("refs/pulley/saved/[0-9A-Za-z-]{1,60}")


@dataclass(frozen=True)
class HostVerdict:
    """The verdict on a host. `words`: why it failed, the newer commit, or what was kept.

    `back_at` is the short commit that the host was rolled back to, if GitHub knows that commit.
    `upstream` is the branch's commit that the host reports to run. `touched_nothing`: the run
    failed before it changed anything. `may_pass`: the fault may pass by itself, for example while
    GitHub is away. `is_superseded`: a newer command ran first, successful or not. `set_aside` is a
    file whose local edit was set aside and not dropped since.
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
    is_superseded: bool = False
    set_aside: str = ""


@dataclass(frozen=True)
class Observation:
    """The state of one host after the newest run in a checkout.

    `roll_out` is what was sent, and for which target. `seen` (aware) is when the host last reported
    this state. `has_drifted`: a check found that somebody moved the checkout since. `set_aside` is
    a file whose local edit was set aside and not dropped since.
    """

    roll_out: RollOut
    seen: datetime
    verdict: HostVerdict
    has_drifted: bool = False
    set_aside: str = ""

    @property
    def commit(self) -> str:
        """The branch's commit that the host runs, in full; "" if not known."""
        return "" if self.has_drifted else self.verdict.upstream


def newest_observations(
    runs: Iterable[Run], looks: Iterable[Look] = (), *, with_commit: bool = False
) -> Mapping[str, Observation]:
    """Each host's newest observation in a checkout (`with_commit`: of a commit), by instance id."""
    found = _newest_of_runs(runs, with_commit=with_commit)
    news: dict[str, list[tuple[datetime, bool, Observation]]] = {}
    aside: dict[str, list[tuple[datetime, str]]] = {}
    for look in looks:
        for one in look.invocations:
            known = found.get(one.instance_id)
            result = _result_of(one)
            # Compare by AWS's clock: the operator's clock may be wrong.
            if result and known and known.seen <= look.check.requested:
                ended = look.check.ended_on(one)
                for after in _after_look(known, result, look, one):
                    news.setdefault(one.instance_id, []).append((ended, after.has_drifted, after))
                if _tells_of_aside(result):
                    told = ended, _file(result.set_aside)
                    aside.setdefault(one.instance_id, []).append(told)
    # Checks may overlap: the one that ended last counts, whichever was sent first.
    found |= {id_: max(seen, key=itemgetter(0, 1))[2] for id_, seen in news.items()}
    return found | {id_: replace(found[id_], set_aside=max(of)[1]) for id_, of in aside.items()}


def _newest_of_runs(runs: Iterable[Run], *, with_commit: bool) -> dict[str, Observation]:
    """Each host's newest observation by a run, by instance id.

    A host accepts two commands that were issued at the same time, in either order. Then the run
    that ended last counts.
    """
    found: dict[str, Observation] = {}
    for run in sorted(runs, key=lambda one: age(one.command), reverse=True):
        for one in run.invocations:
            if not one.has_answered:
                continue
            known, at = found.get(one.instance_id), run.command.ended_on(one)
            if known and (known.roll_out.issued != run.roll_out.issued or at <= known.seen):
                continue
            verdict = judge_host(one, run.roll_out)
            seen = Observation(run.roll_out, at, verdict, set_aside=verdict.set_aside)
            if seen.commit or not with_commit:
                found[one.instance_id] = seen
    return found


def _result_of(one: Invocation) -> HostResult | None:
    try:
        return parse_result(one.output)
    except ResultError:
        return None


def _tells_of_aside(result: HostResult) -> bool:
    """Whether the run looked for edits set aside.

    A run that lists saved refs does not, and no run of an older release does.
    """
    has_looked = result.found is not None and result.found.deployed is not None
    return has_looked or result.dropped is not None


def is_quiet(run: Run) -> bool:
    """Whether all hosts of a command were at its commit, and nothing was changed or kept."""
    verdicts = (judge_host(one, run.roll_out) for one in run.invocations)
    return run.is_settled and all(
        one.kind == AT and not one.updated and not one.words for one in verdicts
    )


def _after_look(
    known: Observation, result: HostResult, look: Look, one: Invocation
) -> Iterator[Observation]:
    """The observation after a check, if the check says something about the checkout.

    Another target's check does not look for drift, so it cannot show that there is none. A command
    that drops saved work does not look at the checkout at all.
    """
    found = result.found
    if found is None or found.deployed is None:  # the document of an older release
        return
    # After a failed run the host's commit is not known, so no other commit is a drift.
    has_moved = known.verdict.upstream not in {"", found.deployed}
    has_drifted = found.drift != "" or has_moved
    if not has_drifted and look.check.target != known.roll_out.target:
        return
    # A host that is behind its branch keeps the old time, so that a recheck comes: a round that
    # cannot ask GitHub for the tip does not learn in another way that the host is behind.
    is_well = known.roll_out.stops_at_commit or result.upstream == found.deployed
    seen = look.check.ended_on(one) if is_well or has_drifted else known.seen
    yield replace(known, seen=seen, has_drifted=has_drifted)


def judge_host(invocation: Invocation, roll_out: RollOut) -> HostVerdict:
    """Judge one host by its result line, or without one by AWS's status."""
    host, details = invocation.host, plain_status(invocation.details)
    if not invocation.is_over:
        return HostVerdict(host, WAITING if details in NOT_DELIVERED else RUNNING)
    if invocation.is_refused:
        return HostVerdict(host, FAILED, invocation.refusal, touched_nothing=True)
    try:
        result = parse_result(invocation.output)
    except ResultError as error:
        if details == "cancelled":
            return HostVerdict(host, CANCELLED, "while it ran" if invocation.has_begun else "")
        if details in NEVER_BEGUN:
            kind = NOT_BEGUN if details == "terminated" else OFFLINE
            why = NEVER_BEGUN[details]
            return HostVerdict(host, FAILED if why else kind, why)
        late = plain_status(invocation.status) == "timedout"
        words = f"stopped at its limit of {roll_out.timeout} s" if late else str(error)
        return HostVerdict(host, FAILED, words)
    return _judge_result(host, result, roll_out, invocation.ended)


def _judge_result(
    host: str, result: HostResult, roll_out: RollOut, ended: datetime | None
) -> HostVerdict:
    judged = HostVerdict(host, FAILED, ended=ended, set_aside=_file(result.set_aside))
    upstream = result.upstream if result.upstream and _SHA.fullmatch(result.upstream) else ""
    if result.target != roll_out.target:
        return replace(judged, words="its result is of another target")
    if result.is_at(roll_out.commit):
        return replace(
            judged,
            kind=AT,
            words=_kept(result),
            updated=result.outcome == "updated",
            upstream=roll_out.commit.sha,
        )
    if result.outcome in OUTCOMES_AT_UPSTREAM and not upstream:
        return replace(judged, words="its result names no commit")
    if result.outcome == "superseded" or result.outcome in OUTCOMES_AT_UPSTREAM:
        # If the newer command was for the same commit, name none: it did not overtake itself.
        newer = "" if upstream == roll_out.commit.sha else upstream[:7]
        is_superseded = result.outcome == "superseded"
        return replace(
            judged, kind=OVERTAKEN, words=newer, upstream=upstream, is_superseded=is_superseded
        )
    return _judge_failure(judged, result, roll_out, upstream)


def _judge_failure(
    judged: HostVerdict, result: HostResult, roll_out: RollOut, upstream: str
) -> HostVerdict:
    is_back = result.outcome == "rolled_back" and not result.local_commits
    back_at = result.after if is_back and result.after and _SHA.fullmatch(result.after) else ""
    if result.outcome == "rolled_back" and upstream not in {"", roll_out.commit.sha}:
        # The branch had moved on: the newer commit failed, not this one.
        if back_at == roll_out.commit.sha:
            return replace(judged, kind=AT, back_at=back_at[:7], upstream=back_at)
        return replace(judged, kind=OVERTAKEN, words=upstream[:7], is_superseded=True)
    return replace(
        judged,
        words=failure_words(result),
        back_at=back_at[:7],
        touched_nothing=result.outcome in _UNTOUCHED,
        may_pass=result.outcome in _PASSING,
    )


def _kept(result: HostResult) -> str:
    """Notes about a host at the commit. They are validated: a host may report anything."""
    notes = []
    if result.drift:
        notes.append("drifted, brought back")
    if result.steps_not_needed:
        notes.append("steps not needed")
    if result.set_aside:
        notes.append(f"{_file(result.set_aside)} set aside")
    if type(result.local_commits) is int and 0 < result.local_commits < 1_000_000:
        plural = "s" if result.local_commits > 1 else ""
        notes.append(f"{result.local_commits} local commit{plural} on top")
    if result.saved and _SAVED.fullmatch(result.saved):
        notes.append(f"kept {result.saved}")
    return ", ".join(notes)


def _file(name: str | None) -> str:
    """A file's name, or "a file" if the name must not be shown; "" without a name."""
    if not name:
        return ""
    return name if _FILE.fullmatch(name) else "a file"


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
