"""The state of a stage: what the page and `pulley status --json` tell of each host."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.core.history import Invocation
from chalicelib.core.pins import Pin
from chalicelib.core.stored import StoredPins
from chalicelib.edges.command_output import Output
from chalicelib.status.as_json import plain
from chalicelib.status.outputs import Outputs
from chalicelib.status.overview import Standing, look_at
from chalicelib.status.state import (
    MOST_OUTPUTS,
    Surroundings,
    next_of,
    state_of,
    state_of_host,
    target_state,
)
from chalicelib.status.subjects import Subjects
from tests.fakes import COMMIT
from tests.flows.runs import NOW, OLD, command_of, line_of, on, running
from tests.status.test_overview import WEB, Sent, first_host, no_github, view

SOON = NOW + timedelta(minutes=11)
AT = Surroundings("prod", "eu-west-1", "https://github.com")
CONFLICT = line_of(outcome="conflict", after=OLD, step="rebase", detail="in index.html")


class Reader:
    def read(self, command_id: str, instance_id: str) -> Output:
        return Output("", f"{command_id} {instance_id}")


def state(*sent: Sent, is_online: bool = True) -> Any:  # noqa: ANN401 - JSON
    seen = look_at(view(*sent, is_online=is_online), [WEB], ["octo/api: targets[0]: wrong"])
    return plain(state_of(seen, AT, Subjects(no_github), Outputs(Reader())))


class TestStateOfHost:
    @pytest.mark.parametrize(
        ("invocation", "expected"),
        [
            (on(1, line_of()), "at it"),
            (running(1), "running"),
            (on(1, details="Pending"), "waiting"),
            (on(1, CONFLICT, "Failed"), "failed"),
            (on(1, line_of(outcome="broken", step="restart"), "Failed"), "failed"),
            (on(2, line_of()), "unknown"),
        ],
    )
    def test_last_run_decides(self, invocation: Invocation, expected: str) -> None:
        host = first_host((command_of(), [invocation]))
        assert state_of_host(host, WEB, SOON) == expected

    @pytest.mark.parametrize(
        ("invocation", "expected"),
        [(on(1, line_of()), "asleep"), (on(1, CONFLICT, "Failed"), "failed")],
    )
    def test_offline_host_is_asleep_unless_it_failed(
        self, invocation: Invocation, expected: str
    ) -> None:
        host = first_host((command_of(), [invocation]), is_online=False)
        assert state_of_host(host, WEB, SOON) == expected

    def test_word_older_than_recheck_is_old(self) -> None:
        host = first_host((command_of(), [on(1, line_of())]))
        assert host.plan.seen
        just = host.plan.seen + WEB.recheck_after
        assert state_of_host(host, WEB, just) == "at it"
        assert state_of_host(host, WEB, just + timedelta(seconds=1)) == "old"

    def test_parked_host_is_parked(self) -> None:
        host = first_host((command_of(), [on(1, CONFLICT, "Failed")]))
        parked = replace(host, plan=replace(host.plan, action="parked"))
        assert state_of_host(parked, WEB, SOON) == "parked"

    def test_host_of_which_nothing_is_wanted_has_none(self) -> None:
        assert state_of_host(first_host(), WEB, SOON) == ""


class TestStateOf:
    def test_document_names_stage_version_and_problems(self) -> None:
        told = state()
        assert (told["version"], told["stage"], told["region"]) == (1, "prod", "eu-west-1")
        assert told["problems"] == ["octo/api: targets[0]: wrong"]
        assert told["failed"] == []

    def test_target_that_cannot_be_read_is_listed_as_failed(self) -> None:
        seen = view((command_of(), [on(1, line_of())]))
        seen.snapshot.pins = StoredPins({"web": "nonsense"})
        shown = {}
        for at in (AT, replace(AT, in_full=False)):
            told: Any = plain(
                state_of(look_at(seen, [WEB]), at, Subjects(no_github), Outputs(Reader()))
            )
            assert told["targets"] == []
            (failed,) = told["failed"]
            assert failed["target"] == "web"
            shown[at.in_full] = failed["reason"]
        assert "the parameter pins/web is not valid" in shown[True]
        assert shown[False]
        assert "the parameter pins/web" not in shown[False]

    def test_failed_host_is_told_with_reason_command_and_output(self) -> None:
        command = command_of(count=3)
        told = state((command, [on(1, CONFLICT, "Failed"), on(2, line_of()), on(3, line_of())]))
        (target,) = told["targets"]
        first, second, _ = target["hosts"]
        assert (first["state"], first["command_id"]) == ("failed", command.id)
        assert first["last"] == "failed: conflict: rebase: in index.html"
        assert first["output"] == f"{command.id} {first['instance_id']}"
        assert (second["state"], second["output"]) == ("at it", None)
        assert target["well"] is False
        assert target["newest"]["seconds"] is not None

    def test_next_counts_the_hosts_for_which_it_is_the_same(self) -> None:
        told = state((command_of(count=2), [on(1, CONFLICT, "Failed"), on(2, CONFLICT, "Failed")]))
        (target,) = told["targets"]
        counts = [(one["action"], one["hosts"]) for one in target["next"]]
        assert counts == [("wait", 2), ("send", 1)]
        assert all(one["reason"] for one in target["next"])
        assert {one["commit"] for one in target["next"]} == {COMMIT}

    def test_host_at_the_commit_is_no_part_of_what_comes_next(self) -> None:
        hosts = [on(number, line_of()) for number in (1, 2, 3)]
        told = state((command_of(count=3), hosts))
        assert told["targets"][0]["next"] == []


class TestPinned:
    def test_pin_is_told_as_data_while_it_holds(self) -> None:
        seen = view()
        standing = seen.standing(WEB)
        until = seen.snapshot.now + timedelta(hours=1)
        pin = Pin("frozen", None, "a\nholiday", until, "mona", NOW)
        frozen = replace(standing, facts=replace(standing.facts, pin=pin))
        told = self.told(frozen)
        assert told["pinned"] == {
            "state": "frozen",
            "commit": None,
            "reason": "a holiday",
            "by": "mona",
            "since": "2030-01-01T08:01:00Z",
            "until": f"{until:%Y-%m-%dT%H:%M:%SZ}",
        }
        over = replace(frozen, facts=replace(frozen.facts, pin=replace(pin, until=NOW)))
        assert self.told(over)["pinned"] is None

    def told(self, standing: Standing) -> Any:  # noqa: ANN401 - JSON
        seen, outputs = look_at(view(), []), Outputs(Reader())
        return plain(target_state(standing, seen, {}, outputs, iter("")))


def test_frozen_target_has_nothing_next() -> None:
    assert next_of(view().standing(WEB)) == []


def test_few_outputs_are_read_however_many_hosts_failed() -> None:
    standing = view((command_of(), [on(1, CONFLICT, "Failed")])).standing(WEB)
    many = replace(standing, hosts=standing.hosts[:1] * 50)
    seen, outputs, left = look_at(view(), []), Outputs(Reader()), iter("x" * 2 * MOST_OUTPUTS)
    told: Any = plain(target_state(many, seen, {}, outputs, left))
    assert sum(one["output"] is not None for one in told["hosts"]) == MOST_OUTPUTS
    assert len(list(left)) == MOST_OUTPUTS
    told = plain(target_state(many, seen, {}, outputs, iter("x")))
    assert sum(one["output"] is not None for one in told["hosts"]) == 1


def test_output_that_cannot_be_read_is_left_out() -> None:
    class Failing:
        def read(self, command_id: str, instance_id: str) -> Output:
            raise UnavailableError(f"AWS is too busy for {command_id} {instance_id}")

    seen = look_at(view((command_of(), [on(1, CONFLICT, "Failed")])), [WEB])
    told: Any = plain(state_of(seen, AT, Subjects(no_github), Outputs(Failing())))
    first = told["targets"][0]["hosts"][0]
    assert (first["state"], first["output"]) == ("failed", None)
