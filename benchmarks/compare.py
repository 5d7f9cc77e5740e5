"""Times several subjects in turns, so that all of them meet the same noise."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timings:
    """The seconds of one call of each subject, round by round."""

    seconds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """A subject's median, in seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, to: str) -> tuple[float, float, float]:
        """The ratio of the medians, and the middle half of the rounds' ratios."""
        rounds = [
            one / other for one, other in zip(self.seconds[name], self.seconds[to], strict=True)
        ]
        low, _, high = statistics.quantiles(rounds, n=4)
        return self.median(name) / self.median(to), low, high

    def over(self, name: str, *others: str) -> tuple[float, float, float]:
        """The seconds above the sum of the others' medians, and the middle half of the rounds.

        Without others these are the subject's own seconds.
        """
        rounds = [
            one - sum(self.seconds[other][turn] for other in others)
            for turn, one in enumerate(self.seconds[name])
        ]
        low, _, high = statistics.quantiles(rounds, n=4)
        return self.median(name) - sum(map(self.median, others)), low, high


def compare(
    subjects: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    calls: int = 1,
    before: Callable[[str], object] = lambda _name: None,
) -> Timings:
    """Time each subject once a round, `calls` calls at a time; another subject begins each round.

    Each subject runs once before, untimed, and the garbage collector is off. `before` is called
    with a subject's name before each of its turns, and is not timed.
    """
    names = list(subjects)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for name, subject in subjects.items():
        before(name)
        subject()
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            subject = subjects[name]
            before(name)
            gc.collect()
            gc.disable()
            begun = time.perf_counter()
            for _ in range(calls):
                subject()
            seconds[name].append((time.perf_counter() - begun) / calls)
            gc.enable()
    return Timings(seconds)
