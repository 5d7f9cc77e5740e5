"""An answer is kept for some seconds, and an error for two."""

import threading

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.page.kept import ERROR_SECONDS, Kept


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_value_is_made_once_in_its_seconds() -> None:
    clock, made = Clock(), iter(range(9))
    kept: Kept[int] = Kept(5, clock)
    assert [kept.get("a", lambda: next(made)) for _ in range(3)] == [0, 0, 0]
    assert kept.get("b", lambda: next(made)) == 1
    clock.now += 5
    assert kept.get("a", lambda: next(made)) == 2


def test_error_is_kept_for_two_seconds() -> None:
    clock, tries = Clock(), [0]
    kept: Kept[int] = Kept(60, clock)

    def fail() -> int:
        tries[0] += 1
        raise UnavailableError("AWS is too busy")

    for _ in range(9):
        with pytest.raises(UnavailableError, match="too busy"):
            kept.get("a", fail)
    assert tries == [1]
    clock.now += ERROR_SECONDS
    assert kept.get("a", lambda: 1) == 1


def test_defect_is_not_kept() -> None:
    kept: Kept[int] = Kept(5, Clock())
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: 1) == 1


def test_many_lookers_at_once_cost_one() -> None:
    kept: Kept[int] = Kept(60)
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return 1

    lookers = [threading.Thread(target=lambda: kept.get("a", make)) for _ in range(20)]
    for one in lookers:
        one.start()
    for one in lookers:
        one.join()
    assert made == [1]


def test_number_of_values_is_bounded() -> None:
    kept: Kept[int] = Kept(60, Clock(), most=3)
    for number in range(50):
        kept.get(str(number), lambda: number)  # noqa: B023 - called at once
    assert len(kept._known) <= 3
