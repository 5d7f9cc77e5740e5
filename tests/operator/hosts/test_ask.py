"""A check waits for all its hosts, and lists hosts without an answer."""

from types import SimpleNamespace
from typing import cast

import pytest

from chalicelib.core.history import Invocation
from chalicelib.core.hosts import Host
from chalicelib.core.stored import ParameterNames
from chalicelib.core.targets import parse_target
from pulley.operator.hosts.ask import ANSWER_SECONDS, Checker
from pulley.operator.stage.stage import Stage
from tests.fakes import STAGE, FakeClock, target_json
from tests.operator.doctor.test_hosts import ONE, TAGS, found, line

WEB = parse_target("targets.web", target_json())
TWO = Host("i-0123456789abcdef1", "web-2", TAGS)


class History:
    """Systems Manager's history, which lists one more invocation at each look."""

    def __init__(self, *listed: Invocation) -> None:
        self.listed = listed
        self.looks = 0

    def command(self, _command_id: str) -> object:
        return SimpleNamespace(is_over=True)

    def invocations(self, _command_id: str) -> tuple[Invocation, ...]:
        self.looks += 1
        return self.listed[: self.looks - 1]


def heard(history: History, clock: FakeClock) -> list[tuple[str, str | None]]:
    """Each host's name, and the name in its answer; None without an answer."""

    def sleep(seconds: float) -> None:
        clock.now += seconds

    stage = SimpleNamespace(
        name=STAGE,
        names=ParameterNames(STAGE),
        parameters=SimpleNamespace(read_one=lambda _name: None),
        commands=SimpleNamespace(send=lambda requests: ["command-1" for _ in requests]),
        history=history,
    )
    checker = Checker(cast("Stage", stage), clock=clock, sleep=sleep)
    answers = checker.ask({WEB: [ONE, TWO]}, issued=1)
    assert answers.refused == []
    told = answers.by_target
    return [(host.name, answer.host if answer else None) for _, host, answer in told]


def answer_of(host: Host) -> Invocation:
    told = line(found=found())
    return Invocation(host.instance_id, "ip-10-0-0-7", "Success", "Success", told.output)


def test_hosts_listed_late_are_waited_for_and_keep_their_own_names() -> None:
    found = heard(History(answer_of(ONE), answer_of(TWO)), FakeClock())
    assert found == [("web-1", "web-1"), ("web-2", "web-2")]


@pytest.mark.parametrize("listed", [(), (ONE,)])
def test_host_without_an_answer_is_listed_after_the_time_limit(
    listed: tuple[Host, ...],
) -> None:
    clock = FakeClock()
    began = clock.now
    found = heard(History(*map(answer_of, listed)), clock)
    names = {host.name for host in listed}
    assert found == [(name, name if name in names else None) for name in ("web-1", "web-2")]
    assert clock.now - began >= ANSWER_SECONDS
