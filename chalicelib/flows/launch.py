"""Watches a new instance until it may serve: wakes a round as soon as it can be told something.

It decides nothing: rounds plan, send and answer Auto Scaling (flows/launches.py). If this function
dies or its time is over, Lambda calls it again, and the schedule's rounds do the same work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.decisions import Decision, DecisionLog, Level
from chalicelib.core.errors import PulleyError, UnavailableError
from chalicelib.core.hosts import Host
from chalicelib.core.launches import GROUP_TAG, Launch, NotLaunched, parse_launch
from chalicelib.core.refs import InstanceId
from chalicelib.flows.wake import Waker

LOOK_SECONDS, LATER_LOOK_SECONDS, SOON_SECONDS = 3.0, 10.0, 120.0  # often while it is new
# A round may have had to wait for another command, or may be lost. It gives a long run more time.
AGAIN_SECONDS, LONGEST_AGAIN_SECONDS = 60.0, 480.0  # doubles
# AWS may not know a new instance, its tags or its wait for some seconds. What it knew once, it may
# fail to tell once.
LOOKS_AT_FIRST, LOOKS_LATER = 20, 2
RESERVE_SECONDS = 20.0  # kept back, so that the last look can end
_UNKNOWN, _SILENT = "unknown", "silent"


class Hosts(Protocol):
    """EC2 and Systems Manager. Raises RefusedError or UnavailableError."""

    def host(self, instance: InstanceId) -> Host | None:
        """A host of this stage; None if there is none."""


class Answers(Protocol):
    """Run Command. Raises RefusedError or UnavailableError."""

    def answers_of(self, instance: InstanceId) -> Mapping[str, bool]:
        """The newest commands on a host, by id, and whether each is over there."""


class Held(Protocol):
    """Auto Scaling. Raises RefusedError or UnavailableError."""

    def is_waiting(self, launch: Launch) -> bool:
        """Whether the instance is still being launched."""


@dataclass(frozen=True)
class Watched:
    """How the watch ended.

    `outcome` is "answered" or "gone" for an instance that our hook held; "awake", "held" (so its
    other event is watched) or "silent" (it never came online) for another one.
    """

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
        if isinstance(launch, NotLaunched):
            return launch
        facts: dict[str, object] = {"instance_id": str(launch.instance), "group": launch.group}
        try:
            outcome = self._watch(launch, seconds_left)
        except PulleyError as error:
            facts["reason"] = error.in_full
            self.journal.note(Decision("launch", "failed", facts, "warning"))
            raise
        if outcome == _UNKNOWN:
            ignored = NotLaunched("it is no instance of this stage")
            if launch.group:  # everybody's instances start; this one should be ours
                self.journal.note(Decision("launch", "ignored", facts | vars(ignored), "warning"))
            return ignored
        level: Level = "warning" if outcome == _SILENT else "info"
        self.journal.note(Decision("launch", outcome, facts, level))
        return Watched(outcome)

    def _watch(self, launch: Launch, seconds_left: Callable[[], float]) -> str:
        wakes = _Wakes(self.waker, launch.instance, self.clock)
        began, misses, patience = self.clock(), 0, LOOKS_AT_FIRST if launch.group else LOOKS_LATER
        is_known = False
        while seconds_left() > RESERVE_SECONDS:
            host = self.hosts.host(launch.instance)
            is_held = not launch.group or self.held.is_waiting(launch)
            if host and is_held:
                misses, patience, is_known = 0, LOOKS_LATER, True
                if self._is_held_elsewhere(launch, host):
                    return "held"
                has_woken = host.is_online and wakes.look(self.answers.answers_of(launch.instance))
                if has_woken and not launch.group:
                    return "awake"
            else:
                misses += 1
                if misses >= patience:
                    gone = "gone" if is_known else _UNKNOWN
                    return "answered" if host else gone
            is_new = self.clock() - began < SOON_SECONDS
            self.pause(LOOK_SECONDS if is_new else LATER_LOOK_SECONDS)
        if not launch.group:
            return _SILENT
        raise UnavailableError(f"the instance {launch.instance} is still being launched")

    def _is_held_elsewhere(self, launch: Launch, host: Host) -> bool:
        """Whether this is the event of EC2 for an instance that a hook holds."""
        group = host.tags.get(GROUP_TAG, "")
        return bool(group and not launch.group) and self.held.is_waiting(
            Launch(launch.instance, group)
        )


class _Wakes:
    """Wakes a round when a host has news, and again after a while."""

    def __init__(self, waker: Waker, instance: InstanceId, clock: Callable[[], float]) -> None:
        self._waker, self._instance, self._clock = waker, instance, clock
        self._again = AGAIN_SECONDS
        self._at = float("-inf")
        self._known: Mapping[str, bool] | None = None

    def look(self, answers: Mapping[str, bool]) -> bool:
        """Look at the commands on the host, and return whether a round was woken."""
        is_due = self._clock() - self._at >= self._again
        # While a command runs, a round could only wait for it.
        has_news = answers != self._known and all(answers.values())
        self._known = answers
        if not is_due and not has_news:
            return False
        self._waker.wake(self._instance)
        is_again = is_due and self._at > float("-inf")
        self._again = min(self._again * 2, LONGEST_AGAIN_SECONDS) if is_again else AGAIN_SECONDS
        self._at = self._clock()
        return True
