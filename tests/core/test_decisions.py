"""A decision's line: the fields in the log, and the metrics that CloudWatch counts."""

import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.decisions import COUNT, SECONDS, Decision, count

WORDS = st.text("abcdefgh", min_size=1)
EPOCH_MS = 1_896_091_200_000
# "Specification: Embedded metric format" has more units; these are the ones that are used.
UNITS = {COUNT: "Count", SECONDS: "Seconds"}


def fields_of(decision: Decision) -> dict[str, object]:
    return decision.fields(stage="dev", epoch_ms=EPOCH_MS)


def metrics_of(line: Mapping[str, object]) -> list[Mapping[str, str]]:
    """The metric definitions in a line, after a check against the specification."""
    assert isinstance(line["_aws"], dict)
    assert set(line["_aws"]) == {"Timestamp", "CloudWatchMetrics"}
    assert type(line["_aws"]["Timestamp"]) is int
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert directive["Namespace"] == "Pulley"
    for dimensions in directive["Dimensions"]:
        assert 1 <= len(dimensions) <= 30
        assert all(isinstance(line[name], str) and line[name] for name in dimensions)
    return list(directive["Metrics"])


class TestDecisionFields:
    def test_decision_without_metrics_is_a_line_of_its_facts(self) -> None:
        decision = Decision("delivery", "sent", {"delivery": "72d3162e", "targets": ["web"]})
        line = fields_of(decision)
        assert line == {
            "level": "info",
            "about": "delivery",
            "outcome": "sent",
            "delivery": "72d3162e",
            "targets": ["web"],
            "stage": "dev",
        }
        assert list(line)[:3] == ["level", "about", "outcome"], "what is read first comes first"

    def test_empty_facts_are_left_out_but_zero_and_false_are_kept(self) -> None:
        facts: dict[str, object] = {"a": None, "b": "", "c": 0, "d": False, "e": [], "f": "x"}
        line = fields_of(Decision("command", "failed", facts, level="error"))
        assert line == {
            "level": "error",
            "about": "command",
            "outcome": "failed",
            "c": 0,
            "d": False,
            "e": [],
            "f": "x",
            "stage": "dev",
        }

    def test_facts_do_not_replace_the_line_s_own_fields(self) -> None:
        facts: dict[str, object] = {"level": "error", "about": "x", "outcome": 7, "stage": "prod"}
        line = fields_of(Decision("delivery", "sent", facts))
        assert line == {"level": "info", "about": "delivery", "outcome": "sent", "stage": "dev"}

    def test_metrics_are_values_of_the_line_and_defined_by_name(self) -> None:
        metrics = {"deploy_seconds": (12.5, SECONDS), "hosts": (3, COUNT)}
        line = fields_of(Decision("deployment", "success", metrics=metrics))
        assert line == {
            "level": "info",
            "about": "deployment",
            "outcome": "success",
            "stage": "dev",
            "deploy_seconds": 12.5,
            "hosts": 3,
            "_aws": {
                "Timestamp": EPOCH_MS,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "Pulley",
                        "Dimensions": [["stage", "outcome"]],
                        "Metrics": [
                            {"Name": "deploy_seconds", "Unit": "Seconds"},
                            {"Name": "hosts", "Unit": "Count"},
                        ],
                    }
                ],
            },
        }

    @given(
        about=WORDS,
        outcome=WORDS,
        facts=st.dictionaries(
            WORDS.map("fact_".__add__) | st.sampled_from(["stage", "outcome", "level", "about"]),
            st.none() | st.text() | st.integers() | st.lists(st.text(), max_size=2),
            max_size=5,
        ),
        metrics=st.dictionaries(
            WORDS.map("metric_".__add__),
            st.tuples(
                st.floats(allow_nan=False, allow_infinity=False, width=32),
                st.sampled_from(list(UNITS)),
            ),
            min_size=1,
            max_size=5,
        ),
    )
    def test_line_with_metrics_follows_the_embedded_metric_format(
        self,
        about: str,
        outcome: str,
        facts: dict[str, object],
        metrics: dict[str, tuple[float, str]],
    ) -> None:
        decision = Decision(about, outcome, facts, metrics=metrics)
        text = json.dumps(fields_of(decision), allow_nan=False)
        assert "\n" not in text
        line = json.loads(text)
        assert (line["about"], line["outcome"], line["stage"]) == (about, outcome, "dev")
        definitions = metrics_of(line)
        assert {one["Name"]: one["Unit"] for one in definitions} == {
            name: UNITS[unit] for name, (_, unit) in metrics.items()
        }
        assert len(definitions) == len(metrics)
        for name, (value, _) in metrics.items():
            assert line[name] == value


class TestCount:
    def test_count_is_one(self) -> None:
        assert count("deliveries") == {"deliveries": (1, "Count")}

    def test_count_can_be_the_metrics_of_a_decision(self) -> None:
        line = fields_of(Decision("delivery", "sent", metrics=count("deliveries")))
        assert line["deliveries"] == 1
        assert metrics_of(line) == [{"Name": "deliveries", "Unit": "Count"}]
