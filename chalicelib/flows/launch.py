"""Watches a new instance until it may serve: wakes a round as soon as it can be told something.

It decides nothing: rounds plan, send and answer Auto Scaling (flows/launches.py). If this function
dies or its time is over, Lambda calls it again, and the schedule's rounds do the same work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.decisions import Decision, DecisionLog
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.hosts import Host
from chalicelib.core.launches import Launch, NotLaunched, parse_launch
from chalicelib.core.refs import InstanceId
from chalicelib.flows.wake import Waker

LOOK_SECONDS = 3.0
AGAIN_SECONDS = 60.0  # a round may have had to wait for another command, or may be lost
TIME_SECONDS = 60.0  # after which a command that still runs gets more time, and again
RESERVE_SECONDS = 20.0  # kept back, so that the last look can end


class Hosts(Protocol):
    """EC2 and Systems Manager. Raises RefusedError or UnavailableError."""

    def host(self, instance: InstanceId) -> Host | None:
        """A host of this stage; None if there is none."""


class Answers(Protocol):
    """Run Command. Raises RefusedError or UnavailableError."""

    def answers_of(self, instance: InstanceId) -> Mapping[str, bool]:
        """The newest commands on a host, by id, and whether each is over there."""


class Held(Protocol):
    """Auto Scaling. Every method raises RefusedError or UnavailableError."""

    def is_waiting(self, launch: Launch) -> bool:
        """Whether the instance is still being launched."""

    def ask_for_time(self, launch: Launch) -> None:
        """Let the hook's time-out begin again."""


@dataclass(frozen=True)
class Watched:
    """How the watch ended: `outcome` is "awake", "answered" or "gone"."""

    outcome: str


@dataclass(frozen=True)
class LaunchWatcher:
    """Watches for one stage. `clock` and `pause` are in seconds."""

    stage: str
    hosts: Hosts
    answers: Answers
    held: Held
    waker: Waker
    journal: DecisionLog
    clock: Callable[[], float]
    pause: Callable[[float], None]

    def watch(self, event: object, *, seconds_left: Callable[[], float]) -> Watched | NotLaunched:
        """Act on an event of EventBridge, which may have any shape.

        Raises UnavailableError and RefusedError if Lambda should try again.
        """
        launch = parse_launch(event, self.stage)
        facts: dict[str, object] = {}
        if isinstance(launch, Launch):
            facts = {"instance_id": str(launch.instance), "group": launch.group}
            if self.hosts.host(launch.instance) is None:
                launch = NotLaunched("it is no instance of this stage")
        if isinstance(launch, NotLaunched):
            if facts.get("group"):  # everybody's instances start; these should be ours
                self.journal.note(Decision("launch", "ignored", facts | vars(launch), "warning"))
            return launch
        try:
            outcome = self._watch(launch, seconds_left)
        except PulleyError as error:
            self.journal.note(
                Decision("launch", "failed", facts | {"reason": error.in_full}, "warning")
            )
            raise
        self.journal.note(Decision("launch", outcome, facts))
        return Watched(outcome)

    def _watch(self, launch: Launch, seconds_left: Callable[[], float]) -> str:
        woken_at, quiet_at = float("-inf"), self.clock()
        known: Mapping[str, bool] | None = None
        while seconds_left() > RESERVE_SECONDS:
            if launch.group and not self.held.is_waiting(launch):
                return "answered"
            host = self.hosts.host(launch.instance)
            if host is None:
                return "gone"
            if host.is_online:
                answers = self.answers.answers_of(launch.instance)
                is_running = not all(answers.values())
                # Short runs that fail again and again must not keep the instance for ever.
                quiet_at = quiet_at if is_running else self.clock()
                if launch.group and self.clock() - quiet_at >= TIME_SECONDS:
                    self.held.ask_for_time(launch)
                    quiet_at = self.clock()
                # While a command runs, a round could only wait for it.
                has_news = answers != known or self.clock() - woken_at >= AGAIN_SECONDS
                if has_news and not is_running:
                    self.waker.wake(launch.instance)
                    woken_at = self.clock()
                    if not launch.group:
                        return "awake"
                known = answers
            self.pause(LOOK_SECONDS)
        why = "is still being launched" if launch.group else "did not come online"
        raise UnavailableError(f"the instance {launch.instance} {why}")
