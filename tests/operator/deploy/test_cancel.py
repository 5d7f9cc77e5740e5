"""After a cancel: which commands are sent, and that a freeze prevents them."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from chalicelib.core.holds import RoundState
from chalicelib.core.hosts import Fleet
from chalicelib.core.plan import plan_target
from chalicelib.core.refs import Repository
from chalicelib.core.stored import StoredPins
from chalicelib.flows.branches import Branches, GitHubRepository
from chalicelib.flows.snapshot import Snapshot
from chalicelib.status.overview import Standing, Standings
from pulley.operator.deploy.cancel import send_way_back
from pulley.operator.stage.stage import Stage
from tests.core.test_plan import NOW, A, B, TestPlanTargetCancelled, facts_of, host
from tests.fakes import FakeJournal

HOSTS = [host(1), host(2), host(3)]
BEGUN = (host(1).instance_id, host(2).instance_id)
FROZEN = {"web": '{"state": "frozen"}'}


def no_github(_repository: Repository, _token: str) -> GitHubRepository:
    raise AssertionError("no target has a token here")


def sent(now: Mapping[str, str]) -> list[tuple[str, tuple[str, ...], str]]:
    """Commits, hosts and answers, if no target was pinned when the hosts were read."""
    story = TestPlanTargetCancelled()
    facts = facts_of(story.good(), story.cancelled(), hosts=HOSTS, head=B)
    branches = Branches(no_github, {}, FakeJournal())
    snapshot = Snapshot(NOW, Fleet([], "dev"), [], StoredPins({}), RoundState(), branches)

    def send(requests: Sequence[object]) -> list[str]:
        assert not now, "was sent to a pinned target"
        return ["command"] * len(requests)

    stage = SimpleNamespace(
        name="dev",
        stored=SimpleNamespace(pins=lambda _names: StoredPins(now)),
        commands=SimpleNamespace(send=send),
        identity=SimpleNamespace(arn="mona"),
    )
    standing = SimpleNamespace(target=facts.target, plan=plan_target(facts, now=NOW))
    seen = SimpleNamespace(view=SimpleNamespace(snapshot=snapshot))
    answers = send_way_back(
        cast("Stage", stage), cast("Standing", standing), cast("Standings", seen)
    )
    return [(send.wanted.commit.sha, send.instance_ids, str(answer)) for send, answer in answers]


def test_hosts_where_the_command_had_begun_get_the_last_good_commit() -> None:
    assert sent({}) == [(A.sha, BEGUN, "command")]


@pytest.mark.parametrize("pins", [FROZEN, {"web": "?"}])
def test_target_pinned_during_the_cancel_gets_no_command(pins: Mapping[str, str]) -> None:
    why = "nothing was sent: its pin or freeze was changed during the cancel; see pulley status web"
    assert sent(pins) == [(A.sha, BEGUN, why)]
