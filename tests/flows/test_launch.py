"""A new instance is watched: a round is woken as soon as there is something to do or to answer."""

from collections.abc import Callable, Mapping
from functools import partial

import pytest

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.core.hosts import Host
from chalicelib.core.launches import Launch, NotLaunched
from chalicelib.core.refs import InstanceId
from chalicelib.flows.launch import (
    AGAIN_SECONDS,
    LOOK_SECONDS,
    RESERVE_SECONDS,
    TIME_SECONDS,
    LaunchWatcher,
    Watched,
)
from tests.core.test_launches import ID, held, started
from tests.fakes import STAGE, FakeGroups, FakeJournal, FakeWaker

HOOK = {"LifecycleHookName": f"pulley-{STAGE}"}
LIMIT = 900.0


class World:
    """An instance, and what happens to it: `at` has what to do at so many seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.host_now: Host | None = Host(ID, "web-1", is_online=False)
        self.commands: dict[str, bool] = {}
        self.groups, self.waker, self.journal = FakeGroups(), FakeWaker(), FakeJournal()
        self.groups.held[ID] = "web"
        self.at: dict[float, Callable[[], object]] = {}
        self.looks = 0

    def host(self, instance: InstanceId) -> Host | None:
        assert instance == ID
        self.looks += 1
        return self.host_now

    def answers_of(self, instance: InstanceId) -> Mapping[str, bool]:
        assert instance == ID
        return dict(self.commands)

    def pause(self, seconds: float) -> None:
        self.now += seconds
        for due in sorted(one for one in self.at if one <= self.now):
            self.at.pop(due)()

    def come_online(self) -> None:
        self.host_now = Host(ID, "web-1")

    def watch(self, event: object = None) -> Watched | NotLaunched:
        watcher = LaunchWatcher(
            stage=STAGE,
            hosts=self,
            answers=self,
            held=self.groups,
            waker=self.waker,
            journal=self.journal,
            clock=lambda: self.now,
            pause=self.pause,
        )
        event = held(**HOOK) if event is None else event
        return watcher.watch(event, seconds_left=lambda: LIMIT - self.now)

    def outcomes(self) -> list[str]:
        return [one.outcome for one in self.journal.decisions]


@pytest.fixture
def world() -> World:
    return World()


class TestHeldByOurHook:
    def test_round_is_woken_when_the_agent_answers_and_again_when_the_run_has_ended(
        self, world: World
    ) -> None:
        woken_at: list[float] = []
        wake = world.waker.wake
        world.waker.wake = lambda of: (woken_at.append(world.now), wake(of))[1]  # type: ignore[method-assign,func-returns-value]
        world.at = {
            39: world.come_online,
            44: lambda: world.commands.update(c=False),
            60: lambda: world.commands.update(c=True),
            62: world.groups.held.clear,
        }
        assert world.watch() == Watched("answered")
        assert woken_at == [39, 60]
        assert world.waker.woken == [ID, ID]
        assert world.outcomes() == ["answered"]

    def test_instance_that_is_offline_wakes_nobody_and_gets_no_more_time(
        self, world: World
    ) -> None:
        with pytest.raises(UnavailableError, match="is still being launched"):
            world.watch()
        assert (world.waker.woken, world.groups.asked_for_time) == ([], [])
        assert world.now > LIMIT - RESERVE_SECONDS - LOOK_SECONDS

    def test_long_run_gets_more_time_once_a_minute(self, world: World) -> None:
        world.come_online()
        world.commands = {"old": True, "long": False}
        world.at = {250: world.groups.held.clear}
        assert world.watch() == Watched("answered")
        assert world.groups.asked_for_time == [Launch(ID, "web")] * int(250 / TIME_SECONDS)
        assert world.waker.woken == []  # a round could only wait

    def test_short_runs_get_no_more_time_however_many_there_are(self, world: World) -> None:
        world.come_online()

        def end(number: int) -> None:
            world.commands[str(number)] = True

        def begin(number: int) -> None:
            world.commands[str(number)] = False

        for number in range(8):
            world.at[number * 60 + 5] = partial(begin, number)
            world.at[number * 60 + 35] = partial(end, number)
        world.at[480] = world.groups.held.clear
        assert world.watch() == Watched("answered")
        assert world.groups.asked_for_time == []

    def test_round_is_woken_again_each_minute_while_nothing_happens(self, world: World) -> None:
        world.come_online()
        world.at = {200: world.groups.held.clear}
        world.watch()
        assert len(world.waker.woken) == 1 + int(200 / AGAIN_SECONDS)

    def test_instance_that_is_gone_ends_the_watch(self, world: World) -> None:
        def terminate() -> None:
            world.host_now = None

        world.at = {30: terminate}
        assert world.watch() == Watched("gone")

    def test_instance_for_which_nobody_waits_costs_two_looks(self, world: World) -> None:
        world.groups.held.clear()
        assert world.watch() == Watched("answered")
        assert (world.looks, world.groups.calls, world.waker.woken) == (1, 1, [])

    def test_instance_of_another_stage_is_ignored_and_logged(self, world: World) -> None:
        world.host_now = None
        assert world.watch() == NotLaunched("it is no instance of this stage")
        assert world.outcomes() == ["ignored"]

    @pytest.mark.parametrize("error", [RefusedError("no"), UnavailableError("later")])
    def test_error_of_aws_is_logged_and_lambda_tries_again(
        self, world: World, error: RefusedError | UnavailableError
    ) -> None:
        world.come_online()
        world.waker.error = error
        with pytest.raises(type(error)):
            world.watch()
        assert world.outcomes() == ["failed"]


class TestStarted:
    def test_round_is_woken_when_the_agent_answers_and_nothing_more_is_watched(
        self, world: World
    ) -> None:
        world.at = {51: world.come_online}
        assert world.watch(started()) == Watched("awake")
        assert (world.waker.woken, world.groups.calls, world.now) == ([ID], 0, 51)

    def test_instance_of_somebody_else_is_ignored_without_a_line(self, world: World) -> None:
        world.host_now = None
        assert world.watch(started()) == NotLaunched("it is no instance of this stage")
        assert world.outcomes() == []

    def test_instance_that_never_comes_online_is_tried_again_by_lambda(self, world: World) -> None:
        with pytest.raises(UnavailableError, match="did not come online"):
            world.watch(started())


def test_event_of_another_kind_is_ignored_without_a_call(world: World) -> None:
    assert isinstance(world.watch({"source": "aws.s3"}), NotLaunched)
    assert (world.looks, world.outcomes()) == (0, [])
