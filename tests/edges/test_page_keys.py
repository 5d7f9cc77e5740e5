"""The page key and the used links, in moto's Parameter Store."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import Stubber
from moto import mock_aws

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.edges.page_keys import AGAIN_SECONDS, TRUSTED_SECONDS, PageKeys
from tests.fakes import NAMES, STAGE, Wire

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

KEY = "a key of the test, long enough"
NONCE = "N" * 22


class Aws:
    """A client that counts its calls, and a clock that only the test moves."""

    def __init__(self) -> None:
        self.client: SSMClient = boto3.client(
            "ssm", "eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        self.calls: Counter[str] = Counter()
        self.client.meta.events.register("before-call.ssm", self._count)
        self.now = 1000.0
        self.keys = PageKeys(self.client, STAGE, lambda: self.now)

    def store(self, key: str = KEY) -> None:
        self.client.put_parameter(
            Name=NAMES.page_key, Value=key, Type="SecureString", Overwrite=True
        )
        self.calls.clear()

    def _count(self, model: object, **_event: object) -> None:
        self.calls[str(model.name)] += 1  # type: ignore[attr-defined]


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        yield Aws()


class TestKey:
    def test_stage_without_a_key_has_none(self, aws: Aws) -> None:
        assert aws.keys.key() is None

    def test_key_that_could_be_guessed_is_none(self, aws: Aws) -> None:
        aws.store("short")
        assert aws.keys.key() is None

    def test_key_is_read_once_a_minute_whatever_strangers_send(self, aws: Aws) -> None:
        aws.store()
        for version in [1] * 50:
            assert aws.keys.key(version)
        assert aws.calls == {"GetParameters": 1}
        aws.now += TRUSTED_SECONDS
        assert aws.keys.key(1)
        assert aws.calls == {"GetParameters": 2}

    def test_other_version_is_looked_for_once_in_some_seconds(self, aws: Aws) -> None:
        aws.store()
        aws.keys.key()
        for version in range(2, 50):
            aws.keys.key(version)
        assert aws.calls == {"GetParameters": 1}
        aws.now += AGAIN_SECONDS
        for version in range(2, 50):
            aws.keys.key(version)
        assert aws.calls == {"GetParameters": 2}

    def test_new_key_counts_as_soon_as_somebody_presents_its_version(self, aws: Aws) -> None:
        aws.store()
        assert aws.keys.key()
        aws.store("the next key, which is as long")
        aws.now += AGAIN_SECONDS
        found = aws.keys.key(2)
        assert found
        assert (found.value, found.version) == ("the next key, which is as long", 2)

    def test_old_key_lets_nobody_in_while_aws_refuses_to_tell_the_new_one(self, aws: Aws) -> None:
        aws.store()
        assert aws.keys.key()
        aws.now += TRUSTED_SECONDS
        with Stubber(aws.client) as stub:
            stub.add_client_error("get_parameters", "AccessDenied", http_status_code=400)
            with pytest.raises(RefusedError, match="reading the page key"):
                aws.keys.key()
            assert [aws.keys.key() for _ in range(9)] == [None] * 9
        aws.now += AGAIN_SECONDS
        assert aws.keys.key()

    def test_forged_cookie_whose_read_fails_ends_no_session(self, aws: Aws) -> None:
        aws.store()
        assert aws.keys.key(1)
        aws.now += AGAIN_SECONDS
        with Stubber(aws.client) as stub:
            stub.add_client_error("get_parameters", "ThrottlingException", http_status_code=400)
            with pytest.raises(UnavailableError, match="reading the page key"):
                aws.keys.key(2)
            assert aws.keys.key(1)
            assert aws.keys.key()

    def test_key_is_read_again_if_the_clock_goes_back(self, aws: Aws) -> None:
        aws.store()
        assert aws.keys.key()
        aws.now -= 3600
        aws.store("the next key, which is as long")
        found = aws.keys.key()
        assert found
        assert found.version == 2


class TestUse:
    def test_lost_answer_of_aws_does_not_use_up_the_link(self, aws: Aws) -> None:
        tries = [0]

        def lose(operation: str, arguments: Mapping[str, Any]) -> Exception | None:
            """Let AWS write the note, and lose its answer: boto3 tries again."""
            tries[0] += operation == "PutParameter"
            if operation != "PutParameter" or tries[0] > 1:
                return None
            Aws().client.put_parameter(**arguments)
            return ReadTimeoutError(endpoint_url="https://ssm")

        Wire(lose).attach(aws.client.meta.events)
        assert aws.keys.use(NONCE, now=datetime.now(UTC))
        assert not aws.keys.use(NONCE, now=datetime.now(UTC))

    def test_visitor_is_let_in_though_old_notes_cannot_be_deleted(self) -> None:
        client = boto3.client(
            "ssm", "eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        with Stubber(client) as stub:
            stub.add_response("put_parameter", {"Version": 1})
            stub.add_client_error("get_parameters_by_path", "ThrottlingException")
            assert PageKeys(client, STAGE).use(NONCE, now=datetime.now(UTC))
            stub.assert_no_pending_responses()

    def test_notes_on_every_page_are_deleted(self, aws: Aws) -> None:
        for number in range(25):
            name = NAMES.used_link(f"{number:022}")
            aws.client.put_parameter(Name=name, Value="x", Type="String")
        assert aws.keys.use(NONCE, now=datetime.now(UTC) + timedelta(hours=2))
        assert not aws.client.get_parameters_by_path(Path=NAMES.used_links)["Parameters"]

    def test_link_is_used_once(self, aws: Aws) -> None:
        now = datetime.now(UTC)
        assert aws.keys.use(NONCE, now=now)
        assert not aws.keys.use(NONCE, now=now)
        assert not PageKeys(aws.client, STAGE).use(NONCE, now=now)  # in another Lambda function
        assert aws.keys.use("M" * 22, now=now)

    def test_notes_of_links_that_nobody_can_use_are_deleted(self, aws: Aws) -> None:
        now = datetime.now(UTC)
        aws.keys.use(NONCE, now=now)
        aws.keys.use("M" * 22, now=now + timedelta(hours=2))
        left = aws.client.get_parameters_by_path(Path=NAMES.used_links)["Parameters"]
        # The note of the second link is as old by moto's clock as that of the first.
        assert left == []
        assert aws.calls["DeleteParameters"] == 1

    def test_refusal_is_an_error_and_not_a_use(self) -> None:
        client = boto3.client(
            "ssm", "eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        with Stubber(client) as stub:
            stub.add_client_error("put_parameter", "AccessDeniedException", http_status_code=400)
            with pytest.raises(RefusedError, match="noting that a link was used"):
                PageKeys(client, STAGE).use(NONCE, now=datetime.now(UTC))
