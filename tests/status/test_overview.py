"""A host's place relative to its wanted commit, and the newest command's own verdict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Never

import pytest

from chalicelib.core.history import Command, Invocation
from chalicelib.core.hosts import Host
from chalicelib.core.observations import RUNNING, WAITING
from chalicelib.core.refs import Repository
from chalicelib.core.targets import parse_target
from chalicelib.edges.github_api import GitHubApi
from chalicelib.flows.snapshot import Reader
from chalicelib.status.checks import ChecksReader
from chalicelib.status.gates import GatesView
from chalicelib.status.overview import (
    BEHIND,
    BROKEN,
    THERE,
    UNKNOWN,
    HostStanding,
    View,
)
from tests.fakes import COMMIT, STAGE, FakeHistory, FakeJournal, FakeParameters, target_json
from tests.flows.runs import NOW, OLD, command_of, line_of, on, running

WEB = parse_target("web", target_json(instances={"tags": {"role": "web"}}))
KILLED = replace(on(1, details="Cancelled"), ended=NOW)
BROKE = line_of(outcome="step_failed", step="restart", detail="exit code 1")
UNTOUCHED = line_of(outcome="no_checkout", after=None, upstream=None)
Sent = tuple[Command, Sequence[Invocation]]


@dataclass(frozen=True)
class Directory:
    is_online: bool = True

    def hosts(self) -> Sequence[Host]:
        tags = {"pulley": STAGE, "role": "web"}
        return [
            Host(f"i-{number:017x}", f"web-{number}", tags, is_online=self.is_online)
            for number in (1, 2, 3)
        ]


def no_github(repository: Repository, token: str) -> Never:
    raise AssertionError((repository, token))


def view(*sent: Sent, is_online: bool = True) -> View:
    """The view one minute after the last command."""
    history = FakeHistory()
    for command, invocations in sent:
        history.add(command, *invocations)
    now = max((command.requested for command, _ in sent), default=NOW) + timedelta(minutes=1)
    reader = Reader(
        STAGE, FakeParameters(), Directory(is_online), history, no_github, FakeJournal()
    )
    gates = GatesView(reader, no_github, ChecksReader(GitHubApi("http://127.0.0.1:9")), [WEB])
    return View(reader, reader.begin([WEB], {}, now=now), lambda: None, gates)


def first_host(*sent: Sent, is_online: bool = True) -> HostStanding:
    return view(*sent, is_online=is_online).standing(WEB).hosts[0]


class TestPlace:
    @pytest.mark.parametrize(
        ("invocation", "place"),
        [
            (on(1, line_of()), THERE),
            (on(1, line_of(outcome="conflict", after=OLD, step="rebase"), "Failed"), BEHIND),
            (on(1, BROKE, "Failed"), BROKEN),
            (KILLED, UNKNOWN),
            (on(1, details="Cancelled"), UNKNOWN),
            (running(1), RUNNING),
            (on(1, details="Pending"), WAITING),
        ],
    )
    def test_place_follows_from_the_result_of_the_last_run(
        self, invocation: Invocation, place: str
    ) -> None:
        assert first_host((command_of(), [invocation])).place == place

    def test_host_that_runs_a_newer_command_is_running(self) -> None:
        before = command_of(OLD, 1), [on(1, line_of(OLD))]
        newer = command_of(COMMIT, 2, status="InProgress"), [running(1)]
        host = first_host(before, newer)
        assert (host.place, host.commit) == (RUNNING, OLD)
        assert host.running
        assert host.running.roll_out.commit.sha == COMMIT

    def test_host_of_an_overdue_command_is_unknown_and_not_running(self) -> None:
        stuck = command_of(COMMIT, 1, status="InProgress"), [running(1)]
        later = command_of(COMMIT, 9), [on(2, line_of())]
        assert first_host(stuck, later).place == UNKNOWN

    def test_offline_host_with_a_pending_command_is_unknown(self) -> None:
        waiting = command_of(status="InProgress"), [on(1, details="Pending")]
        assert first_host(waiting, is_online=False).place == UNKNOWN

    def test_host_without_a_wanted_commit_has_no_place(self) -> None:
        assert first_host().place == ""


class TestNewest:
    def test_newest_command_fails_by_its_own_results_despite_an_older_success(self) -> None:
        hosts = (1, 2, 3)
        first = command_of(number=1, count=3), [on(one, line_of()) for one in hosts]
        again = (
            command_of(number=2, status="Failed", count=3),
            [on(1, line_of()), *(on(one, UNTOUCHED, "Failed") for one in (2, 3))],
        )
        newest = view(first, again).standing(WEB).newest
        assert newest
        assert newest.run.command.id == again[0].id
        assert newest.status.state == "failure"
        assert newest.status.description.startswith("1 of 3 hosts at 4d5e6f7")

    def test_every_failed_host_is_in_the_description(self) -> None:
        said = [
            line_of(outcome="conflict", step="rebase", detail=f"{one} " + "x" * 90)
            for one in (1, 2, 3)
        ]
        failed = [on(number, line, "Failed") for number, line in enumerate(said, 1)]
        newest = view((command_of(status="Failed", count=3), failed)).standing(WEB).newest
        assert newest
        assert all(f"web-{number}: " in newest.status.description for number in (1, 2, 3))

    def test_target_without_commands_has_no_newest(self) -> None:
        assert view().standing(WEB).newest is None
