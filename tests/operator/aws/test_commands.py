"""Commands are cancelled and read, and a target's commands are found among all."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

from chalicelib.core.errors import RefusedError, UnavailableError
from chalicelib.core.history import Check, Command
from chalicelib.core.refs import Repository
from chalicelib.core.targets import parse_target
from chalicelib.edges.command_output import CommandOutput, Output
from pulley.operator.aws.commands import (
    Addressee,
    Operations,
    addressees_of,
    commands_to,
    under_way,
)
from tests.fakes import SITE, target_json
from tests.flows.runs import check_of, command_of, id_of

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

WEB = parse_target("web", target_json())
HOST = "i-0123456789abcdef0"


@pytest.fixture
def client() -> "SSMClient":
    session = boto3.Session(
        region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    return session.client("ssm")


@pytest.fixture
def stub(client: "SSMClient") -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


class TestOperations:
    def test_command_is_cancelled_on_all_of_its_hosts(
        self, client: "SSMClient", stub: Stubber
    ) -> None:
        stub.add_response("cancel_command", {}, {"CommandId": id_of(1)})
        Operations(client).cancel(id_of(1))

    @pytest.mark.parametrize(
        ("code", "status", "error"),
        [
            ("AccessDeniedException", 400, RefusedError),
            ("ThrottlingException", 400, UnavailableError),
            ("InternalServerError", 500, UnavailableError),
        ],
    )
    def test_aws_error_is_raised_with_the_command_or_host(
        self, client: "SSMClient", stub: Stubber, code: str, status: int, error: type[Exception]
    ) -> None:
        for operation in ("cancel_command", "get_command_invocation"):
            stub.add_client_error(operation, code, http_status_code=status)
        with pytest.raises(error, match=id_of(1)):
            Operations(client).cancel(id_of(1))
        with pytest.raises(error, match=HOST):
            CommandOutput(client).read(id_of(1), HOST)

    def test_output_is_both_streams(self, client: "SSMClient", stub: Stubber) -> None:
        answer = {"StandardOutputContent": "out", "StandardErrorContent": "err"}
        arguments = {"CommandId": id_of(1), "InstanceId": HOST}
        stub.add_response("get_command_invocation", answer, arguments)
        assert CommandOutput(client).read(id_of(1), HOST) == Output("out", "err")

    def test_host_without_an_invocation_has_empty_output(
        self, client: "SSMClient", stub: Stubber
    ) -> None:
        stub.add_client_error("get_command_invocation", "InvocationDoesNotExist")
        assert CommandOutput(client).read(id_of(1), HOST) == Output("", "")


class TestCommandsTo:
    def test_commands_of_other_targets_and_repositories_and_checks_are_left_out(self) -> None:
        ours = command_of(number=1)
        others: list[Command | Check] = [
            command_of(number=2, target="api"),
            command_of(number=3, repository=Repository("octo", "other")),
            check_of(4),
        ]
        assert commands_to(WEB, [*others, ours]) == [ours]


class TestAddresseesOf:
    def test_each_target_of_a_command_is_listed_once(self) -> None:
        ours = [command_of(number=1), command_of(number=2)]
        sent: list[Command | Check] = [*ours, command_of(number=3, target="api"), check_of(4)]
        assert addressees_of(sent) == (Addressee("api", SITE), Addressee("web", SITE))


class TestUnderWay:
    def test_command_is_under_way_until_it_ends_or_expires(self) -> None:
        going = command_of(number=1, status="InProgress")
        over = command_of(number=1)
        assert under_way(WEB, [over, going], now=going.expires) == [going]
        assert under_way(WEB, [going], now=going.expires + timedelta(seconds=1)) == []
