"""Choose the targets that an operator means, and the commit of a deploy. Nothing is sent here.

A deploy sends only the wanted commit: the next round would undo any other.
"""

from collections.abc import Sequence
from datetime import datetime

from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.gates import MANUAL
from chalicelib.core.refs import CommitSha
from chalicelib.core.tags import newer_tags
from chalicelib.core.targets import Target
from chalicelib.core.wanted import TargetFacts, Wanted, newest_asked, newest_tag, wanted_of
from pulley.operator.stage.checkout import Here
from pulley.operator.stage.stage import StoredTargets
from pulley.operator.suggest import Suggestion, suggest


class UnclearError(PulleyError):
    """No target was named, and there are several. The message has their names."""


class NotDeployableError(PulleyError):
    """A target cannot be deployed as it was asked. The message says why, and what to do."""


def choose_targets(
    stored: StoredTargets, name: str | None, here: Here | None
) -> tuple[Target, ...]:
    """The named target; else those that follow the current clone's branch; else the only one.

    Raises UnavailableError if there is no target, and UnclearError if there are several.
    """
    if name is not None:
        return (stored.named(name),)
    if not stored.targets:
        raise UnavailableError(
            stored.why_not_valid
            or f"there are no targets: {suggest('targets apply')} stores those of pulley.toml"
        )
    followers = followers_of(stored.targets, here)
    if followers:
        return followers
    if len(stored.targets) == 1:
        return stored.targets
    names = ", ".join(target.name for target in stored.targets)
    raise UnclearError(f"name a target: there is {names}. No target follows this folder's branch")


def followers_of(targets: Sequence[Target], here: Here | None) -> tuple[Target, ...]:
    """The targets that follow the repository and the branch of the current clone."""
    if here is None or here.branch is None:
        return ()
    where = (here.repository, here.branch)
    return tuple(target for target in targets if (target.repository, target.branch) == where)


def choose_commit(
    facts: TargetFacts, asked: CommitSha | None, *, now: datetime, skips_gates: bool = False
) -> Wanted:
    """The commit that a deploy brings to a target. Raises NotDeployableError.

    `asked` is the commit that the operator named. It must be the wanted one, or the next round
    would undo it; with `skips_gates`, it may be any newer commit of the branch. `now` is aware.
    """
    target, pin = facts.target, facts.pin
    unpin = suggest("unpin", target.name)
    wanted = wanted_of(facts, now=now)
    if pin and pin.holds(now):
        if wanted is None:
            raise NotDeployableError(
                f"{target.name} is {pin}. Nothing is deployed to it until `{unpin}`"
            )
        if asked and asked != wanted.commit:
            raise NotDeployableError(
                f"{target.name} is {pin}. To have {asked.short} there instead, "
                f"`{_pin(target, asked)}`; to follow its {target.line} again, `{unpin}`"
            )
        return wanted
    if target.is_decided_by_rounds:
        return _choose_behind_gates(facts, asked, wanted, skips_gates=skips_gates)
    if asked and facts.head and asked != facts.head:
        raise NotDeployableError(
            f"{asked.short} is not the tip of {target.branch}, which is {facts.head.short}: the "
            f"next push or round would undo it. `{_pin(target, asked)}` keeps a commit there; "
            f"`{suggest('rollback', target.name)}` goes back to the last good one"
        )
    if asked:
        why = wanted.reason if wanted and wanted.commit == asked else "you asked for it"
        return Wanted(asked, target.sent_update, why)
    if wanted is None:
        raise NotDeployableError(_unknown(target))
    return wanted


def _choose_behind_gates(
    facts: TargetFacts, asked: CommitSha | None, wanted: Wanted | None, *, skips_gates: bool
) -> Wanted:
    target, is_manual = facts.target, facts.target.gates.trigger == MANUAL
    if target.tag:
        return _choose_tag(facts, asked, wanted, may_be_newer=skips_gates or is_manual)
    if skips_gates or is_manual:
        commit = asked or facts.head
        if commit is None:
            raise NotDeployableError(_unknown(target))
        why = "you asked for it" if asked else "it is the branch's tip"
        return check_is_newer(facts, Wanted(commit, target.sent_update, why))
    if wanted and asked in {None, wanted.commit}:
        return wanted
    raise _not_passed(target, asked)


def _not_passed(target: Target, asked: CommitSha | None) -> NotDeployableError:
    what = f"{asked.short} has not" if asked else "no commit has"
    return NotDeployableError(
        f"{what} passed the gates of {target.name}: it waits for {target.waits_for}. "
        f"`{suggest('plan', target.name)}` shows their state; "
        f"`{suggest('deploy', target.name, '--now', '--reason', 'WHY')}` skips them"
    )


def _choose_tag(
    facts: TargetFacts, asked: CommitSha | None, wanted: Wanted | None, *, may_be_newer: bool
) -> Wanted:
    """The tag that was sent last; if it may be newer, the highest. Raises NotDeployableError.

    A named commit must have a tag that fits, and no round may undo it.
    """
    target, known = facts.target, newest_tag(facts)
    if wanted and (asked == wanted.commit if asked else not may_be_newer):
        return wanted
    if target.gates and not may_be_newer:
        raise _not_passed(target, asked)
    of_commit = [one for one in facts.tags if asked in {None, one.commit}]
    if not of_commit:
        what = f"{asked.short} has no tag" if asked else "there is no tag"
        raise NotDeployableError(
            f"{what} that fits among the highest that GitHub has of {target.line}"
            + (f". `{_pin(target, asked)}` keeps a commit there" if asked else "")
        )
    one, highest = of_commit[0], facts.tags[0]
    if known and one != known and one not in newer_tags(of_commit, known):
        raise NotDeployableError(
            f"{one.tag} is lower than {known.tag}, which {target.name} was sent. "
            f"`{_pin(target, one.commit)}` goes back, and keeps it there"
        )
    if one != highest and not may_be_newer:
        raise NotDeployableError(
            f"{one.tag} is not the highest: the next round sends {highest.tag}. "
            f"`{_pin(target, one.commit)}` keeps a commit there"
        )
    return Wanted(one.commit, target.sent_update, f"it is {one.tag}", tag=one.tag)


def check_is_newer(facts: TargetFacts, wanted: Wanted) -> Wanted:
    """The commit of a target with gates. Raises NotDeployableError if it is older, or not there."""
    commit, commits, known = wanted.commit, list(facts.commits), newest_asked(facts)
    if not commits or commit == known:
        return wanted
    if commit not in commits:
        raise NotDeployableError(
            f"{commit.short} is not among the newest {len(commits)} commits of "
            f"{facts.target.line}. `{_pin(facts.target, commit)}` brings it there, and keeps it"
        )
    if known in commits and commits.index(commit) > commits.index(known):
        raise NotDeployableError(
            f"{commit.short} is older than {known.short}, which {facts.target.name} was sent: the "
            f"next round could undo it. `{_pin(facts.target, commit)}` keeps it there"
        )
    return wanted


def _unknown(target: Target) -> str:
    return (
        f"no commit is known of {target.name} yet: push to its {target.line}, or stand in a "
        f"clone of {target.repository}, or name one with --commit"
    )


def _pin(target: Target, commit: CommitSha) -> Suggestion:
    return suggest("pin", target.name, commit.short, "--reason", "WHY")
