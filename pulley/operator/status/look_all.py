"""Read how the targets of several stages stand, all stages at the same time.

A stage that cannot be read does not hide the others.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chalicelib.core.decisions import Decision
from chalicelib.core.errors import PulleyError
from chalicelib.status.outputs import Outputs
from chalicelib.status.overview import Standings
from chalicelib.status.state import state_of
from pulley.operator.stage.checkout import find_here
from pulley.operator.stage.stage import Stage, read_targets, utc_now
from pulley.operator.status.look import look_at
from pulley.operator.status.stages_file import Place
from pulley.operator.suggest import acting_at, options_of, suggest

AT_ONCE = 16  # threads; each waits for AWS most of the time


@dataclass(frozen=True)
class Seen:
    """What was read at a place. `error` says why it could not be; then there are no standings.

    `status` is the command that shows this stage alone. `decisions` are what it was told meanwhile.
    `state` is the JSON document of `pulley status`, if it was asked for.
    """

    place: Place
    status: str
    decisions: Sequence[Decision] = ()
    standings: Standings | None = None
    state: Mapping[str, object] | None = None
    error: str = ""


class _Kept(list[Decision]):
    """A journal that keeps what it is told: threads must not print between each other's lines."""

    def note(self, decision: Decision) -> None:
        """Keep a decision."""
        self.append(decision)


def look_at_all(places: Sequence[Place], *, with_state: bool) -> tuple[Seen, ...]:
    """Read every place, and return what was seen, in their order. Raises no error of a place."""
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(places))) as threads:
        return tuple(threads.map(lambda one: _look(one, with_state=with_state), places))


def _look(place: Place, *, with_state: bool) -> Seen:
    journal = _Kept()
    options = options_of(
        place.stage, profile=place.profile, region=place.region, environ=os.environ
    )
    with acting_at(options):
        status = str(suggest("status"))
        try:
            stage = Stage(place.stage, profile=place.profile, region=place.region)
            stored = read_targets(stage)
            seen = look_at(
                stage, stored, stored.targets, find_here=find_here, journal=journal, now=utc_now()
            )
            state = None
            if with_state:
                outputs = Outputs(stage.outputs)
                state = state_of(seen, stage.surroundings, stage.subjects, outputs)
        except PulleyError as error:
            return Seen(place, status, journal, error=error.in_full)
        return Seen(place, status, journal, seen, state)
