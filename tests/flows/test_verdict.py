"""The time since which a sync reads commands: early enough, and no earlier than AWS keeps them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from chalicelib.core.deployments import Deployment
from chalicelib.core.history import CLOCKS_APART, REMEMBERED, Command
from chalicelib.flows.verdict import since_first, since_made
from tests.fakes import COMMIT, STAGE
from tests.flows.runs import START, command_of

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BEGINNING = START - REMEMBERED


def made_at(created: datetime) -> Deployment:
    return Deployment(7, COMMIT, "web", created, STAGE, "web")


class TestSinceMade:
    """The command was requested at START."""

    @pytest.mark.parametrize(
        ("created", "since"),
        [
            (START - HOUR, START - HOUR - CLOCKS_APART),
            (START, START - CLOCKS_APART),
            (START + MINUTE, START + MINUTE - CLOCKS_APART),
            (START + HOUR, START),
            (datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))), START),
            (BEGINNING - HOUR, BEGINNING - CLOCKS_APART),
            (datetime(1, 1, 1, tzinfo=UTC), BEGINNING - CLOCKS_APART),
        ],
    )
    def test_since_is_before_the_deployment_and_not_after_the_command(
        self, created: datetime, since: datetime
    ) -> None:
        assert since_made(made_at(created), command_of()) == since


class TestSinceFirst:
    DEPLOYMENT = made_at(START - HOUR)

    def since(
        self, *, sent_with: int | None, attempt: int = 0, there: Deployment | None
    ) -> datetime:
        command: Command = command_of(deployment=sent_with, attempt=attempt)
        return since_first(command, there)

    @pytest.mark.parametrize("attempt", [0, 2])
    def test_deployment_known_at_sending_gives_its_creation_time(self, attempt: int) -> None:
        since = self.since(sent_with=7, attempt=attempt, there=self.DEPLOYMENT)
        assert since == START - HOUR - CLOCKS_APART

    @pytest.mark.parametrize("attempt", [0, 2])
    def test_deployment_made_after_sending_gives_the_beginning(self, attempt: int) -> None:
        assert self.since(sent_with=None, attempt=attempt, there=self.DEPLOYMENT) == BEGINNING

    @pytest.mark.parametrize("sent_with", [None, 7])
    def test_without_a_deployment_only_a_push_is_the_first_command(
        self, sent_with: int | None
    ) -> None:
        assert self.since(sent_with=sent_with, there=None) == START
        assert self.since(sent_with=sent_with, attempt=1, there=None) == BEGINNING
