"""A new instance is watched: a round is woken as soon as there is something to do or to answer."""

from collections.abc import Callable, Mapping

import pytest

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.core.hosts import Host
from chalicelib.core.launches import GROUP_TAG, NotLaunched
from chalicelib.core.refs import InstanceId
from chalicelib.flows.launch import (
    LATER_LOOK_SECONDS,
    LOOK_SECONDS,
    LOOKS_AT_FIRST,
    LOOKS_LATER,
    RESERVE_SECONDS,
    SOON_SECONDS,
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

    def test_instance_that_is_offline_wakes_nobody(self, world: World) -> None:
        with pytest.raises(UnavailableError, match="is still being launched"):
            world.watch()
        assert world.waker.woken == []
        assert world.now > LIMIT - RESERVE_SECONDS - LATER_LOOK_SECONDS
        assert world.looks < 1 + SOON_SECONDS / LOOK_SECONDS + LIMIT / LATER_LOOK_SECONDS

    def test_round_is_woken_again_ever_more_rarely_while_nothing_happens(
        self, world: World
    ) -> None:
        world.come_online()
        with pytest.raises(UnavailableError):
            world.watch()
        assert len(world.waker.woken) == 4  # at once, and after 1, 3 and 7 minutes

    def test_instance_that_is_gone_ends_the_watch_at_the_second_look(self, world: World) -> None:
        def terminate() -> None:
            world.host_now = None

        world.at = {30: terminate}
        assert world.watch() == Watched("gone")
        assert world.now == 30 + LOOK_SECONDS

    def test_one_look_at_which_aws_forgets_it_does_not_end_the_watch(self, world: World) -> None:
        known = world.host_now

        def forget() -> None:
            world.host_now = None

        def remember() -> None:
            world.host_now = known

        world.at = {
            9: forget,
            12: remember,
            18: world.groups.held.clear,
            21: lambda: world.groups.held.update({ID: "web"}),
            30: world.come_online,
            90: world.groups.held.clear,
        }
        assert world.watch() == Watched("answered")
        assert world.now > 90

    def test_aws_may_learn_late_of_the_instance_its_tags_and_its_wait(self, world: World) -> None:
        known, world.host_now = world.host_now, None
        world.groups.held.clear()

        def appear() -> None:
            world.host_now = known

        world.at = {
            20: appear,
            40: lambda: world.groups.held.update({ID: "web"}),
            50: world.come_online,
            100: world.groups.held.clear,
        }
        assert world.watch() == Watched("answered")
        assert world.waker.woken

    def test_instance_for_which_nobody_waits_is_left_after_a_minute(self, world: World) -> None:
        world.groups.held.clear()
        assert world.watch() == Watched("answered")
        assert (world.looks, world.waker.woken) == (LOOKS_AT_FIRST, [])

    def test_instance_of_another_stage_is_ignored_after_a_minute_and_logged(
        self, world: World
    ) -> None:
        world.host_now = None
        assert world.watch() == NotLaunched("it is no instance of this stage")
        assert world.outcomes() == ["ignored"]
        assert world.looks == LOOKS_AT_FIRST

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

    def test_instance_that_a_hook_holds_is_left_to_its_other_event(self, world: World) -> None:
        world.host_now = Host(ID, "web-1", {GROUP_TAG: "web"}, is_online=False)
        assert world.watch(started()) == Watched("held")
        assert (world.looks, world.waker.woken) == (1, [])

    def test_instance_of_a_group_without_our_hook_is_brought_up(self, world: World) -> None:
        world.host_now = Host(ID, "web-1", {GROUP_TAG: "web"})
        world.groups.held.clear()
        assert world.watch(started()) == Watched("awake")

    def test_instance_of_somebody_else_is_ignored_without_a_line(self, world: World) -> None:
        world.host_now = None
        assert world.watch(started()) == NotLaunched("it is no instance of this stage")
        assert (world.outcomes(), world.looks) == ([], LOOKS_LATER)

    def test_instance_that_never_comes_online_is_logged_and_fails_nothing(
        self, world: World
    ) -> None:
        assert world.watch(started()) == Watched("silent")
        assert world.outcomes() == ["silent"]


def test_event_of_another_kind_is_ignored_without_a_call(world: World) -> None:
    assert isinstance(world.watch({"source": "aws.s3"}), NotLaunched)
    assert (world.looks, world.outcomes()) == (0, [])
