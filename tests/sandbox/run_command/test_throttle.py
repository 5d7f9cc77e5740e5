"""The throttle: how many calls it allows, and how the account refuses the others."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pulley.sandbox.account import Account
from pulley.sandbox.run_command.throttle import COMMANDS_A_SECOND, PARAMETERS_A_SECOND, Throttle
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def throttle(clock: FakeClock) -> Throttle:
    return Throttle(clock)


def taken(throttle: Throttle, operation: str, calls: int = 100) -> int:
    return sum(not throttle.refuses(operation) for _ in range(calls))


class TestThrottle:
    @pytest.mark.parametrize(
        ("operation", "a_second"),
        [("GetParameters", PARAMETERS_A_SECOND), ("SendCommand", COMMANDS_A_SECOND)],
    )
    def test_calls_of_one_second_are_allowed_at_once(
        self, throttle: Throttle, operation: str, a_second: int
    ) -> None:
        assert taken(throttle, operation) == a_second
        assert throttle.taken[operation] == a_second
        assert throttle.refused[operation] == 100 - a_second

    def test_allowance_grows_back_with_time(self, throttle: Throttle, clock: FakeClock) -> None:
        taken(throttle, "GetParameters")
        clock.now += 0.5
        assert taken(throttle, "GetParameters") == PARAMETERS_A_SECOND / 2
        clock.now += 3600
        assert taken(throttle, "GetParameters") == PARAMETERS_A_SECOND

    def test_operations_of_a_family_share_their_rate(self, throttle: Throttle) -> None:
        taken(throttle, "GetParametersByPath")
        assert taken(throttle, "GetParameter") == 0
        assert taken(throttle, "SendCommand") == COMMANDS_A_SECOND

    def test_other_operations_have_no_rate(self, throttle: Throttle) -> None:
        assert taken(throttle, "ListCommands") == 100


class TestAccount:
    def test_refused_call_is_a_throttling_exception(
        self, account: Account, throttle: Throttle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in account.environ.items():
            monkeypatch.setenv(name, value)
        client = boto3.Session().client("ssm", config=Config(retries={"total_max_attempts": 1}))
        taken(throttle, "GetParameters")
        account.throttle = throttle
        with pytest.raises(ClientError, match="Rate exceeded") as caught:
            client.get_parameters(Names=["/here"])
        assert caught.value.response["Error"]["Code"] == "ThrottlingException"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        account.throttle = None
        assert client.get_parameters(Names=["/here"])["InvalidParameters"] == ["/here"]
