"""Every call of every function fails in every way, and docs/faults.md lists the effects.

These tests read its tables. `make soak` tries each call in each way. The plain run tries some
calls, and the ways take turns.
"""

import os
import re
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.session import Session

from chalicelib import wiring
from pulley.sandbox.github.server import GitHubServer
from tests.app.conftest import AddHost
from tests.app.faults import Faults, Kind
from tests.app.journey import Journey
from tests.app.run_command import RunCommand
from tests.app.stage import REGION, Stage

PAGE = Path(__file__).parents[2] / "docs/faults.md"
ALL_KINDS = os.environ.get("PULLEY_FAULTS") == "all"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:pulley-dev"
LAMBDA_CALLS = 3  # of an event that fails
SENDS = {"api_handler": 3, "report_status_change": 1, "reconcile_targets": 1 + 6}
# The columns of a table. The kinds of one column take turns.
TAKE_TURNS = (Kind.THROTTLED, Kind.SILENT, Kind.GARBAGE)
BRIEF = (Kind.THROTTLED, Kind.SILENT, Kind.LOST)  # of a call that fails once
COLUMNS = (TAKE_TURNS, (Kind.REFUSED,), (Kind.LOST,))
# Calls of a round that finds an unreported commit on every host.
ENDS = {"GET /deployments", "Publish"}


def table(heading: str) -> list[list[str]]:
    """The rows below a heading, without the head: each cell's text."""
    section = PAGE.read_text().partition(f"{heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip().replace("`", "") for cell in row.split("|")[1:-1]] for row in rows]


def documented(function: str) -> dict[tuple[str, Kind], str]:
    """The outcome of each call and way of failing."""
    return {
        (call, kind): cell
        for call, *cells in table(f"## `{function}`")
        for cell, kinds in zip(cells, COLUMNS, strict=True)
        for kind in kinds
    }


def calls(function: str) -> list[str]:
    return [row[0] for row in table(f"## `{function}`")]


def aws_calls(function: str) -> list[str]:
    return [call for call in calls(function) if "/" not in call]


def changes(call: str) -> bool:
    return call.startswith(("POST", "SendCommand", "Put", "Publish", "Invoke"))


def failures(function: str) -> list[tuple[str, Kind]]:
    """The calls and the ways in which each fails. A reading call is not tried with a lost answer.

    The plain run tries each call that changes something, and the first, middle and last reading
    call.
    """
    if ALL_KINDS:
        return [(call, kind) for call in calls(function) for kind in Kind]
    reading = [call for call in calls(function) if not changes(call)]
    tried = {reading[0], reading[len(reading) // 2], reading[-1]}
    in_turn = cycle((*TAKE_TURNS, Kind.REFUSED))
    return [
        (call, kind)
        for call in calls(function)
        if changes(call) or call in tried
        for kind in [next(in_turn), *([Kind.LOST] if changes(call) else [])]
    ]


def brief_failures(function: str) -> list[tuple[str, Kind]]:
    """Each AWS call with the ways to fail once. In the plain run a reading call has one way."""
    return [
        (call, kind)
        for call in aws_calls(function)
        for kind in BRIEF
        if ALL_KINDS or changes(call) or kind is BRIEF[aws_calls(function).index(call) % 3]
    ]


@pytest.fixture
def faults(
    stage: Stage,
    run_command: RunCommand,
    github: GitHubServer,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Faults]:
    """No call waits. Every round asks GitHub for lost deliveries."""
    monkeypatch.setattr("chalicelib.wiring.time", SimpleNamespace(sleep=lambda _seconds: None))
    monkeypatch.setattr(wiring, "RECONCILE_MINUTES", 60)
    monkeypatch.setenv("PULLEY_TOPIC_ARN", TOPIC)
    boto3.client("sns").create_topic(Name="pulley-dev")
    github.add_hook("octo/site", "https://abcdef1234.example.com/dev/github")
    faults = Faults(run_command.reply, github)
    stage.wire.reply = faults.of_ssm
    faults.attach(session)
    yield faults
    faults.detach(session)


@pytest.fixture
def journey(
    stage: Stage,
    faults: Faults,
    run_command: RunCommand,
    github: GitHubServer,
    repository: Path,
    add_host: AddHost,
) -> Journey:
    return Journey(stage, faults, run_command, github, repository, add_host)


def check(journey: Journey, function: str, call: str, kind: Kind, outcome: str) -> None:
    """The outcome and the log are as documented."""
    assert outcome == documented(function)[call, kind]
    (logged,) = (row[2] for row in table("# When AWS or GitHub fails") if row[0] == outcome)
    seen = {word for line in journey.logged() for word in line}
    assert seen & set(re.findall("[a-z_]+", logged)), (logged, seen)
    assert journey.sends() <= SENDS[function]
    assert journey.sends() or outcome in {"502", "503"}


def test_redelivered_push_converges(journey: Journey, subtests: pytest.Subtests) -> None:
    for call, kind in failures("api_handler"):
        with subtests.test(call=call, kind=kind):
            journey.begin()
            journey.fail(call, kind)
            check(journey, "api_handler", call, kind, journey.push())
            journey.heal()
            assert journey.push() == "202"
            journey.converge()


def test_push_with_failed_send_is_sent_by_the_next_round(journey: Journey) -> None:
    journey.begin()
    journey.fail("SendCommand", Kind.THROTTLED)
    assert journey.push() == "503"
    journey.heal()
    journey.converge()
    assert journey.sends() == 1


def test_repeated_event_after_a_failed_report_converges(
    journey: Journey, subtests: pytest.Subtests
) -> None:
    for call, kind in failures("report_status_change"):
        with subtests.test(call=call, kind=kind):
            push_with_failing_report(journey, call, kind)
            check(journey, "report_status_change", call, kind, journey.report())
            journey.heal()
            assert journey.report() == "told"
            journey.converge()


def test_report_that_lambda_gave_up_is_made_by_the_next_round(
    journey: Journey, subtests: pytest.Subtests
) -> None:
    tried = dict(failures("report_status_change")).items()  # the last way of each call
    for call, kind in failures("report_status_change") if ALL_KINDS else tried:
        with subtests.test(call=call, kind=kind):
            push_with_failing_report(journey, call, kind)
            for _ in range(LAMBDA_CALLS):
                journey.report()
            journey.heal()
            assert journey.reconcile() == "goes on"
            assert journey.is_only_green_commit()


def push_with_failing_report(journey: Journey, call: str, kind: Kind) -> None:
    """Push, let every host carry it out, and make the report fail."""
    journey.begin()
    push = journey.push_unannounced if call == "POST /deployments" else journey.push
    push()
    journey.carry_out()
    journey.fail(call, kind)


def test_after_hours_of_outage_a_later_round_reports_to_github(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    journey.begin()
    journey.push()
    journey.carry_out()
    journey.fail("POST /deployments/ID/statuses", Kind.GARBAGE)
    assert journey.report() == "tried again"
    journey.wait(hours=17)
    assert not journey.is_only_green_commit()
    journey.heal()
    monkeypatch.setattr(wiring, "RECONCILE_MINUTES", 6 * 60)  # one round for each six hours
    journey.converge()


def test_round_after_a_failed_round_converges(journey: Journey, subtests: pytest.Subtests) -> None:
    for call, kind in failures("reconcile_targets"):
        with subtests.test(call=call, kind=kind):
            journey.begin()
            journey.push()
            journey.carry_out()
            if call not in ENDS:
                journey.add_host()
            journey.fail(call, kind)
            check(journey, "reconcile_targets", call, kind, journey.reconcile())
            journey.heal()
            journey.converge()


class TestAwsFailsOnce:
    def test_push_is_accepted(self, journey: Journey) -> None:
        for call, kind in brief_failures("api_handler"):
            journey.begin()
            journey.fail(call, kind, is_brief=True)
            assert journey.push() == "202", (call, kind)
            is_sent_twice = (call, kind) == ("SendCommand", Kind.LOST)
            assert journey.sends() == 1 + is_sent_twice
            journey.heal()

    def test_commit_is_reported(self, journey: Journey) -> None:
        for call, kind in brief_failures("report_status_change"):
            journey.begin()
            journey.push()
            journey.carry_out()
            journey.fail(call, kind, is_brief=True)
            assert journey.report() == "told", (call, kind)
            journey.heal()

    def test_round_completes(self, journey: Journey) -> None:
        for call, kind in brief_failures("reconcile_targets"):
            if call in ENDS:
                continue
            journey.begin()
            journey.push()
            journey.carry_out()
            journey.add_host()
            journey.fail(call, kind, is_brief=True)
            assert journey.reconcile() == "goes on", (call, kind)
            is_sent_twice = (call, kind) == ("SendCommand", Kind.LOST)
            assert journey.sends() == 2 + is_sent_twice
            journey.heal()


def test_tables_list_exactly_the_calls_of_each_function(journey: Journey) -> None:
    journey.begin()
    journey.calls()
    journey.push()
    assert journey.calls() == set(calls("api_handler"))
    journey.begin()
    journey.push_unannounced()
    journey.carry_out()
    journey.calls()
    journey.report()
    assert journey.calls() == set(calls("report_status_change"))
    journey.begin()
    journey.push()
    journey.carry_out()
    journey.calls()
    journey.reconcile()
    journey.add_host()
    journey.reconcile()
    assert journey.calls() == set(calls("reconcile_targets"))
