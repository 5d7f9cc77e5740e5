"""Find out where a target's hosts go after its pin or freeze is taken off."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.decisions import DecisionLog
from chalicelib.core.history import age
from chalicelib.core.targets import Target
from chalicelib.status.overview import Standing
from pulley.operator.deploy.rollback import left_by_roll_backs
from pulley.operator.stage.checkout import Here
from pulley.operator.stage.stage import Stage, StoredTargets
from pulley.operator.status.look import look_at


@dataclass(frozen=True)
class AfterUnpin:
    """How the target stands without its pin. `is_left`: a roll back left the wanted commit."""

    standing: Standing
    is_left: bool


def look_past_pin(  # noqa: PLR0913 - each is a fact of its own
    stage: Stage,
    stored: StoredTargets,
    target: Target,
    *,
    find_here: Callable[[], Here | None],
    journal: DecisionLog,
    now: datetime,
) -> AfterUnpin:
    """Read the target as a round would without its pin. Raises RefusedError, UnavailableError."""
    seen = look_at(
        stage,
        stored,
        [target],
        find_here=find_here,
        journal=journal,
        now=now,
        without_pins=True,
    )
    for _, error in seen.failed:
        raise error
    (standing,) = seen.standings
    sent = sorted(seen.view.snapshot.sent_to(target), key=age)
    wanted = standing.plan.wanted
    left = left_by_roll_backs([one.roll_out for one in sent])
    return AfterUnpin(standing, is_left=wanted is not None and wanted.commit in left)
