"""Reads a stage's targets at one time, for a round and for an operator.

Facts that targets share are read once. Commands are read newest first, and only until every host is
known: usually a target's last few commands are enough.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Protocol

from chalicelib.core.decisions import DecisionLog
from chalicelib.core.history import REMEMBERED, Check, Command, Invocation, age, issued_of
from chalicelib.core.holds import RoundState
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.refs import Repository
from chalicelib.core.stored import StoredPins, pin_of
from chalicelib.core.targets import Target
from chalicelib.core.wanted import TargetFacts
from chalicelib.flows.branches import Branches, GitHubRepository
from chalicelib.flows.deploy import Pins
from chalicelib.flows.target_runs import Runs, sent_beside
from chalicelib.flows.verdict import History

MAX_COMMANDS = 20_000  # how many of a stage's commands are listed
LISTED_WITHIN = timedelta(minutes=1)  # the longest time until AWS lists a command that was sent


class StoredParameters(Pins, Protocol):
    """The stage's parameters. Raises RefusedError or UnavailableError."""

    def state(self) -> RoundState:
        """The state that the last round stored."""


class Directory(Protocol):
    """The hosts that EC2 and Systems Manager know. Raises RefusedError or UnavailableError."""

    def hosts(self) -> Sequence[Host]:
        """The stage's hosts, offline ones too."""


@dataclass
class Snapshot:
    """The facts that were read at `now` (aware), and those that are read later, when needed."""

    now: datetime
    fleet: Fleet
    commands: Sequence[Command | Check]  # the newest first
    pins: StoredPins
    state: RoundState
    branches: Branches
    read: dict[str, tuple[Invocation, ...]] = field(default_factory=dict)  # by command id
    looked: datetime | None = None  # when newer commands were last listed
    sent_since: set[tuple[Repository, str]] = field(default_factory=set)  # to these targets
    # Each host that Auto Scaling holds out of service, by id, and its group. Only rounds know it.
    launching: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def issued(self) -> int:
        """The `issued` of the commands that this snapshot leads to, in epoch milliseconds.

        It is before the reading, so that a host prefers a command that was sent since; but after
        each command that was read, even if its sender's clock is fast.
        """
        newest = max((issued_of(one) for one in self.commands), default=0)
        return max(int(self.now.timestamp() * 1000), newest + 1)

    def sent_to(self, target: Target) -> Sequence[Command]:
        """The commands to a target, newest first."""
        return self._by_target.get((target.repository, target.name), ())

    @cached_property
    def known(self) -> frozenset[str]:
        """The ids of all commands."""
        return frozenset(one.id for one in self.commands)

    @cached_property
    def _by_target(self) -> Mapping[tuple[Repository, str], Sequence[Command]]:
        found: dict[tuple[Repository, str], list[Command]] = {}
        for one in self.commands:
            if isinstance(one, Command):
                key = one.roll_out.repository, one.roll_out.target
                found.setdefault(key, []).append(one)
        return found

    @cached_property
    def by_checkout(self) -> Mapping[str, Sequence[Command | Check]]:
        """The commands of all targets by the path of their checkout, newest first."""
        found: dict[str, list[Command | Check]] = {}
        for one in self.commands:
            checkout = one.roll_out.checkout if isinstance(one, Command) else one.checkout
            found.setdefault(checkout, []).append(one)
        return found


@dataclass(frozen=True)
class Reader:
    """Reads one stage. `github` takes a repository and its token."""

    stage: str
    stored: StoredParameters
    directory: Directory
    history: History
    github: Callable[[Repository, str], GitHubRepository]
    journal: DecisionLog

    def begin(
        self, targets: Sequence[Target], tokens: Mapping[Repository, str], *, now: datetime
    ) -> Snapshot:
        """Read what the targets share. Raises RefusedError and UnavailableError."""
        commands = self.history.commands_since(now - REMEMBERED, MAX_COMMANDS)
        return Snapshot(
            now=now,
            fleet=Fleet(self.directory.hosts(), self.stage),
            commands=sorted(commands, key=age, reverse=True),
            pins=self.stored.pins([target.name for target in targets]),
            state=self.stored.state(),
            branches=Branches(self.github, tokens, self.journal),
        )

    def facts(self, target: Target, snapshot: Snapshot) -> TargetFacts:
        """A target's facts. Raises RefusedError and UnavailableError."""
        hosts, sent = snapshot.fleet.of(target), snapshot.sent_to(target)
        commits = snapshot.branches.commits_of(target) if target.gates and target.branch else ()
        facts = TargetFacts(
            target=target,
            hosts=hosts,
            runs=(),
            head=commits[0] if commits else snapshot.branches.head_of(target),
            pin=pin_of(target, snapshot.pins),
            asked=tuple(one.roll_out for one in sent),
            hold=snapshot.state.holds.get(target.name),
            commits=commits,
            tags=snapshot.branches.tags_of(target),
            launching=frozenset(one.instance_id for one in hosts) & snapshot.launching.keys(),
        )
        beside = sent_beside(target, hosts, snapshot.by_checkout.get(target.checkout, ()))
        read = partial(self.invocations, snapshot=snapshot)
        return Runs(facts, sent, beside, snapshot.now, read).facts()

    def invocations(self, command: Command | Check, snapshot: Snapshot) -> tuple[Invocation, ...]:
        """All invocations of a command, read once."""
        if command.id not in snapshot.read:
            snapshot.read[command.id] = self.history.invocations(command.id)
        return snapshot.read[command.id]

    def has_sent_since(self, target: Target, snapshot: Snapshot, *, now: datetime) -> bool:
        """Whether the target got a command that is not in the snapshot."""
        since = (snapshot.looked or snapshot.now) - LISTED_WITHIN
        snapshot.sent_since |= {
            (one.roll_out.repository, one.roll_out.target)
            for one in self.history.commands_since(since, MAX_COMMANDS)
            if isinstance(one, Command) and one.id not in snapshot.known
        }
        snapshot.looked = now
        return (target.repository, target.name) in snapshot.sent_since
