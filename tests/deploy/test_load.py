"""Fifty deliveries a second while Systems Manager allows forty reads: no push is lost.

PULLEY_DELIVERIES is the number of deliveries, always from the same seed; `make soak` sends a
minute's worth. The tests assert numbers and never times: a slow machine is never throttled, and
answers 202 at once.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from pulley.sandbox.account import Account
from pulley.sandbox.run_command.throttle import Throttle
from pulley.sandbox.setup import store_document, store_targets
from tests.deploy.load import (
    REPOSITORIES,
    Answered,
    deliver,
    deliveries,
    resident_bytes,
    targets_of,
)
from tests.deploy.project import REGION
from tests.deploy.runtime import Function, Python, Unpacked
from tests.fakes import NAMES, SECRET, STAGE

pytestmark = pytest.mark.xdist_group("lambda")
DELIVERIES = int(os.environ.get("PULLEY_DELIVERIES", "150"))
A_SECOND = 50
REDELIVERED_A_SECOND = 8  # by hand, so fewer than Systems Manager allows
SEED, WARMING_SEED = 20261121, 20261120
FUNCTIONS = 8 if "PULLEY_DELIVERIES" in os.environ else 4
BUSY = ("too busy for", "did not answer in time", "too many deliveries from repositories not known")
ANSWERS = {
    "push": {202, 503},
    "other branch": {200, 503},
    "ping": {200, 503},
    # 503 if the budget does not allow a look-up for a rotated secret.
    "forged": {401, 503},
    "forged, made up": {401, 503},
}
MEGABYTE = 1024 * 1024
# Of 52 MB. A function that had 375 of `make soak`'s deliveries grew by 1 MB at the most.
FLAT = 4 * MEGABYTE


class Sending(NamedTuple):
    """A command's parameters, under the document's names."""

    Delivery: str
    Target: str
    Commit: str


@dataclass(frozen=True)
class Load:
    """The answers to all deliveries, and to the redelivery of those that got 503."""

    first: list[Answered]
    again: list[Answered]
    grown: list[int]  # bytes, of each function

    @property
    def accepted(self) -> list[Answered]:
        return [one for one in (*self.first, *self.again) if one.status == 202]


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """An account without hosts: each command ends at once and is kept."""
    with Account(region=REGION) as opened:
        store_document(opened.ssm, STAGE)
        opened.ssm.put_parameter(Name=NAMES.webhook_secret, Value=SECRET, Type="SecureString")
        for full_name in REPOSITORIES:
            store_targets(opened.ssm, STAGE, full_name, targets_of(full_name))
        yield opened


@pytest.fixture(scope="module")
def functions(
    unpacked: Unpacked,
    python: Python,
    account: Account,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Function]]:
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as opened:
        yield [
            opened.enter_context(
                Function(
                    unpacked.task_root,
                    python,
                    unpacked.functions["app"],
                    environ=account.environ,
                    log=logs / str(number),
                )
            )
            for number in range(FUNCTIONS)
        ]


@pytest.fixture(scope="module")
def load(account: Account, functions: list[Function]) -> Load:
    for function in functions:  # warm: each has read and sent, for one target and for two
        deliver([function], deliveries(12, WARMING_SEED), a_second=1000)
    before = [resident_bytes(function) for function in functions]
    account.throttle = Throttle()
    first = deliver(functions, deliveries(DELIVERIES, SEED), a_second=A_SECOND)
    refused = [one.sent for one in first if one.status == 503 and one.sent.is_genuine]
    again = deliver(functions, refused, a_second=REDELIVERED_A_SECOND)
    after = [resident_bytes(function) for function in functions]
    return Load(first, again, [now - then for then, now in zip(before, after, strict=True)])


@pytest.fixture(scope="module")
def commands(account: Account, load: Load) -> dict[str, Sending]:
    """The commands of the load, by id."""
    guids = {one.sent.guid for one in load.first}
    of_all = {
        one.id: Sending(*(one.request.parameters[name][0] for name in Sending._fields))
        for one in account.run_command.commands()
    }
    return {id_: one for id_, one in of_all.items() if one.Delivery in guids}


class TestAnswers:
    def test_each_delivery_is_answered_with_a_status_of_its_kind(self, load: Load) -> None:
        assert len(load.first) == DELIVERIES
        odd = [one for one in load.first if one.status not in ANSWERS[one.sent.kind]]
        assert odd == []

    def test_forged_deliveries_are_refused_with_401(self, load: Load) -> None:
        assert {one.status for one in load.first if not one.sent.is_genuine} >= {401}

    def test_503_names_what_is_busy(self, load: Load) -> None:
        words = {one.body["error"] for one in load.first if one.status == 503}
        assert [said for said in words if not any(one in said for one in BUSY)] == []


class TestCommands:
    def test_each_accepted_delivery_has_its_own_commands(
        self, load: Load, commands: dict[str, Sending]
    ) -> None:
        for one in load.accepted:
            meant = {Sending(one.sent.guid, name, one.sent.commit) for name in one.sent.targets}
            assert {commands[id_] for _, id_ in one.deployed} == meant

    def test_only_pushes_have_commands(self, load: Load, commands: dict[str, Sending]) -> None:
        pushed = {
            Sending(one.sent.guid, name, one.sent.commit)
            for one in load.first
            for name in one.sent.targets
        }
        assert set(commands.values()) <= pushed

    def test_no_delivery_has_its_command_sent_twice(
        self, load: Load, commands: dict[str, Sending]
    ) -> None:
        """The SDK repeats a call whose answer it lost, at most once for each function.

        A redelivery goes to all of its targets, also to those that already have the command.
        """
        answered = Counter(one.sent.guid for one in (*load.first, *load.again))
        sent = Counter(commands.values())
        surplus = {one: count - answered[one.Delivery] for one, count in sent.items()}
        assert sum(count for count in surplus.values() if count > 0) <= FUNCTIONS


class TestRedelivery:
    def test_after_one_redelivery_every_push_is_accepted(self, load: Load) -> None:
        assert [one for one in load.again if one.status == 503] == []
        done = {one.sent.guid for one in load.accepted}
        assert done == {one.sent.guid for one in load.first if one.sent.kind == "push"}

    def test_each_target_gets_its_newest_commit(
        self, load: Load, commands: dict[str, Sending]
    ) -> None:
        newest = {target: one.sent.commit for one in load.first for target in one.sent.targets}
        sent = {(one.Target, one.Commit) for one in commands.values()}
        assert newest.items() <= sent


class TestFunctions:
    def test_no_function_ended_or_raised(self, load: Load, functions: list[Function]) -> None:
        assert all(function.pid for function in functions)
        assert [one.log for one in functions if "Traceback" in one.log] == []

    def test_memory_of_no_function_grows(self, load: Load) -> None:
        assert max(load.grown) < FLAT
