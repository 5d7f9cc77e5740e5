"""Commands are followed until they are over: by looking again and again, whatever AWS says between.

Systems Manager lists a new command little by little, is throttled, and says that a command is over
before its hosts are: nothing is believed before every host's word is in.
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

FIRST_SECONDS = 0.25  # and then longer, up to the next
EVERY_SECONDS = 1.0
SLOWEST_SECONDS = 10.0  # where AWS does not answer
PATIENCE = timedelta(minutes=2)  # with an AWS that does not answer, or does not list a command


class FollowedHistory(Protocol):
    """Run Command's memory. Every method raises RefusedError or UnavailableError."""

    def command(self, command_id: str) -> Command | Check | None:
        """The command; None where it is not listed yet."""

    def invocations(self, command_id: str) -> tuple[Invocation, ...]:
        """All of a command's that are listed."""


@dataclass(frozen=True)
class Ended:
    """A host that has ended its run of a command."""

    target: str
    run: Run
    invocation: Invocation


@dataclass(frozen=True)
class FollowStep:
    """What one look showed: each target's run, who ended since the look before, and what failed."""

    runs: Mapping[str, Run]
    ended: tuple[Ended, ...]
    is_last: bool
    trouble: str = ""


@dataclass
class Follower:
    """Follows commands: (target, command id) of each. `hosts` are those that there are.

    A host that is asleep is not waited for: Systems Manager tries for ten minutes, and the schedule
    from then on.
    """

    history: FollowedHistory
    sent: Sequence[tuple[str, str]]
    hosts: Sequence[Host]
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    runs: dict[str, Run] = field(default_factory=dict)

    def steps(self) -> Iterator[FollowStep]:
        """Look until all commands are over. Raises RefusedError, and UnavailableError in the end.

        Whatever it raises, the commands go on.
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
                # A command that is not listed is no answer either.
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
        """Each target's, of what was seen last: a host that is asleep counts as not reached."""
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
            replace(one, host=names.get(one.instance_id, one.host))
            for one in self.history.invocations(command_id)
        )
        run = Run(command, invocations)
        self.runs[target] = run
        return self._awake(run).is_settled or self.clock() > command.expires

    def _awake(self, run: Run) -> Run:
        """The run as it will be if the hosts that are asleep stay so."""
        asleep = {host.instance_id for host in self.hosts if not host.is_online}
        return without_sleepers(run, asleep)

    def _ended(self, told: set[tuple[str, str]]) -> Iterator[Ended]:
        for target, run in self.runs.items():
            for one in run.invocations:
                if one.is_over and (target, one.instance_id) not in told:
                    yield Ended(target, run, one)
