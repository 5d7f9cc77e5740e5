"""Results of a benchmark: figures, with or without a goal, and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

COUNTS = frozenset({"calls", "processes", "modules", "bytes", "files"})


@dataclass(frozen=True)
class Figure:
    """The figure of one measurement. The goal is the highest allowed value.

    Units are "x" for a ratio of medians, the names of COUNTS, and any others.
    `low` and `high` bound the middle half of the rounds; a count has neither.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    low: float | None = None
    high: float | None = None
    detail: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether it meets its goal; true without a goal."""
        return self.goal is None or self.value <= self.goal

    @property
    def is_lost_count(self) -> bool:
        """Whether it is a count that misses its goal: a defect, because machines do not matter."""
        return self.unit in COUNTS and not self.is_met

    @property
    def verdict(self) -> str:
        """Whether the goal is met, in words."""
        if self.goal is None:
            return ""
        words = "met" if self.is_met else "missed"
        if self.low is None or self.high is None:
            return words
        is_clear = self.high - self.low <= abs(self.goal - self.value)
        return words if is_clear else f"{words}; the spread is wider than the margin"

    @property
    def shown(self) -> str:
        """The value with its unit, for people."""
        return show(self.value, self.unit)

    @property
    def spread(self) -> str:
        """The middle half, for people."""
        if self.low is None or self.high is None:
            return ""
        return f"{show(self.low, self.unit)} to {show(self.high, self.unit)}"

    def as_json(self) -> dict[str, object]:
        """For the file of results."""
        return {**asdict(self), "verdict": self.verdict}


@dataclass(frozen=True)
class Curve:
    """Points of several series over one axis, to be drawn as `name`.svg."""

    name: str
    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]

    def as_json(self) -> dict[str, object]:
        """For the file of results."""
        return asdict(self)


def show(value: float, unit: str) -> str:
    """A value as a person writes it."""
    match unit:
        case "x":
            return f"{value:.2f}"
        case "bytes":
            return f"{value / 1000:,.1f} kB"
        case "USD":
            return f"${value:,.2f}"
        case "s":
            return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"
        case "µs":
            return f"{value:.0f} µs"
        case _:
            return f"{value:,.0f} {unit}"
