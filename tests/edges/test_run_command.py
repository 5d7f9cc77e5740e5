"""Run Command: one suite for the fake and the real edge, then the exact call that AWS gets."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

from chalicelib.core.commands import DocumentPin, SendRequest, build_send_request
from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.core.history import CLOCKS_APART, Check, Command, Invocation, issued_of
from chalicelib.core.refs import CommitSha, InstanceId
from chalicelib.core.targets import parse_target
from chalicelib.edges.aws import Deadline, LateError
from chalicelib.edges.command_history import (
    MAX_COMMANDS,
    MAX_TRACE,
    PAGE,
    CommandHistory,
    HostAnswers,
)
from chalicelib.edges.run_command import SENT_AT_ONCE, RunCommand
from chalicelib.flows.deploy import Commands
from pulley.sandbox.account import Account
from tests.edges.clients import new_ssm
from tests.facts import ROLL_OUT
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

COMMAND_ID = "0831e1a8-a1ac-4257-a1fd-c831b48c4107"


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
    """A port that refuses some targets, each with an error code of AWS."""

    def build_commands(refused: Mapping[str, str]) -> Commands:
        if request.param == "fake":
            return FakeCommands({name: RefusedError(code) for name, code in refused.items()})

        def answer(_operation: str, arguments: Mapping[str, Any]) -> Reply:
            target = target_of(arguments)
            if target in refused:
                return aws_error(refused[target])
            return 200, {"Command": {"CommandId": f"command for {target}"}}

        client = new_ssm()
        Wire(answer).attach(client.meta.events)
        return RunCommand(client)

    return build_commands


class TestCommandsSend:
    def test_without_requests_nothing_is_sent(
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

    def test_failure_of_the_only_target_is_returned_and_not_raised(
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
        "Attempt": [""],
        "By": [""],
        "PushedAt": [""],
        "Saved": ["keep"],
    },
    "Comment": "push: octo/site 4d5e6f7 to web",
    "TimeoutSeconds": 600,
    "MaxConcurrency": "50",
    "MaxErrors": "0",
}


class StubbedClient:
    """A client that answers only the expected calls."""

    def __init__(self) -> None:
        self.client = new_ssm()
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
    def test_unpinned_document_is_sent_without_a_version(self, stubbed: StubbedClient) -> None:
        stubbed.expect(EXPECTED)
        assert stubbed.send(request_to()) == COMMAND_ID

    def test_pinned_document_is_sent_with_version_and_hash(self, stubbed: StubbedClient) -> None:
        pinned = {
            "DocumentVersion": "3",
            "DocumentHash": "a" * 64,
            "DocumentHashType": "Sha256",
        }
        stubbed.expect(EXPECTED | pinned)
        request = request_to(document_pin=DocumentPin("3", "a" * 64))
        assert stubbed.send(request) == COMMAND_ID

    def test_fifty_instance_ids_are_one_command_with_an_instance_ids_selector(
        self, stubbed: StubbedClient
    ) -> None:
        ids = [f"i-{number:017x}" for number in range(50)]
        stubbed.expect(EXPECTED | {"Targets": [{"Key": "InstanceIds", "Values": tuple(ids)}]})
        assert stubbed.send(request_to(instances={"ids": ids})) == COMMAND_ID

    def test_log_group_gets_the_whole_output(self, stubbed: StubbedClient) -> None:
        log = {"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": "/pulley/site"}
        stubbed.expect(EXPECTED | {"CloudWatchOutputConfig": log})
        assert stubbed.send(request_to(log_group="/pulley/site")) == COMMAND_ID

    def test_concurrency_and_error_limits_come_from_the_target(
        self, stubbed: StubbedClient
    ) -> None:
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

    def test_request_that_the_sdk_rejects_is_returned_as_unavailable(self) -> None:
        client, wire = new_ssm(), Wire()
        wire.attach(client.meta.events)
        without_comment = replace(request_to(), comment=None)  # type: ignore[arg-type]
        (answer,) = RunCommand(client).send([without_comment])
        assert wire.attempts == []
        assert isinstance(answer, UnavailableError)
        assert "Invalid type for parameter Comment" in answer.detail

    def test_failure_before_the_network_is_unavailable(self) -> None:
        client = new_ssm()
        Wire(NoCredentialsError()).attach(client.meta.events)
        (answer,) = RunCommand(client).send([request_to()])
        assert isinstance(answer, UnavailableError)
        assert str(answer) == "AWS could not be reached for the command to web"

    @pytest.mark.parametrize("count", [1, 3])
    def test_past_the_deadline_each_target_gets_a_late_error_and_nothing_is_sent(
        self, count: int
    ) -> None:
        client, deadline, wire = new_ssm(), Deadline(FakeClock()), Wire()
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

        client = new_ssm()
        Wire(answer).attach(client.meta.events)
        names = [f"web-{number}" for number in range(3 * SENT_AT_ONCE)]
        answers = RunCommand(client).send([request_to(name) for name in names])
        assert answers == [f"command for {name}" for name in names]


DOCUMENT = "pulley-dev-pull"
REQUESTED = datetime(2030, 1, 31, 12, 0, 5, tzinfo=UTC)
SINCE = datetime(2030, 1, 31, 11, 59, 59, 900_000, tzinfo=UTC)
SENT = replace(ROLL_OUT, deployment=3_000_000_019, checkout="/srv/site", branch="main")


def command_id(number: int) -> str:
    return f"0831e1a8-a1ac-4257-a1fd-{number:012d}"


def aws_command(number: int = 0, **changes: object) -> dict[str, object]:
    """A command as ListCommands shows it."""
    request = replace(
        request_to(), parameters={**request_to().parameters, "Deployment": "3000000019"}
    )
    return {
        "CommandId": command_id(number),
        "DocumentName": DOCUMENT,
        "DocumentVersion": "$DEFAULT",
        "Comment": request.comment,
        "ExpiresAfter": (REQUESTED + timedelta(minutes=70)).timestamp(),
        "Parameters": {name: [value] for name, value in request.parameters.items()},
        "InstanceIds": [],
        "Targets": [{"Key": "tag:pulley", "Values": ["dev"]}],
        "RequestedDateTime": REQUESTED.timestamp(),
        "Status": "Success",
        "StatusDetails": "Success",
        "TargetCount": 2,
        "CompletedCount": 2,
        "ErrorCount": 0,
    } | changes


def aws_step(**changes: object) -> dict[str, object]:
    return {
        "Name": "pull",
        "Status": "Success",
        "StatusDetails": "Success",
        "ResponseCode": 0,
        "ResponseStartDateTime": REQUESTED.timestamp(),
        "ResponseFinishDateTime": (REQUESTED + timedelta(seconds=7)).timestamp(),
        "Output": "pulley: updated",
    } | changes


def aws_invocation(number: int = 0, **changes: object) -> dict[str, object]:
    """An invocation as ListCommandInvocations shows it with Details."""
    return {
        "CommandId": command_id(0),
        "InstanceId": f"i-{number:017x}",
        "InstanceName": f"web-{number}.example.internal",
        "Comment": "push: octo/site 4d5e6f7 to web",
        "DocumentName": DOCUMENT,
        "RequestedDateTime": REQUESTED.timestamp(),
        "Status": "Success",
        "StatusDetails": "Success",
        "CommandPlugins": [aws_step()],
    } | changes


class Remembered:
    """A CommandHistory on an AWS that answers with these commands and invocations in pages."""

    def __init__(
        self, commands: list[dict[str, object]], invocations: list[dict[str, object]]
    ) -> None:
        self.rows = {"Commands": commands, "CommandInvocations": invocations}
        client = new_ssm()
        self.wire = Wire(self._answer)
        self.wire.attach(client.meta.events)
        self.edge = CommandHistory(client, DOCUMENT)

    def _answer(self, operation: str, arguments: Mapping[str, Any]) -> Reply:
        name = operation.removeprefix("List")
        start, size = int(arguments.get("NextToken", 0)), arguments.get("MaxResults", PAGE)
        answer: dict[str, object] = {name: self.rows[name][start : start + size]}
        if start + size < len(self.rows[name]):
            answer["NextToken"] = str(start + size)
        return 200, answer


def history_of(*commands: dict[str, object]) -> Remembered:
    return Remembered(list(commands), [])


def invocations_of(*invocations: dict[str, object]) -> Remembered:
    return Remembered([], list(invocations))


class TestCommandHistoryCommand:
    def test_command_is_parsed_with_its_roll_out(self) -> None:
        history = history_of(aws_command())
        assert history.edge.command(command_id(0)) == Command(
            id=command_id(0),
            status="Success",
            details="Success",
            requested=REQUESTED,
            expires=REQUESTED + timedelta(minutes=70),
            target_count=2,
            roll_out=SENT,
            selectors=(("tag:pulley", ("dev",)),),
        )
        assert history.wire.attempts == [("ListCommands", {"CommandId": command_id(0)})]

    @pytest.mark.parametrize(
        "changes",
        [
            {"Parameters": {}},
            {"Parameters": {"Commit": [], "Repository": []}},
            {"Parameters": {"Commit": ["main"], "Repository": ["octo/site"], "Target": ["web"]}},
        ],
    )
    def test_command_without_a_commit_is_a_check(self, changes: dict[str, Any]) -> None:
        found = history_of(aws_command(**changes)).edge.command(command_id(0))
        assert isinstance(found, Check)

    def test_check_has_its_target_and_the_request_time_of_aws(self) -> None:
        parameters = {"Update": ["check"], "Target": ["web"], "Checkout": ["/srv/site"]}
        found = history_of(aws_command(Parameters=parameters | {"Issued": ["1"]})).edge.command(
            command_id(0)
        )
        assert isinstance(found, Check)
        assert (found.target, found.checkout) == ("web", "/srv/site")
        assert issued_of(found) == int(REQUESTED.timestamp() * 1000)

    @pytest.mark.parametrize("update", ["check", "saved", "drop"])
    def test_command_with_a_commit_that_does_not_deploy_is_a_check(self, update: str) -> None:
        parameters = {name: [value] for name, value in request_to().parameters.items()}
        sent = aws_command(Parameters=parameters | {"Update": [update]})
        assert isinstance(history_of(sent).edge.command(command_id(0)), Check)

    def test_fields_that_aws_omits_are_empty(self) -> None:
        found = aws_command()
        for name in ("StatusDetails", "TargetCount", "Comment", "Parameters"):
            del found[name]
        command = history_of(found).edge.command(command_id(0))
        assert isinstance(command, Check)
        assert (command.details, command.target_count, command.checkout) == ("", 0, "")

    def test_command_unknown_to_aws_is_none(self) -> None:
        history = history_of()
        assert history.edge.command(command_id(0)) is None
        history.wire.reply = aws_error("InvalidCommandId")
        assert history.edge.command(command_id(0)) is None

    @pytest.mark.parametrize("document", ["pulley-prod-pull", "AWS-RunShellScript", None])
    def test_command_of_another_document_is_none(self, document: str | None) -> None:
        found = aws_command(DocumentName=document)
        if document is None:
            del found["DocumentName"]
        assert history_of(found).edge.command(command_id(0)) is None


class TestCommandHistoryCommandsSince:
    @pytest.mark.parametrize(
        "since",
        [SINCE, SINCE.astimezone(timezone(timedelta(hours=9, minutes=30)))],
        ids=["UTC", "elsewhere"],
    )
    def test_commands_of_the_document_are_requested_since_utc_whole_seconds(
        self, since: datetime
    ) -> None:
        history = history_of(aws_command())
        history.edge.commands_since(since)
        ((operation, arguments),) = history.wire.attempts
        assert operation == "ListCommands"
        assert arguments["Filters"] == [
            {"key": "DocumentName", "value": DOCUMENT},
            {"key": "InvokedAfter", "value": "2030-01-31T11:59:59Z"},
        ]

    @pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 3 * PAGE - 1, MAX_COMMANDS])
    def test_all_pages_are_read_in_the_order_of_aws(self, count: int) -> None:
        history = history_of(*(aws_command(number) for number in range(count)))
        found = history.edge.commands_since(SINCE)
        assert [one.id for one in found] == [command_id(number) for number in range(count)]
        assert len(history.wire.attempts) == max(1, -(-count // PAGE))
        assert all(one["MaxResults"] == PAGE for one in history.wire.arguments_of("ListCommands"))

    def test_default_limit_ends_the_list(self) -> None:
        history = history_of(*(aws_command(number) for number in range(MAX_COMMANDS + 10)))
        found = history.edge.commands_since(SINCE)
        assert [one.id for one in found] == [command_id(number) for number in range(MAX_COMMANDS)]

    @pytest.mark.parametrize("limit", [1, PAGE, PAGE + 1, 2 * MAX_COMMANDS])
    def test_pages_are_read_up_to_a_given_limit(self, limit: int) -> None:
        history = history_of(*(aws_command(number) for number in range(limit + 10)))
        found = history.edge.commands_since(SINCE, limit)
        assert [one.id for one in found] == [command_id(number) for number in range(limit)]
        assert len(history.wire.attempts) == -(-limit // PAGE)
        assert history.edge.commands_since(SINCE, limit=10 * limit + 10)[-1].id == command_id(
            limit + 9
        )

    def test_failing_page_fails_the_whole_list(self) -> None:
        history = history_of()
        pages = iter(
            [
                (200, {"Commands": [aws_command()], "NextToken": "1"}),
                aws_error("AccessDeniedException"),
            ]
        )
        history.wire.reply = lambda _operation, _arguments: next(pages)
        with pytest.raises(RefusedError, match="AWS refused reading the commands"):
            history.edge.commands_since(SINCE)


class TestCommandHistoryInvocations:
    def test_invocation_has_the_output_and_end_of_the_host(self) -> None:
        history = invocations_of(aws_invocation(1))
        assert history.edge.invocations(command_id(0)) == (
            Invocation(
                instance_id=f"i-{1:017x}",
                host="web-1",
                status="Success",
                details="Success",
                output="pulley: updated",
                ended=REQUESTED + timedelta(seconds=7),
            ),
        )
        ((_operation, arguments),) = history.wire.attempts
        assert (arguments["CommandId"], arguments["Details"]) == (command_id(0), True)

    @pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 3 * PAGE - 1])
    def test_all_pages_are_read(self, count: int) -> None:
        history = invocations_of(*(aws_invocation(number) for number in range(count)))
        found = history.edge.invocations(command_id(0))
        assert [one.host for one in found] == [f"web-{number}" for number in range(count)]
        assert len(history.wire.attempts) == max(1, -(-count // PAGE))

    @pytest.mark.parametrize(
        ("name", "host"),
        [
            ("web-1.example.internal", "web-1"),
            ("ip-10-0-0-5.eu-west-1.compute.internal", "ip-10-0-0-5"),
            ("web-1", "web-1"),
            ("", f"i-{0:017x}"),
            (".internal", f"i-{0:017x}"),
            ("w; 3 of 3 hosts at ccccccc; a", f"i-{0:017x}"),
            (None, f"i-{0:017x}"),
        ],
    )
    def test_host_name_is_short_and_never_empty(self, name: str | None, host: str) -> None:
        found = aws_invocation(InstanceName=name)
        if name is None:
            del found["InstanceName"]
        (invocation,) = invocations_of(found).edge.invocations(command_id(0))
        assert invocation.host == host

    @pytest.mark.parametrize("steps", [[], None])
    def test_invocation_without_steps_has_not_begun_and_has_no_output(
        self, steps: list[object] | None
    ) -> None:
        found = aws_invocation(
            Status="Pending", StatusDetails="Delivery Timed Out", CommandPlugins=steps
        )
        if steps is None:
            del found["CommandPlugins"]
        (invocation,) = invocations_of(found).edge.invocations(command_id(0))
        assert (invocation.output, invocation.ended) == ("", None)
        assert not invocation.has_begun

    def test_invocation_failed_without_a_step_is_refused_with_the_agent_trace(self) -> None:
        found = aws_invocation(
            Status="Failed", StatusDetails="Failed", CommandPlugins=[], TraceOutput="no " * 1000
        )
        (invocation,) = invocations_of(found).edge.invocations(command_id(0))
        assert invocation.is_refused
        assert invocation.trace == ("no " * 1000)[:MAX_TRACE]

    @pytest.mark.parametrize(
        "changes",
        [
            {"StatusDetails": "Failed"},
            {"StatusDetails": "AccessDenied", "CommandPlugins": []},
            {"Status": "Success", "StatusDetails": "Success", "CommandPlugins": []},
        ],
    )
    def test_other_failed_invocation_is_not_refused(self, changes: dict[str, object]) -> None:
        found = aws_invocation() | {"Status": "Failed"} | changes
        (invocation,) = invocations_of(found).edge.invocations(command_id(0))
        assert not invocation.is_refused

    def test_running_step_has_no_end_time(self) -> None:
        step = aws_step(Status="InProgress", Output="")
        del step["ResponseFinishDateTime"]
        (invocation,) = invocations_of(aws_invocation(CommandPlugins=[step])).edge.invocations(
            command_id(0)
        )
        assert invocation.ended is None


READS: dict[str, Callable[[CommandHistory], object]] = {
    "reading a command": lambda history: history.command(command_id(0)),
    "reading the commands": lambda history: history.commands_since(SINCE),
    "reading what the hosts said": lambda history: history.invocations(command_id(0)),
}


@pytest.mark.parametrize(("what", "read"), READS.items(), ids=READS.keys())
class TestCommandHistoryErrors:
    def test_refusal_names_the_read_and_keeps_the_message_in_its_detail(
        self, what: str, read: Callable[[CommandHistory], object]
    ) -> None:
        history = history_of()
        history.wire.reply = aws_error("AccessDeniedException", message="on arn:aws:ssm:::*")
        with pytest.raises(RefusedError) as caught:
            read(history.edge)
        assert str(caught.value) == f"AWS refused {what} (AccessDeniedException)"
        assert "on arn:aws:ssm:::*" in caught.value.detail

    @pytest.mark.parametrize(
        ("code", "status"), [("ThrottlingException", 400), ("InternalServerError", 500)]
    )
    def test_busy_aws_is_unavailable(
        self, what: str, read: Callable[[CommandHistory], object], code: str, status: int
    ) -> None:
        history = history_of()
        client = history.edge._client
        operation = {
            "reading a command": "list_commands",
            "reading the commands": "list_commands",
            "reading what the hosts said": "list_command_invocations",
        }[what]
        with Stubber(client) as stubber:
            stubber.add_client_error(operation, code, http_status_code=status)
            with pytest.raises(UnavailableError, match=f"AWS is too busy for {what}"):
                read(history.edge)

    def test_failure_before_the_network_is_unavailable(
        self, what: str, read: Callable[[CommandHistory], object]
    ) -> None:
        history = history_of()
        history.wire.reply = NoCredentialsError()
        with pytest.raises(UnavailableError, match=f"AWS could not be reached for {what}"):
            read(history.edge)


CONTENT = """{
  "schemaVersion": "2.2",
  "parameters": {%s},
  "mainSteps": [{
    "action": "aws:runShellScript",
    "name": "pull",
    "inputs": {"runCommand": ["echo said by $(uname)"], "timeoutSeconds": "60"}
  }]
}"""


class TestCommandHistoryOnTheSandbox:
    """The sandbox's Run Command is read in the same way as AWS's."""

    @pytest.fixture
    def account(self) -> Iterator[Account]:
        with Account() as account:
            declared = ", ".join(
                f'"{name}": {{"type": "String", "default": ""}}' for name in request_to().parameters
            )
            for document in (DOCUMENT, "another-document"):
                account.ssm.create_document(
                    Name=document, Content=CONTENT % declared, DocumentType="Command"
                )
            yield account

    def test_sent_command_is_read_back(self, account: Account, tmp_path: Path) -> None:
        hosts = [
            account.add_host(f"web-{number}", tags={"pulley": "dev", "role": "web"}, root=tmp_path)
            for number in range(2)
        ]
        began = datetime.now(UTC) - timedelta(seconds=1)
        (sent,) = RunCommand(account.ssm).send([request_to()])
        assert isinstance(sent, str)
        account.run_command.wait_until_quiet()
        history = CommandHistory(account.ssm, DOCUMENT)
        command = history.command(sent)
        assert isinstance(command, Command)
        assert command.is_over
        assert command.target_count == 2
        # `Issued` is in 2030: the history clamps it to shortly after the request time.
        issued = int((command.requested + CLOCKS_APART).timestamp() * 1000)
        assert command.roll_out == replace(SENT, deployment=None, issued=issued)
        assert began <= command.requested < command.expires
        assert history.commands_since(began) == [command]
        assert history.commands_since(datetime.now(UTC) + timedelta(hours=1)) == []
        invocations = history.invocations(sent)
        assert {one.instance_id for one in invocations} == {host.instance_id for host in hosts}
        assert {one.host for one in invocations} == {"web-0", "web-1"}
        for one in invocations:
            assert one.status == one.details == "Success"
            assert re.fullmatch(r"said by \w+\n?", one.output)
            assert one.ended
            assert one.ended >= command.requested - timedelta(seconds=1)

    def test_unknown_or_foreign_command_is_none(self, account: Account, tmp_path: Path) -> None:
        account.add_host("web-0", tags={"pulley": "dev", "role": "web"}, root=tmp_path)
        (sent,) = RunCommand(account.ssm).send([replace(request_to(), document="another-document")])
        assert isinstance(sent, str)
        history = CommandHistory(account.ssm, DOCUMENT)
        assert history.command(sent) is None
        assert history.command(command_id(7)) is None
        assert history.command("f" * 36) is None
        assert history.commands_since(datetime.now(UTC) - timedelta(hours=1)) == []
        assert history.invocations(command_id(7)) == ()


class TestHostAnswers:
    ID = InstanceId("i-0123456789abcdef0")

    def test_newest_commands_of_this_document_are_told_with_whether_they_are_over(self) -> None:
        client = new_ssm()
        rows = [
            {"CommandId": command_id(0), "DocumentName": DOCUMENT, "Status": "Success"},
            {"CommandId": command_id(1), "DocumentName": DOCUMENT, "Status": "InProgress"},
            {"CommandId": command_id(2), "DocumentName": DOCUMENT, "Status": "TimedOut"},
            {
                "CommandId": command_id(3),
                "DocumentName": "AWS-RunPatchBaseline",
                "Status": "Pending",
            },
        ]
        wanted = {"InstanceId": self.ID, "MaxResults": PAGE}
        with Stubber(client) as stub:
            stub.add_response("list_command_invocations", {"CommandInvocations": rows}, wanted)
            found = HostAnswers(client, DOCUMENT).answers_of(self.ID)
        assert found == {command_id(0): True, command_id(1): False, command_id(2): True}

    def test_refusal_is_an_error(self) -> None:
        client = new_ssm()
        with Stubber(client) as stub:
            stub.add_client_error("list_command_invocations", "AccessDeniedException")
            with pytest.raises(RefusedError, match="reading what a host said"):
                HostAnswers(client, DOCUMENT).answers_of(self.ID)
