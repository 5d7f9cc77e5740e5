"""What is written down of each decision: one line of the log, and what is counted of it.

A decision carries names, ids and reasons. It never carries a secret, a token, a signature or a
payload: whoever makes one passes facts one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Level = Literal["info", "warning", "error"]
COUNT, SECONDS = "Count", "Seconds"  # CloudWatch's units


@dataclass(frozen=True)
class Decision:
    """What was decided on, and how. `metrics` has values with their units, by name.

    `about` is a noun (delivery, command, deployment, notification), `outcome` one word of it;
    docs/operating.md lists them all.
    """

    about: str
    outcome: str
    facts: Mapping[str, object] = field(default_factory=dict)
    level: Level = "info"
    metrics: Mapping[str, tuple[float, str]] = field(default_factory=dict)

    def fields(self, *, stage: str, epoch_ms: int) -> dict[str, object]:
        """The line's fields: CloudWatch's embedded metric format where something is counted.

        What is not known is left out, and no fact takes the place of a field of the line's own.
        Source: CloudWatch User Guide, "Specification: Embedded metric format".
        """
        known = {name: fact for name, fact in self.facts.items() if fact not in (None, "")}
        own = {"level": self.level, "about": self.about, "outcome": self.outcome}
        line = own | known | own | {"stage": stage}
        if self.metrics:
            definitions = [{"Name": name, "Unit": unit} for name, (_, unit) in self.metrics.items()]
            line |= {name: value for name, (value, _) in self.metrics.items()}
            line["_aws"] = {
                "Timestamp": epoch_ms,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "Pulley",
                        "Dimensions": [["stage", "outcome"]],
                        "Metrics": definitions,
                    }
                ],
            }
        return line


class DecisionLog(Protocol):
    """Where decisions are logged."""

    def note(self, decision: Decision) -> None:
        """Log it."""


def count(name: str) -> dict[str, tuple[float, str]]:
    """The metric that one more of these happened."""
    return {name: (1, COUNT)}
