"""Reads what a target's gates need: the commits that are newer, and the targets before it."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from chalicelib.core.gates import DEPLOYMENT
from chalicelib.core.history import Command, Run, plain_status
from chalicelib.core.plan import plan_target
from chalicelib.core.refs import CommitSha
from chalicelib.core.tags import TaggedCommit, newer_tags
from chalicelib.core.targets import Target
from chalicelib.core.waiting import (
    CLOSED,
    OPEN,
    Forerunner,
    Gate,
    Waiting,
    forerunner_of,
    judge_gates,
    newer_than,
    settled_by,
    well_since,
)
from chalicelib.core.wanted import TargetFacts, newest_asked, newest_tag, pinned_last, tag_sent_last
from chalicelib.flows.requested import Requests, read_request
from chalicelib.flows.snapshot import Reader, Snapshot
from chalicelib.flows.target_runs import MAX_READ


class Ancestry(Protocol):
    """A repository on GitHub. Raises NotTakenError or UnavailableError."""

    def merge_base(self, one: CommitSha, other: CommitSha) -> CommitSha | None:
        """The newest commit that both have in their history; None if GitHub knows none."""


class GateRepository(Ancestry, Requests, Protocol):
    """A repository on GitHub. Every method raises NotTakenError or UnavailableError."""


@dataclass(frozen=True)
class GateReader:
    """Reads for one stage.

    `pause` sleeps for so many seconds. A round has it, to wait for GitHub's first status of a new
    request. Who only shows what waits has none.
    """

    reader: Reader
    pause: Callable[[float], None] | None = None

    def waiting(
        self,
        facts: TargetFacts,
        github: GateRepository,
        snapshot: Snapshot,
        targets: Sequence[Target],
    ) -> Sequence[Waiting]:
        """The commits that are newer than what the target was sent, newest first, with its gates.

        With `trigger = "deployment"` it is the commit that was asked for, which may be older. All
        gates but `checks`. `targets` are all targets of the stage. Empty if the target is pinned.
        Raises RefusedError and UnavailableError, and NotTakenError if GitHub refuses.
        """
        pin = facts.pin
        if pin and pin.holds(snapshot.now):
            return []
        if facts.target.gates.trigger == DEPLOYMENT:
            return self._requested(facts, github, snapshot, targets)
        if facts.target.tag:
            newer = newer_tags_of(facts)
        else:
            newer = [TaggedCommit("", one) for one in newer_commits(facts, github)]
        forerunners = self._forerunners(facts.target, snapshot, targets) if newer else {}
        judge = partial(judge_gates, facts.target, forerunners=forerunners, now=snapshot.now)
        return [replace(judge(one.commit), tag=one.tag) for one in newer]

    def _requested(
        self,
        facts: TargetFacts,
        github: Requests,
        snapshot: Snapshot,
        targets: Sequence[Target],
    ) -> Sequence[Waiting]:
        target, found = facts.target, read_request(github, facts.target, snapshot, self.pause)
        if found is None:
            return []
        request, gate = found
        commit = CommitSha(request.commit)
        tag = next((one.tag for one in facts.tags if one.commit == commit), "")
        if target.tag and not tag and gate.state == OPEN:
            words = f"waits until {commit.short} has a tag that the target follows"
            gate = Gate(gate.name, CLOSED, words)
        forerunners = self._forerunners(target, snapshot, targets)
        judged = judge_gates(target, commit, forerunners, now=snapshot.now, request=gate)
        return [replace(judged, deployment=request, tag=tag)]

    def _forerunners(
        self, target: Target, snapshot: Snapshot, targets: Sequence[Target]
    ) -> Mapping[str, Forerunner]:
        found = {}
        for other in targets:
            if other.repository != target.repository or other.name not in target.gates.after:
                continue
            plan = plan_target(self.reader.facts(other, snapshot), now=snapshot.now)
            forerunner = forerunner_of(plan)
            if forerunner.commit and target.gates.soak:
                hosts = [one.host.instance_id for one in plan.hosts if one.host.is_online]
                runs = self._runs_since(forerunner.commit, hosts, other, snapshot)
                since = well_since(runs, forerunner.commit, hosts)
                forerunner = replace(forerunner, since=since)
            found[other.name] = forerunner
        return found

    def _runs_since(
        self, commit: str, hosts: Collection[str], target: Target, snapshot: Snapshot
    ) -> Sequence[Run]:
        """The target's runs since these hosts (instance ids) got to the commit (a full SHA).

        Rechecks of the commit that succeeded changed nothing, and there are many. So they are read
        only for a host that no other run tells of, the oldest first.
        """
        quiet: list[Command] = []
        runs: list[Run] = []
        left, unseen = set(hosts), set(hosts)
        for command in snapshot.sent_to(target):
            if not left or len(runs) == MAX_READ:
                break
            roll_out = command.roll_out
            is_recheck = roll_out.is_recheck and roll_out.commit.sha == commit
            if is_recheck and plain_status(command.status) == "success":
                quiet.append(command)
                continue
            runs.append(Run(command, self.reader.invocations(command, snapshot)))
            left -= settled_by(runs[-1], commit)
            unseen -= _ended_on(runs[-1])
        for command in quiet[: -MAX_READ - 1 : -1]:
            if not unseen:
                break
            runs.append(Run(command, self.reader.invocations(command, snapshot)))
            unseen -= _ended_on(runs[-1])
        return runs


def _ended_on(run: Run) -> frozenset[str]:
    return frozenset(one.instance_id for one in run.invocations if one.has_answered)


def newer_tags_of(facts: TargetFacts) -> Sequence[TaggedCommit]:
    """The tags that are newer than the tag that the target was sent, the highest first.

    If only a pin's commands are remembered, they name that tag, and it counts as well: a pin goes
    to its own commit, whichever tag its commands name.
    """
    known, name = newest_tag(facts), tag_sent_last(facts.target, facts.asked)
    if known or not name:
        return newer_tags(facts.tags, known)
    return [
        one
        for one in facts.tags
        if one.tag == name or newer_tags([one], TaggedCommit(name, one.commit))
    ]


def newer_commits(facts: TargetFacts, github: Ancestry) -> Sequence[CommitSha]:
    """The branch's commits that are newer than what the target was sent, newest first.

    After a force push these are the commits since the two lines parted. If GitHub does not know the
    target's commit any more, only the tip is newer for certain. If only commands of a pin are
    remembered, the pinned commit is itself a candidate: the pin sent it without asking the gates,
    so it must still pass them.
    """
    known, commits = newest_asked(facts), facts.commits
    if not commits:
        return []
    if known is None:
        known = pinned_last(facts)
        if known and known in commits:
            return [*newer_than(commits, known), known]
    if known is None or known in commits:
        return newer_than(commits, known)
    base = github.merge_base(known, commits[0])
    if base is None:
        return commits[:1]
    if base in commits:
        return newer_than(commits, base)
    # The base is further back than the listed commits; or a merge had it as its second parent, and
    # then the first parents lead past it, to commits that are older.
    lacking = bisect_left(
        commits, x=True, lo=1, key=lambda one: github.merge_base(base, one) != base
    )
    return commits[:lacking]
