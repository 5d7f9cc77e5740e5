"""A sync brings GitHub's deployment to the verdict, for any number and order of events."""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.errors import NotTakenError, PulleyError, RefusedError, UnavailableError
from chalicelib.core.history import Command, Invocation
from chalicelib.core.refs import Repository
from chalicelib.flows.notify import Memory, Notifier
from chalicelib.flows.report import Reporter
from chalicelib.flows.sync import DeploymentSync
from tests.fakes import (
    COMMIT,
    NAMES,
    SITE,
    STAGE,
    TOKEN,
    FakeDeployments,
    FakeHistory,
    FakeJournal,
    FakeParameters,
    FakeTopic,
    FakeWaker,
    target_json,
    targets_text,
)
from tests.flows.runs import (
    NOW,
    OLD,
    START,
    check_of,
    command_of,
    event_of,
    id_of,
    line_of,
    on,
    rolled_back,
    running,
)

SEEDS = int(os.environ.get("PULLEY_SEEDS", "8"))  # sixty in `make soak`
A, B, C, D, E, F = (letter * 40 for letter in "abcdef")
IN_PROGRESS = DeploymentStatus("in_progress", "deploying 4d5e6f7 to 1 host")
SUCCESS = DeploymentStatus("success", "1 of 1 host at 4d5e6f7: web-1")
FAILURE = DeploymentStatus(
    "failure", "0 of 1 host at 4d5e6f7, 1 failed; web-1: rolled back to aaaaaaa"
)


class House:
    """A sync between fakes: the target web, a token, and an empty history."""

    def __init__(self) -> None:
        self.parameters = FakeParameters(
            {NAMES.targets(SITE): targets_text(), NAMES.github_token: TOKEN}
        )
        self.history = FakeHistory()
        self.github = FakeDeployments(START)
        self.uses: list[tuple[Repository, str]] = []
        self.topic = FakeTopic()
        self.journal = FakeJournal()
        self.deployment_sync = self.new_sync()

    def new_sync(self) -> DeploymentSync:
        """The sync of another process: it remembers nothing."""

        def of(repository: Repository, token: str) -> FakeDeployments:
            self.uses.append((repository, token))
            return self.github

        def log_url(command_id: str) -> str:
            return f"https://console/{command_id}"

        return DeploymentSync(
            stage=STAGE,
            parameters=self.parameters,
            history=self.history,
            github=of,
            notifier=Notifier(STAGE, self.topic, self.journal, log_url),
            journal=self.journal,
            memory=Memory(),
        )

    def sync(
        self, number: int = 1, deployment_sync: DeploymentSync | None = None
    ) -> DeploymentStatus:
        command = self.history.sent(number)
        return (deployment_sync or self.deployment_sync).run(command, now=NOW)

    def push(self, commit: str = COMMIT, number: int = 1, *, saved: str = "keep") -> int:
        """Send a command for the commit, with its deployment; it is in progress on one host."""
        deployment = self.github.add(commit)
        self.start(command_of(commit, number, deployment=deployment.id, saved=saved))
        return deployment.id

    def start(self, command: Command) -> None:
        command = replace(command, status="InProgress", details="InProgress")
        self.history.add(command, *(running(place + 1) for place in range(command.target_count)))

    def end(self, number: int = 1, *outputs: str) -> None:
        """End the command with the hosts' outputs; by default, each host was updated."""
        command = self.history.sent(number)
        outputs = outputs or (line_of(command.roll_out.commit.sha),)
        hosts = (on(place, output) for place, output in enumerate(outputs, 1))
        self.history.add(replace(command, status="Success", details="Success"), *hosts)

    def ran(self, *outputs: str, commit: str = COMMIT, number: int = 1) -> int:
        """From the push to the command's end, without a sync."""
        id_ = self.push(commit, number)
        self.end(number, *outputs)
        return id_

    def deploy(self, commit: str, number: int) -> int:
        """From the push to the command's end, then a sync."""
        id_ = self.ran(commit=commit, number=number)
        self.sync(number)
        return id_

    @property
    def notified_states(self) -> list[str]:
        return [one.attributes["state"] for one in self.topic.published]

    @property
    def newest_statuses(self) -> dict[int, DeploymentStatus | None]:
        return {id_: log[-1] if log else None for id_, log in self.github.log.items()}


@pytest.fixture
def house() -> House:
    return House()


class TestSync:
    def test_command_in_progress_posts_in_progress_and_notifies_nobody(self, house: House) -> None:
        id_ = house.push()
        assert house.sync() == IN_PROGRESS
        assert house.github.log == {id_: [IN_PROGRESS]}
        assert house.notified_states == []
        assert house.journal.lines == [("deployment", "in_progress")]

    def test_successful_command_posts_success_with_log_url_and_notifies(self, house: House) -> None:
        id_ = house.ran()
        assert house.sync() == SUCCESS
        assert house.github.log == {id_: [SUCCESS]}
        assert house.github.log_urls == {id_: f"https://console/{id_of(1)}"}
        assert house.notified_states == ["success"]
        assert house.journal.lines == [("deployment", "success")]

    def test_deployment_leads_to_the_hosted_page_and_to_the_target_s_url(
        self, house: House
    ) -> None:
        target = target_json(url="https://site.example.com/")
        house.parameters.values[NAMES.targets(SITE)] = targets_text(target)
        house.parameters.values[NAMES.page_url] = "https://api.example.com/dev/"
        id_ = house.ran()
        assert house.sync() == SUCCESS
        assert house.github.log_urls == {id_: "https://api.example.com/dev/#web"}
        assert house.github.environment_urls == {id_: "https://site.example.com/"}

    def test_deployment_of_a_target_that_is_not_stored_any_more_has_no_url(
        self, house: House
    ) -> None:
        house.parameters.values[NAMES.targets(SITE)] = "[]"
        house.ran()
        house.sync()
        assert house.github.environment_urls == {}

    def test_rolled_back_host_makes_the_deployment_a_failure(self, house: House) -> None:
        house.ran(rolled_back(COMMIT))
        assert house.sync() == replace(
            FAILURE, description=f"{FAILURE.description}: health check: answered 500"
        )
        assert house.notified_states == ["failure"]

    def test_repeated_sync_posts_and_notifies_only_once(self, house: House) -> None:
        house.ran()
        for _ in range(3):
            assert house.sync() == SUCCESS
            assert house.sync(deployment_sync=house.new_sync()) == SUCCESS
        assert house.github.log[7001] == [SUCCESS]
        assert house.notified_states == ["success"]

    def test_twelve_hosts_are_all_counted(self, house: House) -> None:
        house.github.add(COMMIT)
        house.start(command_of(count=12, deployment=7001))
        house.end(1, *[line_of()] * 12)
        assert house.sync().description.startswith("12 of 12 hosts at 4d5e6f7: web-1, ")

    def test_repository_token_is_used(self, house: House) -> None:
        house.push()
        house.sync()
        assert house.uses == [(SITE, TOKEN)]

    def test_token_is_not_in_journal_topic_or_repr(self, house: House) -> None:
        house.ran()
        house.sync()
        settings = house.parameters.report_settings(SITE)
        assert settings.token == TOKEN
        written = repr(house.journal.decisions) + repr(house.topic.published) + repr(settings)
        assert TOKEN not in written

    @pytest.mark.parametrize("error", [RefusedError("no"), UnavailableError("not now")])
    def test_history_error_is_raised_and_nothing_is_posted(
        self, house: House, error: PulleyError
    ) -> None:
        house.push()
        house.history.error = error
        with pytest.raises(type(error)) as caught:
            house.sync()
        assert caught.value is error
        assert (house.newest_statuses, house.notified_states) == ({7001: None}, [])

    def test_command_that_aws_does_not_list_yet_still_counts(self, house: House) -> None:
        house.ran()
        command = house.history.sent(1)
        house.history.commands.clear()
        assert house.deployment_sync.run(command, now=NOW) == SUCCESS


class TestSyncWithEditsSetAside:
    @pytest.mark.parametrize(
        ("saved", "state", "words"),
        [
            ("keep", "success", "1 of 1 host at 4d5e6f7: web-1 (app.ini set aside)"),
            ("fail", "failure", "0 of 1 host at 4d5e6f7, 1 failed; web-1: app.ini set aside"),
        ],
    )
    def test_saved_setting_at_sending_decides_whether_it_is_a_failure(
        self, house: House, saved: str, state: str, words: str
    ) -> None:
        since = {"keep": "fail", "fail": "keep"}[saved]
        house.parameters.values[NAMES.targets(SITE)] = targets_text(target_json(saved=since))
        house.push(saved=saved)
        house.end(1, line_of(set_aside="app.ini"))
        assert house.sync() == DeploymentStatus(state, words)

    @pytest.mark.parametrize(
        ("again", "states"),
        [("app.ini", ["failure"]), (None, ["failure", "success"])],
    )
    def test_failure_lasts_until_a_run_finds_nothing_set_aside(
        self, house: House, again: str | None, states: list[str]
    ) -> None:
        id_ = house.push(saved="fail")
        house.end(1, line_of(set_aside="app.ini"))
        house.sync()
        later = command_of(number=2, deployment=id_)
        house.start(replace(later, roll_out=replace(later.roll_out, cause="reconcile")))
        house.end(2, line_of(outcome="unchanged", set_aside=again))
        house.sync(2)
        assert house.github.states(id_) == states


class TestSyncKeepsAFinalState:
    def test_redelivery_in_progress_leaves_the_success(self, house: House) -> None:
        house.deploy(COMMIT, 1)
        house.start(command_of(number=2, deployment=7001))
        assert house.sync(2) == SUCCESS
        assert house.github.log[7001] == [SUCCESS]

    def test_successful_redelivery_after_a_failure_notifies_success(self, house: House) -> None:
        house.ran(rolled_back(COMMIT))
        house.sync()
        house.start(command_of(number=2, deployment=7001))
        house.sync(2)
        house.end(2)
        house.sync(2)
        assert house.github.states(7001) == ["failure", "success"]
        assert house.notified_states == ["failure", "success"]

    def test_host_that_catches_up_changes_the_description_without_notifying(
        self, house: House
    ) -> None:
        house.github.add(COMMIT)
        command = command_of(count=2, deployment=7001)
        house.history.add(command, on(1, line_of()), on(2, details="DeliveryTimedOut"))
        house.sync()
        house.history.add(command_of(number=2, deployment=7001, attempt=1), on(2, line_of()))
        house.sync(2)
        assert [one.description for one in house.github.log[7001]] == [
            "1 of 2 hosts at 4d5e6f7: web-1; 1 offline, will catch up",
            "2 of 2 hosts at 4d5e6f7: web-1, web-2",
        ]
        assert house.notified_states == ["success"]

    def test_slow_sync_that_posts_progress_after_success_posts_success_again(
        self, house: House
    ) -> None:
        house.push()

        def other() -> None:
            house.end()
            house.sync(deployment_sync=house.new_sync())

        house.github.before = once("post", other)
        assert house.sync() == SUCCESS
        assert house.github.states(7001) == ["success", "in_progress", "success"]
        assert house.notified_states == ["success"]

    def test_sync_with_stale_history_restores_the_success_of_another_sync(
        self, house: House
    ) -> None:
        house.push()
        house.github.before = once("post", lambda: house.github.say(7001, SUCCESS))
        assert house.sync() == SUCCESS
        assert house.github.log[7001] == [SUCCESS, IN_PROGRESS, SUCCESS]
        assert house.notified_states == []

    def test_success_of_another_sync_after_progress_stays_last(self, house: House) -> None:
        house.push()

        def other(method: str) -> None:
            if method == "statuses" and house.github.log[7001]:
                house.end()
                house.sync(deployment_sync=house.new_sync())

        house.github.before = other
        assert house.sync() == SUCCESS
        assert house.github.states(7001) == ["in_progress", "success"]
        assert house.notified_states == ["success"]

    def test_sync_that_is_always_overwritten_raises_unavailable(self, house: House) -> None:
        house.ran()
        house.github.before = lambda method: (
            house.github.say(7001, IN_PROGRESS) if method == "statuses" else None
        )
        with pytest.raises(UnavailableError) as caught:
            house.sync()
        assert caught.value.retry_seconds == 2.0
        assert house.github.log[7001][-1] == SUCCESS
        assert house.notified_states == ["success"]

    def test_command_that_ends_while_progress_is_posted_ends_in_success(self, house: House) -> None:
        house.push()
        house.github.before = once("post", house.end)
        assert house.sync() == SUCCESS
        assert house.github.states(7001) == ["in_progress", "success"]


class TestSyncWithoutADeployment:
    """The deployment could not be made when the command was sent."""

    def test_deployment_is_made_when_the_command_ends(self, house: House) -> None:
        house.start(command_of())
        house.end()
        assert house.sync() == SUCCESS
        (made,) = house.github.made.values()
        assert (made.commit, made.environment) == (COMMIT, "web")
        assert (made.stage, made.target) == (STAGE, "web")
        assert house.github.log == {7001: [SUCCESS]}

    def test_two_syncs_make_one_deployment(self, house: House) -> None:
        house.start(command_of())
        house.sync()
        house.end()
        house.sync()
        assert house.github.log == {7001: [IN_PROGRESS, SUCCESS]}

    def test_environment_comes_from_the_stored_target(self, house: House) -> None:
        stored = target_json(environment="production")
        house.parameters.values[NAMES.targets(SITE)] = targets_text(stored)
        house.start(command_of())
        house.end()
        house.sync()
        assert house.github.made[7001].environment == "production"
        assert house.topic.published[0].attributes["environment"] == "production"

    @pytest.mark.parametrize("stored", [None, "{", "[]"])
    def test_target_not_stored_or_unreadable_has_its_name_as_environment(
        self, house: House, stored: str | None
    ) -> None:
        del house.parameters.values[NAMES.targets(SITE)]
        if stored is not None:
            house.parameters.values[NAMES.targets(SITE)] = stored
        house.start(command_of())
        house.sync()
        assert house.github.made[7001].environment == "web"

    def test_id_of_another_commit_is_ignored_and_a_deployment_is_made(self, house: House) -> None:
        house.github.add(OLD)
        house.start(command_of(deployment=7001))
        house.sync()
        assert house.github.states(7001) == []
        assert house.github.states(7002) == ["in_progress"]

    def test_unknown_deployment_id_makes_a_new_deployment(self, house: House) -> None:
        house.start(command_of(deployment=6999))
        assert house.sync() == IN_PROGRESS
        assert house.github.states(7001) == ["in_progress"]

    def test_two_syncs_that_create_at_once_use_the_first_and_end_the_second(
        self, house: House
    ) -> None:
        house.start(command_of())
        house.end()
        house.github.before = once("create", lambda: house.sync(deployment_sync=house.new_sync()))
        assert house.sync() == SUCCESS
        assert house.github.log == {
            7001: [SUCCESS],
            7002: [DeploymentStatus("inactive", "the same as 7001")],
        }
        assert house.notified_states == ["success"]

    def test_created_deployment_that_github_does_not_list_yet_is_used(self, house: House) -> None:
        house.start(command_of())
        house.github.find = lambda request: None  # type: ignore[method-assign] # a replica lags
        assert house.sync() == IN_PROGRESS
        assert house.github.states(7001) == ["in_progress"]


class TestSyncWithAnyCreationTime:
    """`created_at` of a deployment comes from outside: it may be any time."""

    AGES = (
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12))),
    )

    @pytest.fixture(autouse=True)
    def _history_asks_in_utc(self, house: House) -> None:
        """The edge writes the time in UTC."""
        ask = house.history.commands_since
        house.history.commands_since = (  # type: ignore[method-assign]
            lambda since, limit=1000: ask(since.astimezone(UTC), limit)
        )

    @pytest.mark.parametrize("created", AGES, ids=str)
    def test_own_deployment_of_any_time_is_synced(self, house: House, created: datetime) -> None:
        id_ = house.push()
        house.github.made[id_] = replace(house.github.made[id_], created=created)
        house.end()
        assert house.sync() == SUCCESS

    @pytest.mark.parametrize("created", AGES, ids=str)
    def test_replaced_deployment_of_any_time_is_ended(
        self, house: House, created: datetime
    ) -> None:
        id_ = house.deploy(OLD, 1)
        house.github.made[id_] = replace(house.github.made[id_], created=created)
        house.deploy(COMMIT, 2)
        assert house.github.states(id_) == ["success", "inactive"]


class TestSyncEndsOtherDeployments:
    def test_success_makes_the_earlier_success_inactive(self, house: House) -> None:
        house.deploy(OLD, 1)
        house.deploy(COMMIT, 2)
        assert house.newest_statuses == {
            7001: DeploymentStatus("inactive", "replaced by 4d5e6f7"),
            7002: SUCCESS,
        }
        assert house.notified_states == ["success", "success"]

    @pytest.mark.parametrize(
        ("stage", "target", "environment"),
        [("prod", "web", "web"), (STAGE, "api", "web"), (STAGE, "web", "old-name")],
    )
    def test_success_of_another_target_stage_or_environment_is_left(
        self, house: House, stage: str, target: str, environment: str
    ) -> None:
        other = house.github.add(OLD, environment, stage, target)
        house.github.say(other.id, SUCCESS)
        house.deploy(COMMIT, 1)
        assert house.github.states(other.id) == ["success"]

    def test_earlier_success_that_history_has_forgotten_is_ended(self, house: House) -> None:
        other = house.github.add(OLD)
        house.github.say(other.id, SUCCESS)
        house.deploy(COMMIT, 1)
        assert house.newest_statuses[other.id] == DeploymentStatus(
            "inactive", "replaced by 4d5e6f7"
        )

    @pytest.mark.parametrize("state", ["failure", "error", "inactive", "in_progress", ""])
    def test_earlier_deployment_without_success_is_left(self, house: House, state: str) -> None:
        other = house.github.add(OLD)
        if state:
            house.github.say(other.id, DeploymentStatus(state, "as it was"))
        house.deploy(COMMIT, 1)
        assert house.github.states(other.id) == ([state] if state else [])

    @pytest.mark.parametrize("output", [rolled_back(COMMIT), line_of(OLD, outcome="superseded")])
    def test_failed_or_overtaken_commit_ends_no_other_deployment(
        self, house: House, output: str
    ) -> None:
        house.deploy(OLD, 1)
        house.push(COMMIT, 2)
        house.end(2, output)
        house.sync(2)
        assert house.newest_statuses[7001] is not None
        assert house.newest_statuses[7001].state == "success"

    def test_failure_does_not_end_a_success_that_history_has_forgotten(self, house: House) -> None:
        other = house.github.add(OLD)
        house.github.say(other.id, SUCCESS)
        house.ran(rolled_back(COMMIT))
        house.sync()
        assert house.github.states(other.id) == ["success"]
        assert "newest" not in house.github.calls

    def test_deployments_older_than_the_ended_success_are_not_requested(self, house: House) -> None:
        for number, commit in enumerate((A, B, C), 1):
            house.deploy(commit, number)
        house.github.calls.clear()
        house.deploy(D, 4)
        ended = ["newest", "statuses", "post"]
        assert house.github.calls == ["find", "statuses", *ended, "post", "statuses"]
        assert [one.state for one in house.newest_statuses.values() if one] == ["inactive"] * 3 + [
            "success"
        ]

    def test_late_event_of_a_replaced_commit_posts_inactive(self, house: House) -> None:
        house.push(OLD, 1)
        house.end(1)
        house.deploy(COMMIT, 2)
        assert house.sync(1) == DeploymentStatus("inactive", "replaced by 4d5e6f7")
        assert house.github.states(7001) == ["inactive"]
        assert house.github.states(7002) == ["success"]

    def test_first_later_commit_on_all_hosts_is_named_as_the_replacement(
        self, house: House
    ) -> None:
        house.push(A, 1)
        house.end(1)
        for number, commit, output in (
            (2, B, rolled_back(B)),
            (3, C, line_of(C)),
            (4, D, line_of(D)),
            (5, B, line_of(B)),
        ):
            house.push(commit, number)
            house.end(number, output)
        assert house.sync(1).description == "replaced by ccccccc"

    def test_redeployed_commit_ends_the_commit_that_replaced_it(self, house: House) -> None:
        house.deploy(OLD, 1)
        house.deploy(COMMIT, 2)
        house.start(command_of(OLD, 3, deployment=7001))
        house.end(3)
        assert house.sync(3).state == "success"
        assert house.github.states(7001) == ["success", "inactive", "success"]
        assert house.newest_statuses[7002] == DeploymentStatus("inactive", "replaced by aaaaaaa")

    def test_older_commit_in_progress_does_not_end_a_newer_success(self, house: House) -> None:
        house.deploy(OLD, 1)
        house.push(COMMIT, 2)
        house.end(2)
        house.github.say(7002, SUCCESS)  # and it went no further
        house.start(command_of(OLD, 3, deployment=7001))
        house.github.calls.clear()
        house.sync(3)
        assert house.github.states(7002) == ["success"]
        assert house.github.calls == ["find", "statuses"]

    def test_slow_sync_of_an_older_commit_does_not_end_a_newer_success(self, house: House) -> None:
        house.push(OLD, 1)
        house.end(1)
        house.push(COMMIT, 2)

        def newer() -> None:
            house.end(2)
            house.sync(2, house.new_sync())

        house.github.before = once("newest", newer)
        house.sync(1)
        assert house.github.states(7001) == ["success", "inactive"]
        assert house.github.states(7002) == ["success"]

    def test_redelivery_of_a_replaced_commit_keeps_it_inactive(self, house: House) -> None:
        house.deploy(OLD, 1)
        house.deploy(COMMIT, 2)
        house.start(command_of(OLD, 3, deployment=7001))
        house.end(3, line_of(COMMIT, outcome="unchanged"))
        assert house.sync(3).description == "replaced by 4d5e6f7"
        assert house.github.states(7001) == ["success", "inactive"]

    def test_commit_that_reached_all_hosts_in_two_runs_replaces(self, house: House) -> None:
        house.github.add(OLD)
        both_at = on(1, line_of(OLD)), on(2, line_of(OLD))
        house.history.add(command_of(OLD, 1, count=2, deployment=7001), *both_at)
        first = on(1, line_of()), on(2, rolled_back(COMMIT), "Failed")
        house.history.add(command_of(COMMIT, 2, count=2), *first)
        assert house.sync(1).state == "success"
        second = on(1, details="Terminated"), on(2, line_of())
        house.history.add(command_of(COMMIT, 3, count=2), *second)
        assert house.sync(1) == DeploymentStatus("inactive", "replaced by 4d5e6f7")

    def test_commit_never_replaces_itself(self, house: House) -> None:
        house.github.add(COMMIT)
        for number, attempt, hosts in (
            (1, 0, (on(1, line_of()), on(2, line_of()))),
            (2, 0, (on(1, line_of(OLD)), on(2, line_of(OLD)))),
            (3, 1, (on(1, line_of()),)),
        ):
            command = command_of(COMMIT, number, count=len(hosts), deployment=7001, attempt=attempt)
            house.history.add(command, *hosts)
        house.history.add(command_of(OLD, 4), on(1, details="Undeliverable"))
        assert house.sync(3).description == "overtaken by aaaaaaa on 1 of 2 hosts"

    def test_own_deployment_is_requested_only_once(self, house: House) -> None:
        house.ran()
        house.sync()
        assert house.github.calls == ["find", "statuses", "newest", "post", "statuses"]

    def test_posted_success_requests_no_other_deployments(self, house: House) -> None:
        house.deploy(OLD, 1)
        house.deploy(COMMIT, 2)
        house.github.calls.clear()
        house.sync(2)
        house.deployment_sync.run_late(house.history.sent(2), now=NOW)
        assert house.github.calls == ["find", "statuses"] * 2

    def test_new_description_of_a_success_requests_no_other_deployments(self, house: House) -> None:
        house.github.add(COMMIT)
        command = command_of(count=2, deployment=7001)
        house.history.add(command, on(1, line_of()), on(2, details="DeliveryTimedOut"))
        house.sync()
        house.history.add(command_of(number=2, deployment=7001, attempt=1), on(2, line_of()))
        house.github.calls.clear()
        house.sync(2)
        assert house.github.calls == ["find", "statuses", "post", "statuses"]

    @pytest.mark.parametrize("method", ["newest", "statuses", "post"])
    def test_success_is_posted_only_after_the_replaced_one_is_ended(
        self, house: House, method: str
    ) -> None:
        house.deploy(OLD, 1)
        house.push(COMMIT, 2)
        house.end(2)
        # The first request for statuses is for the own deployment.
        before = [None] if method == "statuses" else []
        for error in (REFUSED, UnavailableError("GitHub is not well")):
            house.github.errors[method] = [*before, error]
            with suppress(UnavailableError):
                house.sync(2, house.new_sync())
            assert not house.github.errors[method]
            assert house.github.log[7002] == []
        house.deployment_sync.run_late(house.history.sent(2), now=NOW)
        assert house.github.states(7001) == ["success", "inactive"]
        assert house.github.states(7002) == ["success"]

    @pytest.mark.parametrize("failures", [9, 10, 49])
    def test_earlier_success_is_ended_behind_many_failures(
        self, house: House, failures: int
    ) -> None:
        house.deploy(OLD, 1)
        for number in range(failures):
            house.github.say(house.github.add(f"{number:040x}").id, FAILURE)
        new = house.deploy(COMMIT, 2)
        assert house.github.states(7001) == ["success", "inactive"]
        assert house.github.states(new) == ["success"]
        assert house.github.calls.count("newest") == 2

    def test_page_with_unreadable_deployments_does_not_end_the_search(self, house: House) -> None:
        house.deploy(OLD, 1)
        for number in range(150):
            other = house.github.add(f"{number:040x}", target="api")
            house.github.unreadable.add(other.id)
        house.deploy(COMMIT, 2)
        assert house.github.states(7001) == ["success", "inactive"]

    def test_earlier_success_behind_deployments_of_other_targets_is_ended(
        self, house: House
    ) -> None:
        house.deploy(OLD, 1)
        for number in range(4 * 100):
            house.github.add(f"{number:040x}", target="api")
        house.github.calls.clear()
        house.deploy(COMMIT, 2)
        assert house.github.states(7001) == ["success", "inactive"]
        assert house.github.calls.count("newest") == 5  # pages
        assert house.github.calls.count("statuses") == 3

    @pytest.mark.parametrize(
        ("target", "count", "looks"), [("web", 50, 50), ("web", 700, 50), ("api", 700, 0)]
    )
    def test_search_for_other_deployments_is_bounded(
        self, house: House, target: str, count: int, looks: int
    ) -> None:
        for number in range(count):
            house.github.say(house.github.add(f"{number:040x}", target=target).id, FAILURE)
        new = house.deploy(COMMIT, 1)
        assert house.github.states(new) == ["success"]
        assert house.github.calls.count("newest") <= 5
        assert house.github.calls.count("statuses") == 2 + looks

    def test_overtaken_commit_is_inactive_and_notified(self, house: House) -> None:
        house.push(OLD, 1)
        house.end(1, line_of(COMMIT, outcome="superseded"))
        house.deploy(COMMIT, 2)
        overtaken = DeploymentStatus("inactive", "overtaken by 4d5e6f7 before it ran")
        assert house.sync(1) == overtaken
        assert house.notified_states == ["success", "inactive"]

    @pytest.mark.parametrize("of", [{"target": "api"}, {"repository": Repository("octo", "other")}])
    def test_newer_command_to_another_target_replaces_nothing(
        self, house: House, of: dict[str, Any]
    ) -> None:
        house.ran()
        newer = command_of(OLD, 2, **of)
        house.history.add(newer, on(1, line_of(OLD, target=of.get("target", "web"))))
        assert house.sync() == SUCCESS

    def test_check_replaces_nothing(self, house: House) -> None:
        house.ran()
        house.history.add(check_of(2), on(1, line_of(OLD)))
        assert house.sync() == SUCCESS


REFUSED = NotTakenError("GET /deployments: GitHub answered 401")


class TestSyncWhenGitHubRefuses:
    @pytest.mark.parametrize("method", ["find", "statuses", "post", "newest"])
    def test_refusal_is_noted_and_the_end_is_notified_once(self, house: House, method: str) -> None:
        house.ran()
        house.github.errors[method] = [REFUSED] * 3
        for _ in range(3):
            assert house.sync() == SUCCESS
        assert house.notified_states == ["success"]
        assert len(house.journal.of("deployment", "success")) == 1
        noted = house.journal.of("deployment", "not_reported")
        assert {one.level for one in noted} == {"error"}
        assert {one.facts["reason"] for one in noted} == {str(REFUSED)}
        assert {one.facts["target"] for one in noted} == {"web"}

    @pytest.mark.parametrize("method", ["find", "create"])
    def test_deployment_that_cannot_be_made_does_not_stop_the_notification(
        self, house: House, method: str
    ) -> None:
        house.start(command_of())
        house.end()
        house.github.errors[method] = [REFUSED] * 2
        assert (house.sync(), house.sync()) == (SUCCESS, SUCCESS)
        assert house.notified_states == ["success"]
        assert house.github.made == {}

    def test_end_that_another_process_posted_is_not_notified_again(self, house: House) -> None:
        house.ran()
        house.sync()
        house.github.say(7001, IN_PROGRESS)  # by a slow sync
        house.github.errors["newest"] = [REFUSED]
        assert house.sync(deployment_sync=house.new_sync()) == SUCCESS
        assert house.github.calls[-1] == "newest"
        assert house.notified_states == ["success"]

    def test_end_notified_during_a_refusal_is_not_notified_again_later(self, house: House) -> None:
        house.ran()
        house.github.errors["statuses"] = [REFUSED]
        house.sync()
        house.sync()
        assert house.github.log[7001] == [SUCCESS]
        assert house.notified_states == ["success"]

    def test_known_refusal_is_not_noted_again(self, house: House) -> None:
        house.push()
        house.github.errors["find"] = [REFUSED, NotTakenError("401", is_known=True)]
        house.sync()
        house.sync()
        assert house.journal.lines == [("deployment", "not_reported")]

    def test_command_in_progress_notifies_nobody(self, house: House) -> None:
        house.push()
        house.github.errors["find"] = [REFUSED]
        assert house.sync() == IN_PROGRESS
        assert house.notified_states == []

    def test_unavailable_github_raises_and_the_next_sync_notifies(self, house: House) -> None:
        house.ran()
        house.github.errors["post"] = [UnavailableError("GitHub is not well", retry_seconds=2.0)]
        with pytest.raises(UnavailableError):
            house.sync()
        assert house.notified_states == []
        assert house.sync() == SUCCESS
        assert house.notified_states == ["success"]

    def test_status_that_github_took_without_an_answer_is_notified_once(self, house: House) -> None:
        house.ran()
        house.github.errors["post"] = [UnavailableError("GitHub is not well", retry_seconds=2.0)]

        def take(method: str) -> None:
            if method == "post":
                house.github.say(7001, SUCCESS)
                house.github.before = None

        house.github.before = take
        with pytest.raises(UnavailableError):
            house.sync()
        assert (house.notified_states, house.github.states(7001)) == ([], ["success"])
        assert [house.sync() for _ in range(2)] == [SUCCESS, SUCCESS]
        assert (house.notified_states, house.github.states(7001)) == (["success"], ["success"])


class TestSyncWithoutAToken:
    @pytest.fixture
    def house(self) -> House:
        house = House()
        del house.parameters.values[NAMES.github_token]
        return house

    def test_github_is_not_called_and_the_end_is_notified_once(self, house: House) -> None:
        house.start(command_of())
        house.sync()
        house.end()
        assert (house.sync(), house.sync()) == (SUCCESS, SUCCESS)
        assert house.uses == []
        assert house.notified_states == ["success"]
        assert house.journal.lines == [("deployment", "success")]

    def test_redelivery_does_not_notify_the_end_again(self, house: House) -> None:
        house.start(command_of())
        house.end()
        house.sync()
        house.start(command_of(number=2))
        house.sync(2)
        house.end(2)
        house.sync(2)
        assert house.notified_states == ["success"]

    def test_notified_success_is_not_notified_as_replaced(self, house: House) -> None:
        for number, commit in ((1, OLD), (2, COMMIT)):
            house.start(command_of(commit, number))
            house.end(number)
            house.sync(number)
        assert house.sync(1).state == "inactive"
        assert house.notified_states == ["success", "success"]

    def test_end_of_each_commit_is_notified(self, house: House) -> None:
        for number, commit in ((1, OLD), (2, COMMIT)):
            house.start(command_of(commit, number))
            house.end(number, rolled_back(commit))
            house.sync(number)
        assert house.notified_states == ["failure", "failure"]

    def test_memory_is_bounded(self, house: House) -> None:
        for number in range(1, 1101):
            commit = f"{number:040x}"
            house.history.commands.clear()
            house.start(command_of(commit, number))
            house.end(number, rolled_back(commit))
            house.sync(number)
        assert len(house.deployment_sync.memory._known) == 1000
        house.sync(1100)
        assert len(house.notified_states) == 1100


def once(method: str, act: Callable[[], object]) -> Callable[[str], None]:
    """Another process acts before the first call of this method."""
    waiting = [act]

    def before(called: str) -> None:
        if called == method and waiting:
            waiting.pop()()

    return before


@dataclass(frozen=True)
class Sending:
    """A command of the story: how many minutes it lasts, and what its hosts say at the end."""

    commit: str
    number: int
    hosts: tuple[Invocation, ...]
    lasts: float = 2.0

    @property
    def begins(self) -> float:
        return 10.0 * (self.number - 1)

    @property
    def ends(self) -> float:
        return self.begins + self.lasts


def both(output: str) -> tuple[Invocation, ...]:
    return on(1, output), on(2, output)


STORY = [
    Sending(A, 1, both(line_of(A))),
    Sending(B, 2, (on(1, rolled_back(B)), on(2, details="Terminated"))),
    Sending(B, 3, both(rolled_back(B))),
    Sending(C, 4, both(rolled_back(C))),
    Sending(C, 5, both(line_of(C))),
    Sending(D, 6, both(line_of(E, outcome="superseded")), lasts=11.0),
    Sending(E, 7, both(line_of(E))),
    Sending(A, 8, both(line_of(E, outcome="unchanged"))),
    Sending(E, 9, (on(1, line_of(E, outcome="unchanged")), on(2, details="Undeliverable"))),
    Sending(F, 10, (on(1, line_of(F)), on(2, details="DeliveryTimedOut"))),
    Sending(F, 11, (on(1, line_of(F, outcome="unchanged")), on(2, line_of(F)))),
]
ENDS = {
    A: DeploymentStatus("inactive", "replaced by ccccccc"),
    B: DeploymentStatus(
        "failure",
        "0 of 2 hosts at bbbbbbb, 2 failed; web-1, web-2: rolled back to aaaaaaa: "
        "health check: answered 500",
    ),
    C: DeploymentStatus("inactive", "replaced by eeeeeee"),
    D: DeploymentStatus("inactive", "overtaken by eeeeeee before it ran"),
    E: DeploymentStatus("inactive", "replaced by fffffff"),
    F: DeploymentStatus("success", "2 of 2 hosts at fffffff: web-1, web-2"),
}


class Story:
    """The story on a target of two hosts; its events come at random times."""

    def __init__(self, seed: int, *, announced: bool = True) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.house = House()
        self.minute = 0.0
        self.house.history.before = lambda method: self.catch_up()
        self.ids: dict[str, int] = {}
        for sending in STORY if announced else []:
            if sending.commit not in self.ids:
                self.house.github.now = START + timedelta(minutes=sending.begins)
                self.ids[sending.commit] = self.house.github.add(sending.commit).id

    def catch_up(self) -> None:
        """AWS as it is at this minute."""
        for sending in STORY:
            if sending.begins > self.minute:
                continue
            is_over = self.minute >= sending.ends
            command = command_of(
                sending.commit,
                sending.number,
                status="Success" if is_over else "InProgress",
                count=2,
                deployment=self.ids.get(sending.commit),
            )
            hosts = sending.hosts if is_over else (running(1), running(2))
            self.house.history.add(command, *hosts)

    def events(self, *, late: float) -> list[tuple[float, int]]:
        """Minute and command of each event: lost, single or double; at least one after the end."""
        events = []
        for sending in STORY:
            times = [sending.begins, sending.begins + sending.lasts / 2, sending.ends]
            told = [at for at in times for _ in range(self.random.choice([0, 1, 1, 2]))]
            arrivals = [at + self.random.choice([0, late * self.random.random()]) for at in told]
            if not any(at >= sending.ends for at in arrivals):
                arrivals.append(sending.ends + late * self.random.random())
            events += [(at, sending.number) for at in arrivals]
        return sorted(events)

    def report(self, at: float, number: int) -> None:
        """Report one event, often in a process that remembers no earlier event."""
        self.minute = max(self.minute, at)
        if self.random.random() < 0.5:
            self.house.deployment_sync = self.house.new_sync()
        reporter = Reporter(
            stage=STAGE,
            history=self.house.history,
            deployment_sync=self.house.deployment_sync,
            parameters=self.house.parameters,
            waker=FakeWaker(),
            journal=self.house.journal,
            pause=lambda seconds: None,
        )
        event = event_of(number, self.random.choice(["InProgress", "Pending"]))
        reporter.report(event, now=START + timedelta(minutes=self.minute))

    @property
    def ends(self) -> dict[str, DeploymentStatus | None]:
        made = self.house.github.made
        return {made[id_].commit: status for id_, status in self.house.newest_statuses.items()}


class TestSyncInAnyOrder:
    @pytest.mark.parametrize("seed", range(SEEDS))
    @pytest.mark.parametrize("late", [0.0, 15.0, 300.0])
    def test_missing_repeated_and_reordered_events_give_the_same_ends(
        self, seed: int, late: float
    ) -> None:
        story = Story(seed)
        for at, number in story.events(late=late):
            story.report(at, number)
        assert story.ends == ENDS
        told = [
            (one.message["content"], one.attributes["state"]) for one in story.house.topic.published
        ]
        assert all(told.count(one) == 1 for one in told)

    @pytest.mark.parametrize("seed", range(SEEDS))
    def test_late_events_in_any_order_give_the_same_ends_posted_once(self, seed: int) -> None:
        story = Story(seed)
        numbers = [sending.number for sending in STORY] * 2
        story.random.shuffle(numbers)
        for number in numbers:
            story.report(1000.0, number)
        assert story.ends == ENDS
        # Each end is posted once: no earlier status had to be corrected.
        assert [len(log) for log in story.house.github.log.values()] == [1] * len(ENDS)
        assert len(story.house.notified_states) == len(ENDS)

    @pytest.mark.parametrize("seed", range(SEEDS))
    @pytest.mark.parametrize("late", [15.0, 300.0])
    def test_interleaved_syncs_give_the_same_ends(self, seed: int, late: float) -> None:
        story = Story(seed)
        events = story.events(late=late)

        def interleave(method: str) -> None:
            if events and story.random.random() < 0.15:
                story.report(*events.pop(0))

        story.house.github.before = interleave
        while events:
            story.report(*events.pop(0))
        assert story.ends == ENDS

    @pytest.mark.parametrize("seed", range(SEEDS))
    def test_deployments_made_late_get_the_same_states(self, seed: int) -> None:
        story = Story(seed, announced=False)
        story.house.github.now = START + timedelta(minutes=1000)
        numbers = [sending.number for sending in STORY] * 2
        story.random.shuffle(numbers)
        for number in numbers:
            story.report(1000.0, number)
        assert {commit: end.state for commit, end in story.ends.items() if end} == {
            commit: end.state for commit, end in ENDS.items()
        }


class TestSyncOfAHeldCommit:
    """A commit came while its target was frozen, and was posted as inactive; now it is sent."""

    HELD = DeploymentStatus("inactive", "not deployed: frozen: a holiday")

    def test_held_commit_rolled_out_later_becomes_a_success(self) -> None:
        house = House()
        id_ = house.push()
        house.github.say(id_, self.HELD)
        house.sync()
        house.end()
        assert house.sync() == SUCCESS
        assert house.github.states(id_) == ["inactive", "in_progress", "success"]
        assert house.notified_states == ["success"]

    def test_round_without_a_deployment_id_finds_the_held_deployment(self) -> None:
        house = House()
        id_ = house.github.add(COMMIT).id
        house.github.say(id_, self.HELD)
        house.start(command_of(COMMIT, 1, deployment=None, attempt=1))
        house.end()
        assert house.sync() == SUCCESS
        assert house.newest_statuses == {id_: SUCCESS}

    def test_held_commit_that_fails_later_becomes_a_failure(self) -> None:
        house = House()
        id_ = house.push()
        house.github.say(id_, self.HELD)
        house.end(1, rolled_back(COMMIT))
        house.sync()
        assert house.github.states(id_) == ["inactive", "failure"]
        assert house.notified_states == ["failure"]

    def test_success_of_the_next_commit_leaves_the_held_deployment(self) -> None:
        house = House()
        held = house.github.add(A).id
        house.github.say(held, self.HELD)
        new = house.deploy(B, 2)
        assert house.github.log[held] == [self.HELD]
        assert house.github.states(new)[-1] == "success"

    def test_held_deployment_with_any_description_may_begin(self) -> None:
        house = House()
        id_ = house.push()
        house.github.say(id_, DeploymentStatus("inactive", "left as it was"))
        assert house.sync() == IN_PROGRESS
        assert house.github.states(id_) == ["inactive", "in_progress"]

    def test_held_status_after_a_success_does_not_begin_again(self) -> None:
        house = House()
        id_ = house.push()
        house.github.say(id_, SUCCESS)
        house.github.say(id_, self.HELD)
        assert house.sync() == self.HELD
        assert house.github.states(id_) == ["success", "inactive"]

    def test_overtaken_commit_may_begin_later(self) -> None:
        house = House()
        id_ = house.ran(line_of(OLD, outcome="superseded"))
        house.history.add(command_of(OLD, 9), on(1, details="Undeliverable"))
        house.sync()
        house.start(command_of(number=2, deployment=id_))
        assert house.sync(2) == IN_PROGRESS
        house.end(2)
        assert house.sync(2) == SUCCESS
        assert house.github.states(id_) == ["inactive", "in_progress", "success"]
        assert house.notified_states == ["inactive", "success"]

    def test_commit_overtaken_twice_is_notified_once(self) -> None:
        house = House()
        id_ = house.ran(line_of(OLD, outcome="superseded"))
        house.history.add(command_of(OLD, 9), on(1, details="Undeliverable"))
        house.sync()
        house.start(command_of(number=2, deployment=id_))
        house.sync(2, house.new_sync())
        house.end(2, line_of(OLD, outcome="superseded"))
        house.sync(2, house.new_sync())
        assert house.github.states(id_) == ["inactive", "in_progress", "inactive"]
        assert house.notified_states == ["inactive"]
