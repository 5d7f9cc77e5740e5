"""Run Command, Parameter Store and the list of hosts, as the flows reach them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib.core.commands import SendRequest
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.history import Check, Command, Invocation, SentCommand, parse_roll_out
from chalicelib.core.hosts import Host as ListedHost
from chalicelib.core.refs import Repository
from chalicelib.core.stored import StoredPins
from chalicelib.core.wake import Woken
from tests.core.fleet.sent import Part, SentRun
from tests.core.fleet.times import HISTORY, time_of
from tests.fakes import STAGE, FakeParameters
from tests.flows.runs import id_of

if TYPE_CHECKING:
    from tests.flows.gates.world import World


@dataclass(kw_only=True)
class GatedRun(SentRun):
    """A command. `lag` is how many seconds Run Command does not list it yet."""

    lag: int = 0
    act: object = None  # that sent it

    def as_command(self, now: int) -> SentCommand:
        return replace(super().as_command(now), id=id_of(self.number))

    def is_listed_at(self, now: int) -> bool:
        """Whether Run Command lists it then, with its hosts."""
        return self.is_known(now) and self.is_listed(now)

    def is_known(self, now: int) -> bool:
        return self.requested + self.lag <= now <= self.requested + HISTORY


@dataclass(frozen=True)
class RunCommand:
    """Sends commands, and remembers them."""

    world: "World"

    def send(self, requests: Sequence[SendRequest]) -> Sequence[str | PulleyError]:
        return [self._send(one) for one in requests]

    def _send(self, request: SendRequest) -> str | PulleyError:
        world = self.world
        if world.refuses:
            return UnavailableError("Systems Manager is busy")
        roll_out = parse_roll_out(request.parameters, request.comment, requested=time_of(world.now))
        assert roll_out, "a command names no commit"
        asked = dict(request.selectors).get("InstanceIds")
        hosts = [
            one
            for one in world.hosts[request.target]
            if one.is_alive and (asked is None or one.id in asked)
        ]
        world.number += 1
        sent = GatedRun(
            number=world.number,
            requested=world.now,
            parts=[Part(one) for one in hosts],
            order=list(range(len(hosts))),
            max_concurrency=int(request.max_concurrency),
            max_errors=int(request.max_errors),
            roll_out=roll_out,
            act=world.acts[-1],
            lag=world.random.choice((0, 0, 0, 4, 40)),
        )
        world.promises.check_send(sent, is_to_all=asked is None)
        world.begin(sent)
        return id_of(sent.number)

    def command(self, command_id: str) -> Command | Check | None:
        self.world.tick()
        return self._run(command_id).as_run(self.world.now, hidden=0).command

    def commands_since(self, since: datetime, limit: int = 1000) -> Sequence[Command | Check]:
        self.world.tick()
        now = self.world.now
        return [
            one.as_run(now, hidden=0).command
            for one in reversed(self.world.runs)
            if one.is_known(now) and time_of(one.requested) >= since
        ][:limit]

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        self.world.tick()
        return self._run(command_id).as_run(self.world.now, hidden=0).invocations

    def _run(self, command_id: str) -> GatedRun:
        return self.world.runs[int(command_id[-12:], 16) - 1]


@dataclass(frozen=True)
class Directory:
    """EC2's and Systems Manager's list of hosts."""

    world: "World"

    def hosts(self) -> Sequence[ListedHost]:
        return [
            ListedHost(
                one.id, f"{name}-{one.id[-2:]}", {"pulley": STAGE, "role": name}, one.is_awake
            )
            for name, hosts in self.world.hosts.items()
            for one in hosts
            if one.is_alive
        ]


class Parameters(FakeParameters):
    """Parameter Store."""

    def __init__(self, world: "World", values: Mapping[str, str]) -> None:
        super().__init__(values)
        self._world = world

    def pins(self, targets: Sequence[str]) -> StoredPins:
        self._world.tick()
        return super().pins(targets)


@dataclass(frozen=True)
class Waker:
    """Lambda, which starts a round for the repository."""

    world: "World"

    def wake(self, of: Woken) -> None:
        if self.world.random.random() < self.world.losses / 3:
            raise UnavailableError("Lambda is busy")
        assert isinstance(of, Repository)
        self.world.start_soon(of)
