"""When a deployment ends, Pulley writes a log line and metrics, and sends a notification."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chalicelib.core.deployments import DeploymentStatus
from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.core.history import RollOut
from chalicelib.core.refs import CommitSha
from chalicelib.core.status_text import status_of
from chalicelib.core.sync_steps import Known
from chalicelib.core.verdicts import Verdict
from chalicelib.flows.notify import MAX_HOSTS, Memory, Notifier, roll_out_facts
from tests.fakes import COMMIT, GUID, STAGE, FakeJournal, FakeTopic
from tests.flows.runs import NOW, command_of, id_of, line_of, on, rolled_back, verdict_on

PUSHED = NOW - timedelta(seconds=40)
UPDATED = line_of()
UNCHANGED = line_of(outcome="unchanged")


class House:
    """A notifier with a topic."""

    def __init__(self, *, has_topic: bool = True) -> None:
        self.topic = FakeTopic()
        self.journal = FakeJournal()
        self.notifier = Notifier(
            STAGE, self.topic if has_topic else None, self.journal, "https://console/{}".format
        )

    def notify(
        self,
        *outputs: str,
        pushed_at: datetime | None = PUSHED,
        status: DeploymentStatus | None = None,
    ) -> None:
        verdict = self.verdict_on(*outputs, pushed_at=pushed_at)
        self.notifier.notify(verdict, status or status_of(verdict), "production")

    def verdict_on(self, *outputs: str, pushed_at: datetime | None = PUSHED) -> Verdict:
        """Each host ends ten seconds after the one before."""
        hosts = [
            on(place, output, ended=NOW + timedelta(seconds=10 * (place - 1)))
            for place, output in enumerate(outputs, 1)
        ]
        return verdict_on(command_of(count=len(hosts), pushed_at=pushed_at), *hosts)

    @property
    def metrics(self) -> dict[str, tuple[float, str]]:
        (noted,) = self.journal.of("deployment", "success")
        return dict(noted.metrics)


@pytest.fixture
def house() -> House:
    return House()


class TestNotify:
    def test_ended_deployment_is_noted_with_the_result_of_each_host(self, house: House) -> None:
        house.notify(UPDATED, line_of(local_commits=1))
        (noted,) = house.journal.decisions
        assert (noted.about, noted.outcome, noted.level) == ("deployment", "success", "info")
        assert noted.facts == {
            "delivery": GUID,
            "repository": "octo/site",
            "target": "web",
            "commit": COMMIT,
            "cause": "push",
            "command_id": id_of(1),
            "description": "2 of 2 hosts at 4d5e6f7: web-1, web-2 (1 local commit on top)",
            "hosts": {"web-1": "at", "web-2": "at 1 local commit on top"},
        }

    @pytest.mark.parametrize(
        ("state", "level"),
        [("success", "info"), ("inactive", "info"), ("failure", "error"), ("error", "error")],
    )
    def test_failure_and_error_are_noted_as_errors(
        self, house: House, state: str, level: str
    ) -> None:
        house.notify(UPDATED, status=DeploymentStatus(state, "so"))
        (noted,) = house.journal.decisions
        assert (noted.outcome, noted.level) == (state, level)

    def test_notification_is_published_once_with_its_attributes(self, house: House) -> None:
        house.notify(UPDATED)
        (told,) = house.topic.published
        assert told.attributes == {
            "target": "web",
            "state": "success",
            "environment": "production",
        }
        assert f"https://console/{id_of(1)}" in str(told.message)

    def test_without_a_topic_the_deployment_is_still_noted(self) -> None:
        house = House(has_topic=False)
        house.notify(UPDATED)
        assert house.journal.lines == [("deployment", "success")]

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (
                RefusedError("AWS refused", detail="AuthorizationError"),
                "AWS refused: AuthorizationError",
            ),
            (UnavailableError("AWS throttles"), "AWS throttles"),
        ],
    )
    def test_topic_error_is_noted_and_not_raised(
        self, house: House, error: PulleyError, reason: str
    ) -> None:
        house.topic.error = error
        house.notify(UPDATED)
        assert house.journal.lines == [("deployment", "success"), ("notification", "failed")]
        noted = house.journal.decisions[1]
        assert (noted.level, noted.metrics) == ("error", {})
        assert (noted.facts["target"], noted.facts["reason"]) == ("web", reason)


class TestNotifyNotesHosts:
    def hosts(self, house: House) -> dict[str, str]:
        (noted,) = house.journal.decisions
        hosts = noted.facts["hosts"]
        assert isinstance(hosts, dict)
        return hosts

    def test_failed_host_among_many_is_in_the_log_line(self, house: House) -> None:
        outputs = [UPDATED] * (MAX_HOSTS + 5)
        house.notify(*outputs, rolled_back(COMMIT))
        hosts = self.hosts(house)
        assert len(hosts) == MAX_HOSTS
        assert any(words.startswith("failed") for words in hosts.values())

    def test_long_detail_of_a_host_is_cut(self, house: House) -> None:
        house.notify(line_of(outcome="conflict", detail="x" * 2000))
        assert all(len(words) <= 140 for words in self.hosts(house).values())

    def test_two_hosts_of_the_same_name_are_both_noted(self, house: House) -> None:
        hosts = [replace(on(number, UPDATED), host="localhost") for number in (1, 2)]
        verdict = verdict_on(command_of(count=2), *hosts)
        house.notifier.notify(verdict, status_of(verdict), "production")
        assert len(self.hosts(house)) == 2


class TestNotifyMetrics:
    def test_only_updated_hosts_are_counted_as_updated(self, house: House) -> None:
        house.notify(UPDATED, UNCHANGED, UPDATED)
        metrics = house.metrics
        assert [metrics["Deploys"], metrics["HostsUpdated"]] == [(1, "Count"), (2, "Count")]

    def test_rolled_back_host_is_not_counted_as_updated(self, house: House) -> None:
        house.notify(UPDATED, rolled_back(COMMIT))
        (noted,) = house.journal.of("deployment", "failure")
        assert noted.metrics == {"Deploys": (1, "Count"), "HostsUpdated": (1, "Count")}

    def test_time_from_push_to_pulled_ends_with_the_last_host(self, house: House) -> None:
        house.notify(UPDATED, UNCHANGED, UPDATED)
        assert house.metrics["SecondsFromPushToPulled"] == (60.0, "Seconds")

    def test_push_time_after_the_end_gives_zero_seconds(self, house: House) -> None:
        house.notify(UPDATED, pushed_at=NOW + timedelta(seconds=1))
        assert house.metrics["SecondsFromPushToPulled"] == (0.0, "Seconds")

    def test_without_a_push_time_the_time_is_not_measured(self, house: House) -> None:
        house.notify(UPDATED, pushed_at=None)
        assert set(house.metrics) == {"Deploys", "HostsUpdated"}

    def test_without_the_end_of_a_host_the_time_is_not_measured(self, house: House) -> None:
        house.notify(status=DeploymentStatus("success", "so"))
        assert set(house.metrics) == {"Deploys", "HostsUpdated"}

    @pytest.mark.parametrize("state", ["failure", "error", "inactive"])
    def test_time_is_not_measured_without_a_success(self, house: House, state: str) -> None:
        house.notify(UPDATED, status=DeploymentStatus(state, "so"))
        assert "SecondsFromPushToPulled" not in house.journal.decisions[0].metrics


class TestRollOutFacts:
    def test_facts_name_delivery_repository_target_commit_and_cause(self) -> None:
        roll_out = command_of().roll_out
        assert roll_out
        assert roll_out_facts(roll_out) == {
            "delivery": GUID,
            "repository": "octo/site",
            "target": "web",
            "commit": COMMIT,
            "cause": "push",
        }


def roll_out(letter: str, target: str = "web") -> RollOut:
    known = command_of(target=target).roll_out
    assert known
    return replace(known, commit=CommitSha(letter * 40))


class TestMemory:
    def test_unknown_roll_out_gives_empty_facts(self) -> None:
        assert Memory().of(roll_out("a")) == Known()

    def test_each_target_and_commit_is_remembered_separately(self) -> None:
        memory = Memory()
        memory.keep(roll_out("a"), Known("success"))
        memory.keep(roll_out("a", "api"), Known("failure"))
        memory.keep(roll_out("b"), Known("error"))
        told = [memory.of(roll_out("a")), memory.of(roll_out("a", "api")), memory.of(roll_out("b"))]
        assert [one.told for one in told] == ["success", "failure", "error"]

    def test_oldest_roll_out_is_forgotten_when_the_memory_is_full(self) -> None:
        memory = Memory(most=2)
        for letter in "abac":  # keeping a roll-out again makes it the newest
            memory.keep(roll_out(letter), Known("success"))
        assert [memory.of(roll_out(letter)).told for letter in "abc"] == ["success", "", "success"]
