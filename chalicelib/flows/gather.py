"""What a round of reconciling needs to know, read once a round and no further than needed.

Most targets are at rest, so their newest command says all there is to know of every host.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.history import Command, Invocation, RollOut, plain_status
from chalicelib.core.hosts import Host
from chalicelib.core.pins import Pin
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import Target
from chalicelib.core.verdicts import Run
from chalicelib.core.wanted import TargetFacts, Wanted, wanted_of, why_held

MAX_RUNS = 20  # of a target; of older ones, only what may hold what is wanted is looked into
MAX_COMMANDS = 20_000  # of a stage, that a round looks through
LISTED_WITHIN = timedelta(minutes=1)  # of its sending a command is listed, at the latest


class History(Protocol):
    """Run Command's memory. Every method raises RefusedError or UnavailableError."""

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


@dataclass
class Meanwhile:
    """What was sent since the history was read. `looked` is when that was last looked for."""

    source: History
    known: frozenset[str]  # command ids
    looked: datetime
    _targets: set[tuple[str, str]] = field(default_factory=set)

    def has_sent_to(self, target: Target, *, now: datetime) -> bool:
        """Whether there is a command to the target that the history has not."""
        sent = self.source.commands_since(self.looked - LISTED_WITHIN, MAX_COMMANDS)
        self.looked = now
        self._targets |= {
            (str(one.roll_out.repository), one.roll_out.target)
            for one in sent
            if one.roll_out and one.id not in self.known
        }
        return (str(target.repository), target.name) in self._targets


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
    waiting = {host.instance_id for host in hosts if host.is_online}
    loaded: list[Run] = []

    def facts(runs: Sequence[Run]) -> TargetFacts:
        roll_outs = tuple(roll_out for _, roll_out in sent)
        return TargetFacts(target, hosts, tuple(runs), head, pin, roll_outs)

    # What was asked for stands in the commands; what became of it is read one by one.
    asked = [Run(command, roll_out, ()) for command, roll_out in sent]
    wanted = wanted_of(facts(()), now=now)
    unread = asked[:MAX_RUNS] + [run for run in asked[MAX_RUNS:] if _may_hold(run, wanted)]
    # Whoever is running a command is to be left alone, however old that is.
    under_way = {
        run.command.id for run in asked if not run.command.is_over and now <= run.command.expires
    }
    unread += [run for run in asked[MAX_RUNS:] if run.command.id in under_way and run not in unread]
    of_wanted = {run.command.id for run in unread if _is_of(run, wanted)}

    def is_enough() -> bool:
        if not loaded or waiting:
            return False
        if wanted is None:  # held by a pin, or all that was sent so far was for pins
            return pin is not None and pin.holds(now)
        # Its newest roll-out says whether the commit is held; then an older one is wanted too.
        return (
            of_wanted <= {run.command.id for run in loaded}
            and under_way <= {run.command.id for run in loaded}
            and not why_held(loaded, wanted.commit)
        )

    for run in unread:
        if is_enough():
            break
        invocations = history.invocations(run.command.id)
        loaded.append(replace(run, invocations=invocations))
        waiting -= {one.instance_id for one in invocations if one.is_over and one.has_begun}
    return facts(loaded)


def _may_hold(run: Run, wanted: Wanted | None) -> bool:
    """Whether a run of the commit may have been stopped, or ends what an older one of it held."""
    may = run.roll_out.cause != "reconcile" or plain_status(run.command.details) != "success"
    return may and _is_of(run, wanted)


def _is_of(run: Run, wanted: Wanted | None) -> bool:
    return wanted is not None and run.roll_out.commit == wanted.commit
