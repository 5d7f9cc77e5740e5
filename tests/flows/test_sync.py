"""A deployment on GitHub ends as its hosts say, whoever settles it, how often and in what order."""

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
    """A settler between fakes: the target web, a token, and a history to be filled."""

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
        """As another process has it: with nothing remembered."""

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
        """A command that was sent for the commit, under way on one host, with its deployment."""
        deployment = self.github.add(commit)
        self.start(command_of(commit, number, deployment=deployment.id, saved=saved))
        return deployment.id

    def start(self, command: Command) -> None:
        command = replace(command, status="InProgress", details="InProgress")
        self.history.add(command, *(running(place + 1) for place in range(command.target_count)))

    def end(self, number: int = 1, *outputs: str) -> None:
        """What the hosts say; where they say nothing, each was updated."""
        command = self.history.sent(number)
        outputs = outputs or (line_of(command.roll_out.commit.sha),)
        hosts = (on(place, output) for place, output in enumerate(outputs, 1))
        self.history.add(replace(command, status="Success", details="Success"), *hosts)

    def ran(self, *outputs: str, commit: str = COMMIT, number: int = 1) -> int:
        """From the push to its end, not settled yet."""
        id_ = self.push(commit, number)
        self.end(number, *outputs)
        return id_

    def deploy(self, commit: str, number: int) -> int:
        """From the push to its end, settled."""
        id_ = self.ran(commit=commit, number=number)
        self.sync(number)
        return id_

    @property
    def told(self) -> list[str]:
        return [one.attributes["state"] for one in self.topic.published]

    @property
    def standing(self) -> dict[int, DeploymentStatus | None]:
        return {id_: log[-1] if log else None for id_, log in self.github.log.items()}


@pytest.fixture
def house() -> House:
    return House()


class TestSettle:
    def test_command_under_way_is_in_progress_and_nobody_is_told(self, house: House) -> None:
        id_ = house.push()
        assert house.sync() == IN_PROGRESS
        assert house.github.log == {id_: [IN_PROGRESS]}
        assert house.told == []
        assert house.journal.lines == [("deployment", "in_progress")]

    def test_command_that_ended_well_is_success_with_its_log(self, house: House) -> None:
        id_ = house.ran()
        assert house.sync() == SUCCESS
        assert house.github.log == {id_: [SUCCESS]}
        assert house.github.log_urls == {id_: f"https://console/{id_of(1)}"}
        assert house.told == ["success"]
        assert house.journal.lines == [("deployment", "success")]

    def test_host_that_rolled_back_is_failure(self, house: House) -> None:
        house.ran(rolled_back(COMMIT))
        assert house.sync() == replace(
            FAILURE, description=f"{FAILURE.description}: health check: answered 500"
        )
        assert house.told == ["failure"]

    def test_event_that_is_repeated_says_and_tells_nothing_more(self, house: House) -> None:
        house.ran()
        for _ in range(3):
            assert house.sync() == SUCCESS
            assert house.sync(deployment_sync=house.new_sync()) == SUCCESS
        assert house.github.log[7001] == [SUCCESS]
        assert house.told == ["success"]

    def test_twelve_hosts_are_all_counted(self, house: House) -> None:
        house.github.add(COMMIT)
        house.start(command_of(count=12, deployment=7001))
        house.end(1, *[line_of()] * 12)
        assert house.sync().description.startswith("12 of 12 hosts at 4d5e6f7: web-1, ")

    def test_repository_s_token_is_used(self, house: House) -> None:
        house.push()
        house.sync()
        assert house.uses == [(SITE, TOKEN)]

    def test_token_is_nowhere_to_be_read(self, house: House) -> None:
        house.ran()
        house.sync()
        settings = house.parameters.report_settings(SITE)
        assert settings.token == TOKEN
        written = repr(house.journal.decisions) + repr(house.topic.published) + repr(settings)
        assert TOKEN not in written

    @pytest.mark.parametrize("error", [RefusedError("no"), UnavailableError("not now")])
    def test_history_that_cannot_be_read_says_nothing(
        self, house: House, error: PulleyError
    ) -> None:
        house.push()
        house.history.error = error
        with pytest.raises(type(error)) as caught:
            house.sync()
        assert caught.value is error
        assert (house.standing, house.told) == ({7001: None}, [])

    def test_command_not_listed_yet_counts_all_the_same(self, house: House) -> None:
        house.ran()
        command = house.history.sent(1)
        house.history.commands.clear()
        assert house.deployment_sync.run(command, now=NOW) == SUCCESS


class TestSettleWhatWasSetAside:
    @pytest.mark.parametrize(
        ("saved", "state", "words"),
        [
            ("keep", "success", "1 of 1 host at 4d5e6f7: web-1 (app.ini set aside)"),
            ("fail", "failure", "0 of 1 host at 4d5e6f7, 1 failed; web-1: app.ini set aside"),
        ],
    )
    def test_target_said_when_it_was_sent_whether_it_is_a_failure(
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
    def test_it_is_a_failure_until_a_run_finds_it_seen_to(
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


class TestSettleAnEndThatStands:
    def test_progress_of_a_redelivery_does_not_begin_it_again(self, house: House) -> None:
        house.deploy(COMMIT, 1)
        house.start(command_of(number=2, deployment=7001))
        assert house.sync(2) == SUCCESS
        assert house.github.log[7001] == [SUCCESS]

    def test_redelivery_that_heals_is_told(self, house: House) -> None:
        house.ran(rolled_back(COMMIT))
        house.sync()
        house.start(command_of(number=2, deployment=7001))
        house.sync(2)
        house.end(2)
        house.sync(2)
        assert house.github.states(7001) == ["failure", "success"]
        assert house.told == ["failure", "success"]

    def test_host_that_catches_up_changes_the_words_and_tells_nobody_again(
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
        assert house.told == ["success"]

    def test_slow_settler_that_posts_progress_after_the_end_says_the_end_again(
        self, house: House
    ) -> None:
        house.push()

        def other() -> None:
            house.end()
            house.sync(deployment_sync=house.new_sync())

        house.github.before = once("post", other)
        assert house.sync() == SUCCESS
        assert house.github.states(7001) == ["success", "in_progress", "success"]
        assert house.told == ["success"]

    def test_slow_settler_whose_history_lags_leaves_the_end_that_another_saw(
        self, house: House
    ) -> None:
        house.push()
        house.github.before = once("post", lambda: house.github.say(7001, SUCCESS))
        assert house.sync() == SUCCESS
        assert house.github.log[7001] == [SUCCESS, IN_PROGRESS, SUCCESS]
        assert house.told == []

    def test_fast_settler_that_posts_the_end_after_progress_has_the_last_word(
        self, house: House
    ) -> None:
        house.push()

        def other(method: str) -> None:
            if method == "statuses" and house.github.log[7001]:
                house.end()
                house.sync(deployment_sync=house.new_sync())

        house.github.before = other
        assert house.sync() == SUCCESS
        assert house.github.states(7001) == ["in_progress", "success"]
        assert house.told == ["success"]

    def test_settler_that_always_meets_another_gives_up_for_a_while(self, house: House) -> None:
        house.ran()
        house.github.before = lambda method: (
            house.github.say(7001, IN_PROGRESS) if method == "statuses" else None
        )
        with pytest.raises(UnavailableError) as caught:
            house.sync()
        assert caught.value.retry_seconds == 2.0
        assert house.github.log[7001][-1] == SUCCESS
        assert house.told == ["success"]

    def test_end_that_comes_while_it_is_posted_is_seen(self, house: House) -> None:
        house.push()
        house.github.before = once("post", house.end)
        assert house.sync() == SUCCESS
        assert house.github.states(7001) == ["in_progress", "success"]


class TestSettleWithoutADeployment:
    """It could not be made when the command was sent."""

    def test_it_is_made_at_the_end(self, house: House) -> None:
        house.start(command_of())
        house.end()
        assert house.sync() == SUCCESS
        (made,) = house.github.made.values()
        assert (made.commit, made.environment) == (COMMIT, "web")
        assert (made.stage, made.target) == (STAGE, "web")
        assert house.github.log == {7001: [SUCCESS]}

    def test_it_is_made_once(self, house: House) -> None:
        house.start(command_of())
        house.sync()
        house.end()
        house.sync()
        assert house.github.log == {7001: [IN_PROGRESS, SUCCESS]}

    def test_environment_is_the_target_s_own(self, house: House) -> None:
        stored = target_json(environment="production")
        house.parameters.values[NAMES.targets(SITE)] = targets_text(stored)
        house.start(command_of())
        house.end()
        house.sync()
        assert house.github.made[7001].environment == "production"
        assert house.topic.published[0].attributes["environment"] == "production"

    @pytest.mark.parametrize("stored", [None, "{", "[]"])
    def test_target_that_is_stored_no_more_has_its_name_for_one(
        self, house: House, stored: str | None
    ) -> None:
        del house.parameters.values[NAMES.targets(SITE)]
        if stored is not None:
            house.parameters.values[NAMES.targets(SITE)] = stored
        house.start(command_of())
        house.sync()
        assert house.github.made[7001].environment == "web"

    def test_id_of_another_commit_s_deployment_is_not_believed(self, house: House) -> None:
        house.github.add(OLD)
        house.start(command_of(deployment=7001))
        house.sync()
        assert house.github.states(7001) == []
        assert house.github.states(7002) == ["in_progress"]

    def test_deployment_that_is_gone_is_made_anew(self, house: House) -> None:
        house.start(command_of(deployment=6999))
        assert house.sync() == IN_PROGRESS
        assert house.github.states(7001) == ["in_progress"]

    def test_two_that_make_it_at_once_both_take_the_first_and_end_the_other(
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
        assert house.told == ["success"]

    def test_one_that_github_does_not_list_yet_is_taken(self, house: House) -> None:
        house.start(command_of())
        house.github.find = lambda request: None  # type: ignore[method-assign] # a replica lags
        assert house.sync() == IN_PROGRESS
        assert house.github.states(7001) == ["in_progress"]


class TestSettleADeploymentOfAnyTime:
    """GitHub's word for when one was made may be anything."""

    AGES = (
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12))),
    )

    @pytest.fixture(autouse=True)
    def _as_aws_asks(self, house: House) -> None:
        """The edge writes the time in UTC."""
        ask = house.history.commands_since
        house.history.commands_since = (  # type: ignore[method-assign]
            lambda since, limit=1000: ask(since.astimezone(UTC), limit)
        )

    @pytest.mark.parametrize("created", AGES, ids=str)
    def test_its_own(self, house: House, created: datetime) -> None:
        id_ = house.push()
        house.github.made[id_] = replace(house.github.made[id_], created=created)
        house.end()
        assert house.sync() == SUCCESS

    @pytest.mark.parametrize("created", AGES, ids=str)
    def test_another_that_is_ended(self, house: House, created: datetime) -> None:
        id_ = house.deploy(OLD, 1)
        house.github.made[id_] = replace(house.github.made[id_], created=created)
        house.deploy(COMMIT, 2)
        assert house.github.states(id_) == ["success", "inactive"]


class TestSettleAndEndOthers:
    def test_success_ends_the_target_s_earlier_success(self, house: House) -> None:
        house.deploy(OLD, 1)
        house.deploy(COMMIT, 2)
        assert house.standing == {
            7001: DeploymentStatus("inactive", "replaced by 4d5e6f7"),
            7002: SUCCESS,
        }
        assert house.told == ["success", "success"]

    @pytest.mark.parametrize(
        ("stage", "target", "environment"),
        [("prod", "web", "web"), (STAGE, "api", "web"), (STAGE, "web", "old-name")],
    )
    def test_success_leaves_what_is_of_another_target_stage_or_environment(
        self, house: House, stage: str, target: str, environment: str
    ) -> None:
        other = house.github.add(OLD, environment, stage, target)
        house.github.say(other.id, SUCCESS)
        house.deploy(COMMIT, 1)
        assert house.github.states(other.id) == ["success"]

    def test_success_of_which_nothing_is_remembered_any_more_is_ended(self, house: House) -> None:
        other = house.github.add(OLD)
        house.github.say(other.id, SUCCESS)
        house.deploy(COMMIT, 1)
        assert house.standing[other.id] == DeploymentStatus("inactive", "replaced by 4d5e6f7")

    @pytest.mark.parametrize("state", ["failure", "error", "inactive", "in_progress", ""])
    def test_what_was_no_success_is_left_as_it_is(self, house: House, state: str) -> None:
        other = house.github.add(OLD)
        if state:
            house.github.say(other.id, DeploymentStatus(state, "as it was"))
        house.deploy(COMMIT, 1)
        assert house.github.states(other.id) == ([state] if state else [])

    @pytest.mark.parametrize("output", [rolled_back(COMMIT), line_of(OLD, outcome="superseded")])
    def test_what_is_no_success_ends_nothing(self, house: House, output: str) -> None:
        house.deploy(OLD, 1)
        house.push(COMMIT, 2)
        house.end(2, output)
        house.sync(2)
        assert house.standing[7001] is not None
        assert house.standing[7001].state == "success"

    def test_failure_ends_no_success_of_which_nothing_is_remembered(self, house: House) -> None:
        other = house.github.add(OLD)
        house.github.say(other.id, SUCCESS)
        house.ran(rolled_back(COMMIT))
        house.sync()
        assert house.github.states(other.id) == ["success"]
        assert "newest" not in house.github.calls

    def test_what_is_older_than_the_ended_one_is_not_asked_for(self, house: House) -> None:
        for number, commit in enumerate((A, B, C), 1):
            house.deploy(commit, number)
        house.github.calls.clear()
        house.deploy(D, 4)
        ended = ["newest", "statuses", "post"]
        assert house.github.calls == ["find", "statuses", *ended, "post", "statuses"]
        assert [one.state for one in house.standing.values() if one] == ["inactive"] * 3 + [
            "success"
        ]

    def test_late_event_of_a_replaced_commit_says_so(self, house: House) -> None:
        house.push(OLD, 1)
        house.end(1)
        house.deploy(COMMIT, 2)
        assert house.sync(1) == DeploymentStatus("inactive", "replaced by 4d5e6f7")
        assert house.github.states(7001) == ["inactive"]
        assert house.github.states(7002) == ["success"]

    def test_replaced_by_the_first_that_was_everywhere_whatever_came_after(
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

    def test_commit_that_is_back_ends_the_one_that_had_replaced_it(self, house: House) -> None:
        house.deploy(OLD, 1)
        house.deploy(COMMIT, 2)
        house.start(command_of(OLD, 3, deployment=7001))
        house.end(3)
        assert house.sync(3).state == "success"
        assert house.github.states(7001) == ["success", "inactive", "success"]
        assert house.standing[7002] == DeploymentStatus("inactive", "replaced by aaaaaaa")

    def test_progress_of_an_older_commit_does_not_end_a_newer_one(self, house: House) -> None:
        house.deploy(OLD, 1)
        house.push(COMMIT, 2)
        house.end(2)
        house.github.say(7002, SUCCESS)  # and it went no further
        house.start(command_of(OLD, 3, deployment=7001))
        house.github.calls.clear()
        house.sync(3)
        assert house.github.states(7002) == ["success"]
        assert house.github.calls == ["find", "statuses"]

    def test_slow_settler_of_an_older_commit_does_not_end_a_newer_one(self, house: House) -> None:
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

    def test_redelivery_of_a_replaced_commit_leaves_it_replaced(self, house: House) -> None:
        house.deploy(OLD, 1)
        house.deploy(COMMIT, 2)
        house.start(command_of(OLD, 3, deployment=7001))
        house.end(3, line_of(COMMIT, outcome="unchanged"))
        assert house.sync(3).description == "replaced by 4d5e6f7"
        assert house.github.states(7001) == ["success", "inactive"]

    def test_replaced_by_one_that_came_everywhere_in_two_runs(self, house: House) -> None:
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

    def test_nothing_is_asked_about_the_commit_s_own_deployment_twice(self, house: House) -> None:
        house.ran()
        house.sync()
        assert house.github.calls == ["find", "statuses", "newest", "post", "statuses"]

    def test_what_stands_already_asks_for_no_others(self, house: House) -> None:
        house.deploy(OLD, 1)
        house.deploy(COMMIT, 2)
        house.github.calls.clear()
        house.sync(2)
        house.deployment_sync.run_late(house.history.sent(2), now=NOW)
        assert house.github.calls == ["find", "statuses"] * 2

    def test_other_words_for_the_same_success_ask_for_no_others(self, house: House) -> None:
        house.github.add(COMMIT)
        command = command_of(count=2, deployment=7001)
        house.history.add(command, on(1, line_of()), on(2, details="DeliveryTimedOut"))
        house.sync()
        house.history.add(command_of(number=2, deployment=7001, attempt=1), on(2, line_of()))
        house.github.calls.clear()
        house.sync(2)
        assert house.github.calls == ["find", "statuses", "post", "statuses"]

    @pytest.mark.parametrize("method", ["newest", "statuses", "post"])
    def test_success_is_said_once_the_other_is_ended_and_not_before(
        self, house: House, method: str
    ) -> None:
        house.deploy(OLD, 1)
        house.push(COMMIT, 2)
        house.end(2)
        # The statuses of its own are asked for first.
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
    def test_success_is_ended_however_much_failed_since(self, house: House, failures: int) -> None:
        house.deploy(OLD, 1)
        for number in range(failures):
            house.github.say(house.github.add(f"{number:040x}").id, FAILURE)
        new = house.deploy(COMMIT, 2)
        assert house.github.states(7001) == ["success", "inactive"]
        assert house.github.states(new) == ["success"]
        assert house.github.calls.count("newest") == 2

    def test_page_that_cannot_be_read_in_whole_is_not_the_last(self, house: House) -> None:
        house.deploy(OLD, 1)
        for number in range(150):
            other = house.github.add(f"{number:040x}", target="api")
            house.github.unreadable.add(other.id)
        house.deploy(COMMIT, 2)
        assert house.github.states(7001) == ["success", "inactive"]

    def test_success_behind_other_targets_of_the_environment_is_ended(self, house: House) -> None:
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
    def test_what_is_looked_for_is_bounded(
        self, house: House, target: str, count: int, looks: int
    ) -> None:
        for number in range(count):
            house.github.say(house.github.add(f"{number:040x}", target=target).id, FAILURE)
        new = house.deploy(COMMIT, 1)
        assert house.github.states(new) == ["success"]
        assert house.github.calls.count("newest") <= 5
        assert house.github.calls.count("statuses") == 2 + looks

    def test_overtaken_commit_is_inactive_and_was_never_there(self, house: House) -> None:
        house.push(OLD, 1)
        house.end(1, line_of(COMMIT, outcome="superseded"))
        house.deploy(COMMIT, 2)
        overtaken = DeploymentStatus("inactive", "overtaken by 4d5e6f7 before it ran")
        assert house.sync(1) == overtaken
        assert house.told == ["success", "inactive"]

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


class TestSettleWhereGitHubDoesNotTakeIt:
    @pytest.mark.parametrize("method", ["find", "statuses", "post", "newest"])
    def test_it_is_noted_and_finished_once_all_the_same(self, house: House, method: str) -> None:
        house.ran()
        house.github.errors[method] = [REFUSED] * 3
        for _ in range(3):
            assert house.sync() == SUCCESS
        assert house.told == ["success"]
        assert len(house.journal.of("deployment", "success")) == 1
        noted = house.journal.of("deployment", "not_reported")
        assert {one.level for one in noted} == {"error"}
        assert {one.facts["reason"] for one in noted} == {str(REFUSED)}
        assert {one.facts["target"] for one in noted} == {"web"}

    @pytest.mark.parametrize("method", ["find", "create"])
    def test_deployment_that_cannot_be_made_does_not_stop_it(
        self, house: House, method: str
    ) -> None:
        house.start(command_of())
        house.end()
        house.github.errors[method] = [REFUSED] * 2
        assert (house.sync(), house.sync()) == (SUCCESS, SUCCESS)
        assert house.told == ["success"]
        assert house.github.made == {}

    def test_end_that_github_has_from_another_process_is_not_told_again(self, house: House) -> None:
        house.ran()
        house.sync()
        house.github.say(7001, IN_PROGRESS)  # by a slow one
        house.github.errors["newest"] = [REFUSED]
        assert house.sync(deployment_sync=house.new_sync()) == SUCCESS
        assert house.github.calls[-1] == "newest"
        assert house.told == ["success"]

    def test_end_told_without_github_is_not_told_again_when_github_takes_it(
        self, house: House
    ) -> None:
        house.ran()
        house.github.errors["statuses"] = [REFUSED]
        house.sync()
        house.sync()
        assert house.github.log[7001] == [SUCCESS]
        assert house.told == ["success"]

    def test_refusal_that_is_known_is_not_noted_again(self, house: House) -> None:
        house.push()
        house.github.errors["find"] = [REFUSED, NotTakenError("401", is_known=True)]
        house.sync()
        house.sync()
        assert house.journal.lines == [("deployment", "not_reported")]

    def test_command_under_way_tells_nobody(self, house: House) -> None:
        house.push()
        house.github.errors["find"] = [REFUSED]
        assert house.sync() == IN_PROGRESS
        assert house.told == []

    def test_github_that_is_not_well_is_for_the_caller_to_try_again(self, house: House) -> None:
        house.ran()
        house.github.errors["post"] = [UnavailableError("GitHub is not well", retry_seconds=2.0)]
        with pytest.raises(UnavailableError):
            house.sync()
        assert house.told == []
        assert house.sync() == SUCCESS
        assert house.told == ["success"]

    def test_end_that_github_took_without_an_answer_is_told_once(self, house: House) -> None:
        house.ran()
        house.github.errors["post"] = [UnavailableError("GitHub is not well", retry_seconds=2.0)]

        def take(method: str) -> None:
            if method == "post":
                house.github.say(7001, SUCCESS)
                house.github.before = None

        house.github.before = take
        with pytest.raises(UnavailableError):
            house.sync()
        assert (house.told, house.github.states(7001)) == ([], ["success"])
        assert [house.sync() for _ in range(2)] == [SUCCESS, SUCCESS]
        assert (house.told, house.github.states(7001)) == (["success"], ["success"])


class TestSettleWithoutAToken:
    @pytest.fixture
    def house(self) -> House:
        house = House()
        del house.parameters.values[NAMES.github_token]
        return house

    def test_github_is_left_alone_and_the_end_is_told_once(self, house: House) -> None:
        house.start(command_of())
        house.sync()
        house.end()
        assert (house.sync(), house.sync()) == (SUCCESS, SUCCESS)
        assert house.uses == []
        assert house.told == ["success"]
        assert house.journal.lines == [("deployment", "success")]

    def test_progress_of_a_redelivery_does_not_tell_the_end_again(self, house: House) -> None:
        house.start(command_of())
        house.end()
        house.sync()
        house.start(command_of(number=2))
        house.sync(2)
        house.end(2)
        house.sync(2)
        assert house.told == ["success"]

    def test_success_that_was_told_is_not_told_as_replaced(self, house: House) -> None:
        for number, commit in ((1, OLD), (2, COMMIT)):
            house.start(command_of(commit, number))
            house.end(number)
            house.sync(number)
        assert house.sync(1).state == "inactive"
        assert house.told == ["success", "success"]

    def test_each_commit_s_end_is_told(self, house: House) -> None:
        for number, commit in ((1, OLD), (2, COMMIT)):
            house.start(command_of(commit, number))
            house.end(number, rolled_back(commit))
            house.sync(number)
        assert house.told == ["failure", "failure"]

    def test_what_is_remembered_is_bounded(self, house: House) -> None:
        for number in range(1, 1101):
            commit = f"{number:040x}"
            house.history.commands.clear()
            house.start(command_of(commit, number))
            house.end(number, rolled_back(commit))
            house.sync(number)
        assert len(house.deployment_sync.memory._known) == 1000
        house.sync(1100)
        assert len(house.told) == 1100


def once(method: str, act: Callable[[], object]) -> Callable[[str], None]:
    """What somebody else does before the first call of this method."""
    waiting = [act]

    def before(called: str) -> None:
        if called == method and waiting:
            waiting.pop()()

    return before


@dataclass(frozen=True)
class Sending:
    """A command of the story: when it is over, in minutes from the start, and what hosts say."""

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
    """The story on a target of two hosts, told by events that come whenever they like."""

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
        """When which command's event comes: some never, some twice, one at least after the end."""
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
        """One event, often in a process that knows nothing of those before."""
        self.minute = max(self.minute, at)
        if self.random.random() < 0.5:
            self.house.deployment_sync = self.house.new_sync()
        reporter = Reporter(
            STAGE,
            self.house.history,
            self.house.deployment_sync,
            self.house.journal,
            lambda seconds: None,
        )
        event = event_of(number, self.random.choice(["InProgress", "Pending"]))
        reporter.report(event, now=START + timedelta(minutes=self.minute))

    @property
    def ends(self) -> dict[str, DeploymentStatus | None]:
        made = self.house.github.made
        return {made[id_].commit: status for id_, status in self.house.standing.items()}


class TestSettleInAnyOrder:
    @pytest.mark.parametrize("seed", range(SEEDS))
    @pytest.mark.parametrize("late", [0.0, 15.0, 300.0])
    def test_missing_repeated_and_reordered_events_end_the_same(
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
    def test_events_after_everything_is_over_end_the_same_in_any_order(self, seed: int) -> None:
        story = Story(seed)
        numbers = [sending.number for sending in STORY] * 2
        story.random.shuffle(numbers)
        for number in numbers:
            story.report(1000.0, number)
        assert story.ends == ENDS
        # What is final is said once: nothing was ever said that had to be taken back.
        assert [len(log) for log in story.house.github.log.values()] == [1] * len(ENDS)
        assert len(story.house.told) == len(ENDS)

    @pytest.mark.parametrize("seed", range(SEEDS))
    @pytest.mark.parametrize("late", [15.0, 300.0])
    def test_settlers_that_get_in_each_other_s_way_end_the_same(
        self, seed: int, late: float
    ) -> None:
        story = Story(seed)
        events = story.events(late=late)

        def get_in_the_way(method: str) -> None:
            if events and story.random.random() < 0.15:
                story.report(*events.pop(0))

        story.house.github.before = get_in_the_way
        while events:
            story.report(*events.pop(0))
        assert story.ends == ENDS

    @pytest.mark.parametrize("seed", range(SEEDS))
    def test_deployments_that_could_not_be_made_before_end_the_same(self, seed: int) -> None:
        story = Story(seed, announced=False)
        story.house.github.now = START + timedelta(minutes=1000)
        numbers = [sending.number for sending in STORY] * 2
        story.random.shuffle(numbers)
        for number in numbers:
            story.report(1000.0, number)
        assert {commit: end.state for commit, end in story.ends.items() if end} == {
            commit: end.state for commit, end in ENDS.items()
        }


class TestSettleWhatWasHeld:
    """A commit came while its target was frozen, and was said to be inactive; now it is sent."""

    HELD = DeploymentStatus("inactive", "not deployed: frozen: a holiday")

    def test_rolled_out_later_the_same_deployment_becomes_a_success(self) -> None:
        house = House()
        id_ = house.push()
        house.github.say(id_, self.HELD)
        house.sync()
        house.end()
        assert house.sync() == SUCCESS
        assert house.github.states(id_) == ["inactive", "in_progress", "success"]
        assert house.told == ["success"]

    def test_rolled_out_later_by_a_round_which_names_no_deployment_it_is_found(self) -> None:
        house = House()
        id_ = house.github.add(COMMIT).id
        house.github.say(id_, self.HELD)
        house.start(command_of(COMMIT, 1, deployment=None, attempt=1))
        house.end()
        assert house.sync() == SUCCESS
        assert house.standing == {id_: SUCCESS}

    def test_failing_later_it_becomes_a_failure(self) -> None:
        house = House()
        id_ = house.push()
        house.github.say(id_, self.HELD)
        house.end(1, rolled_back(COMMIT))
        house.sync()
        assert house.github.states(id_) == ["inactive", "failure"]
        assert house.told == ["failure"]

    def test_next_commit_s_success_says_nothing_more_of_it(self) -> None:
        house = House()
        held = house.github.add(A).id
        house.github.say(held, self.HELD)
        new = house.deploy(B, 2)
        assert house.github.log[held] == [self.HELD]
        assert house.github.states(new)[-1] == "success"

    def test_in_whatever_words_it_was_held_it_may_begin(self) -> None:
        house = House()
        id_ = house.push()
        house.github.say(id_, DeploymentStatus("inactive", "left as it was"))
        assert house.sync() == IN_PROGRESS
        assert house.github.states(id_) == ["inactive", "in_progress"]

    def test_words_of_a_hold_on_what_ran_before_begin_nothing(self) -> None:
        house = House()
        id_ = house.push()
        house.github.say(id_, SUCCESS)
        house.github.say(id_, self.HELD)
        assert house.sync() == self.HELD
        assert house.github.states(id_) == ["success", "inactive"]

    def test_commit_that_was_overtaken_before_it_ran_may_begin(self) -> None:
        house = House()
        id_ = house.ran(line_of(OLD, outcome="superseded"))
        house.history.add(command_of(OLD, 9), on(1, details="Undeliverable"))
        house.sync()
        house.start(command_of(number=2, deployment=id_))
        assert house.sync(2) == IN_PROGRESS
        house.end(2)
        assert house.sync(2) == SUCCESS
        assert house.github.states(id_) == ["inactive", "in_progress", "success"]
        assert house.told == ["inactive", "success"]

    def test_commit_that_is_overtaken_twice_is_told_so_once(self) -> None:
        house = House()
        id_ = house.ran(line_of(OLD, outcome="superseded"))
        house.history.add(command_of(OLD, 9), on(1, details="Undeliverable"))
        house.sync()
        house.start(command_of(number=2, deployment=id_))
        house.sync(2, house.new_sync())
        house.end(2, line_of(OLD, outcome="superseded"))
        house.sync(2, house.new_sync())
        assert house.github.states(id_) == ["inactive", "in_progress", "inactive"]
        assert house.told == ["inactive"]
