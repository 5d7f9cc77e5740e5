"""A host's result line, as the script prints it and as the agent may cut it."""

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
    def test_line_is_read_with_and_without_what_the_agent_joins_to_it(self, output: str) -> None:
        assert parse_result(output) == self.READ

    def test_failed_run_is_read(self) -> None:
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

    def test_attempt_fault_and_what_check_found_are_read(self) -> None:
        more = {"attempt": 2, "fault": "origin", "found": FOUND}
        result = parse_result(json.dumps(RESULT | more))
        assert (result.attempt, result.fault) == (2, "origin")
        assert result.found == Found(
            would_update=True, owner="deploy", git="2.40.1", free_mib=7, lfs=False
        )

    def test_what_was_dropped_is_read(self) -> None:
        result = parse_result(json.dumps(RESULT | {"dropped": 1}))
        assert (result.dropped, parse_result(LINE).dropped) == (1, None)

    @pytest.mark.parametrize(
        "more",
        [
            {"attempt": "2"},
            {"dropped": "1"},
            {"fault": 1},
            {"found": None},
            {"found": {}},
            {"found": "deploy"},
            {"found": FOUND | {"owner": 7}},
        ],
    )
    def test_more_that_is_not_what_it_should_be_is_no_result(self, more: dict[str, object]) -> None:
        with pytest.raises(ResultError):
            parse_result(json.dumps(RESULT | more))

    def test_key_of_a_newer_host_is_let_pass(self) -> None:
        assert parse_result(json.dumps(RESULT | {"more": 1})) == self.READ

    @pytest.mark.parametrize("kept", range(0, len(LINE), 7))
    def test_cut_line_is_no_result_however_much_is_left(self, kept: int) -> None:
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
    def test_output_without_a_line_alone_is_no_result(self, output: str) -> None:
        with pytest.raises(ResultError, match="no result line in the host's output"):
            parse_result(output)

    @pytest.mark.parametrize("key", RESULT)
    def test_line_without_one_of_its_keys_is_no_result(self, key: str) -> None:
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
    def test_value_of_another_type_is_refused_by_its_name(self, key: str, value: object) -> None:
        with pytest.raises(ResultError) as caught:
            parse_result(json.dumps(RESULT | {key: value}))
        assert str(caught.value) == f"{key} in the result line is {value!r}"

    @given(
        st.text()
        | st.dictionaries(st.sampled_from(list(RESULT)), st.none() | st.integers() | st.text()).map(
            lambda changes: json.dumps(RESULT | changes)
        )
    )
    def test_no_output_raises_anything_but_a_result_error(self, output: str) -> None:
        try:
            told = parse_result(output).outcome
        except ResultError as error:
            told = ascii(str(error))
        assert isinstance(told, str)


class TestHostResultIsAt:
    def is_at(self, **changes: object) -> bool:
        return parse_result(json.dumps(RESULT | changes)).is_at(CommitSha(COMMIT))

    @pytest.mark.parametrize("outcome", ["updated", "unchanged"])
    def test_updated_or_unchanged_at_the_commit_is_there(self, outcome: str) -> None:
        assert self.is_at(outcome=outcome)

    def test_with_local_commits_above_it_is_there(self) -> None:
        assert self.is_at(after="b" * 40, local_commits=1)

    @pytest.mark.parametrize("upstream", [None, "b" * 40])
    def test_at_another_commit_it_is_not(self, upstream: object) -> None:
        assert not self.is_at(upstream=upstream, after=COMMIT)

    @pytest.mark.parametrize("outcome", ["superseded", "rolled_back", "broken", "busy"])
    def test_with_another_outcome_it_is_not(self, outcome: str) -> None:
        assert not self.is_at(outcome=outcome)
