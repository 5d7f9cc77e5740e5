"""Decisions of the flows: each becomes one line of the log, and its metrics.

A decision carries names, ids and reasons. It never carries a secret, a token, a signature or a
payload: the code that makes a decision passes each fact by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Level = Literal["info", "warning", "error"]
COUNT, SECONDS = "Count", "Seconds"  # CloudWatch's units


@dataclass(frozen=True)
class Decision:
    """A decision, and how it ended. `metrics` has values with their units, by name.

    `about` is a noun (delivery, command, deployment, notification), `outcome` is one word;
    docs/operating.md lists all of both.
    """

    about: str
    outcome: str
    facts: Mapping[str, object] = field(default_factory=dict)
    level: Level = "info"
    metrics: Mapping[str, tuple[float, str]] = field(default_factory=dict)

    def fields(self, *, stage: str, epoch_ms: int) -> dict[str, object]:
        """The line's fields, in CloudWatch's embedded metric format if the decision has metrics.

        A fact that is None or "" is left out. No fact replaces one of the line's own fields.
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
    """A metric of this name that counts one."""
    return {name: (1, COUNT)}
