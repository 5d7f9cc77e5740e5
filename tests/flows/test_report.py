"""An event only names a command: the reporter ignores it, waits, tries again, or syncs."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.errors import NotTakenError, PulleyError, RefusedError, UnavailableError
from chalicelib.core.events import INVOCATION_CHANGE, NotReported
from chalicelib.flows.notify import Memory, Notifier
from chalicelib.flows.report import (
    LAG_PAUSES,
    LAG_SECONDS,
    Reported,
    Reporter,
)
from chalicelib.flows.sync import DeploymentSync
from tests.fakes import (
    COMMIT,
    GUID,
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
from tests.flows.runs import NOW, OLD, check_of, command_of, event_of, id_of, line_of, on, running

SUCCESS = DeploymentStatus("success", "1 of 1 host at 4d5e6f7: web-1")
NOT_WELL = UnavailableError("GitHub is not well", detail="502", retry_seconds=2.0)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


class House:
    """A reporter between fakes: one successful command with its deployment."""

    def __init__(self) -> None:
        self.history = FakeHistory()
        self.github = FakeDeployments()
        self.github.add(COMMIT)
        self.history.add(command_of(deployment=7001), on(1, line_of()))
        self.topic = FakeTopic()
        self.journal = FakeJournal()
        self.pauses: list[float] = []
        # Each pause takes the next change: a status, and how many hosts have ended.
        self.meanwhile: list[tuple[str, int]] = []
        parameters = FakeParameters(
            {NAMES.targets(SITE): targets_text(), NAMES.github_token: TOKEN}
        )
        deployment_sync = DeploymentSync(
            stage=STAGE,
            parameters=parameters,
            history=self.history,
            github=lambda repository, token: self.github,
            notifier=Notifier(STAGE, self.topic, self.journal, str),
            journal=self.journal,
            memory=Memory(),
        )
        self.parameters, self.waker = parameters, FakeWaker()
        self.reporter = Reporter(
            stage=STAGE,
            history=self.history,
            deployment_sync=deployment_sync,
            parameters=self.parameters,
            waker=self.waker,
            journal=self.journal,
            pause=self.pause,
        )

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.meanwhile:
            status, hosts = self.meanwhile.pop(0)
            self.remember(status, hosts)

    def remember(self, status: str, hosts: int, count: int = 12) -> None:
        """Store the command to twelve hosts: its status, and how many hosts have ended."""
        command = command_of(status=status, count=count, deployment=7001)
        self.history.add(command, *(on(place + 1, line_of()) for place in range(hosts)))

    def report(self, event: object | None = None) -> Reported | NotReported:
        return self.reporter.report(event_of() if event is None else event, now=NOW)


@pytest.fixture
def house() -> House:
    return House()


class TestReport:
    def test_end_of_a_command_is_reported(self, house: House) -> None:
        assert house.report() == Reported(id_of(1), SUCCESS)
        assert house.github.log == {7001: [SUCCESS]}
        assert house.pauses == []

    def test_status_of_the_event_is_not_used(self, house: House) -> None:
        assert house.report(event_of(status="Failed")) == Reported(id_of(1), SUCCESS)
        assert house.report(event_of(status="InProgress")) == Reported(id_of(1), SUCCESS)

    def test_command_in_progress_is_reported_at_once(self, house: House) -> None:
        house.history.add(command_of(status="InProgress", deployment=7001), running(1))
        outcome = house.report(event_of(status="InProgress"))
        assert isinstance(outcome, Reported)
        assert outcome.status.state == "in_progress"
        assert house.pauses == []

    def test_repeated_event_posts_and_notifies_once(self, house: House) -> None:
        for _ in range(3):
            house.report()
        assert (house.github.log[7001], len(house.topic.published)) == ([SUCCESS], 1)


class TestReportIgnores:
    @pytest.mark.parametrize(
        ("event", "reason"),
        [
            (event_of() | {"detail-type": INVOCATION_CHANGE}, "of one host"),
            (event_of() | {"source": "aws.ec2"}, "not an event of Systems Manager"),
            (event_of() | {"detail-type": "Maintenance Window"}, "not a change of a command"),
            (event_of() | {"detail": None}, "not an event of Systems Manager"),
            (event_of() | {"detail": {}}, "of another document"),
            ({}, "not an event of Systems Manager"),
            (None, "not an event of Systems Manager"),
            ([], "not an event of Systems Manager"),
        ],
    )
    def test_foreign_event_is_ignored_without_any_call(
        self, house: House, event: object, reason: str
    ) -> None:
        outcome = house.reporter.report(event, now=NOW)
        assert isinstance(outcome, NotReported)
        assert outcome.reason.startswith(reason)
        assert (house.history.calls, house.github.calls) == ([], [])

    @pytest.mark.parametrize("document", ["pulley-prod-pull", "AWS-RunShellScript", "", None])
    def test_event_of_another_document_or_stage_is_ignored(
        self, house: House, document: str | None
    ) -> None:
        detail = {"command-id": id_of(1), "document-name": document, "status": "Success"}
        outcome = house.report(event_of(detail=detail))
        assert isinstance(outcome, NotReported)
        assert outcome.reason.startswith("of another document")
        assert house.history.calls == []

    @given(event=JSON_VALUES, detail=JSON_VALUES)
    def test_garbage_event_is_ignored_without_an_error(self, event: object, detail: object) -> None:
        house = House()
        assert isinstance(house.reporter.report(event, now=NOW), NotReported)
        assert isinstance(house.report(event_of(detail=detail)), NotReported)
        assert house.history.calls == []

    def test_reason_for_ignoring_is_noted(self, house: House) -> None:
        house.report(event_of() | {"source": "aws.ec2"})
        (noted,) = house.journal.decisions
        assert (noted.about, noted.outcome, noted.level) == ("event", "ignored", "info")
        assert noted.facts == {"reason": "not an event of Systems Manager"}

    @pytest.mark.parametrize("status", ["Success", "InProgress"])
    def test_unknown_command_is_requested_again_and_then_ignored(
        self, house: House, status: str
    ) -> None:
        house.history.commands.clear()
        outcome = house.report(event_of(status=status))
        assert outcome == NotReported("Systems Manager does not know the command")
        assert house.history.calls == ["command"] * (LAG_PAUSES + 1)
        assert house.pauses == [LAG_SECONDS] * LAG_PAUSES
        assert house.github.calls == []
        (noted,) = house.journal.decisions
        assert noted.facts["command_id"] == id_of(1)

    def test_command_known_after_a_pause_is_reported(self, house: House) -> None:
        house.history.commands.clear()
        house.meanwhile = [("Success", 12)]
        assert isinstance(house.report(), Reported)
        assert house.pauses == [LAG_SECONDS]

    def test_check_or_command_without_a_commit_is_ignored(self, house: House) -> None:
        house.history.add(check_of(), on(1, line_of()))
        assert house.report() == NotReported("it deploys no named commit")
        assert (house.pauses, house.github.calls) == ([], [])


class TestReportOfARecheck:
    def recheck(self, house: House, *lines: str) -> None:
        command = command_of(deployment=7001, count=len(lines))
        command = replace(command, roll_out=replace(command.roll_out, cause="reconcile"))
        house.history.add(command, *(on(place, line) for place, line in enumerate(lines, 1)))

    def test_recheck_without_drift_does_not_call_github(self, house: House) -> None:
        self.recheck(house, line_of(outcome="unchanged"))
        words = "its hosts were checked, and nothing has drifted"
        assert house.report() == NotReported(words)
        assert house.github.calls == []

    def test_recheck_with_an_edit_set_aside_is_reported(self, house: House) -> None:
        self.recheck(house, line_of(outcome="unchanged", set_aside="app.ini"))
        outcome = house.report()
        assert isinstance(outcome, Reported)
        assert outcome.status.description == "1 of 1 host at 4d5e6f7: web-1 (app.ini set aside)"

    def test_recheck_that_corrected_drift_is_reported(self, house: House) -> None:
        self.recheck(house, line_of(drift="head"))
        outcome = house.report()
        assert isinstance(outcome, Reported)
        assert outcome.status.description == (
            "1 of 1 host at 4d5e6f7: web-1 (drifted, brought back)"
        )


class TestReportWaits:
    def test_event_before_the_results_waits_for_all_hosts(self, house: House) -> None:
        house.remember("InProgress", 0)
        # Page by page: the command's status, some hosts, and at last all twelve.
        house.meanwhile = [("Success", 0), ("Success", 10), ("Success", 12)]
        outcome = house.report()
        assert isinstance(outcome, Reported)
        assert outcome.status.description.startswith("12 of 12 hosts at 4d5e6f7")
        assert house.github.states(7001) == ["success"]
        assert house.pauses == [LAG_SECONDS] * 3

    def test_results_that_come_in_the_last_pause_are_reported(self, house: House) -> None:
        house.remember("InProgress", 0)
        house.meanwhile = [("Success", 10)] * (LAG_PAUSES - 1) + [("Success", 12)]
        assert isinstance(house.report(), Reported)
        assert len(house.pauses) == LAG_PAUSES

    def test_end_without_all_results_raises_unavailable_after_the_pauses(
        self, house: House
    ) -> None:
        house.remember("Success", 11)
        with pytest.raises(UnavailableError, match="lag behind") as caught:
            house.report()
        assert caught.value.retry_seconds is None
        assert house.pauses == [LAG_SECONDS] * LAG_PAUSES
        assert house.github.calls == []
        (noted,) = house.journal.decisions
        assert (noted.about, noted.outcome, noted.level) == ("event", "failed", "warning")
        assert noted.facts == {"command_id": id_of(1), "reason": caught.value.in_full}

    def test_in_progress_event_does_not_wait(self, house: House) -> None:
        house.remember("Success", 11)
        assert isinstance(house.report(event_of(status="InProgress")), Reported)
        assert house.pauses == []

    def test_expired_command_is_reported_without_all_results(self, house: House) -> None:
        house.remember("InProgress", 11)
        expired = house.history.commands[id_of(1)].expires
        with pytest.raises(UnavailableError):
            house.reporter.report(event_of(), now=expired)
        later = expired + timedelta(seconds=1)
        outcome = house.reporter.report(event_of(), now=later)
        assert isinstance(outcome, Reported)
        assert outcome.status.state == "error"

    @pytest.mark.parametrize("error", [RefusedError("no"), UnavailableError("throttled")])
    def test_history_error_is_raised_and_noted(self, house: House, error: PulleyError) -> None:
        house.history.error = error
        with pytest.raises(type(error)) as caught:
            house.report()
        assert caught.value is error
        assert house.pauses == []
        (noted,) = house.journal.of("event", "failed")
        assert noted.facts["reason"] == str(error)


class TestReportTriesAgain:
    def test_unavailable_github_is_tried_again_after_a_pause(self, house: House) -> None:
        house.github.errors["post"] = [NOT_WELL, NOT_WELL]
        assert house.report() == Reported(id_of(1), SUCCESS)
        assert house.pauses == [2.0, 2.0]
        assert house.github.log[7001] == [SUCCESS]
        assert len(house.topic.published) == 1
        assert house.journal.lines == [("deployment", "success")]

    def test_github_that_stays_unavailable_raises_and_is_noted(self, house: House) -> None:
        house.github.errors["post"] = [NOT_WELL] * 3
        with pytest.raises(UnavailableError) as caught:
            house.report()
        assert caught.value is NOT_WELL
        assert house.pauses == [2.0, 2.0]
        (noted,) = house.journal.decisions
        assert (noted.about, noted.outcome, noted.level) == ("event", "failed", "warning")
        assert noted.facts == {
            "command_id": id_of(1),
            "delivery": GUID,
            "repository": "octo/site",
            "target": "web",
            "commit": COMMIT,
            "cause": "push",
            "reason": "GitHub is not well: 502",
        }
        assert house.topic.published == []

    @pytest.mark.parametrize("retry_seconds", [20.5, 3600.0, None])
    def test_long_or_unknown_wait_raises_without_a_pause(
        self, house: House, retry_seconds: float | None
    ) -> None:
        limit = UnavailableError("GitHub's rate limit is reached", retry_seconds=retry_seconds)
        house.github.errors["find"] = [limit]
        with pytest.raises(UnavailableError) as caught:
            house.report()
        assert caught.value is limit
        assert house.pauses == []

    def test_short_rate_limit_is_waited_for(self, house: House) -> None:
        limit = UnavailableError("GitHub's rate limit is reached", retry_seconds=20.0)
        house.github.errors["find"] = [limit]
        assert isinstance(house.report(), Reported)
        assert house.pauses == [20.0]

    def test_status_is_not_posted_twice_when_the_answer_is_lost(self, house: House) -> None:
        def lose(method: str) -> None:
            if method == "post" and not house.github.log[7001]:
                house.github.say(7001, SUCCESS)
                house.github.errors["post"] = [NOT_WELL]

        house.github.before = lose
        assert house.report() == Reported(id_of(1), SUCCESS)
        assert house.github.log[7001] == [SUCCESS]

    def test_refusal_of_github_is_not_tried_again(self, house: House) -> None:
        house.github.errors["find"] = [NotTakenError("GitHub answered 401")]
        assert house.report() == Reported(id_of(1), SUCCESS)
        assert house.pauses == []
        assert house.github.calls == ["find"]
        assert house.journal.lines == [("deployment", "not_reported"), ("deployment", "success")]
        assert len(house.topic.published) == 1

    def test_token_is_in_no_decision(self, house: House) -> None:
        house.github.errors["post"] = [NOT_WELL] * 3
        with pytest.raises(UnavailableError):
            house.report()
        house.report()
        assert TOKEN not in repr(house.journal.decisions) + repr(house.topic.published)


class TestReportWakesFollowers:
    """A target that waits for the reported one gets a round at once."""

    @pytest.fixture
    def house(self) -> House:
        house = House()
        house.parameters.values[NAMES.targets(SITE)] = targets_text(
            target_json("web"), target_json("production", after=["web"])
        )
        return house

    def test_success_wakes_a_round_of_the_repository(self, house: House) -> None:
        assert house.report() == Reported(id_of(1), SUCCESS)
        assert house.waker.woken == [SITE]

    def test_failure_wakes_a_round_because_the_next_target_has_to_say_so(
        self, house: House
    ) -> None:
        failed = line_of(outcome="rolled_back", after=OLD, step="health_check")
        house.history.add(
            command_of(status="Failed", deployment=7001), on(1, failed, details="Failed")
        )
        outcome = house.report()
        assert isinstance(outcome, Reported)
        assert (outcome.status.state, house.waker.woken) == ("failure", [SITE])

    def test_roll_out_in_progress_wakes_no_round(self, house: House) -> None:
        house.history.add(command_of(status="InProgress", deployment=7001), running(1))
        house.report(event_of(status="InProgress"))
        assert house.waker.woken == []

    def test_target_that_nobody_waits_for_wakes_no_round(self, house: House) -> None:
        house.history.add(command_of(target="production"), on(1, line_of(target="production")))
        house.report()
        assert house.waker.woken == []

    def test_repository_without_targets_wakes_no_round(self, house: House) -> None:
        del house.parameters.values[NAMES.targets(SITE)]
        house.report()
        assert house.waker.woken == []

    def test_report_that_fails_wakes_no_round(self, house: House) -> None:
        house.github.errors["post"] = [NOT_WELL] * 3
        with pytest.raises(UnavailableError):
            house.report()
        assert house.waker.woken == []

    def test_repeated_event_wakes_a_round_again(self, house: House) -> None:
        for _ in range(2):
            house.report()
        assert house.waker.woken == [SITE, SITE]

    def test_round_that_cannot_be_woken_does_not_fail_the_report(self, house: House) -> None:
        house.waker.error = RefusedError("AWS refuses")
        assert house.report() == Reported(id_of(1), SUCCESS)
        (note,) = house.journal.of("round", "not_woken")
        assert note.facts == {"repository": "octo/site", "reason": "AWS refuses"}

    def test_targets_that_cannot_be_read_do_not_fail_the_report(self, house: House) -> None:
        house.parameters.values[NAMES.targets(SITE)] = "{"
        assert house.report() == Reported(id_of(1), SUCCESS)
        (note,) = house.journal.of("round", "not_woken")
        assert (note.level, note.facts["target"]) == ("warning", "web")
