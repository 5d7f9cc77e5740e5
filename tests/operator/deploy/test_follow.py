"""Commands are followed to their end, also through AWS's errors and late answers."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.core.history import Command, Invocation
from chalicelib.core.hosts import Host
from chalicelib.core.observations import AT, FAILED, OFFLINE
from pulley.operator.deploy.follow import (
    EVERY_SECONDS,
    FIRST_SECONDS,
    PATIENCE,
    SLOWEST_SECONDS,
    Follower,
    FollowStep,
)
from tests.fakes import COMMIT, FakeHistory
from tests.flows.runs import START, command_of, id_of, line_of, on, running

SENT = [("web", id_of(1))]
ENDED = on(1, line_of())


def host(number: int, *, is_online: bool = True) -> Host:
    return Host(f"i-{number:017x}", f"named-{number}", is_online=is_online)


class Watch:
    """A follower of commands that change while it sleeps, as `then` says, turn by turn."""

    def __init__(self, *hosts: Host, sent: list[tuple[str, str]] = SENT) -> None:
        self.history = FakeHistory()
        self.now = START
        self.slept: list[float] = []
        self.turns: Iterator[Callable[[], None]] = iter(())
        self.follower = Follower(self.history, sent, hosts, self.clock, self.sleep)

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        turn = next(self.turns, None)
        assert turn is not None or self.now < START + timedelta(hours=1), "it never ends"
        if turn:
            turn()

    def then(self, *turns: Callable[[], None]) -> None:
        self.turns = iter(turns)

    def adding(self, command: Command, *invocations: Invocation) -> Callable[[], None]:
        return lambda: self.history.add(command, *invocations)

    def failing(self, error: UnavailableError | RefusedError | None) -> Callable[[], None]:
        return lambda: setattr(self.history, "error", error)

    def steps(self) -> list[FollowStep]:
        return list(self.follower.steps())


def told(steps: list[FollowStep]) -> list[list[str]]:
    """The hosts that each step says have ended."""
    return [[one.invocation.host for one in step.ended] for step in steps]


def under_way(count: int = 1) -> Command:
    return command_of(status="InProgress", count=count)


class TestSteps:
    def test_ended_command_is_read_once(self) -> None:
        watch = Watch(host(1))
        watch.history.add(command_of(), ENDED)
        (step,) = watch.steps()
        assert step.is_last
        assert watch.slept == []
        assert told([step]) == [["named-1"]]

    def test_each_host_is_reported_once_when_it_ends(self) -> None:
        watch = Watch()
        watch.history.add(under_way(2), running(1), running(2))
        watch.then(
            watch.adding(under_way(2), ENDED, running(2)),
            watch.adding(under_way(2), ENDED, running(2)),
            watch.adding(command_of(count=2), ENDED, on(2, line_of())),
        )
        steps = watch.steps()
        assert told(steps) == [[], ["web-1"], [], ["web-2"]]
        assert [step.is_last for step in steps] == [False, False, False, True]
        assert watch.slept == [FIRST_SECONDS, 0.5, EVERY_SECONDS]

    def test_command_that_is_not_listed_yet_is_waited_for(self) -> None:
        watch = Watch()
        watch.then(watch.adding(under_way(0)), watch.adding(command_of(), ENDED))
        assert told(watch.steps()) == [[], [], ["web-1"]]

    def test_ended_command_is_followed_until_all_its_hosts_are_listed(self) -> None:
        watch = Watch()
        watch.history.add(command_of(count=2), ENDED)
        watch.then(watch.adding(command_of(count=2), ENDED, on(2, line_of())))
        assert told(watch.steps()) == [["web-1"], ["web-2"]]

    def test_command_without_hosts_ends_at_once(self) -> None:
        watch = Watch()
        watch.history.add(command_of(count=0))
        assert len(watch.steps()) == 1
        assert not watch.follower.verdicts()["web"].is_everywhere

    def test_command_with_a_silent_host_ends_when_it_expires(self) -> None:
        watch = Watch(host(1))
        watch.history.add(under_way(), running(1))
        watch.steps()
        assert watch.now > under_way().expires
        (verdict,) = watch.follower.verdicts()["web"].hosts
        assert (verdict.kind, verdict.words) == (FAILED, "no answer in time")

    def test_several_commands_are_followed_until_the_last_is_over(self) -> None:
        watch = Watch(sent=[("web", id_of(1)), ("api", id_of(2))])
        api = command_of(number=2, target="api")
        watch.history.add(command_of(), ENDED)
        watch.history.add(replace(api, status="InProgress"), running(2))
        watch.then(watch.adding(api, on(2, line_of(target="api"))))
        steps = watch.steps()
        assert [[one.target for one in step.ended] for step in steps] == [["web"], ["api"]]
        assert watch.history.calls.count("command") == 3  # an ended command is not read again
        assert all(one.is_everywhere for one in watch.follower.verdicts().values())


class TestTrouble:
    def test_throttling_is_reported_and_retried_with_longer_pauses(self) -> None:
        watch = Watch()
        watch.history.error = UnavailableError("AWS is too busy")
        watch.history.add(command_of(), ENDED)
        nothing = [lambda: None] * 4
        watch.then(*nothing, watch.failing(None))
        steps = watch.steps()
        assert [step.trouble for step in steps] == ["AWS is too busy"] * 5 + [""]
        assert watch.slept == [2, 4, 8, SLOWEST_SECONDS, SLOWEST_SECONDS]
        assert told(steps)[-1] == ["web-1"]

    def test_follower_gives_up_after_its_patience_if_aws_stays_busy(self) -> None:
        watch = Watch()
        watch.history.error = UnavailableError("AWS is too busy")
        with pytest.raises(UnavailableError, match="too busy"):
            watch.steps()
        assert PATIENCE < watch.now - START < PATIENCE + timedelta(seconds=30)

    def test_follower_gives_up_on_a_command_that_is_never_listed(self) -> None:
        with pytest.raises(UnavailableError, match="does not list the command"):
            Watch().steps()

    def test_each_answer_restarts_the_patience(self) -> None:
        watch = Watch()
        watch.history.add(under_way(), running(1))
        busy = UnavailableError("AWS is too busy")
        wait = [lambda: None] * 9
        watch.then(
            *[watch.failing(busy), *wait, watch.failing(None)] * 3,
            watch.adding(command_of(), ENDED),
        )
        assert told(watch.steps())[-1] == ["web-1"]
        assert watch.now - START > PATIENCE

    def test_refusal_is_raised_at_once(self) -> None:
        watch = Watch()
        watch.history.error = RefusedError("AWS refused")
        with pytest.raises(RefusedError):
            watch.steps()
        assert watch.slept == []


class TestOfflineHosts:
    def test_offline_host_is_not_waited_for(self) -> None:
        watch = Watch(host(1), host(2, is_online=False))
        delayed = on(2, details="Delayed")
        watch.history.add(under_way(2), ENDED, delayed)
        assert told(watch.steps()) == [["named-1"]]
        verdict = watch.follower.verdicts()["web"]
        assert [one.kind for one in verdict.hosts] == [AT, OFFLINE]
        assert verdict.is_everywhere  # of the hosts that could be reached

    def test_offline_host_does_not_end_the_following_of_an_online_host(self) -> None:
        watch = Watch(host(1), host(2, is_online=False))
        delayed = on(2, details="Delayed")
        watch.history.add(under_way(2), running(1), delayed)
        watch.then(watch.adding(under_way(2), ENDED, delayed))
        assert told(watch.steps()) == [[], ["named-1"]]

    def test_host_that_came_online_is_waited_for(self) -> None:
        watch = Watch(host(1), host(2, is_online=False))
        watch.history.add(under_way(2), ENDED, running(2))
        watch.then(watch.adding(command_of(count=2), ENDED, on(2, line_of())))
        assert told(watch.steps()) == [["named-1"], ["named-2"]]

    def test_online_host_with_a_pending_command_is_waited_for(self) -> None:
        watch = Watch(host(1))
        watch.history.add(under_way(), on(1, details="Pending"))
        watch.then(watch.adding(command_of(), ENDED))
        assert told(watch.steps()) == [[], ["named-1"]]

    @pytest.mark.parametrize("counted", [0, 2])
    def test_hosts_that_are_not_listed_yet_are_waited_for(self, counted: int) -> None:
        watch = Watch(host(1, is_online=False))
        watch.history.add(under_way(counted), on(1, details="Delayed"))
        watch.then(watch.adding(under_way(2), on(1, details="Delayed"), on(2, line_of())))
        assert len(watch.steps()) == 2

    def test_command_with_only_offline_hosts_is_not_everywhere(self) -> None:
        watch = Watch(host(1, is_online=False))
        watch.history.add(under_way(), on(1, details="Delayed"))
        watch.steps()
        verdict = watch.follower.verdicts()["web"]
        assert verdict.count(OFFLINE) == 1
        assert not verdict.is_everywhere


class TestVerdicts:
    def test_verdict_depends_on_the_hosts_results_and_not_on_the_command_s_status(self) -> None:
        watch = Watch()
        watch.history.add(command_of(), on(1, line_of("b" * 40)))
        watch.steps()
        assert not watch.follower.verdicts()["web"].is_everywhere
        assert watch.follower.verdicts()["web"].roll_out.commit.sha == COMMIT
