"""Follow commands until they are over, by polling.

Systems Manager lists a new command's hosts one after the other, throttles, and calls a command over
before its hosts are. So a command is over only when every host has reported its end.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import Check, Command, Invocation, Run
from chalicelib.core.hosts import Host
from chalicelib.core.verdicts import Verdict, judge
from pulley.operator.deploy.offline import without_sleepers

FIRST_SECONDS = 0.25  # doubled with each poll, up to EVERY_SECONDS
EVERY_SECONDS = 1.0
SLOWEST_SECONDS = 10.0  # between polls while AWS does not answer
PATIENCE = timedelta(minutes=2)  # for AWS to answer, and to list a command


class FollowedHistory(Protocol):
    """Run Command's history. Every method raises RefusedError or UnavailableError."""

    def command(self, command_id: str) -> Command | Check | None:
        """The command; None if it is not listed yet."""

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        """The invocations of a command that are listed."""


@dataclass(frozen=True)
class Ended:
    """A host that has ended its run of a command."""

    target: str
    run: Run
    invocation: Invocation


@dataclass(frozen=True)
class FollowStep:
    """What a poll showed: each target's run, the hosts that ended since the last poll, an error."""

    runs: Mapping[str, Run]
    ended: tuple[Ended, ...]
    is_last: bool
    trouble: str = ""


@dataclass
class Follower:
    """Follows commands. `sent` has the target and the id of each; `hosts` are the targets' hosts.

    It does not wait for offline hosts: Systems Manager tries them for ten minutes, and then the
    schedule does.
    """

    history: FollowedHistory
    sent: Sequence[tuple[str, str]]
    hosts: Sequence[Host]
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    runs: dict[str, Run] = field(default_factory=dict)

    def steps(self) -> Iterator[FollowStep]:
        """Poll until all commands are over. The commands go on after an error.

        Raises RefusedError, and UnavailableError if AWS does not answer for as long as PATIENCE.
        """
        left = dict(self.sent)
        told: set[tuple[str, str]] = set()
        pause, heard = FIRST_SECONDS / 2, self.clock()
        while True:
            trouble = ""
            try:
                for target, command_id in tuple(left.items()):
                    if self._look(target, command_id):
                        del left[target]
            except UnavailableError as error:
                trouble = error.in_full
                if self.clock() - heard > PATIENCE:
                    raise
                pause = min(max(pause, EVERY_SECONDS) * 2, SLOWEST_SECONDS)
            else:
                pause = min(pause * 2, EVERY_SECONDS)
                # An answer counts only if every command is listed.
                if all(target in self.runs for target in left):
                    heard = self.clock()
                elif self.clock() - heard > PATIENCE:
                    raise UnavailableError("Systems Manager does not list the command")
            ended = tuple(self._ended(told))
            told |= {(one.target, one.invocation.instance_id) for one in ended}
            yield FollowStep(dict(self.runs), ended, not left, trouble)
            if not left:
                return
            self.sleep(pause)

    def verdicts(self) -> dict[str, Verdict]:
        """Each target's verdict by the last poll. An offline host counts as not reached."""
        now = self.clock()
        runs = {target: self._awake(run) for target, run in self.runs.items()}
        return {target: judge([run], now=now).told for target, run in runs.items()}

    def _look(self, target: str, command_id: str) -> bool:
        """Read a command. Returns whether there is nothing more to wait for."""
        command = self.history.command(command_id)
        if not isinstance(command, Command):
            return False
        names = {host.instance_id: host.name for host in self.hosts}
        invocations = tuple(
            replace(invocation, host=names.get(invocation.instance_id, invocation.host))
            for invocation in self.history.invocations(command_id)
        )
        run = Run(command, invocations)
        self.runs[target] = run
        return self._awake(run).is_settled or self.clock() > command.expires

    def _awake(self, run: Run) -> Run:
        """The run as it will end if the offline hosts stay offline."""
        asleep = {host.instance_id for host in self.hosts if not host.is_online}
        return without_sleepers(run, asleep)

    def _ended(self, told: set[tuple[str, str]]) -> Iterator[Ended]:
        for target, run in self.runs.items():
            for invocation in run.invocations:
                if invocation.is_over and (target, invocation.instance_id) not in told:
                    yield Ended(target, run, invocation)
