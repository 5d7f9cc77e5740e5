"""The doctor names a commit whose checks do not come."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from chalicelib.core.refs import CommitSha
from chalicelib.core.waiting import CLOSED, OPEN, UNKNOWN, Gate, Waiting
from chalicelib.status.overview import Standing
from pulley.operator.doctor.row import WARN
from pulley.operator.doctor.waiting import check_waiting
from tests.fakes import COMMIT

NOW = datetime(2030, 1, 2, 8, tzinfo=UTC)


def rows(*gates: Gate, hours: float = 24) -> list[tuple[str, str, str, str]]:
    """The rows for a commit that is so many hours old; without a gate, no commit waits."""
    waiting = Waiting(CommitSha(COMMIT), gates) if gates else None
    standing = SimpleNamespace(target=SimpleNamespace(name="web"), waiting=waiting)
    found = check_waiting(
        cast("Standing", standing), lambda _commit: NOW - timedelta(hours=hours), now=NOW
    )
    return [(one.what, one.outcome, one.words, one.mend) for one in found]


def checks(state: str) -> Gate:
    return Gate("checks", state, "waits for lint: not there yet")


@pytest.mark.parametrize("state", [CLOSED, UNKNOWN])
def test_commit_that_waits_for_its_checks_for_a_day_is_a_warning(state: str) -> None:
    ((what, outcome, words, hint),) = rows(checks(state))
    assert (what, outcome) == ("checks of web", WARN)
    assert words == "4d5e6f7 of 2030-01-01 08:00 waits for lint: not there yet"
    assert hint.endswith("`pulley deploy web --now --reason WHY` skips them")


@pytest.mark.parametrize(
    "gates",
    [(), (checks(OPEN),), (checks(OPEN), Gate("window", CLOSED, "waits for its window"))],
)
def test_commit_that_waits_for_no_check_has_no_row(gates: tuple[Gate, ...]) -> None:
    assert rows(*gates) == []


def test_commit_that_is_younger_than_a_day_has_no_row() -> None:
    assert rows(checks(CLOSED), hours=23.9) == []
