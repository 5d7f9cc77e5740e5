"""How text of hosts, pushers and tags is printed: it must not control the terminal."""

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.history import Invocation, RollOut
from chalicelib.core.observations import (
    AT,
    CANCELLED,
    FAILED,
    NOT_BEGUN,
    OFFLINE,
    OVERTAKEN,
    RUNNING,
    WAITING,
    HostVerdict,
)
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import parse_target
from chalicelib.edges.command_output import Output
from chalicelib.status.safe_text import one_line, printable, tail
from chalicelib.status.words import cause_words, host_words
from pulley.cli.logs import show_host
from pulley.cli.output import ago
from pulley.cli.wording import no_hosts
from tests.fakes import COMMIT, SITE, target_json


class TestPrintable:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain\n\ttext ü €\n", "plain\n\ttext ü €\n"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[2J\x1b[1;1Hgone", "gone"),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]52;c;ZXZpbA==\x1b\\after", "after"),
            ("\x1bPqdevice\x1b\\after", "after"),
            ("\x1b(Bcharset \x1b7saved\x1bc", "charset saved"),
            ("\x9b31mred", "red"),
            ("\x9d0;title\x9cafter", "after"),
            ("a\x08\x07\x00b\x7f", "ab"),
            ("10%\r100%\r\ndone", "10%\n100%\ndone"),
            ("user\u202egpj.exe", "usergpj.exe"),
            ("cut short \x1b", "cut short "),
            ("cut short \x1b[3", "cut short "),
            ("\x1b]0;never ended\nafter", "\nafter"),
            ("half \udc80", "half "),
        ],
    )
    def test_text_is_kept_and_control_codes_are_removed(self, text: str, shown: str) -> None:
        assert printable(text) == shown

    @given(st.text())
    def test_no_control_character_but_newline_and_tab_is_left(self, text: str) -> None:
        left = {one for one in printable(text) if unicodedata.category(one) in {"Cc", "Cs"}}
        assert left <= {"\n", "\t"}

    def test_one_line_joins_lines_and_removes_codes(self) -> None:
        assert one_line(" a\n\x1b[1mb\t c ") == "a b c"


class TestTail:
    def test_tail_is_the_last_lines_without_codes(self) -> None:
        assert tail("one\ntwo\x1b[1m\nthree\n", 2) == ["two", "three"]

    @pytest.mark.parametrize("text", ["", "\n", "  \n"])
    def test_blank_text_has_no_lines(self, text: str) -> None:
        assert tail(text, 2) == []


class TestHostWords:
    @pytest.mark.parametrize(
        ("verdict", "words"),
        [
            (HostVerdict("h", AT, updated=True), "at 4d5e6f7: updated"),
            (HostVerdict("h", AT), "at 4d5e6f7: there already"),
            (
                HostVerdict("h", AT, "1 local commit on top", updated=True),
                "at 4d5e6f7: updated, 1 local commit on top",
            ),
            (HostVerdict("h", AT, back_at="aaaaaaa"), "at 4d5e6f7: rolled back to aaaaaaa"),
            (HostVerdict("h", FAILED, "conflict\x1b[2J: x"), "failed: conflict: x"),
            (
                HostVerdict("h", FAILED, "rolled back: x", back_at="aaaaaaa"),
                "failed: rolled back: x (back at aaaaaaa)",
            ),
            (HostVerdict("h", OVERTAKEN, "bbbbbbb"), "overtaken by bbbbbbb"),
            (HostVerdict("h", OVERTAKEN), "overtaken by a newer command"),
            (HostVerdict("h", OFFLINE), "offline: not reached"),
            (HostVerdict("h", NOT_BEGUN), "not begun"),
            (HostVerdict("h", CANCELLED), "cancelled before it began"),
            (HostVerdict("h", CANCELLED, "while it ran"), "cancelled while it ran"),
            (HostVerdict("h", RUNNING), "running"),
            (HostVerdict("h", WAITING), "waiting: it has not begun"),
        ],
    )
    def test_each_verdict_has_its_words(self, verdict: HostVerdict, words: str) -> None:
        assert host_words(verdict, "4d5e6f7") == words


class TestCauseWords:
    @pytest.mark.parametrize(
        ("cause", "by", "attempt", "update", "words"),
        [
            ("push", "mona", 0, "rebase", "push by mona"),
            ("push", "", 0, "rebase", "push"),
            ("reconcile", "", 2, "rebase", "reconcile, attempt 2"),
            ("manual", "someone", 0, "exact", "manual by someone, exact"),
            ("", "", 0, "rebase", "?"),
        ],
    )
    def test_cause_is_shown_with_person_attempt_and_update(
        self, cause: str, by: str, attempt: int, update: str, words: str
    ) -> None:
        roll_out = RollOut(
            "web", SITE, CommitSha(COMMIT), 1, cause, "", None, "600", None, update, attempt, by
        )
        assert cause_words(roll_out) == words


class TestNoHosts:
    def test_words_name_the_tags_that_were_searched(self) -> None:
        tags = {"tags": {"role": ["web", "edge"], "zone": "a"}}
        words = no_hosts(parse_target("web", target_json(instances=tags)), "dev")
        assert "the tags pulley=dev, role=web or edge, zone=a" in words

    def test_words_name_the_ids_and_the_tag_of_the_stage(self) -> None:
        ids = {"ids": ["i-0123456789abcdef0"]}
        words = no_hosts(parse_target("web", target_json(instances=ids)), "dev")
        assert "is one of i-0123456789abcdef0 and has the tag pulley=dev" in words


class TestShowHost:
    def test_host_without_output_is_shown_with_its_agent_s_reason(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reason = "document process failed unexpectedly"
        lost = Invocation("i-01234567", "web-1", "Failed", "Failed", reason)
        roll_out = RollOut("web", SITE, CommitSha(COMMIT), 1, "push", "", None, "600", None)
        show_host(roll_out, lost, Output("", ""))
        show_host(roll_out, lost, Output("half a line", ""))
        said = capsys.readouterr().out.splitlines()
        assert [line.strip() for line in said[1::2]] == [reason, "half a line"]


class TestAgo:
    NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("minutes", "words"),
        [
            (-3, "0 m ago"),
            (0.9, "0 m ago"),
            (119, "119 m ago"),
            (120, "2 h ago"),
            (47 * 60 + 59, "47 h ago"),
            (48 * 60, "2 d ago"),
        ],
    )
    def test_age_is_in_minutes_hours_or_days_by_its_length(
        self, minutes: float, words: str
    ) -> None:
        assert ago(self.NOW - timedelta(minutes=minutes), self.NOW) == words

    def test_time_that_is_not_known_is_a_dash(self) -> None:
        assert ago(None, self.NOW) == "-"
