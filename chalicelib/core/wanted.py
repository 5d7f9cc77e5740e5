"""Decides a target's wanted commit, with the same answer for every caller."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.gates import DEPLOYMENT
from chalicelib.core.history import Look, RollOut, Run
from chalicelib.core.holds import Hold
from chalicelib.core.hosts import Host
from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha
from chalicelib.core.tags import TaggedCommit
from chalicelib.core.targets import TAG, TO_COMMIT, Target


@dataclass(frozen=True)
class Wanted:
    """The commit that a target is to have, and how a host gets there (the document's `Update`).

    `is_way_back`: this commit is wanted in place of a held one. A host that has it already stays as
    it is, by whichever `update` it got there. `tag` is the name of the commit's tag, for a target
    that follows tags.
    """

    commit: CommitSha
    update: str
    reason: str
    is_way_back: bool = False
    tag: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether it is the commit of a pin, or a good one in place of a held one."""
        return self.update == "exact"

    @property
    def stops_at_commit(self) -> bool:
        """Whether hosts go to this commit and not past it, by a pin or by gates."""
        return self.is_exact or self.update == TAG or self.update.endswith(TO_COMMIT)


@dataclass(frozen=True)
class TargetFacts:
    """What is known of a target. `runs` are in any order; `head` is the branch's tip.

    If GitHub cannot tell the tip, `head` is None, and the commit requested last is wanted.
    `asked` are all roll-outs that were sent to the target; `runs` are those that were read.
    `beside` are runs of other targets in the same checkout; `looks` are checks of that checkout.
    `hold` is the stored hold. `commits` are the branch's newest, newest first, if the target has
    gates. `tags` are the highest ones that fit, the highest first, if it follows tags.
    """

    target: Target
    hosts: Sequence[Host]
    runs: Sequence[Run]
    head: CommitSha | None = None
    pin: Pin | None = None
    asked: Sequence[RollOut] = ()
    beside: Sequence[Run] = ()
    looks: Sequence[Look] = ()
    hold: Hold | None = None
    commits: Sequence[CommitSha] = ()
    tags: Sequence[TaggedCommit] = ()


def wanted_of(facts: TargetFacts, *, now: datetime) -> Wanted | None:
    """The pin's commit, else the branch's tip, else the commit that was requested last.

    A target with gates does not follow the tip: its commits are requested when they pass the gates.
    None if the target is frozen, or if no commit is known.
    """
    pin = facts.pin if facts.pin and facts.pin.holds(now) else None
    if pin:
        if pin.state == "frozen" or pin.commit is None:
            return None
        tag = known.tag if (known := newest_tag(facts)) else ""
        return Wanted(pin.commit, "exact", "it is pinned", tag=tag)
    if facts.head and not facts.target.is_decided_by_rounds:
        return Wanted(facts.head, facts.target.update, "it is the branch's tip")
    newest = newest_asked(facts)
    if newest is None:
        return None
    if facts.target.tag:
        tag = known.tag if (known := newest_tag(facts)) else ""
        reason = f"it is {tag}"
    else:
        tag, reason = "", "it is the newest that was asked for"
    if facts.target.gates:
        reason = "it is the newest that passed the gates"
    if facts.target.gates.trigger == DEPLOYMENT:  # it may be older than others that were sent
        reason = "it was asked for last"
    return Wanted(newest, facts.target.sent_update, reason, tag=tag)


def newest_asked(facts: TargetFacts) -> CommitSha | None:
    """The commit that was requested last, by a push, a person or open gates; None without one."""
    return _newest_asked(facts.asked or [run.roll_out for run in facts.runs])


def newest_tag(facts: TargetFacts) -> TaggedCommit | None:
    """The tag that was requested last, with its commit; None without one."""
    asked = facts.asked or [run.roll_out for run in facts.runs]
    of_tags = [one for one in asked if one.update == TAG and one.branch]
    newest = max(of_tags, key=lambda one: one.issued, default=None)
    return TaggedCommit(newest.branch, newest.commit) if newest else None


def _newest_asked(roll_outs: Iterable[RollOut]) -> CommitSha | None:
    """The commit that a push or a person requested last. It may not be the commit sent last.

    A redelivery counts from the time of its push. A round requests nothing: a commit that only
    rounds have sent counts from its first command.
    """
    pushed: dict[CommitSha, int] = {}
    found: dict[CommitSha, int] = {}
    for roll_out in roll_outs:
        commit, issued = roll_out.commit, roll_out.issued
        if roll_out.is_exact:
            continue
        if roll_out.cause == "reconcile":
            found[commit] = min(issued, found.get(commit, issued))
        else:
            told = roll_out.pushed_at
            asked = int(told.timestamp() * 1000) if told else issued
            pushed[commit] = max(asked, pushed.get(commit, asked))
    asked_at = found | pushed
    return max(asked_at, key=lambda commit: (asked_at[commit], commit.sha), default=None)
