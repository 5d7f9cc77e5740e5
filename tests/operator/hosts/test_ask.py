"""A check waits for all its hosts, and lists hosts without an answer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from chalicelib.core.commands import SendRequest
from chalicelib.core.history import REMEMBERED, Command, Invocation, RollOut
from chalicelib.core.hosts import Host
from chalicelib.core.stored import ParameterNames
from chalicelib.core.targets import Target, parse_target
from pulley.operator.hosts.ask import ANSWER_SECONDS, CHECK, CHECK_TAG, Answers, Checker, Question
from pulley.operator.stage.stage import Stage
from tests.facts import ROLL_OUT, sent
from tests.fakes import STAGE, FakeClock, target_json
from tests.operator.doctor.test_hosts import ONE, TAGS, found, line

NOW = datetime(2030, 1, 1, 8, tzinfo=UTC)
WEB = parse_target("targets.web", target_json())
TAGGED = parse_target(
    "targets.web", {key: one for key, one in target_json(tag="v*").items() if key != "branch"}
)
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


class Sending:
    """Run Command with these roll-outs in its history. It records what is sent."""

    def __init__(self, *roll_outs: RollOut) -> None:
        self.sent: list[SendRequest] = []
        self.since: list[datetime] = []
        self.known = [
            sent(f"command-{number}", one, NOW, status="Success", details="", count=1)
            for number, one in enumerate(roll_outs)
        ]

    def commands_since(self, since: datetime, _limit: int) -> Sequence[Command]:
        self.since.append(since)
        return self.known

    def command(self, _command_id: str) -> object:
        return SimpleNamespace(is_over=True)

    def invocations(self, _command_id: str) -> tuple[Invocation, ...]:
        return (answer_of(ONE),)

    def send(self, requests: Sequence[SendRequest]) -> Sequence[str]:
        self.sent += requests
        return ["command" for _ in requests]

    def ask(self, *targets: Target, question: Question = CHECK) -> Answers:
        stage = SimpleNamespace(
            name=STAGE,
            names=ParameterNames(STAGE),
            parameters=SimpleNamespace(read_one=lambda _name: None),
            commands=self,
            history=self,
        )
        checker = Checker(cast("Stage", stage), clock=FakeClock(), sleep=lambda _seconds: None)
        hosts = {target: [ONE] for target in targets}
        return checker.ask(hosts, issued=int(NOW.timestamp() * 1000), question=question)


def of_tag(tag: str, minute: int, update: str = "tag") -> RollOut:
    issued = int((NOW + timedelta(minutes=minute)).timestamp() * 1000)
    return replace(ROLL_OUT, branch=tag, update=update, issued=issued)


class TestTags:
    def test_host_is_compared_with_the_tag_that_was_sent_last(self) -> None:
        house = Sending(of_tag("v1.1", 2), of_tag("v1.0", 1), of_tag("main", 3, "rebase"))
        assert house.ask(TAGGED).refused == []
        (request,) = house.sent
        assert (request.parameters["Update"], request.parameters["Branch"]) == (CHECK_TAG, "v1.1")
        assert request.comment == "manual: check-tag of web"
        assert house.since == [NOW - REMEMBERED]

    def test_saved_edits_are_asked_for_as_of_any_target(self) -> None:
        house = Sending(of_tag("v1.1", 2))
        house.ask(TAGGED, question=Question("saved"))
        assert house.sent[0].parameters["Update"] == "saved"

    def test_before_a_tag_was_sent_the_reason_is_told_and_others_are_asked(self) -> None:
        house = Sending(of_tag("main", 1, "rebase"))
        answers = house.ask(TAGGED, replace(WEB, name="api"))
        ((target, error),) = answers.refused
        assert (target, str(error)) == (
            TAGGED,
            "no tag was sent to web yet: there is none to check",
        )
        assert [one.parameters["Update"] for one in house.sent] == ["check"]

    def test_without_such_a_target_the_history_is_not_listed(self) -> None:
        house = Sending()
        house.ask(WEB)
        assert house.since == []
        assert house.sent[0].parameters["Branch"] == "main"
