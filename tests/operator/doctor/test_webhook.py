"""A webhook's deliveries: which failures count, and whether a delivery proves the secret."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.webhook import FailedDelivery
from pulley.operator.aws.parameters import StoredValue
from pulley.operator.doctor.row import FAIL, PASS, Row
from pulley.operator.doctor.webhook import WebhookCheck
from pulley.operator.webhook.connect import newest_since
from tests.fakes import SITE

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)


def minutes_ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def tried(minutes: float, code: int, *, event: str = "push", id_: str = "") -> FailedDelivery:
    return FailedDelivery(id_ or f"{minutes}", event, minutes_ago(minutes), "", code)


def row(*attempts: FailedDelivery, secret_minutes: float | None = None) -> Row:
    since = None if secret_minutes is None else minutes_ago(secret_minutes)
    check = WebhookCheck(SITE, "https://example.com/github", "dev", since)
    return check.check_deliveries(attempts, now=NOW)


class TestLost:
    def test_refused_push_fails_and_the_fix_names_the_repository(self) -> None:
        found = row(tried(9, 202), tried(5, 401), tried(4, 401))
        assert (found.outcome, "failed since the last success: 2" in found.words) == (
            FAIL,
            True,
        )
        assert "pulley connect octo/site --force" in found.mend

    @pytest.mark.parametrize("event", ["push", "ping"])
    def test_later_accepted_delivery_clears_the_failure(self, event: str) -> None:
        assert row(tried(5, 401), tried(4, 200, event=event)).outcome == PASS

    def test_accepted_redelivery_clears_the_failure(self) -> None:
        assert row(tried(5, 401, id_="a"), tried(4, 202, id_="a")).outcome == PASS

    def test_failed_ping_does_not_count(self) -> None:
        assert row(tried(5, 0, event="ping")).outcome == PASS

    def test_failed_delivery_older_than_a_day_does_not_count(self) -> None:
        assert row(tried(24 * 60 + 1, 401)).outcome == PASS


class TestSecret:
    def test_delivery_accepted_after_the_secret_was_stored_proves_it(self) -> None:
        assert row(tried(5, 200, event="ping"), secret_minutes=6).outcome == PASS

    def test_delivery_accepted_in_the_same_second_proves_it(self) -> None:
        same = minutes_ago(5).replace(microsecond=0)
        check = WebhookCheck(SITE, "", "dev", same + timedelta(microseconds=900_000))
        assert check.check_deliveries([tried(5, 200)], now=NOW).outcome == PASS

    def test_delivery_accepted_before_the_secret_was_stored_does_not_prove_it(self) -> None:
        found = row(tried(7, 202), secret_minutes=6)
        assert found.outcome == FAIL
        assert "no delivery was taken since its secret was stored, 2030-01-31 11:54" in found.words
        assert "pulley connect octo/site" in found.mend

    def test_failed_ping_does_not_prove_it(self) -> None:
        assert row(tried(5, 401, event="ping"), secret_minutes=6).outcome == FAIL

    def test_secret_older_than_three_days_passes_without_deliveries(self) -> None:
        assert row(secret_minutes=3 * 24 * 60 + 1).outcome == PASS
        assert row(secret_minutes=3 * 24 * 60 - 1).outcome == FAIL


class TestNewestSince:
    @staticmethod
    def versions(*values: str) -> list[StoredValue]:
        """Stored versions, newest first; each is a minute older than the previous version."""
        return [
            StoredValue("n", value, 9 - place, at=minutes_ago(place))
            for place, value in enumerate(values)
        ]

    @pytest.mark.parametrize(
        ("values", "minutes"),
        [
            (["a"], 0),
            (["b", "a"], 0),
            (["b", "b\na", "a"], 1),  # a rotation's end stores nothing new
            (["b\na", "a"], 0),
            (["a", "b", "a"], 0),
        ],
    )
    def test_newest_secret_dates_from_the_last_change_of_the_first_line(
        self, values: list[str], minutes: int
    ) -> None:
        assert newest_since(self.versions(*values)) == minutes_ago(minutes)

    @pytest.mark.parametrize("values", [[], [" \n"]])
    def test_without_a_secret_the_time_is_none(self, values: list[str]) -> None:
        assert newest_since(self.versions(*values)) is None
