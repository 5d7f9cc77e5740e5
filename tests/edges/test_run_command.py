"""Run Command: one suite for the fake and the real edge, then the exact call that AWS gets."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

from chalicelib.core.commands import DocumentPin, SendRequest, build_send_request
from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.core.refs import CommitSha
from chalicelib.core.targets import parse_target
from chalicelib.edges.aws import Deadline, LateError
from chalicelib.edges.run_command import SENT_AT_ONCE, RunCommand
from chalicelib.flows.receive import Commands
from tests.fakes import (
    COMMIT,
    GUID,
    STAGE,
    FakeClock,
    FakeCommands,
    Reply,
    Wire,
    aws_error,
    target_json,
)

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

COMMAND_ID = "0831e1a8-a1ac-4257-a1fd-c831b48c4107"


def new_client() -> "SSMClient":
    return boto3.client(
        "ssm",
        region_name="eu-central-1",
        endpoint_url="https://ssm.eu-central-1.amazonaws.com",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def request_to(
    name: str = "web", *, document_pin: DocumentPin | None = None, **changes: object
) -> SendRequest:
    return build_send_request(
        parse_target(f"targets.{name}", target_json(name, **changes)),
        stage=STAGE,
        commit=CommitSha(COMMIT),
        issued=1_896_091_200_000,
        cause="push",
        delivery=GUID,
        document_pin=document_pin,
    )


def target_of(arguments: Mapping[str, Any]) -> str:
    (target,) = arguments["Parameters"]["Target"]
    assert isinstance(target, str)
    return target


@pytest.fixture(params=["fake", "real"])
def build(request: pytest.FixtureRequest) -> Callable[[Mapping[str, str]], Commands]:
    """A port that refuses some targets, each with AWS's code."""

    def build_commands(refused: Mapping[str, str]) -> Commands:
        if request.param == "fake":
            return FakeCommands({name: RefusedError(code) for name, code in refused.items()})

        def answer(_operation: str, arguments: Mapping[str, Any]) -> Reply:
            target = target_of(arguments)
            if target in refused:
                return aws_error(refused[target])
            return 200, {"Command": {"CommandId": f"command for {target}"}}

        client = new_client()
        Wire(answer).attach(client.meta.events)
        return RunCommand(client)

    return build_commands


class TestCommandsSend:
    def test_nothing_to_send_is_nothing_sent(
        self, build: Callable[[Mapping[str, str]], Commands]
    ) -> None:
        assert list(build({}).send([])) == []

    @pytest.mark.parametrize("count", [1, 2, SENT_AT_ONCE, 3 * SENT_AT_ONCE])
    def test_each_request_has_a_command_id_of_its_own(
        self, build: Callable[[Mapping[str, str]], Commands], count: int
    ) -> None:
        answers = build({}).send([request_to(f"web-{number}") for number in range(count)])
        assert len(set(answers)) == len(answers) == count
        assert all(isinstance(answer, str) for answer in answers)

    def test_one_target_s_failure_does_not_stop_the_others(
        self, build: Callable[[Mapping[str, str]], Commands]
    ) -> None:
        names = ["a", "b", "c", "d"]
        refused = {"b": "AccessDeniedException", "c": "InvalidDocument"}
        answers = build(refused).send([request_to(name) for name in names])
        assert [isinstance(answer, RefusedError) for answer in answers] == [
            False,
            True,
            True,
            False,
        ]
        assert ["AccessDenied" in str(answer) for answer in answers] == [False, True, False, False]

    def test_only_target_s_failure_is_a_value_too(
        self, build: Callable[[Mapping[str, str]], Commands]
    ) -> None:
        (answer,) = build({"web": "InvalidDocument"}).send([request_to()])
        assert isinstance(answer, RefusedError)


EXPECTED: dict[str, Any] = {
    "DocumentName": "pulley-dev-pull",
    "Targets": [
        {"Key": "tag:pulley", "Values": ("dev",)},
        {"Key": "tag:role", "Values": ("web",)},
    ],
    "Parameters": {
        "Target": ["web"],
        "Repository": ["octo/site"],
        "Checkout": ["/srv/site"],
        "Branch": ["main"],
        "Commit": [COMMIT],
        "Update": ["rebase"],
        "AfterPull": [""],
        "Restart": [""],
        "HealthCheck": [""],
        "Timeout": ["600"],
        "Issued": ["1896091200000"],
        "Cause": ["push"],
        "Delivery": [GUID],
        "Deployment": [""],
    },
    "Comment": "push: octo/site 4d5e6f7 to web",
    "TimeoutSeconds": 600,
    "MaxConcurrency": "50",
    "MaxErrors": "0",
}


class StubbedClient:
    """A client that answers only the calls that it was told of."""

    def __init__(self) -> None:
        self.client = new_client()
        self.stubber = Stubber(self.client)

    def expect(self, arguments: dict[str, Any]) -> None:
        answer = {"Command": {"CommandId": COMMAND_ID}}
        self.stubber.add_response("send_command", answer, arguments)

    def send(self, request: SendRequest) -> str | PulleyError:
        (answer,) = RunCommand(self.client).send([request])
        return answer


@pytest.fixture
def stubbed() -> Iterator[StubbedClient]:
    stubbed = StubbedClient()
    with stubbed.stubber:
        yield stubbed
        stubbed.stubber.assert_no_pending_responses()


class TestRunCommandSend:
    def test_document_that_is_not_pinned_is_sent_as_it_is_now(self, stubbed: StubbedClient) -> None:
        stubbed.expect(EXPECTED)
        assert stubbed.send(request_to()) == COMMAND_ID

    def test_document_that_is_pinned_is_sent_by_version_and_hash(
        self, stubbed: StubbedClient
    ) -> None:
        pinned = {
            "DocumentVersion": "3",
            "DocumentHash": "a" * 64,
            "DocumentHashType": "Sha256",
        }
        stubbed.expect(EXPECTED | pinned)
        request = request_to(document_pin=DocumentPin("3", "a" * 64))
        assert stubbed.send(request) == COMMAND_ID

    def test_ids_are_selected_by_their_key_and_keep_one_command(
        self, stubbed: StubbedClient
    ) -> None:
        ids = [f"i-{number:017x}" for number in range(50)]
        stubbed.expect(EXPECTED | {"Targets": [{"Key": "InstanceIds", "Values": tuple(ids)}]})
        assert stubbed.send(request_to(instances={"ids": ids})) == COMMAND_ID

    def test_log_group_gets_the_whole_output(self, stubbed: StubbedClient) -> None:
        log = {"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": "/pulley/site"}
        stubbed.expect(EXPECTED | {"CloudWatchOutputConfig": log})
        assert stubbed.send(request_to(log_group="/pulley/site")) == COMMAND_ID

    def test_roll_out_settings_are_the_target_s(self, stubbed: StubbedClient) -> None:
        stubbed.expect(EXPECTED | {"MaxConcurrency": "25%", "MaxErrors": "1"})
        request = request_to(max_concurrency="25%", max_errors="1")
        assert stubbed.send(request) == COMMAND_ID

    @pytest.mark.parametrize(
        "code", ["AccessDeniedException", "InvalidDocument", "InvalidInstanceId"]
    )
    def test_refusal_names_the_target_and_the_code(self, stubbed: StubbedClient, code: str) -> None:
        stubbed.stubber.add_client_error("send_command", code, "not on pulley-dev-pull")
        answer = stubbed.send(request_to())
        assert isinstance(answer, RefusedError)
        assert str(answer) == f"AWS refused the command to web ({code})"
        assert "not on pulley-dev-pull" in answer.detail

    @pytest.mark.parametrize(
        ("code", "status"), [("ThrottlingException", 400), ("InternalServerError", 500)]
    )
    def test_busy_aws_is_unavailable(self, stubbed: StubbedClient, code: str, status: int) -> None:
        stubbed.stubber.add_client_error("send_command", code, http_status_code=status)
        answer = stubbed.send(request_to())
        assert isinstance(answer, UnavailableError)
        assert str(answer) == "AWS is too busy for the command to web"

    def test_request_that_the_sdk_will_not_send_is_a_value_too(self) -> None:
        client, wire = new_client(), Wire()
        wire.attach(client.meta.events)
        without_comment = replace(request_to(), comment=None)  # type: ignore[arg-type]
        (answer,) = RunCommand(client).send([without_comment])
        assert wire.attempts == []
        assert isinstance(answer, UnavailableError)
        assert "Invalid type for parameter Comment" in answer.detail

    def test_failure_before_the_network_is_unavailable(self) -> None:
        client = new_client()
        Wire(NoCredentialsError()).attach(client.meta.events)
        (answer,) = RunCommand(client).send([request_to()])
        assert isinstance(answer, UnavailableError)
        assert str(answer) == "AWS could not be reached for the command to web"

    @pytest.mark.parametrize("count", [1, 3])
    def test_past_the_deadline_each_target_is_told_late_and_nothing_is_sent(
        self, count: int
    ) -> None:
        client, deadline, wire = new_client(), Deadline(FakeClock()), Wire()
        deadline.restart(0)
        client.meta.events.register("before-send.ssm", deadline.check)
        wire.attach(client.meta.events)
        requests = [request_to(f"web-{number}") for number in range(count)]
        answers = RunCommand(client).send(requests)
        assert [type(answer) for answer in answers] == [LateError] * count
        assert wire.attempts == []

    def test_answers_are_in_the_order_of_the_requests(self) -> None:
        def answer(_operation: str, arguments: Mapping[str, Any]) -> Reply:
            return 200, {"Command": {"CommandId": f"command for {target_of(arguments)}"}}

        client = new_client()
        Wire(answer).attach(client.meta.events)
        names = [f"web-{number}" for number in range(3 * SENT_AT_ONCE)]
        answers = RunCommand(client).send([request_to(name) for name in names])
        assert answers == [f"command for {name}" for name in names]
