from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.history import Command
from chalicelib.core.refs import Repository
from pulley.operator.deploy.issue_time import issue_time, milliseconds
from tests.fakes import SITE
from tests.flows.runs import START, check_of, command_of

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
NEWEST = 1_900_000_000_123


def issued_at(issued: int, repository: Repository = SITE, target: str = "web") -> Command:
    command = command_of(repository=repository, target=target)
    return replace(command, roll_out=replace(command.roll_out, issued=issued))


class TestIssueTime:
    def test_issue_time_is_now_if_the_clock_is_right(self) -> None:
        assert issue_time(SITE, [], now=NOW) == NOW
        assert issue_time(SITE, [issued_at(milliseconds(NOW) - 2)], now=NOW) == NOW

    def test_with_a_slow_clock_it_is_one_millisecond_after_the_newest_command(self) -> None:
        sent = [issued_at(NEWEST - 7), issued_at(NEWEST), issued_at(NEWEST - 1)]
        slow = datetime.fromtimestamp(NEWEST / 1000, UTC) - timedelta(minutes=10)
        assert milliseconds(issue_time(SITE, sent, now=slow)) == NEWEST + 1

    @given(st.integers(1_500_000_000_000, 4_000_000_000_000))
    def test_issue_time_is_always_later_than_the_newest(self, newest: int) -> None:
        slow = datetime(2010, 1, 1, tzinfo=UTC)
        assert milliseconds(issue_time(SITE, [issued_at(newest)], now=slow)) == newest + 1

    def test_renamed_target_s_commands_count_and_other_repositories_do_not(self) -> None:
        slow = datetime.fromtimestamp(NEWEST / 1000, UTC) - timedelta(minutes=1)
        renamed = issued_at(NEWEST, target="the-old-name")
        assert milliseconds(issue_time(SITE, [renamed], now=slow)) == NEWEST + 1
        elsewhere = issued_at(NEWEST, Repository("octo", "other"))
        assert issue_time(SITE, [elsewhere], now=slow) == slow

    def test_check_does_not_count(self) -> None:
        assert issue_time(SITE, [check_of(10)], now=START) == START
