"""A round releases the newest commit of a target with gates whose gates are all open.

No commit goes out past a closed gate, and nothing goes back to an older commit.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.deployments import Deployment, DeploymentRequest, DeploymentStatus
from chalicelib.core.errors import NotTakenError, PulleyError, RefusedError, UnavailableError
from chalicelib.core.history import Command
from chalicelib.core.holds import Hold, RoundState, parse_round_state, write_round_state
from chalicelib.core.refs import CommitSha, Repository
from chalicelib.edges.github_api import TokenError
from chalicelib.flows.find_deployment import LOOKS
from chalicelib.flows.release import MAX_JUDGED
from chalicelib.flows.round import Round
from tests.fakes import NAMES, SITE, STAGE, target_json
from tests.flows.runs import command_of, line_of, on
from tests.flows.test_reconcile import OTHER, House

AWAY = UnavailableError("GitHub is not well", detail="502")
HOSTS = {"staging": 1, "production": 2, "web": 3}
BOTH = ["test", "lint"]


def sha(number: int) -> str:
    """The commit with that number; a higher number is a newer commit."""
    return f"{number:040x}"


def shas(numbers: Sequence[int]) -> list[CommitSha]:
    return [CommitSha(sha(one)) for one in numbers]


def one_target(name: str = "web", **gates: object) -> dict[str, object]:
    return target_json(
        name,
        instances={"tags": {"role": name}},
        checkout=f"/srv/{name}",
        recheck="20d",
        **gates,
    )


class Release(House):
    """A stage with a token; each target has one host, with the target's name as its role.

    `branch(3, 2, 1)` makes these the commits of `main`.
    """

    def __init__(self, *targets: dict[str, object]) -> None:
        super().__init__()
        self.take_token()
        self.store(NAMES.targets(SITE), json.dumps(targets))
        for one in targets:
            name = str(one["name"])
            self.add_hosts(HOSTS[name], role=name)

    def branch(self, *newest_first: int) -> None:
        self.reading.branches[SITE, "main"] = shas(newest_first)
        self.reading.heads[SITE, "main"] = shas(newest_first)[0]

    def checks(self, number: int, **states: str) -> None:
        """Set checks of a commit: "success", "pending" or "failure"."""
        self.deployments.checks.setdefault(sha(number), {}).update(states)

    def green(self, *numbers: int) -> None:
        for one in numbers:
            self.checks(one, test="success", lint="success")

    def sent(self) -> list[tuple[str, int, str, str]]:
        """Each command: its target, the number of its commit, its `Update` and its cause."""
        return [
            (one.target, int(one.parameters["Commit"], 16), *self._way(one.parameters))
            for one in self.commands.sent
        ]

    def _way(self, parameters: object) -> tuple[str, str]:
        assert isinstance(parameters, dict)
        return parameters["Update"], parameters["Cause"]

    def released(self, target: str = "web") -> list[int]:
        """The commits that went to the target, oldest first."""
        return [
            number for name, number, _, cause in self.sent() if name == target and cause == "push"
        ]

    def arrive(self, status: str = "Success", **changes: object) -> None:
        """End all commands under way: each host is at the command's commit."""
        for id_, command in list(self.history.commands.items()):
            if command.is_over or not isinstance(command, Command):
                continue
            line = line_of(command.roll_out.commit.sha, target=command.roll_out.target, **changes)
            hosts = [
                replace(one, status=status, details=status, output=line, ended=self.now)
                for one in self.history.hosts[id_]
            ]
            self.history.add(replace(command, status=status, details=status), *hosts)

    def pin(self, target: str, **pin: str) -> None:
        self.store(NAMES.pin(target), json.dumps({"reason": "the fair"} | pin))

    def deployed(self, target: str, number: int, **result: object) -> None:
        """Add a command of a person, which brought the target's host to the commit just now."""
        count = len(self.history.commands) + 1
        sent = command_of(sha(number), count, target=target, checkout=f"/srv/{target}")
        issued = int(self.now.timestamp() * 1000)
        roll_out = replace(sent.roll_out, cause="deploy", issued=issued)
        line = line_of(sha(number), **{"target": target} | result)
        status = "Success" if "outcome" not in result else "Failed"
        host = on(HOSTS[target], line, status, ended=self.now)
        sent = replace(sent, roll_out=roll_out, status=status, requested=self.now)
        self.push(replace(sent, expires=self.now + timedelta(minutes=20)), host)

    def recheck(self, target: str, number: int, status: str = "", **result: object) -> None:
        """Add a recheck of a round, with this result; without a status it changed nothing."""
        self.deployed(target, number, **{"outcome": "unchanged"} | result)
        id_, command = list(self.history.commands.items())[-1]
        assert isinstance(command, Command)
        status = status or "Success"
        roll_out = replace(command.roll_out, cause="reconcile")
        hosts = [replace(one, status=status, details=status) for one in self.history.hosts[id_]]
        self.history.add(replace(command, roll_out=roll_out, status=status, details=status), *hosts)

    def settle(self, minutes: float = 1) -> None:
        """Run a round and end what it sent."""
        self.round()
        self.arrive()
        self.rest(minutes)

    def said(self, number: int, environment: str = "web") -> list[str]:
        """Each status of the commit's first deployment: its state and description."""
        one, *twins = (
            made.id
            for made in self.deployments.made.values()
            if (made.commit, made.environment) == (sha(number), environment)
        )
        assert all(self.deployments.states(twin) == ["inactive"] for twin in twins)
        return [f"{said.state}: {said.description}" for said in self.deployments.log[one]]

    def reasons(self) -> list[object]:
        return [note["reason"] for note in self.notes("command", "waits")]


def judged(house: Release) -> int:
    return house.deployments.calls.count("create_if_green")


class TestChecks:
    """`checks = ["test", "lint"]`."""

    @pytest.fixture
    def house(self) -> Release:
        house = Release(one_target(checks=BOTH))
        house.branch(1)
        house.green(1)
        return house

    def test_green_commit_is_sent_to_itself_and_not_past_it(self, house: Release) -> None:
        assert house.round() == Round(targets=1, hosts=1, sent=1)
        assert house.sent() == [("web", 1, "rebase-to", "push")]

    def test_deployment_that_github_judged_is_the_one_that_is_reported_on(
        self, house: Release
    ) -> None:
        house.settle()
        house.rest(15)
        house.round()
        assert list(house.deployments.made) == [7001]
        assert house.commands.sent[0].parameters["Deployment"] == "7001"
        assert house.deployments.states(7001) == ["success"]

    @pytest.mark.parametrize(
        ("states", "reason"),
        [
            ({}, "waits for test: expected, lint: expected"),
            ({"test": "success"}, "waits for lint: expected"),
            ({"test": "success", "lint": "pending"}, "waits for lint: pending"),
            ({"test": "failure", "lint": "success"}, "waits for test: failure"),
            ({"test": "skipped", "lint": "success"}, "waits for test: skipped"),
        ],
    )
    def test_commit_whose_checks_are_not_all_green_waits_without_a_deployment(
        self, house: Release, states: dict[str, str], reason: str
    ) -> None:
        house.deployments.checks = {sha(1): states}
        for _ in range(3):
            assert house.round().sent == 0
        assert (house.deployments.made, house.reasons()) == ({}, [reason] * 3)

    def test_check_that_never_comes_keeps_the_gate_closed_and_the_host_as_it_is(
        self, house: Release
    ) -> None:
        house.settle()
        house.branch(2, 1)
        house.checks(2, test="success")
        for _ in range(200):
            house.settle(15)
        assert house.released() == [1]

    def test_check_of_another_name_does_not_count(self, house: Release) -> None:
        house.deployments.checks = {sha(1): {"test": "success", "other": "success"}}
        assert house.round().sent == 0

    def test_check_run_again_and_green_lets_the_commit_out(self, house: Release) -> None:
        house.checks(1, lint="failure")
        house.settle()
        house.checks(1, lint="pending")
        house.settle()
        assert house.released() == []
        house.checks(1, lint="success")
        house.settle()
        assert house.released() == [1]

    def test_check_that_turns_red_after_the_deploy_changes_nothing(self, house: Release) -> None:
        house.settle()
        house.checks(1, test="failure")
        for _ in range(20):
            house.settle(15)
        assert house.sent() == [("web", 1, "rebase-to", "push")]

    def test_red_tip_lets_the_newest_green_commit_out(self, house: Release) -> None:
        house.branch(3, 2, 1)
        house.checks(3, test="failure")
        house.green(2)
        house.settle()
        assert house.released() == [2]

    def test_commit_that_becomes_green_after_a_newer_one_went_out_is_skipped(
        self, house: Release
    ) -> None:
        house.branch(2, 1)
        house.checks(1, lint="pending")
        house.green(2)
        house.settle()
        house.green(1)
        for _ in range(3):
            house.settle()
        assert house.released() == [2]

    def test_commit_without_any_check_waits_if_every_check_counts(self, house: Release) -> None:
        house.store(NAMES.targets(SITE), json.dumps([one_target(checks=True)]))
        house.branch(2, 1)
        house.deployed("web", 1)
        house.round()
        assert house.reasons() == ["waits for every check: none was reported yet"]
        assert house.released() == []

    def test_commit_whose_check_never_comes_says_so_after_a_day(self, house: Release) -> None:
        house.checks(1, test="success", lint="expected")
        house.deployments.committed[sha(1)] = house.now
        house.round()
        house.rest(60 * 24 - 1)
        house.round()
        assert house.deployments.made == {}
        house.rest(1)
        for _ in range(2):
            house.round()
        assert house.said(1) == ["queued: waits for lint: expected"]
        house.green(1)
        house.settle()
        assert house.released() == [1]
        house.rest(15)
        house.round()
        assert house.said(1)[-1].startswith("success: ")

    def test_every_check_that_there_is_must_be_green(self, house: Release) -> None:
        house.store(NAMES.targets(SITE), json.dumps([one_target(checks=True)]))
        house.checks(1, other="pending")
        house.round()
        assert house.reasons() == ["waits for other: pending"]
        house.checks(1, other="success")
        house.round()
        assert house.released() == [1]

    def test_host_behind_catches_up_while_a_newer_commit_waits(self, house: Release) -> None:
        house.settle()
        house.branch(2, 1)
        house.add_hosts(9, role="web")
        house.settle()
        assert house.sent() == [
            ("web", 1, "rebase-to", "push"),
            ("web", 1, "rebase-to", "reconcile"),
        ]


class TestChecksThatGitHubDidNotJudge:
    """A deployment on GitHub does not show that checks were green: others make some as well."""

    @pytest.fixture
    def house(self) -> Release:
        house = Release(one_target(checks=BOTH))
        house.branch(2, 1)
        house.green(1)
        house.settle()
        house.checks(2, test="failure")
        return house

    def test_deployment_of_a_push_before_the_target_had_gates_opens_nothing(
        self, house: Release
    ) -> None:
        house.deployments.add(sha(2))
        house.settle()
        assert (house.released(), house.reasons()[-1]) == (
            [1],
            "waits for test: failure, lint: expected",
        )

    def test_deployment_of_a_pin_opens_nothing_when_the_pin_ends(self, house: Release) -> None:
        house.pin("web", state="pinned", commit=sha(2))
        house.settle()
        house.settle(15)
        assert [one.commit for one in house.deployments.made.values()] == [sha(1), sha(2)]
        house.pin("web", state="none")
        house.settle()
        assert house.sent()[-1] == ("web", 1, "rebase-to", "reconcile")
        assert house.released() == [1]

    def test_commit_that_turns_red_before_it_could_be_sent_waits(self, house: Release) -> None:
        house.green(2)
        house.commands.refused["web"] = UnavailableError("AWS throttles")
        house.settle()
        assert house.said(2) == ["error: not sent to any host: AWS throttles"]
        house.commands.refused.clear()
        house.checks(2, test="failure")
        house.settle()
        assert house.released() == [1]

    def test_commit_that_becomes_green_is_reported_on_its_first_deployment(
        self, house: Release
    ) -> None:
        first = house.deployments.add(sha(2))
        house.green(2)
        house.settle()
        assert house.released() == [1, 2]
        assert house.commands.sent[-1].parameters["Deployment"] == str(first.id)
        assert house.deployments.states(first.id + 1) == ["inactive"]


class TestTwoRoundsAtOnce:
    """Each check that becomes green wakes a round, so rounds overlap."""

    @pytest.fixture
    def house(self) -> Release:
        house = Release(one_target(checks=BOTH))
        house.branch(1)
        house.green(1)
        return house

    def test_commit_is_sent_once_if_the_other_round_sends_while_this_one_reads(
        self, house: Release
    ) -> None:
        def other_round(method: str) -> None:
            house.reading.before = lambda _method: None
            house.round()

        house.reading.before = other_round
        assert house.round().sent == 0
        assert house.released() == [1]
        assert not any(one.startswith("inactive") for one in house.said(1))

    def test_commit_is_sent_once_if_both_rounds_were_told_that_it_is_green(
        self, house: Release
    ) -> None:
        def other_round(method: str) -> None:
            if method == "create_if_green":
                house.deployments.before = None
                house.round()

        house.deployments.before = other_round
        house.round()
        assert house.released() == [1]
        # GitHub made a deployment for each round. The report is on the first.
        assert house.commands.sent[0].parameters["Deployment"] == "7001"
        assert house.deployments.log[7002] == [DeploymentStatus("inactive", "the same as 7001")]

    def test_round_that_read_an_older_tip_sends_nothing_after_the_newer_commit(
        self, house: Release
    ) -> None:
        def newer_round(method: str) -> None:
            if method == "find":
                house.deployments.before = None
                house.branch(2, 1)
                house.green(2)
                house.now += timedelta(seconds=5)
                house.round()

        house.deployments.before = newer_round
        house.round()
        assert house.released() == [2]


class TestManyCommits:
    """A round looks at a hundred commits, and has GitHub judge ten of them."""

    def test_github_judges_ten_of_200_waiting_commits(self) -> None:
        house = Release(one_target(checks=BOTH))
        house.branch(1)
        house.green(1)
        house.settle()
        house.branch(*range(201, 101, -1))
        house.deployments.bases = {
            (CommitSha(sha(1)), CommitSha(sha(one))): CommitSha(sha(1)) for one in range(102, 202)
        }
        house.settle()
        assert (judged(house), house.released()) == (1 + MAX_JUDGED, [1])
        house.green(192)
        house.settle()
        assert house.released() == [1, 192]

    def test_commit_far_behind_the_tip_goes_to_the_next_target_of_the_chain(self) -> None:
        house = Release(
            one_target("staging", trigger="manual"), one_target("production", after=["staging"])
        )
        house.branch(*range(60, 0, -1))
        house.deployed("staging", 5)
        house.settle()
        assert house.released("production") == [5]

    def test_commits_that_wait_for_another_gate_are_not_judged(self) -> None:
        house = Release(
            one_target("staging", trigger="manual"),
            one_target("production", after=["staging"], checks=["test"]),
        )
        house.branch(*range(60, 0, -1))
        house.green(*range(1, 61))
        house.deployed("staging", 5)
        house.settle()
        assert (judged(house), house.released("production")) == (1, [5])


class TestAfter:
    """`after = ["staging"]`: staging follows `main` without gates, production comes after it."""

    @pytest.fixture
    def house(self) -> Release:
        house = Release(one_target("staging"), one_target("production", after=["staging"]))
        house.branch(1)
        return house

    def test_commit_goes_to_production_when_staging_is_well_at_it(self, house: Release) -> None:
        house.round()
        assert [target for target, *_ in house.sent()] == ["staging"]
        house.arrive()
        house.round()
        assert house.sent()[1:] == [("production", 1, "rebase-to", "push")]

    def test_commit_waits_queued_with_the_reason_which_is_posted_once(self, house: Release) -> None:
        house.settle()
        house.settle()
        house.branch(2, 1)
        for _ in range(3):
            house.round()
        assert house.said(2, "production") == ["queued: waits for staging, which is at 0000000"]
        assert house.released("production") == [1]

    def test_new_reason_is_posted_and_success_ends_the_waiting(self, house: Release) -> None:
        for _ in range(4):
            house.settle(15)
        assert house.said(1, "production") == [
            "queued: waits for staging: web-1: nothing is known of it",
            "success: 1 of 1 host at 0000000: web-002",
        ]

    def test_failed_staging_stops_the_chain_and_production_says_why(self, house: Release) -> None:
        house.settle()
        house.settle()
        house.branch(2, 1)
        house.round()
        house.arrive("Failed", outcome="rolled_back", step="health_check", after=sha(1))
        for _ in range(5):
            house.rest(1)
            house.round()
        assert house.released("production") == [1]
        assert house.said(2, "production")[-1].startswith("queued: waits for staging: web-1: ")

    def test_staging_that_got_well_again_lets_the_commit_on(self, house: Release) -> None:
        house.round()
        house.arrive("Failed", outcome="rolled_back", step="health_check", after=sha(9))
        house.settle()
        house.deployed("staging", 1)
        house.settle()
        assert house.released("production") == [1]

    def test_staging_host_that_names_a_commit_that_it_was_not_sent_opens_nothing(self) -> None:
        after = one_target("production", after=["staging"])
        house = Release(one_target("staging", checks=BOTH), after)
        house.branch(2, 1)
        house.green(1)
        house.checks(2, test="failure", lint="success")
        house.round()
        house.arrive(upstream=sha(2), after=sha(2))
        for _ in range(3):
            house.round()
            house.rest(1)
        assert (house.released("staging"), house.released("production")) == ([1], [])
        said = "it says that it runs 0000000, which was never sent"
        assert house.said(2, "production")[-1] == f"queued: waits for staging: web-1: {said}"

    def test_frozen_staging_is_well_at_the_commit_where_it_stays(self, house: Release) -> None:
        house.settle()
        house.pin("staging", state="frozen")
        house.branch(3, 2, 1)
        for _ in range(3):
            house.settle()
        assert house.released("production") == [1]
        assert house.said(3, "production") == ["queued: waits for staging, which is at 0000000"]

    def test_production_does_not_follow_staging_back(self, house: Release) -> None:
        for _ in range(2):
            house.settle()
        house.branch(2, 1)
        for _ in range(2):
            house.settle()
        assert house.released("production") == [1, 2]
        house.pin("staging", state="pinned", commit=sha(1))
        for _ in range(5):
            house.settle(15)
        assert house.released("production") == [1, 2]

    def test_staging_without_a_host_online_stops_the_chain(self, house: Release) -> None:
        house.settle()
        house.directory.known = [
            replace(one, is_online=one.tags["role"] != "staging") for one in house.directory.known
        ]
        house.settle()
        assert house.reasons()[-1] == "waits for staging: it has no host online"

    def test_target_of_another_repository_does_not_count(self, house: Release) -> None:
        other = one_target("staging") | {"repository": str(OTHER), "checkout": "/srv/other"}
        house.store(NAMES.targets(OTHER), json.dumps([other]))
        house.reading.heads[OTHER, "main"] = CommitSha(sha(1))
        house.pin("staging", state="frozen")
        house.deployed("staging", 1)
        (sent,) = house.history.commands.values()
        assert isinstance(sent, Command)
        roll_out = replace(sent.roll_out, repository=OTHER, checkout="/srv/other")
        house.history.commands[sent.id] = replace(sent, roll_out=roll_out)
        house.round()
        assert house.released("production") == []

    def test_name_that_is_no_target_of_the_repository_sends_nothing(self, house: Release) -> None:
        house.store(NAMES.targets(SITE), json.dumps([one_target("production", after=["staging"])]))
        house.deployed("staging", 1)
        house.round()
        (note,) = house.notes("round", "failed")
        assert "targets.production.after" in str(note["reason"])
        assert house.released("production") == []

    def test_newest_commit_waits_and_the_one_that_staging_has_goes_out(
        self, house: Release
    ) -> None:
        house.settle()
        house.branch(2, 1)
        house.pin("staging", state="frozen")
        house.pin("production", state="frozen")
        house.settle()
        house.pin("production", state="none")
        house.round()
        assert house.released("production") == [1]

    def test_commit_that_is_newer_than_the_sent_one_waits_on(self, house: Release) -> None:
        house.pin("staging", state="frozen")
        house.branch(2, 1)
        house.round()  # 2 is queued
        house.deployed("staging", 1)
        house.rest()
        house.round()
        assert house.released("production") == [1]
        assert not any(said.startswith("inactive") for said in house.said(2, "production"))

    def test_older_commit_waits_on_when_a_newer_one_begins_to_wait(self, house: Release) -> None:
        house.pin("staging", state="frozen")
        for tip in (1, 2, 3):
            house.branch(*range(tip, 0, -1))
            house.round()
        waits = "queued: waits for staging: web-1: frozen: the fair"
        assert [house.said(one, "production") for one in (1, 2, 3)] == [[waits]] * 3

    def test_rounds_long_after_a_deploy_do_not_look_for_queued_commits(self) -> None:
        house = Release(one_target(window="Mon-Fri 00:00-24:00 UTC"))
        house.branch(1)
        house.settle(1)
        house.settle(60 * 24)
        house.deployments.calls.clear()
        house.round()
        assert "newest" not in house.deployments.calls

    def test_queued_commit_is_ended_as_inactive_when_a_newer_one_goes_out(
        self, house: Release
    ) -> None:
        house.pin("staging", state="frozen")
        house.round()
        house.deployed("staging", 2)
        house.branch(2, 1)
        house.rest()
        house.round()
        assert house.released("production") == [2]
        assert house.said(1, "production")[-1].startswith("inactive: overtaken")

    def test_deployments_of_others_in_the_environment_are_left_alone(self, house: Release) -> None:
        queued = DeploymentStatus("queued", "by somebody else")
        theirs = [
            house.deployments.add(sha(1), "production", "prod", "production"),
            house.deployments.add(sha(1), "production", STAGE, "other"),
        ]
        for one in theirs:
            house.deployments.say(one.id, queued)
        house.settle()
        house.settle()
        assert [house.deployments.log[one.id] for one in theirs] == [[queued], [queued]]

    def test_many_deployments_of_others_end_the_search(self, house: Release) -> None:
        house.pin("staging", state="frozen")
        house.round()
        for _ in range(LOOKS):
            house.deployments.add(sha(1), "production", "prod", "production")
        house.branch(2, 1)
        house.round()
        mine = next(one for one in house.deployments.made.values() if one.stage == STAGE)
        assert house.deployments.states(mine.id) == ["queued"]


class TestSoak:
    """`soak = "10m"`: staging must have been well at the commit for ten minutes."""

    @pytest.fixture
    def house(self) -> Release:
        house = Release(
            one_target("staging"), one_target("production", after=["staging"], soak="10m")
        )
        house.branch(1)
        house.settle(0)
        return house

    def test_commit_goes_out_when_the_time_is_over(self, house: Release) -> None:
        house.rest(9)
        assert house.round().sent == 0
        house.rest(1)
        assert house.round().sent == 1
        assert house.released("production") == [1]

    def test_reason_names_the_time_since_when_and_is_posted_once(self, house: Release) -> None:
        for _ in range(5):
            house.round()
            house.rest(1)
        assert house.said(1, "production")[1:] == [
            "queued: waits until staging has been well for 10 min, since 14:20 UTC"
        ]

    def test_newer_commit_on_staging_begins_a_new_time(self, house: Release) -> None:
        house.rest(9)
        house.branch(2, 1)
        house.settle(9)
        house.round()
        assert house.released("production") == []
        house.rest(1)
        house.round()
        assert house.released("production") == [2]

    def test_commit_that_came_back_begins_a_new_time(self, house: Release) -> None:
        house.rest(5)
        house.deployed("staging", 2)
        house.rest(1)
        house.deployed("staging", 1)
        house.rest(9)
        house.round()
        assert house.released("production") == []
        house.rest(1)
        house.round()
        assert house.released("production") == [1]

    def test_failed_recheck_begins_a_new_time_and_a_good_one_does_not(self, house: Release) -> None:
        for _ in range(3):
            house.rest(3)
            house.recheck("staging", 1)
        house.rest(1)
        house.round()
        assert house.released("production") == [1]

    def test_recheck_that_corrected_something_begins_a_new_time(self, house: Release) -> None:
        house.rest(5)
        house.recheck("staging", 1, "Failed", outcome="rolled_back", after=sha(7))
        house.rest(1)
        house.deployed("staging", 1)
        house.rest(9)
        house.round()
        assert house.released("production") == []

    def test_commit_of_which_only_good_rechecks_are_remembered_is_well_since_the_first(
        self,
    ) -> None:
        house = Release(
            one_target("staging"), one_target("production", after=["staging"], soak="10m")
        )
        house.branch(1)
        for _ in range(3):
            house.recheck("staging", 1)
            house.rest(4)
        house.round()
        assert house.released("production") == [1]


class TestWindow:
    """`window = "Mon-Fri 09:00-17:00 UTC"`. A round is at 14:20 on a Tuesday."""

    def test_commit_goes_out_at_once_in_the_window(self) -> None:
        house = Release(one_target(window="Mon-Fri 09:00-17:00 UTC"))
        house.branch(2, 1)
        house.round()
        assert house.released() == [2]

    def test_commit_waits_until_the_window_opens_and_says_when(self) -> None:
        house = Release(one_target(window="Mon-Fri 15:00-17:00 UTC"))
        house.branch(1)
        for _ in range(2):
            house.settle(15)
        assert house.said(1) == [
            "queued: waits for its window, which opens Tue 2030-01-01 15:00 UTC"
        ]
        house.rest(15)
        house.round()
        assert house.released() == [1]

    def test_host_that_is_behind_catches_up_outside_the_window(self) -> None:
        house = Release(one_target(window="Sat 09:00-17:00 UTC"))
        house.deployed("web", 1)
        house.add_hosts(9, role="web")
        house.branch(2, 1)
        house.round()
        assert house.sent() == [("web", 1, "rebase-to", "reconcile")]


class TestOrders:
    """A person's order comes before every gate."""

    @pytest.fixture
    def house(self) -> Release:
        house = Release(one_target(checks=BOTH))
        house.branch(1)
        house.green(1, 2)
        house.settle()
        house.branch(2, 1)
        return house

    def test_nothing_goes_back_after_a_pin_of_more_than_a_month(
        self,
    ) -> None:
        house = Release(one_target(checks=BOTH) | {"recheck": "1d"})
        house.branch(3, 2, 1)
        house.green(1, 2, 3)
        house.settle()
        house.pin("web", state="pinned", commit=sha(2))
        for _ in range(32):
            house.settle(24 * 60)
        house.pin("web", state="none")
        house.checks(2, test="failure")
        house.checks(3, test="failure")
        house.settle()
        assert house.released() == [3]
        house.green(2)
        house.settle()
        assert house.released() == [3, 2]  # where it is

    @pytest.mark.parametrize("pin", [{"state": "frozen"}, {"state": "pinned", "commit": sha(1)}])
    def test_pinned_target_gets_no_newer_commit_and_github_judges_none(
        self, house: Release, pin: dict[str, str]
    ) -> None:
        house.pin("web", **pin)
        before = judged(house)
        house.settle()
        assert (house.released(), judged(house)) == ([1], before)

    def test_pin_that_was_stored_while_the_round_asked_github_stops_the_commit(
        self, house: Release
    ) -> None:
        house.deployments.before = lambda _method: house.pin("web", state="frozen")
        assert house.round().sent == 0
        assert house.released() == [1]
        assert house.said(2) == ["inactive: not deployed: frozen: the fair"]
        house.pin("web", state="none")
        house.deployments.before = None
        house.settle()
        assert house.released() == [1, 2]

    def test_waiting_commit_that_a_pin_sent_before_is_left_to_its_report(self) -> None:
        house = Release(one_target(window="Sat 09:00-17:00 UTC"))
        house.branch(2, 1)
        house.deployed("web", 1)
        house.pin("web", state="pinned", commit=sha(2))
        for _ in range(2):
            house.settle(15)
        house.pin("web", state="none")
        for _ in range(10):
            house.settle(15)
        assert [said.partition(":")[0] for said in house.said(2)] == ["success", "inactive"]
        assert house.reasons()[-1] == "waits for its window, which opens Sat 2030-01-05 09:00 UTC"

    def test_manual_target_is_not_even_looked_at(self) -> None:
        house = Release(one_target(trigger="manual"))
        house.branch(1)
        for _ in range(3):
            house.settle()
        assert (house.sent(), house.deployments.calls) == ([], [])

    def test_held_commit_is_not_released_again_and_a_newer_one_is(self, house: Release) -> None:
        house.round()
        (sent,) = [one for one in house.history.commands.values() if not one.is_over]
        hosts = [
            replace(one, status="Cancelled", details="Cancelled")
            for one in house.history.hosts[sent.id]
        ]
        house.history.add(replace(sent, status="Cancelled", details="Cancelled"), *hosts)
        for _ in range(5):
            house.settle(15)
        assert house.released() == [1, 2]
        house.branch(3, 2, 1)
        house.green(3)
        house.settle()
        assert house.released() == [1, 2, 3]

    def test_commit_that_failed_on_its_host_is_not_released_again(self, house: Release) -> None:
        house.round()
        house.arrive("Failed", outcome="rolled_back", step="after_pull", after=sha(1))
        house.rest(60)
        house.round()
        assert house.sent()[2:] == [("web", 2, "rebase-to", "reconcile")]


class TestForcePush:
    """The branch lost the commit that the target was sent last."""

    @pytest.fixture
    def house(self) -> Release:
        house = Release(one_target(checks=BOTH))
        house.branch(*range(5, 0, -1))
        house.green(*range(1, 30))
        house.settle()
        assert house.released() == [5]
        return house

    def parted(self, house: Release, tip: int, base: int) -> None:
        house.deployments.bases[CommitSha(sha(5)), CommitSha(sha(tip))] = CommitSha(sha(base))

    def test_commits_since_the_lines_parted_go_out(self, house: Release) -> None:
        house.branch(13, 12, 3, 2, 1)
        self.parted(house, 13, 3)
        house.checks(13, test="pending")
        house.settle()
        assert house.released() == [5, 12]

    def test_commit_that_waited_and_is_gone_never_goes_out(self, house: Release) -> None:
        house.branch(6, 5, 4, 3, 2, 1)
        house.checks(6, test="pending")
        house.settle()
        house.branch(13, 3, 2, 1)
        self.parted(house, 13, 3)
        house.green(6)
        house.settle()
        assert house.released() == [5, 13]

    def test_branch_set_back_to_an_older_commit_sends_nothing(self, house: Release) -> None:
        house.branch(3, 2, 1)
        self.parted(house, 3, 3)
        for _ in range(3):
            house.settle(15)
        assert house.released() == [5]

    def test_only_the_tip_goes_out_if_github_has_forgotten_the_old_commit(
        self, house: Release
    ) -> None:
        house.branch(13, 12, 2, 1)
        house.checks(13, test="pending")
        house.settle()
        assert (house.released(), house.reasons()) == ([5], ["waits for test: pending"])
        house.green(13)
        house.settle()
        assert house.released() == [5, 13]

    def test_unavailable_comparison_sends_nothing(self, house: Release) -> None:
        house.branch(13, 3, 2, 1)
        self.parted(house, 13, 3)
        house.deployments.errors["merge_base"] = [AWAY]
        house.settle()
        assert house.released() == [5]
        house.settle()
        assert house.released() == [5, 13]


class TestMergeOfTheBranchIntoItself:
    """`git pull` and `git push`: the merge's first parent is the pusher's own commit.

    The commit that the target was sent is then the second parent, and not among the first parents.
    """

    @pytest.fixture
    def house(self) -> Release:
        house = Release(one_target(checks=BOTH))
        house.branch(5, 4, 3)
        house.green(3, 4, 5)
        house.settle()
        house.branch(8, 7, 3)  # 8 merges 5 into 7, which was made from 3
        for newer, base in ((8, 5), (7, 3), (3, 3)):
            house.deployments.bases[CommitSha(sha(5)), CommitSha(sha(newer))] = CommitSha(sha(base))
        return house

    def test_commits_without_the_sent_commit_are_not_newer(self, house: Release) -> None:
        house.checks(8, test="pending")
        house.green(7)
        for _ in range(3):
            house.settle(15)
        assert house.released() == [5]

    def test_merge_goes_out_when_its_checks_are_green(self, house: Release) -> None:
        house.green(8)
        house.settle()
        assert house.released() == [5, 8]


class TestGitHubFails:
    """Gates stay closed, and what is there stays."""

    @pytest.fixture
    def house(self) -> Release:
        house = Release(one_target(checks=BOTH))
        house.branch(1)
        house.green(1)
        house.settle()
        house.branch(2, 1)
        house.green(2)
        return house

    @pytest.mark.parametrize("error", [AWAY, NotTakenError("GitHub answered 422")])
    @pytest.mark.parametrize("method", ["find", "create_if_green"])
    def test_commit_waits_for_a_later_round(
        self, house: Release, method: str, error: PulleyError
    ) -> None:
        house.deployments.errors[method] = [error]
        assert house.round().sent == 0
        assert house.notes("round", "not_asked")[0]["reason"] == error.in_full
        house.settle()
        assert house.released() == [1, 2]

    @pytest.mark.parametrize("error", [AWAY, TokenError("GitHub answered 403")])
    def test_branch_that_cannot_be_read_sends_nothing(
        self, house: Release, error: PulleyError
    ) -> None:
        house.reading.errors["commits"] = error
        for _ in range(3):
            house.settle(15)
        assert (house.released(), [call for call, _ in house.reading.calls]) == (
            [1],
            ["commits"] * 4,
        )

    def test_known_refusal_of_the_token_is_not_noted_again(self, house: Release) -> None:
        known = TokenError("GitHub answered 403", is_known=True)
        house.deployments.errors["find"] = [known]
        house.round()
        assert house.notes("round", "not_asked") == []
        assert house.released() == [1]

    def test_host_behind_catches_up_with_the_commit_that_was_sent(self, house: Release) -> None:
        house.reading.errors["commits"] = AWAY
        house.add_hosts(9, role="web")
        house.round()
        assert house.sent()[1:] == [("web", 1, "rebase-to", "reconcile")]

    def test_without_a_token_nothing_is_released(self, house: Release) -> None:
        del house.parameters.values[NAMES.github_token]
        for _ in range(3):
            house.settle(15)
        assert house.released() == [1]

    def test_deployment_whose_answer_was_lost_is_found_in_the_next_round(
        self, house: Release
    ) -> None:
        create = house.deployments.create_if_green

        def lose_the_answer(request: DeploymentRequest, checks: Sequence[str]) -> Deployment:
            create(request, checks)
            raise AWAY

        house.deployments.create_if_green = lose_the_answer  # type: ignore[method-assign] # a lost answer
        assert house.round().sent == 0
        house.deployments.create_if_green = create  # type: ignore[method-assign] # as before
        house.settle()
        assert house.released() == [1, 2]
        assert not any(one.startswith("inactive") for one in house.said(2))

    def test_waiting_that_cannot_be_posted_is_noted_and_posted_by_a_later_round(self) -> None:
        house = Release(one_target(window="Sat 09:00-17:00 UTC"))
        house.branch(1)
        house.deployments.errors["create"] = [AWAY]
        house.round()
        assert house.notes("round", "not_asked")[0]["reason"] == AWAY.in_full
        house.round()
        assert len(house.said(1)) == 1

    def test_overtaken_commits_that_cannot_be_ended_do_not_stop_the_release(self) -> None:
        house = Release(one_target(window="Mon-Fri 09:00-17:00 UTC"))
        house.branch(1)
        house.deployments.errors["newest"] = [AWAY]
        assert house.round().sent == 1
        assert house.notes("round", "not_asked")[0]["reason"] == AWAY.in_full


class TestAwsFails:
    @pytest.fixture
    def house(self) -> Release:
        house = Release(one_target(checks=BOTH))
        house.branch(1)
        house.green(1)
        return house

    def test_refused_command_is_counted_and_sent_by_a_later_round(self, house: Release) -> None:
        house.commands.refused["web"] = UnavailableError("AWS throttles")
        for _ in range(3):
            assert house.round().failed == 1
        assert house.said(1) == ["error: not sent to any host: AWS throttles"]
        house.commands.refused.clear()
        house.settle()
        assert house.released() == [1]
        assert not any(one.startswith("inactive") for one in house.said(1))

    def test_pins_that_cannot_be_read_send_nothing(self, house: Release) -> None:
        def refuse(method: str) -> None:
            house.parameters.error = RefusedError("AWS refuses")

        house.deployments.before = refuse
        assert house.round().failed == 1
        assert house.released() == []


class TestIssued:
    """A host obeys the newer of two commands, so a release must be newer than what was there."""

    @pytest.mark.parametrize("ahead", [-60_000, 0, 1, 250_001])
    def test_release_is_issued_after_every_command_that_was_read(self, ahead: int) -> None:
        house = Release(one_target(checks=BOTH))
        house.branch(2, 1)
        house.green(2)
        house.deployed("web", 1)
        (id_,) = house.history.commands
        now, sent = int(house.now.timestamp() * 1000), house.history.commands[id_]
        assert isinstance(sent, Command)
        roll_out = replace(sent.roll_out, issued=now + ahead)
        house.history.commands[id_] = replace(sent, roll_out=roll_out)
        house.round()
        assert house.released() == [2]
        issued = int(house.commands.sent[-1].parameters["Issued"])
        assert issued == max(now, now + ahead + 1)

    @given(st.integers(1_700_000_000_000, 4_000_000_000_000))
    def test_release_is_issued_when_its_round_began_to_the_millisecond(self, issued: int) -> None:
        house = Release(one_target(checks=BOTH))
        house.branch(1)
        house.green(1)
        house.now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=issued)
        house.round()
        began = int(house.now.timestamp() * 1000)
        assert house.commands.sent[-1].parameters["Issued"] == str(began)


class TestWokenRound:
    """A round for one repository, because something may have opened a gate of its targets."""

    @pytest.fixture
    def house(self) -> Release:
        house = Release(one_target(checks=BOTH))
        house.branch(1)
        house.green(1)
        other = one_target("staging") | {"repository": str(OTHER)}
        house.store(NAMES.targets(OTHER), json.dumps([other]))
        house.add_hosts(9, role="staging")
        house.reading.heads[OTHER, "main"] = CommitSha(sha(1))
        return house

    def test_only_its_targets_are_reconciled(self, house: Release) -> None:
        assert house.round(only=SITE) == Round(targets=1, hosts=1, sent=1)
        assert house.sent() == [("web", 1, "rebase-to", "push")]
        assert house.journal.lines[-1] == ("round", "woken")

    def test_repository_without_targets_does_nothing(self, house: Release) -> None:
        assert house.round(only=Repository("octo", "nothing")) == Round()
        assert house.commands.sent == []

    def test_place_of_the_schedule_s_rounds_and_holds_of_others_are_kept(
        self, house: Release
    ) -> None:
        hold = Hold(CommitSha(sha(1)), "cancelled", 1)
        state = RoundState("staging", {"staging": hold, "web": hold})
        house.store(NAMES.reconcile, write_round_state(state))
        house.deployed("web", 1)  # lifts the hold
        house.round(only=SITE)
        stored = parse_round_state(house.parameters.values[NAMES.reconcile])
        assert stored == RoundState("staging", {"staging": hold})

    def test_state_that_cannot_be_read_again_is_not_overwritten(self, house: Release) -> None:
        hold = Hold(CommitSha(sha(1)), "cancelled", 1)
        state = write_round_state(RoundState("staging", {"web": hold}))
        house.store(NAMES.reconcile, state)
        house.deployed("web", 1)  # lifts the hold
        reads = iter([house.parameters.state()])

        def read() -> RoundState:
            for answer in reads:
                return answer
            raise UnavailableError("AWS is too busy")

        house.parameters.state = read  # type: ignore[method-assign] # fails the second time
        assert house.round(only=SITE).failed == 1
        assert house.parameters.values[NAMES.reconcile] == state

    def test_failed_deliveries_are_not_requested(self, house: Release) -> None:
        house.now -= timedelta(minutes=20)  # the full hour, when a round of the schedule asks
        house.round(only=SITE)
        assert ("failed_deliveries", str(SITE)) not in house.reading.calls

    def test_wakes_that_are_late_repeated_or_lost_end_in_the_same_state(
        self, house: Release
    ) -> None:
        for _ in range(3):
            house.round(only=SITE)
            house.arrive()
        house.branch(2, 1)
        house.green(2)  # no event comes
        house.settle(15)
        assert house.released() == [1, 2]
