"""A view is read side by side, and what cannot change is read once. Real boto3, over HTTP."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.page import reading
from chalicelib.page.reading import MOST_DEPLOYS, SIDE_BY_SIDE, StageReading
from tests.fakes import COMMIT, NAMES, TOKEN
from tests.page.fleet import COMMANDS, Fleet


def now() -> datetime:
    return datetime.now(UTC)


def test_fifty_targets_with_twenty_hosts_take_few_calls_side_by_side() -> None:
    fleet = Fleet(50, 20, delay=0.02)
    with fleet.source() as source:
        stage = StageReading(source)
        state: Any = stage.state(now=now())
        first = dict(fleet.calls)
        assert {one["target"] for one in state["targets"]} == set(fleet.names)
        assert all(one["well"] and len(one["hosts"]) == 20 for one in state["targets"])
        assert {host["state"] for one in state["targets"] for host in one["hosts"]} == {"at it"}
        # Two commands of each target are read: the newest, and the one before it.
        assert first == {
            "DescribeParameters": 1,
            "GetParameters": 9,
            "ListCommands": 3,
            "DescribeInstanceInformation": 20,
            "DescribeInstances": 2,
            "ListCommandInvocations": 100,
        }
        assert SIDE_BY_SIDE / 2 < fleet.at_once <= SIDE_BY_SIDE + 1
        fleet.calls.clear()
        assert stage.state(now=now())["targets"]
        assert "ListCommandInvocations" not in fleet.calls


def changed(fleet: Fleet, name: str, old: str, new: str) -> None:
    """Change a target's stored JSON."""
    ((parameter, text),) = [one for one in fleet.parameters.items() if f'"{name}"' in one[1]]
    assert old in text
    fleet.parameters[parameter] = text.replace(old, new, 1)


@contextmanager
def github_that_hangs() -> Iterator[tuple[str, list[socket.socket]]]:
    """The address of a server that takes requests and never answers, and its connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            with suppress(OSError):
                while True:
                    taken.append(server.accept()[0])

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", taken
        server.shutdown(socket.SHUT_RDWR)
        for one in taken:
            one.close()


def test_github_that_hangs_delays_a_view_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "GITHUB_SECONDS", 2.0)
    fleet = Fleet(20, 1)
    for name in ("web-1", "web-2"):
        changed(fleet, name, f'"{name}",', f'"{name}", "checks": true,')
    with github_that_hangs() as (fleet.github_api, taken), fleet.source() as source:
        stage = StageReading(replace(source, own_token=TOKEN))
        state: Any = stage.state(now=now())
        assert len(state["targets"]) == 20
        # The tips of four repositories were asked for side by side, and nothing after the time.
        assert 0 < len(taken) <= 4
        assert stage.past("web-1", now=now())


class TestPast:
    def test_deploys_are_told_with_their_lengths_and_hosts_newest_first(self) -> None:
        fleet = Fleet(2, 3)
        with fleet.source() as source:
            past: Any = StageReading(source).past("web-1", now=now())
        assert len(past["entries"]) == COMMANDS <= MOST_DEPLOYS
        assert past["version"] == 1
        newest = past["entries"][0]
        assert (newest["target"], newest["commit"], newest["by"]) == ("web-1", COMMIT, "mona")
        assert (newest["state"], newest["seconds"]) == ("success", pytest.approx(3, abs=0.01))
        assert [one["at"] for one in past["entries"]] == sorted(
            (one["at"] for one in past["entries"]), reverse=True
        )

    def test_unknown_target_has_no_past(self) -> None:
        with Fleet(1, 1).source() as source:
            assert StageReading(source).past("nobody", now=now()) is None

    def test_name_that_two_targets_have_has_no_past(self) -> None:
        fleet = Fleet(8, 1)
        changed(fleet, "web-6", '"web-6"', '"web-1"')
        with fleet.source() as source:
            stage = StageReading(source)
            assert stage.past("web-1", now=now()) is None
            assert stage.past("web-2", now=now())


class TestBadges:
    def test_only_targets_that_ask_for_a_badge_have_one_and_only_they_are_read(self) -> None:
        fleet = Fleet(10, 2)
        changed(fleet, "web-1", '"web-1",', '"web-1", "badge": true,')
        with fleet.source() as source:
            (badge,) = StageReading(source).badges(now=now()).items()
        assert badge[0] == "web-1"
        assert f"web-1 · {COMMIT[:7]} · 2/2" in badge[1]
        assert fleet.calls["ListCommandInvocations"] == 2

    def test_target_that_cannot_be_read_is_unknown(self) -> None:
        fleet = Fleet(2, 1)
        changed(fleet, "web-1", '"web-1",', '"web-1", "badge": true,')
        fleet.parameters[NAMES.pin("web-1")] = "nonsense"
        with fleet.source() as source:
            assert "web-1 · unknown" in StageReading(source).badges(now=now())["web-1"]

    def test_name_that_two_targets_have_has_no_badge(self) -> None:
        fleet = Fleet(8, 1)
        changed(fleet, "web-6", '"web-6",', '"web-1", "badge": true,')
        changed(fleet, "web-2", '"web-2",', '"web-2", "badge": true,')
        with fleet.source() as source:
            assert [*StageReading(source).badges(now=now())] == ["web-1", "web-2"]
        changed(fleet, "web-2", '"web-1",', '"web-1", "badge": true,')
        with fleet.source() as source:
            assert [*StageReading(source).badges(now=now())] == ["web-2"]
