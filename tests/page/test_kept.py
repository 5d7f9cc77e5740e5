"""An answer is kept for some seconds, and an error for two."""

import threading

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.page.kept import ERROR_SECONDS, Kept, KeptError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_value_is_made_once_in_its_seconds() -> None:
    clock, made = Clock(), iter(range(9))
    kept: Kept[int] = Kept(5, clock)
    assert [kept.get(lambda: next(made)) for _ in range(3)] == [0, 0, 0]
    clock.now += 5
    assert kept.get(lambda: next(made)) == 1


def test_value_from_the_future_is_made_anew_because_the_clock_was_wrong() -> None:
    clock, made = Clock(), iter(range(9))
    kept: Kept[int] = Kept(5, clock)
    assert kept.get(lambda: next(made)) == 0
    clock.now -= 3600
    assert kept.get(lambda: next(made)) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [(UnavailableError("AWS is too busy"), "AWS is too busy"), (KeyError("secret"), "it failed")],
)
def test_error_is_kept_for_two_seconds(error: Exception, words: str) -> None:
    clock, tries = Clock(), [0]
    kept: Kept[int] = Kept(60, clock)

    def fail() -> int:
        tries[0] += 1
        raise error

    with pytest.raises(type(error)) as first:
        kept.get(fail)
    assert first.value is error
    for _ in range(9):
        with pytest.raises(KeptError) as again:
            kept.get(fail)
        assert str(again.value) == words
    assert tries == [1]
    clock.now += ERROR_SECONDS
    assert kept.get(lambda: 1) == 1


def test_many_lookers_at_once_cost_one() -> None:
    kept: Kept[int] = Kept(60)
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return 1

    lookers = [threading.Thread(target=lambda: kept.get(make)) for _ in range(20)]
    for one in lookers:
        one.start()
    for one in lookers:
        one.join()
    assert made == [1]
