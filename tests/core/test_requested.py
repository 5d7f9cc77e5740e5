"""Which deployment of somebody else is a target's request, and what it waits for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.deployments import Deployment, DeploymentStatus, read_payload
from chalicelib.core.gates import DEPLOYMENT, EVERY_CHECK, Gates
from chalicelib.core.history import REMEMBERED, Run, served_by
from chalicelib.core.refs import CommitSha
from chalicelib.core.requested import (
    is_pending,
    judge_request,
    may_be_told,
    newest_request,
    was_queued,
)
from chalicelib.core.targets import Target, TargetsError, parse_target
from chalicelib.core.waiting import CLOSED, OPEN, Forerunner, Gate, judge_gates
from chalicelib.core.wanted import TargetFacts, Wanted, wanted_of
from tests.fakes import COMMIT, STAGE, target_json
from tests.flows.runs import command_of

NOW = datetime(2030, 1, 1, 8, tzinfo=UTC)
REQUEST = Deployment(123, COMMIT, "production", NOW, "", "")
OURS = replace(REQUEST, stage=STAGE, target="web")
QUEUED = DeploymentStatus("queued", "waits for staging")


def target_of(**keys: object) -> Target:
    return parse_target("targets.web", target_json(**keys))


def problems_of(**keys: object) -> tuple[str, ...]:
    with pytest.raises(TargetsError) as raised:
        target_of(**keys)
    return raised.value.problems


class TestKey:
    """`trigger = "deployment"` in an operator's table."""

    def test_target_waits_for_a_deployment_and_needs_github(self) -> None:
        target = target_of(trigger="deployment")
        gates = target.gates
        assert gates == Gates(trigger=DEPLOYMENT)
        assert bool(gates)
        assert target.needs_github
        assert gates.keys == ("trigger",)
        assert str(gates) == "a GitHub deployment of its environment"

    def test_hosts_go_to_the_commit_and_not_past_it(self) -> None:
        assert target_of(trigger="deployment").sent_update == "rebase-to"

    def test_it_may_be_combined_with_after_soak_and_window(self) -> None:
        gates = target_of(
            trigger="deployment", after=["staging"], soak="10m", window="Fri 09:00-17:00 UTC"
        ).gates
        assert gates.keys == ("trigger", "after", "window")
        assert str(gates) == (
            "a GitHub deployment of its environment, staging to be well for 10m, "
            "Fri 09:00-17:00 UTC"
        )

    @pytest.mark.parametrize("checks", [["test"], True])
    def test_checks_are_refused(self, checks: object) -> None:
        (problem,) = problems_of(trigger="deployment", checks=checks)
        assert problem == (
            "targets.web.checks: trigger is deployment, and GitHub judged the checks when that "
            "deployment was made, so leave out checks"
        )

    def test_soak_still_needs_after(self) -> None:
        assert problems_of(trigger="deployment", soak="10m") == (
            "targets.web.soak: needs after, the targets that must be well for so long",
        )

    @pytest.mark.parametrize("value", ["deployments", "Deployment", "", "push deployment"])
    def test_other_values_are_refused(self, value: str) -> None:
        (problem,) = problems_of(trigger=value)
        assert problem.startswith("targets.web.trigger: must be push, manual or deployment")

    def test_other_triggers_are_no_key(self) -> None:
        assert Gates(trigger="manual").keys == ()
        assert Gates(checks=EVERY_CHECK).keys == ("checks",)


class TestWanted:
    def test_rounds_keep_the_commit_that_was_asked_for_last(self) -> None:
        newer, older = "b" * 40, "a" * 40
        runs = [Run(command_of(newer, 1), ()), Run(command_of(older, 2), ())]
        facts = TargetFacts(
            target_of(trigger="deployment"), (), runs, CommitSha(newer), commits=[CommitSha(newer)]
        )
        assert wanted_of(facts, now=NOW) == Wanted(
            CommitSha(older), "rebase-to", "it was asked for last"
        )

    def test_without_a_request_no_commit_is_wanted(self) -> None:
        facts = TargetFacts(target_of(trigger="deployment"), (), (), CommitSha(COMMIT))
        assert wanted_of(facts, now=NOW) is None


class TestForeign:
    @pytest.mark.parametrize(("stage", "target"), [("", ""), ("blue", ""), ("", "web")])
    def test_deployment_without_stage_and_target_is_foreign(self, stage: str, target: str) -> None:
        assert replace(REQUEST, stage=stage, target=target).is_foreign

    def test_deployment_of_any_stage_and_target_of_pulley_is_not_foreign(self) -> None:
        assert not replace(REQUEST, stage="prod", target="api").is_foreign

    @pytest.mark.parametrize(
        ("payload", "expected"),
        [
            ({"stage": "dev"}, {"stage": "dev"}),
            ('{"stage": "dev"}', {"stage": "dev"}),
            ("", {}),
            ("by hand", {}),
            ('"x"', {}),
            ("[1]", {}),
            ("[" * 100_000, {}),
            ("9" * 5_000, {}),
            ("\ud800", {}),
            (None, {}),
            (7, {}),
            ([], {}),
        ],
    )
    def test_payload_may_be_anything(self, payload: object, expected: object) -> None:
        assert read_payload(payload) == expected


class TestNewest:
    def test_deployment_with_the_highest_id_is_the_request(self) -> None:
        made = [replace(REQUEST, id=number) for number in (7, 9, 8)]
        assert newest_request(made) == made[1]

    def test_pulleys_own_deployments_are_no_requests(self) -> None:
        assert newest_request([replace(OURS, id=200), REQUEST]) == REQUEST
        assert newest_request([OURS]) is None

    @pytest.mark.parametrize("commit", ["", "main", "0" * 40, "A" * 40, "a" * 64])
    def test_deployment_without_a_commit_is_no_request(self, commit: str) -> None:
        assert newest_request([replace(REQUEST, commit=commit)]) is None

    def test_without_deployments_there_is_no_request(self) -> None:
        assert newest_request([]) is None


class TestPending:
    def test_request_is_pending_until_a_command_was_sent_for_it(self) -> None:
        other = command_of(COMMIT, 1, deployment=7)
        own = command_of(COMMIT, 2, deployment=REQUEST.id)
        none = command_of(COMMIT, 3)
        assert served_by([other, own, none]) == {7, 123}
        assert is_pending(REQUEST, served_by([other, none]), now=NOW)
        assert not is_pending(REQUEST, served_by([other, own, none]), now=NOW)

    @pytest.mark.parametrize(
        ("age", "expected"),
        [
            (timedelta(), True),
            (-timedelta(minutes=4), True),  # GitHub's clock is ahead
            (REMEMBERED - timedelta(seconds=1), True),
            (REMEMBERED, False),
            (10 * REMEMBERED, False),
        ],
    )
    def test_request_that_systems_manager_may_have_forgotten_is_not_pending(
        self, age: timedelta, *, expected: bool
    ) -> None:
        assert is_pending(REQUEST, (), now=NOW + age) == expected


class TestJudge:
    @pytest.mark.parametrize("said", [[], ["pending"], ["queued"], ["in_progress"], ["queued"] * 2])
    def test_request_that_has_not_ended_is_open(self, said: list[str]) -> None:
        statuses = [DeploymentStatus(state, "") for state in said]
        gate = judge_request(REQUEST, statuses)
        assert gate == Gate("trigger", OPEN, "asked for by deployment 123")

    @pytest.mark.parametrize("state", ["success", "failure", "error", "inactive"])
    def test_request_that_somebody_ended_asks_for_nothing(self, state: str) -> None:
        assert judge_request(REQUEST, [DeploymentStatus(state, ""), QUEUED]) is None

    def test_request_that_was_begun_again_is_open(self) -> None:
        again = [DeploymentStatus("in_progress", ""), DeploymentStatus("failure", "")]
        gate = judge_request(REQUEST, again)
        assert gate
        assert gate.state == OPEN

    def test_request_whose_reviewers_have_not_approved_is_closed(self) -> None:
        said = [DeploymentStatus("waiting", "")]
        assert judge_request(REQUEST, said) == Gate(
            "trigger", CLOSED, "waits until deployment 123 is approved on GitHub"
        )
        approved = [DeploymentStatus("queued", ""), *said]
        gate = judge_request(REQUEST, approved)
        assert gate
        assert gate.state == OPEN

    def test_nothing_is_posted_on_top_of_githubs_own_state(self) -> None:
        waiting = DeploymentStatus("waiting", "")
        assert may_be_told([])
        assert may_be_told([QUEUED, waiting])
        assert not may_be_told([waiting, QUEUED])

    def test_queued_with_a_reason_and_nothing_since_is_pulleys(self) -> None:
        assert was_queued([QUEUED])
        assert not was_queued([])
        assert not was_queued([DeploymentStatus("queued", "")])
        assert not was_queued([DeploymentStatus("in_progress", ""), QUEUED])


class TestGates:
    """The gate `trigger` among the other gates of a target."""

    def judge(self, request: Gate | None, **keys: object) -> list[tuple[str, str, str]]:
        target = target_of(trigger="deployment", environment="production", **keys)
        before = {"staging": Forerunner("staging", why_not="it has no host online")}
        waiting = judge_gates(target, CommitSha(COMMIT), before, now=NOW, request=request)
        return [(one.name, one.state, one.reason) for one in waiting.gates]

    def test_it_is_closed_if_no_request_is_known(self) -> None:
        words = "waits for a deployment to production on GitHub"
        assert self.judge(None) == [("trigger", CLOSED, words)]

    @pytest.mark.parametrize("state", [OPEN, CLOSED])
    def test_it_comes_first_and_the_others_are_judged_too(self, state: str) -> None:
        gates = self.judge(Gate("trigger", state, "asked"), after=["staging"])
        assert gates == [
            ("trigger", state, "asked"),
            ("after", CLOSED, "waits for staging: it has no host online"),
        ]
