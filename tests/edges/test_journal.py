"""The log: Lambda, CloudWatch and people can read each line, with any fact in it."""

import io
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.decisions import Decision, count
from chalicelib.edges.journal import Journal

NOW = 1_896_091_200.5


def written(decision: Decision, stage: str = "dev") -> str:
    stream = io.StringIO()
    Journal(stage, stream, lambda: NOW).note(decision)
    return stream.getvalue()


def read(text: str) -> dict[str, Any]:
    assert text.endswith("\n")
    (line,) = text.splitlines()
    fields = json.loads(line)
    assert isinstance(fields, dict)
    return fields


class TestJournal:
    def test_decision_is_one_line_of_json(self) -> None:
        decision = Decision("command", "sent", {"target": "web"}, "warning")
        assert read(written(decision)) == {
            "level": "warning",
            "about": "command",
            "outcome": "sent",
            "target": "web",
            "stage": "dev",
        }

    def test_decision_with_a_metric_has_the_time_in_milliseconds(self) -> None:
        fields = read(written(Decision("deployment", "success", metrics=count("Deploys"))))
        assert fields["Deploys"] == 1
        assert fields["_aws"]["Timestamp"] == 1_896_091_200_500

    @pytest.mark.parametrize(
        "fact",
        [
            *("two\nlines", "\r\u2028\u2029\x85", "Zürich ☂", "\ud83d", '"', "\x1b[31m"),
            pytest.param("x" * 100_000, id="long"),
        ],
    )
    def test_any_text_is_written_on_one_line_in_ascii(self, fact: str) -> None:
        text = written(Decision("command", "failed", {"reason": fact}))
        assert text.isascii()
        assert read(text)["reason"] == fact

    @pytest.mark.parametrize(
        "fact", [datetime(2030, 1, 1, tzinfo=UTC), {1, 2}, ValueError("x"), b"bytes", object()]
    )
    def test_fact_of_a_type_unknown_to_json_is_written_as_text(self, fact: object) -> None:
        assert read(written(Decision("command", "failed", {"reason": fact})))["reason"] == str(fact)

    @given(facts=st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
    def test_decision_with_any_facts_is_one_line(self, facts: dict[str, object]) -> None:
        text = written(Decision("command", "failed", facts))
        assert text.count("\n") == 1
        fields = read(text)
        assert (fields["stage"], fields["about"]) == ("dev", "command")

    def test_each_decision_is_a_line_that_is_flushed_at_once(self) -> None:
        class Stream(io.StringIO):
            flushed = ""

            def flush(self) -> None:
                self.flushed = self.getvalue()

        stream = Stream()
        journal = Journal("dev", stream)
        for outcome in ("sent", "failed"):
            journal.note(Decision("command", outcome))
            assert stream.flushed == stream.getvalue()
        assert [json.loads(line)["outcome"] for line in stream.flushed.splitlines()] == [
            "sent",
            "failed",
        ]

    def test_without_a_stream_the_current_stdout_is_used(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal, stream = Journal("dev"), io.StringIO()
        monkeypatch.setattr(sys, "stdout", stream)
        journal.note(Decision("command", "sent"))
        assert read(stream.getvalue())["outcome"] == "sent"
