"""A view is read side by side, and what cannot change is read once. Real boto3, over HTTP."""

from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.page.reading import MOST_DEPLOYS, SIDE_BY_SIDE, StageReading
from tests.fakes import COMMIT
from tests.page.fleet import COMMANDS, Fleet


def now() -> datetime:
    return datetime.now(UTC)


def test_fifty_targets_with_twenty_hosts_take_few_calls_side_by_side() -> None:
    fleet = Fleet(50, 20, delay=0.02)
    with fleet.source() as source:
        reading = StageReading(source)
        state: Any = reading.state(now=now())
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
        assert reading.state(now=now())["targets"]
        assert "ListCommandInvocations" not in fleet.calls


def test_one_target_alone_costs_its_own_commands() -> None:
    fleet = Fleet(10, 2)
    with fleet.source() as source:
        state: Any = StageReading(source).state(now=now(), only="web-3")
        assert [one["target"] for one in state["targets"]] == ["web-3"]
        assert fleet.calls["ListCommandInvocations"] == 2


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


def test_only_targets_that_ask_for_a_badge_have_one() -> None:
    fleet = Fleet(2, 1)
    name, text = next(iter(fleet.parameters.items()))
    fleet.parameters[name] = text.replace('"web-1",', '"web-1", "badge": true,', 1)
    with fleet.source() as source:
        assert StageReading(source).badges() == ["web-1"]
