"""Decides a target's wanted commit, with the same answer for every caller."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.gates import DEPLOYMENT
from chalicelib.core.history import Look, RollOut, Run
from chalicelib.core.holds import Hold
from chalicelib.core.hosts import Host
from chalicelib.core.pins import FROZEN, Pin
from chalicelib.core.refs import CommitSha
from chalicelib.core.tags import TaggedCommit
from chalicelib.core.targets import TAGS, Target, stops_at_commit


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
        return stops_at_commit(self.update)


@dataclass(frozen=True)
class TargetFacts:
    """What is known of a target. `runs` are in any order; `head` is the branch's tip.

    If GitHub cannot tell the tip, `head` is None, and the commit requested last is wanted.
    `asked` are all roll-outs that were sent to the target; `runs` are those that were read.
    `beside` are runs of other targets in the same checkout; `looks` are checks of that checkout.
    `hold` is the stored hold. `commits` are the branch's newest, newest first, if the target has
    gates. `tags` are the highest ones that fit, the highest first, if it follows tags. `launching`
    are the ids of hosts that Auto Scaling holds out of service until they have their commit.
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
    launching: frozenset[str] = frozenset()


def wanted_of(facts: TargetFacts, *, now: datetime) -> Wanted | None:
    """The pin's commit, else the branch's tip, else the commit that was requested last.

    A target with gates, or one that follows tags, does not follow the tip: rounds request its
    commits.
    None if the target is frozen, or if no commit is known.
    """
    pin = facts.pin if facts.pin and facts.pin.holds(now) else None
    if pin:
        tag = tag_beside_pin(facts)
        if pin.state == FROZEN or pin.commit is None or (facts.target.tag and not tag):
            return None
        return Wanted(pin.commit, "exact", "it is pinned", tag=tag)
    if facts.target.tag:
        return _wanted_tag(facts)
    if facts.head and not facts.target.is_decided_by_rounds:
        return Wanted(facts.head, facts.target.update, "it is the branch's tip")
    newest = newest_asked(facts)
    if newest is None:
        return None
    reason = "it is the newest that was asked for"
    if facts.target.gates:
        reason = "it was sent last"
    if facts.target.gates.trigger == DEPLOYMENT:  # it may be older than others that were sent
        reason = "it was asked for last"
    return Wanted(newest, facts.target.sent_update, reason)


def _wanted_tag(facts: TargetFacts) -> Wanted | None:
    known = newest_tag(facts)
    if known is None:
        return None
    update = facts.target.sent_update
    return Wanted(known.commit, update, f"it is {known.tag}", tag=known.tag)


def newest_asked(facts: TargetFacts) -> CommitSha | None:
    """The commit that was requested last, by a push, a person or open gates; None without one."""
    newest = _newest_asked(_asked(facts))
    return newest.commit if newest else None


def pinned_last(facts: TargetFacts) -> CommitSha | None:
    """The commit that a pin's newest command had; None without one.

    After a pin of more than a month, Systems Manager remembers no other command.
    """
    exact = [one for one in _asked(facts) if one.is_exact]
    newest = max(exact, key=lambda one: one.issued, default=None)
    return newest.commit if newest else None


def newest_tag(facts: TargetFacts) -> TaggedCommit | None:
    """The tag that was requested last, with its commit; None without one.

    Only tags that still fit count: after the target got another pattern, any of its tags is new.
    """
    glob = facts.target.tag
    return _newest_asked(
        one for one in _asked(facts) if one.update in TAGS and glob and glob.fits(one.branch)
    )


def tag_sent_last(target: Target, asked: Iterable[RollOut]) -> str:
    """The name of the tag that fits and that was in the newest command, a pin's too; or "".

    The document needs such a name in every command, also where only the commit counts.
    """
    glob = target.tag
    of_tags = [one for one in asked if one.update in {*TAGS, "exact"}]
    fitting = [one for one in of_tags if glob and glob.fits(one.branch)]
    newest = max(fitting, key=lambda one: one.issued, default=None)
    return newest.branch if newest else ""


def tag_beside_pin(facts: TargetFacts) -> str:
    """A tag's name for a command to a pinned target; "" if none is known, or it needs none.

    A target that followed a branch before has sent no tag: then any tag that fits will do, or the
    name of that branch. The host takes only a commit that was deployed there.
    """
    if facts.target.tag is None:
        return ""
    asked = _asked(facts)
    newest = max(asked, key=lambda one: one.issued, default=None)
    names = [one.tag for one in facts.tags[:1]] + [newest.branch if newest else ""]
    return tag_sent_last(facts.target, asked) or next(filter(None, names), "")


def _asked(facts: TargetFacts) -> Sequence[RollOut]:
    return facts.asked or [run.roll_out for run in facts.runs]


def _newest_asked(roll_outs: Iterable[RollOut]) -> TaggedCommit | None:
    """The commit that a push or a person requested last, and its tag if it was sent with one.

    It may not be the commit sent last. A redelivery counts from the time of its push. A repair by a
    round requests nothing, so a commit with repairs alone counts from its first command.
    """
    pushed: dict[TaggedCommit, int] = {}
    found: dict[TaggedCommit, int] = {}
    for roll_out in roll_outs:
        tag = roll_out.branch if roll_out.update in TAGS else ""
        tagged, issued = TaggedCommit(tag, roll_out.commit), roll_out.issued
        if roll_out.is_exact:
            continue
        if roll_out.cause == "reconcile":
            found[tagged] = min(issued, found.get(tagged, issued))
        else:
            told = roll_out.pushed_at
            asked = int(told.timestamp() * 1000) if told else issued
            pushed[tagged] = max(asked, pushed.get(tagged, asked))
    asked_at = found | pushed
    return max(asked_at, key=lambda one: (asked_at[one], one.commit.sha, one.tag), default=None)
