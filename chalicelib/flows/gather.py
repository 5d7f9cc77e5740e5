"""What a round of reconciling needs to know, read once a round and no further than needed.

Most targets are at rest, so their newest command says all there is to know of every host.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chalicelib.core.history import Command, Invocation, RollOut
from chalicelib.core.hosts import Host
from chalicelib.core.pins import Pin
from chalicelib.core.plan import TargetFacts, wanted_of, why_held
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.core.verdicts import Run

MAX_RUNS = 20  # of a target, that a round looks into


class History(Protocol):
    """Run Command's memory. Every method raises RefusedError or UnavailableError."""

    def command(self, command_id: str) -> Command | None:
        """One of this stage's document; None where it is not known."""

    def commands_since(self, since: datetime, limit: int) -> Sequence[Command]:
        """Those of this stage's document, newest first, so many at the most."""

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        """All of a command's."""


@dataclass(frozen=True)
class RoundHistory:
    """The history as it was when the round began; a command's invocations are read once."""

    source: History
    commands: Sequence[Command]
    _read: dict[str, tuple[Invocation, ...]] = field(default_factory=dict)

    def command(self, command_id: str) -> Command | None:
        """One of this stage's document; None where it is not known."""
        return next((one for one in self.commands if one.id == command_id), None)

    def commands_since(self, since: datetime) -> Sequence[Command]:
        """Those of this stage's document, newest first."""
        return [one for one in self.commands if one.requested >= since]

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        """All of a command's."""
        if command_id not in self._read:
            self._read[command_id] = self.source.invocations(command_id)
        return self._read[command_id]

    def by_target(self) -> dict[tuple[str, str], list[tuple[Command, RollOut]]]:
        """What was sent to each target (repository, name), the newest first."""
        sent: dict[tuple[str, str], list[tuple[Command, RollOut]]] = {}
        for command in self.commands:
            if command.roll_out:
                key = (str(command.roll_out.repository), command.roll_out.target)
                sent.setdefault(key, []).append((command, command.roll_out))
        for of_target in sent.values():
            of_target.sort(key=lambda one: one[1].issued, reverse=True)
        return sent


def gather_facts(  # noqa: PLR0913 - each is a fact of its own
    target: Target,
    *,
    hosts: Sequence[Host],
    sent: Sequence[tuple[Command, RollOut]],
    history: RoundHistory,
    head: CommitSha | None,
    pin: Pin | None,
    now: datetime,
) -> TargetFacts:
    """A target's facts, with as many of its runs (`sent`, newest first) as say enough."""
    sent = sent[:MAX_RUNS]
    waiting = {host.instance_id for host in hosts if host.is_online}
    loaded: list[Run] = []

    def facts() -> TargetFacts:
        return TargetFacts(target, hosts, tuple(loaded), head, pin)

    def is_enough() -> bool:
        if not loaded or waiting:
            return False
        wanted = wanted_of(facts(), now=now)
        if wanted is None:  # held by a pin, or all that was sent so far was for pins
            return pin is not None and pin.holds(now)
        # Its newest roll-out says whether the commit is held; then an older one is wanted too.
        is_known = all(
            _is_loaded(command, loaded) for command, of in sent if of.commit == wanted.commit
        )
        return is_known and not why_held(loaded, wanted.commit)

    for command, roll_out in sent:
        if is_enough():
            break
        run = Run(command, roll_out, history.invocations(command.id))
        loaded.append(run)
        waiting -= {one.instance_id for one in run.invocations if one.is_over and one.has_begun}
    return facts()


def _is_loaded(command: Command, loaded: Iterable[Run]) -> bool:
    return any(run.command.id == command.id for run in loaded)
