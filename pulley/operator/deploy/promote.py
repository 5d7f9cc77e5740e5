"""Choose the commit of a promotion: what the targets before a target run. Nothing is sent here."""

from collections.abc import Sequence
from datetime import datetime

from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.core.waiting import forerunner_of
from chalicelib.core.wanted import Wanted
from chalicelib.status.overview import Standing
from pulley.operator.deploy.choose import NotDeployableError, check_is_newer
from pulley.operator.suggest import suggest


def names_before(target: Target, named: str | None) -> tuple[str, ...]:
    """The targets whose commit a target gets. Raises NotDeployableError."""
    if not target.gates:
        raise NotDeployableError(
            f"{target.name} has no gates: it follows its {target.line} by itself"
        )
    if target.tag:
        raise NotDeployableError(
            f"{target.name} follows tags: `{suggest('deploy', target.name)}` sends one"
        )
    names = (named,) if named else target.gates.after
    if not names:
        raise NotDeployableError(
            f"{target.name} waits for no target (`after`): name one with --from"
        )
    return names


def choose_promotion(standing: Standing, before: Sequence[Standing], *, now: datetime) -> Wanted:
    """The commit that all of `before` run. Raises NotDeployableError. `now` is aware."""
    commits = set()
    for one in before:
        forerunner = forerunner_of(one.plan)
        if one.target.repository != standing.target.repository:
            raise NotDeployableError(f"{one.target.name} has another repository")
        if not forerunner.commit:
            raise NotDeployableError(f"{one.target.name} is not well: {forerunner.why_not}")
        commits.add(forerunner.commit)
    names = " and ".join(one.target.name for one in before)
    if len(commits) > 1:
        raise NotDeployableError(f"{names} do not run the same commit")
    pin = standing.facts.pin
    if pin and pin.holds(now):
        raise NotDeployableError(f"{standing.target.name} is {pin}")
    why = f"it is what {names} runs" if len(before) == 1 else f"it is what {names} run"
    commit = CommitSha(commits.pop())
    return check_is_newer(standing.facts, Wanted(commit, standing.target.sent_update, why))
