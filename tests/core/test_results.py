"""A host's result line, as the script prints it or as the agent cuts it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.refs import CommitSha
from chalicelib.core.results import Found, HostResult, ResultError, parse_result
from tests.facts import RESULT
from tests.fakes import COMMIT

LINE = json.dumps(RESULT)
SEPARATOR = "\n----------ERROR-------\n"
FOUND = {"would_update": True, "owner": "deploy", "git": "2.40.1", "free_mib": 7, "lfs": False}


class TestParseResult:
    READ = HostResult(
        target="web",
        outcome="updated",
        before="a" * 40,
        after=COMMIT,
        upstream=COMMIT,
        local_commits=0,
        saved=None,
        step=None,
        detail="",
        seconds=1.4,
    )

    @pytest.mark.parametrize(
        "output",
        [
            LINE,
            LINE + "\n",
            LINE + SEPARATOR + "fetching\n",
            LINE + "\n" + SEPARATOR + "fetching\n",
            LINE + SEPARATOR + "x" * 1170 + "\n---Error truncated----",
            LINE + SEPARATOR + LINE.replace("updated", "broken"),
            LINE + SEPARATOR + "one" + SEPARATOR + "two",
        ],
    )
    def test_line_is_read_with_and_without_appended_output(self, output: str) -> None:
        assert parse_result(output) == self.READ

    def test_result_of_a_failed_run_is_read(self) -> None:
        stored = RESULT | {
            "outcome": "rolled_back",
            "before": None,
            "after": None,
            "upstream": None,
            "saved": "refs/pulley/saved/1",
            "step": "health_check",
            "detail": "HTTP 500",
            "seconds": 12,
        }
        result = parse_result(json.dumps(stored))
        assert (result.outcome, result.step, result.detail) == (
            "rolled_back",
            "health_check",
            "HTTP 500",
        )
        assert (result.before, result.saved, result.seconds) == (None, "refs/pulley/saved/1", 12)

    def test_attempt_fault_and_findings_are_read(self) -> None:
        more = {"attempt": 2, "fault": "origin", "found": FOUND}
        result = parse_result(json.dumps(RESULT | more))
        assert (result.attempt, result.fault) == (2, "origin")
        assert result.found == Found(
            would_update=True, owner="deploy", git="2.40.1", free_mib=7, lfs=False
        )

    def test_dropped_count_is_read(self) -> None:
        result = parse_result(json.dumps(RESULT | {"dropped": 1}))
        assert (result.dropped, parse_result(LINE).dropped) == (1, None)

    def test_steps_that_were_not_needed_are_read(self) -> None:
        result = parse_result(json.dumps(RESULT | {"steps_not_needed": True}))
        assert (result.steps_not_needed, parse_result(LINE).steps_not_needed) == (True, False)

    @pytest.mark.parametrize(
        "more",
        [
            {"attempt": "2"},
            {"steps_not_needed": "true"},
            {"steps_not_needed": 1},
            {"dropped": "1"},
            {"fault": 1},
            {"found": None},
            {"found": {}},
            {"found": "deploy"},
            {"found": FOUND | {"owner": 7}},
        ],
    )
    def test_invalid_optional_field_is_refused(self, more: dict[str, object]) -> None:
        with pytest.raises(ResultError):
            parse_result(json.dumps(RESULT | more))

    def test_unknown_key_is_ignored(self) -> None:
        assert parse_result(json.dumps(RESULT | {"more": 1})) == self.READ

    @pytest.mark.parametrize("kept", range(0, len(LINE), 7))
    def test_cut_line_is_refused_wherever_it_is_cut(self, kept: int) -> None:
        for cut in (LINE[:kept], LINE[:kept] + "\n--output truncated--" + SEPARATOR + "more"):
            with pytest.raises(ResultError, match="no result line in the host's output"):
                parse_result(cut)

    @pytest.mark.parametrize(
        "output",
        [
            "",
            SEPARATOR + LINE,
            "Terminated",
            "null",
            "[]",
            "1",
            "[" * 10_000,
            "9" * 5_000,
            LINE + "\n" + LINE,
            "cloning\n" + LINE,
        ],
    )
    def test_output_without_exactly_one_result_line_is_refused(self, output: str) -> None:
        with pytest.raises(ResultError, match="no result line in the host's output"):
            parse_result(output)

    @pytest.mark.parametrize("key", RESULT)
    def test_line_without_a_required_key_is_refused(self, key: str) -> None:
        without = {name: value for name, value in RESULT.items() if name != key}
        with pytest.raises(ResultError, match="no result line in the host's output"):
            parse_result(json.dumps(without))

    @pytest.mark.parametrize("version", [0, 2, "1", None])
    def test_another_version_is_refused(self, version: object) -> None:
        with pytest.raises(ResultError, match="a result line of a version not known here: "):
            parse_result(json.dumps(RESULT | {"v": version}))

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("target", None),
            ("outcome", 1),
            ("before", 1),
            ("after", []),
            ("upstream", False),
            ("local_commits", "0"),
            ("local_commits", 1.5),
            ("saved", 1),
            ("step", {}),
            ("detail", None),
            ("seconds", "1.4"),
        ],
    )
    def test_value_of_another_type_is_refused_with_its_key(self, key: str, value: object) -> None:
        with pytest.raises(ResultError) as caught:
            parse_result(json.dumps(RESULT | {key: value}))
        assert str(caught.value) == f"{key} in the result line is {value!r}"

    @given(
        st.text()
        | st.dictionaries(st.sampled_from(list(RESULT)), st.none() | st.integers() | st.text()).map(
            lambda changes: json.dumps(RESULT | changes)
        )
    )
    def test_any_output_is_parsed_or_raises_a_result_error(self, output: str) -> None:
        try:
            text = parse_result(output).outcome
        except ResultError as error:
            text = ascii(str(error))
        assert isinstance(text, str)


class TestHostResultIsAt:
    def is_at(self, **changes: object) -> bool:
        return parse_result(json.dumps(RESULT | changes)).is_at(CommitSha(COMMIT))

    @pytest.mark.parametrize("outcome", ["updated", "unchanged"])
    def test_updated_or_unchanged_host_is_at_the_commit(self, outcome: str) -> None:
        assert self.is_at(outcome=outcome)

    def test_host_with_local_commits_on_top_is_at_the_commit(self) -> None:
        assert self.is_at(after="b" * 40, local_commits=1)

    @pytest.mark.parametrize("upstream", [None, "b" * 40])
    def test_host_with_another_upstream_is_not_at_the_commit(self, upstream: object) -> None:
        assert not self.is_at(upstream=upstream, after=COMMIT)

    @pytest.mark.parametrize("outcome", ["superseded", "rolled_back", "broken", "busy"])
    def test_host_with_another_outcome_is_not_at_the_commit(self, outcome: str) -> None:
        assert not self.is_at(outcome=outcome)
