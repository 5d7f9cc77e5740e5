"""Calls of AWS: retries of failures that pass, the deadline, and the kind of each error."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    UnauthorizedSSOTokenError,
)

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.edges.aws import (
    ATTEMPTS,
    CONNECT_SECONDS,
    DELIVERY_SECONDS,
    READ_SECONDS,
    Deadline,
    LateError,
    build_ec2_client,
    build_lambda_client,
    build_sns_client,
    build_ssm_client,
    calling,
    error_for,
)
from tests.fakes import NOTHING_FOUND, FakeClock, Reply, Wire, aws_error

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

URL = "https://ssm.eu-central-1.amazonaws.com/"
NO_CONNECTION = ": check the region and the network"
LONGEST_BACKOFF_SECONDS = 2
GITHUB_WAITS_SECONDS = 10
RETRIED: dict[str, Reply] = {
    "throttled": aws_error("ThrottlingException"),
    "too many requests": aws_error("TooManyRequestsException", 429),
    "500": aws_error("InternalServerError", 500),
    "503": (503, {}),
    "read time-out": ReadTimeoutError(endpoint_url=URL),
    "connect time-out": ConnectTimeoutError(endpoint_url=URL),
    "no connection": EndpointConnectionError(endpoint_url=URL),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


class Aws:
    """A client whose time passes only in its back-offs and on the wire."""

    def __init__(self, backoff: float) -> None:
        self.clock = FakeClock()
        self.deadline = Deadline(self.clock)
        self.wire = Wire(NOTHING_FOUND)
        self.client: SSMClient = build_ssm_client(self.deadline)
        self.wire.attach(self.client.meta.events)
        self._backoff = backoff

    def sleep(self, _seconds: float) -> None:
        self.clock.now += self._backoff

    def read(self) -> object:
        return self.client.get_parameters(Names=["/pulley/dev/webhook-secret"])

    def answer_in_turn(self, *replies: Reply) -> None:
        left: Iterator[Reply] = iter(replies)
        self.wire.reply = lambda _operation, _arguments: next(left)


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Aws]:
    def build_aws(backoff: float = 0) -> Aws:
        aws = Aws(backoff)
        monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=aws.sleep))
        return aws

    return build_aws


class TestDeadline:
    def test_without_a_deadline_no_attempt_is_late(self) -> None:
        Deadline(lambda: 1e12).check()

    @pytest.mark.parametrize("passed", [0, 3.4])
    def test_attempt_before_the_deadline_may_begin(self, passed: float) -> None:
        clock = FakeClock()
        deadline = Deadline(clock)
        deadline.restart(3.5)
        clock.now += passed
        deadline.check()

    @pytest.mark.parametrize("passed", [3.5, 60])
    def test_attempt_from_the_deadline_on_raises_late_error(self, passed: float) -> None:
        clock = FakeClock()
        deadline = Deadline(clock)
        deadline.restart(3.5)
        clock.now += passed
        with pytest.raises(LateError, match="AWS did not answer in time"):
            deadline.check()

    def test_next_delivery_in_a_warm_lambda_has_a_new_deadline(self) -> None:
        clock = FakeClock()
        deadline = Deadline(clock)
        deadline.restart()
        clock.now += 3600
        deadline.restart()
        deadline.check()

    def test_time_left_is_negative_past_the_deadline(self) -> None:
        clock = FakeClock()
        deadline = Deadline(clock)
        assert deadline.left() == float("inf")
        deadline.restart(3.5)
        assert deadline.left() == 3.5
        clock.now += 5
        assert deadline.left() == -1.5

    def test_late_error_names_the_service_that_did_not_answer(self) -> None:
        deadline = Deadline(FakeClock(), who="GitHub")
        deadline.restart(0)
        with pytest.raises(LateError, match="GitHub did not answer in time"):
            deadline.check()


class TestBuildSsmClient:
    @pytest.mark.parametrize("failure", RETRIED.values(), ids=RETRIED.keys())
    def test_temporary_failure_is_tried_again(
        self, build: Callable[..., Aws], failure: Reply
    ) -> None:
        aws = build()
        aws.answer_in_turn(failure, failure, NOTHING_FOUND)
        assert aws.read()
        assert aws.wire.operations == ["GetParameters"] * 3

    @pytest.mark.parametrize("failure", RETRIED.values(), ids=RETRIED.keys())
    def test_lasting_failure_is_raised_after_three_attempts(
        self, build: Callable[..., Aws], failure: Reply
    ) -> None:
        aws = build()
        aws.wire.reply = failure
        with pytest.raises((ClientError, BotoCoreError)):
            aws.read()
        assert len(aws.wire.attempts) == ATTEMPTS == 3

    @pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
    def test_refusal_is_not_tried_again(self, build: Callable[..., Aws], code: str) -> None:
        aws = build()
        aws.wire.reply = aws_error(code)
        with pytest.raises(ClientError, match=code):
            aws.read()
        assert len(aws.wire.attempts) == 1

    @pytest.mark.parametrize("failure", RETRIED.values(), ids=RETRIED.keys())
    @pytest.mark.parametrize(("backoff", "attempts"), [(4, 1), (3.5, 1), (2, 2), (1.7, 3)])
    def test_no_attempt_begins_after_the_deadline(
        self, build: Callable[..., Aws], failure: Reply, backoff: float, attempts: int
    ) -> None:
        aws = build(backoff)
        aws.wire.reply = failure
        aws.deadline.restart(3.5)
        expected = LateError if attempts < ATTEMPTS else (ClientError, BotoCoreError)
        with pytest.raises(expected):
            aws.read()
        assert len(aws.wire.attempts) == attempts

    def test_second_call_past_the_deadline_does_not_begin(self, build: Callable[..., Aws]) -> None:
        aws = build()
        aws.deadline.restart(3.5)
        aws.read()
        aws.clock.now += 3.5
        with pytest.raises(LateError):
            aws.read()
        assert len(aws.wire.attempts) == 1

    def test_attempt_begun_at_the_deadline_ends_before_github_gives_up(
        self, build: Callable[..., Aws]
    ) -> None:
        config: Any = build().client.meta.config
        assert (config.connect_timeout, config.read_timeout) == (CONNECT_SECONDS, READ_SECONDS)
        longest = DELIVERY_SECONDS + LONGEST_BACKOFF_SECONDS + CONNECT_SECONDS + READ_SECONDS
        assert longest < GITHUB_WAITS_SECONDS

    def test_missing_region_raises_with_a_hint(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.delenv("AWS_REGION", raising=False)
        with pytest.raises(UnavailableError, match="a client of Systems Manager") as caught:
            build_ssm_client(Deadline())
        assert caught.value.detail.startswith("there is no region: set AWS_DEFAULT_REGION")


class TestBuildLambdaClient:
    def test_client_of_a_delivery_has_short_timeouts_and_three_attempts(self) -> None:
        config: Any = build_lambda_client(Deadline()).meta.config
        assert (config.connect_timeout, config.read_timeout) == (CONNECT_SECONDS, READ_SECONDS)
        assert config.retries == {"mode": "standard", "total_max_attempts": ATTEMPTS}

    def test_no_attempt_begins_after_the_deadline(self) -> None:
        clock = FakeClock()
        deadline = Deadline(clock)
        client, wire = build_lambda_client(deadline), Wire((202, {}))
        wire.attach(client.meta.events, "lambda")
        deadline.restart(3.5)
        client.invoke(FunctionName="pulley-dev-reconcile_targets", InvocationType="Event")
        clock.now += 3.5
        with pytest.raises(LateError):
            client.invoke(FunctionName="pulley-dev-reconcile_targets", InvocationType="Event")
        assert wire.operations == ["Invoke"]

    def test_missing_region_raises_with_a_hint(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.delenv("AWS_REGION", raising=False)
        with pytest.raises(UnavailableError, match="a client of Lambda") as caught:
            build_lambda_client()
        assert caught.value.detail.startswith("there is no region: set AWS_DEFAULT_REGION")


class TestPatientClients:
    def test_patient_clients_have_longer_timeouts_and_six_attempts(self) -> None:
        builders = (build_ssm_client, build_sns_client, build_ec2_client, build_lambda_client)
        for client in (build() for build in builders):
            config: Any = client.meta.config
            assert config.connect_timeout > CONNECT_SECONDS
            assert config.read_timeout > READ_SECONDS
            assert config.retries == {"mode": "standard", "total_max_attempts": 6}

    @pytest.mark.parametrize("failure", RETRIED.values(), ids=RETRIED.keys())
    def test_without_a_deadline_all_six_attempts_begin(
        self, monkeypatch: pytest.MonkeyPatch, failure: Reply
    ) -> None:
        monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _seconds: None))
        client, wire = build_ssm_client(), Wire(failure)
        wire.attach(client.meta.events)
        with pytest.raises((ClientError, BotoCoreError)):
            client.list_commands()
        assert len(wire.attempts) == 6

    def test_missing_region_raises_with_a_hint(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        monkeypatch.delenv("AWS_REGION", raising=False)
        with pytest.raises(UnavailableError, match="a client of Systems Manager"):
            build_ssm_client()
        with pytest.raises(UnavailableError, match="a client of EC2"):
            build_ec2_client()
        with pytest.raises(UnavailableError, match="a client of SNS") as caught:
            build_sns_client()
        assert caught.value.detail.startswith("there is no region: set AWS_DEFAULT_REGION")


class TestErrorFor:
    def client_error(self, code: str, status: int = 400) -> ClientError:
        return ClientError(
            {
                "Error": {"Code": code, "Message": "on arn:aws:ssm:::parameter/pulley/dev/x"},
                "ResponseMetadata": {
                    "HTTPStatusCode": status,
                    "RequestId": "",
                    "HostId": "",
                    "HTTPHeaders": {},
                    "RetryAttempts": 0,
                },
            },
            "GetParameters",
        )

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("ThrottlingException", 400),
            ("Throttling", 400),
            ("ThrottledException", 400),
            ("TooManyRequestsException", 429),
            ("TooManyUpdates", 500),
            ("RequestLimitExceeded", 503),
            ("SlowDown", 503),
            ("InternalServerError", 500),
            ("", 502),
        ],
    )
    def test_busy_aws_is_unavailable(self, code: str, status: int) -> None:
        error = error_for("reading parameters", self.client_error(code, status))
        assert isinstance(error, UnavailableError)
        assert str(error) == "AWS is too busy for reading parameters"

    @pytest.mark.parametrize(
        "code", ["AccessDeniedException", "InvalidDocument", "InvalidKeyId", "ValidationException"]
    )
    def test_rejected_call_is_a_refusal_with_its_code(self, code: str) -> None:
        error = error_for("the command to web", self.client_error(code))
        assert isinstance(error, RefusedError)
        assert str(error) == f"AWS refused the command to web ({code})"

    @pytest.mark.parametrize(
        ("error", "detail"),
        [
            (ReadTimeoutError(endpoint_url=URL), f'Read timeout on endpoint URL: "{URL}"'),
            (
                EndpointConnectionError(endpoint_url=URL),
                f'Could not connect to the endpoint URL: "{URL}"{NO_CONNECTION}',
            ),
        ],
    )
    def test_unreachable_aws_is_unavailable(self, error: BotoCoreError, detail: str) -> None:
        told = error_for("reading parameters", error)
        assert isinstance(told, UnavailableError)
        assert str(told) == "AWS could not be reached for reading parameters"
        assert told.detail == detail

    @pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "RequestExpired"])
    def test_expired_credentials_give_a_hint_to_sign_in_again(self, code: str) -> None:
        told = error_for("reading parameters", self.client_error(code))
        assert isinstance(told, RefusedError)
        assert str(told) == f"AWS refused reading parameters ({code})"
        assert told.detail.startswith("the credentials have expired: sign in again")

    def test_expired_single_sign_on_gives_a_hint_to_sign_in_again(self) -> None:
        told = error_for("reading parameters", UnauthorizedSSOTokenError())
        assert isinstance(told, UnavailableError)
        assert told.detail.startswith("the credentials have expired: sign in again")

    @pytest.mark.parametrize(
        "code", ["UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException"]
    )
    def test_unknown_credentials_give_a_hint_to_aws_profile(self, code: str) -> None:
        told = error_for("reading parameters", self.client_error(code))
        assert told.detail.startswith("AWS does not know these credentials: see AWS_PROFILE")

    def test_missing_credentials_give_a_hint_to_configure_them(self) -> None:
        told = error_for("reading parameters", NoCredentialsError())
        assert isinstance(told, UnavailableError)
        assert str(told) == "AWS could not be reached for reading parameters"
        assert told.detail == "there are no credentials: set AWS_PROFILE, or run aws configure"

    def test_message_of_aws_is_only_in_the_detail(self) -> None:
        error = error_for("reading parameters", self.client_error("AccessDeniedException"))
        assert "parameter/pulley" not in str(error)
        assert "parameter/pulley" in error.detail

    def test_error_without_a_code_is_a_refusal(self) -> None:
        assert isinstance(error_for("x", ClientError({}, "GetParameters")), RefusedError)


class TestCalling:
    def test_answer_without_an_expected_field_is_unavailable(self) -> None:
        with (
            pytest.raises(UnavailableError, match="cannot be read for reading a command") as told,
            calling("reading a command"),
        ):
            _ = dict[str, object]()["Commands"]
        assert told.value.detail == "KeyError: 'Commands'"

    @pytest.mark.parametrize("page", [b"<html>", b"[]", b'"x"', b"{}", b'{"Parameters": "x"}', b""])
    def test_malformed_answer_is_unavailable(self, page: bytes) -> None:
        client = build_ssm_client()
        Wire((200, page)).attach(client.meta.events)
        with pytest.raises(UnavailableError, match="reading"), calling("reading parameters"):
            _ = client.get_parameters(Names=["a"])["Parameters"][0]["Value"]

    def test_error_of_pulley_is_raised_unchanged(self) -> None:
        with pytest.raises(RefusedError, match="no"), calling("reading a command"):
            raise RefusedError("no")
