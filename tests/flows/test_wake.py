"""Waking a round is a shortcut: if it fails, the next round of the schedule does the same work."""

import pytest

from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.flows.wake import wake_round
from tests.fakes import SITE, FakeJournal, FakeWaker


def test_round_of_the_repository_is_woken_and_nothing_is_noted() -> None:
    waker, journal = FakeWaker(), FakeJournal()
    wake_round(waker, SITE, journal)
    assert (waker.woken, journal.lines) == ([SITE], [])


@pytest.mark.parametrize(
    "error",
    [
        RefusedError("AWS refuses", detail="AccessDeniedException"),
        UnavailableError("AWS throttles", detail="TooManyRequestsException"),
    ],
)
def test_error_is_noted_in_full_and_not_raised(error: PulleyError) -> None:
    waker, journal = FakeWaker(), FakeJournal()
    waker.error = error
    wake_round(waker, SITE, journal)
    (note,) = journal.of("round", "not_woken")
    assert (note.level, note.facts["reason"]) == ("warning", error.in_full)
