"""What is known of a stage's targets at one time: for a round of the schedule, and for an operator.

What targets share is read once; what became of commands, newest first and no further than needed:
at rest, a target's last few commands say all there is to know of every host.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Protocol

from chalicelib.core.decisions import Decision, DecisionLog
from chalicelib.core.errors import NotTakenError, PulleyError, UnavailableError
from chalicelib.core.history import REMEMBERED, Check, Command, Invocation, age, issued_of
from chalicelib.core.holds import RoundState
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.refs import Branch, CommitSha, Repository
from chalicelib.core.stored import StoredPins, pin_of
from chalicelib.core.targets import Target
from chalicelib.core.wanted import TargetFacts
from chalicelib.core.webhook import FailedDelivery
from chalicelib.flows.deploy import Pins
from chalicelib.flows.target_runs import Runs, sent_beside
from chalicelib.flows.verdict import History

MAX_COMMANDS = 20_000  # of a stage, that are listed
LISTED_WITHIN = timedelta(minutes=1)  # of its sending a command is listed, at the latest


class StoredParameters(Pins, Protocol):
    """What is stored. Raises RefusedError or UnavailableError."""

    def state(self) -> RoundState:
        """What the round before left."""


class Directory(Protocol):
    """EC2's and Systems Manager's. Raises RefusedError or UnavailableError."""

    def hosts(self) -> Sequence[Host]:
        """The stage's, asleep ones too."""


class GitHubRepository(Protocol):
    """A repository on GitHub. Every method raises NotTakenError or UnavailableError."""

    def head(self, branch: Branch) -> CommitSha | None:
        """The branch's tip; None where there is no such branch."""

    def failed_deliveries(self, since: datetime) -> Sequence[FailedDelivery]:
        """What its webhooks did not take since then (aware)."""


@dataclass
class Snapshot:
    """What was read at the beginning, which was at `now` (aware), and what is added as needed."""

    now: datetime
    fleet: Fleet
    commands: Sequence[Command | Check]  # the newest first
    pins: StoredPins
    state: RoundState
    tokens: Mapping[Repository, str] = field(repr=False)
    heads: dict[tuple[Repository, Branch], CommitSha | None] = field(default_factory=dict)
    read: dict[str, tuple[Invocation, ...]] = field(default_factory=dict)  # by command id
    looked: datetime | None = None  # when commands that were sent since were last looked for
    sent_since: set[tuple[Repository, str]] = field(default_factory=set)  # to these targets

    @cached_property
    def issued(self) -> int:
        """When what this snapshot leads to is issued, in epoch milliseconds.

        Before anything was read: a host prefers a command that was sent since. But after each
        command that was known then, although its sender's clock may be fast.
        """
        newest = max((issued_of(one) for one in self.commands), default=0)
        return max(int(self.now.timestamp() * 1000), newest + 1)

    def sent_to(self, target: Target) -> Sequence[Command]:
        """What was sent to a target, the newest first."""
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
        """What was sent to any target in a checkout of a path, the newest first."""
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
            tokens={repository: token for repository, token in tokens.items() if token},
        )

    def facts(self, target: Target, snapshot: Snapshot) -> TargetFacts:
        """A target's facts. Raises RefusedError and UnavailableError."""
        hosts, sent = snapshot.fleet.of(target), snapshot.sent_to(target)
        facts = TargetFacts(
            target=target,
            hosts=hosts,
            runs=(),
            head=self._head(target, snapshot),
            pin=pin_of(target, snapshot.pins),
            asked=tuple(one.roll_out for one in sent),
            hold=snapshot.state.holds.get(target.name),
        )
        beside = sent_beside(target, hosts, snapshot.by_checkout.get(target.checkout, ()))
        read = partial(self.invocations, snapshot=snapshot)
        return Runs(facts, sent, beside, snapshot.now, read).facts()

    def invocations(self, command: Command | Check, snapshot: Snapshot) -> tuple[Invocation, ...]:
        """All of a command's, read once."""
        if command.id not in snapshot.read:
            snapshot.read[command.id] = self.history.invocations(command.id)
        return snapshot.read[command.id]

    def has_sent_since(self, target: Target, snapshot: Snapshot, *, now: datetime) -> bool:
        """Whether there is a command to the target that the snapshot has not."""
        since = (snapshot.looked or snapshot.now) - LISTED_WITHIN
        snapshot.sent_since |= {
            (one.roll_out.repository, one.roll_out.target)
            for one in self.history.commands_since(since, MAX_COMMANDS)
            if isinstance(one, Command) and one.id not in snapshot.known
        }
        snapshot.looked = now
        return (target.repository, target.name) in snapshot.sent_since

    def _head(self, target: Target, snapshot: Snapshot) -> CommitSha | None:
        """The branch's tip, where a token allows to ask. Asked once a snapshot."""
        token = snapshot.tokens.get(target.repository)
        key = (target.repository, target.branch)
        if token and key not in snapshot.heads:
            try:
                snapshot.heads[key] = self.github(target.repository, token).head(target.branch)
            except (NotTakenError, UnavailableError) as error:
                snapshot.heads[key] = None
                note_not_asked(self.journal, target.repository, error)
        return snapshot.heads.get(key)


def note_not_asked(journal: DecisionLog, repository: Repository, error: PulleyError) -> None:
    """Write down what GitHub could not be asked, unless the log has the reason already."""
    if isinstance(error, NotTakenError) and error.is_known:
        return
    facts = {"repository": str(repository), "reason": error.in_full}
    journal.note(Decision("round", "not_asked", facts, "warning"))
