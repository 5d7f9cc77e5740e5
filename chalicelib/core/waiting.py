"""Judges a target's gates for a commit: which are open, and what the others wait for.

Pure: a round, an operator and a page get the same answer from the same facts. A gate of which
nothing is known does not count as open.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chalicelib.core.deployments import Deployment
from chalicelib.core.gates import DEPLOYMENT, MANUAL, Gates
from chalicelib.core.history import Run, age
from chalicelib.core.observations import HostVerdict, judge_host
from chalicelib.core.plan import PARKED, TargetPlan
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.core.windows import next_opening

OPEN, CLOSED, UNKNOWN = "open", "closed", "unknown"


@dataclass(frozen=True)
class Gate:
    """A gate's state for a commit, and its reason. `name` is the key of the target that has it."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True)
class Forerunner:
    """A target that another one waits for (`after`).

    `commit` is the full SHA that all its online hosts run, "" if they do not; then `why_not` says
    why. `since` (aware) is when the last of them got there, if that is known.
    """

    name: str
    commit: str = ""
    since: datetime | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Waiting:
    """A commit that a target could get, its tag if it has one, and all of the target's gates.

    `deployment` is somebody else's deployment on GitHub that asks for it, if one does.
    """

    commit: CommitSha
    gates: tuple[Gate, ...]
    deployment: Deployment | None = None
    tag: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the commit may go out."""
        return all(one.state == OPEN for one in self.gates)

    def __str__(self) -> str:
        """What it waits for, for people."""
        return "; ".join(one.reason for one in self.gates if one.state != OPEN)


def newer_than(commits: Sequence[CommitSha], known: CommitSha | None) -> Sequence[CommitSha]:
    """Those of the commits that are newer than the known one; all if it is None or not among them.

    The commits are newest first.
    """
    if known is None or known not in commits:
        return commits
    return commits[: list(commits).index(known)]


def judge_gates(
    target: Target,
    commit: CommitSha,
    forerunners: Mapping[str, Forerunner],
    *,
    now: datetime,
    request: Gate | None = None,
) -> Waiting:
    """Judge every gate but `checks`, which GitHub judges. `now` is aware.

    `request` is the gate `trigger` as core/requested.py judged it.
    """
    gates = target.gates
    found = []
    if gates.trigger == MANUAL:
        found.append(Gate("trigger", CLOSED, "waits for pulley deploy"))
    if gates.trigger == DEPLOYMENT:
        none = Gate("trigger", CLOSED, f"waits for a deployment to {target.environment} on GitHub")
        found.append(request or none)
    if gates.windows:
        opening = next_opening(gates.windows, now)
        if opening is None:
            found.append(Gate("window", OPEN, "its window is open"))
        else:
            when = f"{opening:%a %Y-%m-%d %H:%M %Z}"
            found.append(Gate("window", CLOSED, f"waits for its window, which opens {when}"))
    for name in gates.after:
        before = forerunners.get(name, Forerunner(name, why_not="it could not be read"))
        found.append(_judge_forerunner(before, commit, gates.soak_time, now))
    return Waiting(commit, tuple(found))


def _judge_forerunner(
    before: Forerunner, commit: CommitSha, soak: timedelta, now: datetime
) -> Gate:
    if not before.commit:
        return Gate("after", CLOSED, f"waits for {before.name}: {before.why_not}")
    if before.commit != commit.sha:
        return Gate("after", CLOSED, f"waits for {before.name}, which is at {before.commit[:7]}")
    well = Gate("after", OPEN, f"{before.name} is well")
    if not soak:
        return well
    if before.since is None:
        return Gate("after", UNKNOWN, f"{before.name} is well, but since when is not known")
    if now - before.since >= soak:
        return well
    minutes = int(soak.total_seconds()) // 60
    # The same words until the gate opens: GitHub is told only what is new.
    since = f"{before.since.astimezone(UTC):%H:%M} UTC"
    words = f"waits until {before.name} has been well for {minutes} min, since {since}"
    return Gate("after", CLOSED, words)


def checks_gate(gates: Gates, state: str, reason: str = "") -> Gate:
    """The gate `checks` in this state; the reason is GitHub's."""
    if state == OPEN:
        return Gate("checks", OPEN, f"{gates.named_checks}: green")
    return Gate("checks", state, f"waits for {reason or gates.named_checks}")


def no_check_yet(gates: Gates) -> Gate:
    """The gate `checks = true` of a commit without any check, which GitHub calls green."""
    return checks_gate(gates, CLOSED, f"{gates.named_checks}: none was reported yet")


def forerunner_of(plan: TargetPlan) -> Forerunner:
    """How a target stands that another one waits for, without `since`: see `well_since`.

    It is well at a commit if it has deployed that commit to all its online hosts, by their newest
    observations. A host whose last run failed counts as not well, although it went back.
    """
    name = plan.target.name
    online = [one for one in plan.hosts if one.host.is_online]
    if not online:
        return Forerunner(name, why_not="it has no host online")
    parked = [one for one in online if one.action == PARKED]
    if parked:
        return Forerunner(name, why_not=f"{parked[0].host.name}: {parked[0].reason}")
    for one in online:
        if not one.at or one.failure:  # one that has drifted has no commit
            return Forerunner(name, why_not=f"{one.host.name}: {one.failure or one.reason}")
    commits = {one.at for one in online}
    if len(commits) > 1:
        return Forerunner(name, why_not="its hosts do not all run one commit")
    return Forerunner(name, commit=commits.pop())


def well_since(runs: Sequence[Run], commit: str, hosts: Collection[str]) -> datetime | None:
    """When the last of these hosts (instance ids) got to the commit (a full SHA) to stay there.

    `runs` are those of the target since then, at least; they may be of other commits, because a
    host may report a newer commit than it was sent. None if a host has no such run.
    """
    since: dict[str, datetime] = {}
    for run in sorted(runs, key=lambda one: age(one.command)):
        for one in run.invocations:
            if not one.has_answered:
                continue
            verdict = judge_host(one, run.roll_out)
            if not _is_well_at(commit, verdict):
                since.pop(one.instance_id, None)
            elif verdict.updated or one.instance_id not in since:
                since[one.instance_id] = run.command.ended_on(one).astimezone(UTC)
    known = [since[one] for one in hosts if one in since]
    return max(known) if known and len(known) == len(hosts) else None


def settled_by(run: Run, commit: str) -> frozenset[str]:
    """The hosts (instance ids) for which no older run has to be read.

    This run brought them to the commit, or they were not well at it after this run.
    """
    judged = {
        one.instance_id: judge_host(one, run.roll_out)
        for one in run.invocations
        if one.has_answered
    }
    return frozenset(
        instance_id
        for instance_id, verdict in judged.items()
        if verdict.updated or not _is_well_at(commit, verdict)
    )


def _is_well_at(commit: str, verdict: HostVerdict) -> bool:
    return verdict.upstream == commit and not verdict.back_at
