"""Looks at targets with the operator's credentials, and the stage's token where there is one."""

from collections.abc import Callable, Sequence
from datetime import datetime

from chalicelib.core.decisions import DecisionLog
from chalicelib.core.targets import Target
from chalicelib.edges.github_api import GitHubApi
from chalicelib.status.checks import ChecksReader
from chalicelib.status.gates import GatesView
from chalicelib.status.overview import Standings, view_of
from chalicelib.status.overview import look_at as look_at_targets
from pulley.operator.stage.checkout import Here
from pulley.operator.stage.stage import Stage, StoredTargets


def look_at(  # noqa: PLR0913 - each is a fact of its own
    stage: Stage,
    stored: StoredTargets,
    targets: Sequence[Target],
    *,
    find_here: Callable[[], Here | None],
    journal: DecisionLog,
    now: datetime,
    without_pins: bool = False,
) -> Standings:
    """Read how the targets stand. `now` is aware. Raises RefusedError and UnavailableError.

    The stage's token is preferred to the operator's own, so that the operator sees what a round
    sees. `without_pins` ignores the targets' pins.
    """
    tokens = {repository: token or stage.own_token() for repository, token in stored.tokens.items()}
    checks = ChecksReader(GitHubApi(stage.settings.github_api))
    gates = GatesView(stage.reader(journal), stage.github, checks, stored.targets)
    view = view_of(gates, targets, tokens, find_here=find_here, now=now, without_pins=without_pins)
    return look_at_targets(view, targets, stored.problems)
