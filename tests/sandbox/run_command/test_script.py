"""How the agent joins stdout and stderr to one field, as measured under a real agent."""

import json

import pytest

from chalicelib.core.results import ResultError, parse_result
from pulley.sandbox.run_command.script import ERROR_TITLE, OUTPUT_BYTES, cut_stream, join_output

ROOM = OUTPUT_BYTES - len(ERROR_TITLE)
HALF = ROOM // 2


class TestJoinOutput:
    def test_two_long_streams_keep_1238_bytes_each(self) -> None:
        output = join_output(b"x" * 9000, b"z" * 9000)
        before, _, after = output.partition(ERROR_TITLE)
        assert len(output) == 2500
        assert len(before) == len(after) == 1238
        assert before.endswith(b"x\n---Output truncated---")
        assert after.endswith(b"z\n---Error truncated----")

    @pytest.mark.parametrize("length", [0, 1, 1000, HALF - 1, HALF])
    def test_stdout_up_to_half_the_room_stays_whole_before_a_long_stderr(self, length: int) -> None:
        output = join_output(b"x" * length, b"z" * 9000)
        before, _, after = output.partition(ERROR_TITLE)
        assert before == b"x" * length
        assert after.endswith(b"z\n---Error truncated----")
        assert len(output) == 2500

    def test_stdout_of_one_byte_more_than_half_the_room_is_cut(self) -> None:
        before, _, _ = join_output(b"x" * (HALF + 1), b"z" * 9000).partition(ERROR_TITLE)
        assert len(before) == HALF
        assert before.endswith(b"x\n---Output truncated---")

    @pytest.mark.parametrize("length", [3, HALF])
    def test_short_stderr_stays_whole_after_a_long_stdout(self, length: int) -> None:
        output = join_output(b"x" * 9000, b"z" * length)
        before, _, after = output.partition(ERROR_TITLE)
        assert before.endswith(b"x\n---Output truncated---")
        assert after == b"z" * length
        assert len(output) == 2500

    def test_output_that_fits_stays_whole(self) -> None:
        assert join_output(b"out", b"err") == b"out" + ERROR_TITLE + b"err"
        assert join_output(b"x" * 2499, b"") == b"x" * 2499


class TestResultLine:
    """The script's line has 1,000 bytes at the most, less than half the room: it is never cut."""

    def line(self, length: int) -> bytes:
        result: dict[str, object] = {
            "v": 1,
            "target": "web",
            "outcome": "updated",
            "before": None,
            "after": None,
            "upstream": None,
            "local_commits": 0,
            "saved": None,
            "step": None,
            "detail": "",
            "seconds": 1.4,
        }
        missing = length - len(json.dumps(result)) - 1
        return json.dumps(result | {"detail": "d" * missing}).encode() + b"\n"

    @pytest.mark.parametrize("stderr", [b"", b"e", b"e" * 1476, b"e" * 24_000])
    def test_longest_result_line_is_read_despite_long_stderr(self, stderr: bytes) -> None:
        line = self.line(1000)
        assert len(line) == 1000
        assert parse_result(join_output(line, stderr).decode()).outcome == "updated"

    def test_cut_result_line_is_no_result(self) -> None:
        output = join_output(self.line(HALF + 1), b"e" * 24_000).decode()
        assert output.startswith('{"v": 1, "target": "web", "outcome": "updated"')
        with pytest.raises(ResultError, match="no result line in the host's output"):
            parse_result(output)


class TestCutStream:
    def test_text_that_the_agent_adds_to_a_cut_stream_is_cut_too(self) -> None:
        once = cut_stream(b"x" * 24_001)
        assert cut_stream(once + b"failed to run commands: exit status 1") == once
