"""The doctor waits for every host that it asked, and says of which it heard nothing."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from chalicelib.core.history import Invocation
from chalicelib.core.hosts import Fleet, Host
from chalicelib.core.stored import ParameterNames
from chalicelib.core.targets import parse_target
from pulley.operator.checks.row import PASS, UNKNOWN, Row
from pulley.operator.doctor import ANSWER_SECONDS, Doctor
from pulley.operator.stage import Stage, StoredTargets, utc_now
from tests.fakes import STAGE, FakeClock, target_json
from tests.operator.test_checks import NODE, ONE, TAGS, found, line

WEB = parse_target("targets.web", target_json())
TWO = Host("i-0123456789abcdef1", "web-2", TAGS)


class History:
    """Systems Manager's, which lists one more invocation at each look, and never the last ones."""

    def __init__(self, *listed: Invocation) -> None:
        self.listed = listed
        self.looks = 0

    def command(self, _command_id: str) -> object:
        return SimpleNamespace(is_over=True)

    def invocations(self, _command_id: str) -> tuple[Invocation, ...]:
        self.looks += 1
        return self.listed[: self.looks - 1]


def rows(history: History, clock: FakeClock) -> list[Row]:
    def sleep(seconds: float) -> None:
        clock.now += seconds

    stage = SimpleNamespace(
        name=STAGE,
        settings=SimpleNamespace(github_api="https://api.github.com"),
        names=ParameterNames(STAGE),
        parameters=SimpleNamespace(read_one=lambda _name: None),
        commands=SimpleNamespace(send=lambda requests: ["command-1" for _ in requests]),
        history=history,
    )
    doctor = Doctor(cast("Stage", stage), now=utc_now, sleep=sleep, clock=clock)
    fleet = Fleet([ONE, TWO], STAGE)
    nodes: dict[str, Any] = {ONE.instance_id: NODE, TWO.instance_id: NODE}
    return list(doctor._ask(StoredTargets((WEB,), (), {}), fleet, nodes))


def answer_of(host: Host) -> Invocation:
    told = line(found=found())
    return Invocation(host.instance_id, "ip-10-0-0-7", "Success", "Success", told.output)


def test_hosts_that_are_listed_late_are_waited_for_and_have_their_own_names() -> None:
    found = rows(History(answer_of(ONE), answer_of(TWO)), FakeClock())
    assert [(row.what, row.outcome) for row in found] == [
        ("host web-1: /srv/site", PASS),
        ("host web-2: /srv/site", PASS),
    ]


@pytest.mark.parametrize("listed", [(), (ONE,)])
def test_host_of_which_nothing_is_heard_is_not_known_and_not_left_out(
    listed: tuple[Host, ...],
) -> None:
    clock = FakeClock()
    began = clock.now
    found = rows(History(*map(answer_of, listed)), clock)
    heard = {host.name for host in listed}
    assert [row.outcome for row in found] == [
        PASS if name in heard else UNKNOWN for name in ("web-1", "web-2")
    ]
    assert not all(row.is_well for row in found)
    assert clock.now - began >= ANSWER_SECONDS
