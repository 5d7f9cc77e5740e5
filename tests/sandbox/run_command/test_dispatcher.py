"""Run Command as boto3 sees it: what is refused, who is sent what, and what is told of it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pulley.sandbox.account import Account
from pulley.sandbox.run_command.agent import EmulatedHost
from pulley.sandbox.run_command.commands import EmulatedCommand
from tests.processes import HANG_SECONDS

pytestmark = pytest.mark.timeout(30)

Add = Callable[..., EmulatedHost]
Store = Callable[..., str]
Send = Callable[..., str]
Run = Callable[..., EmulatedCommand]

UNKNOWN_COMMAND = "00000000-0000-4000-8000-000000000000"
EXISTING_TAG = {"Key": "tag:fleet", "Values": ["all"]}
WORD: dict[str, dict[str, object]] = {"Word": {"type": "String", "allowedPattern": "^[a-z]+$"}}


def statuses(command: EmulatedCommand) -> list[str]:
    return [one.status.details for one in command.invocations]


def _is_under_way(command: EmulatedCommand) -> bool:
    return command.status.details == "InProgress"


def tag(key: str, *values: str) -> dict[str, object]:
    return {"Key": f"tag:{key}", "Values": list(values)}


class TestSendCommandRefuses:
    @pytest.fixture(scope="class")
    @classmethod
    def account(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
        """One account for all: what is refused leaves nothing behind."""
        content = {
            "schemaVersion": "2.2",
            "parameters": WORD,
            "mainSteps": [
                {
                    "action": "aws:runShellScript",
                    "name": "only",
                    "inputs": {"runCommand": ["true"]},
                }
            ],
        }
        with Account() as account:
            account.add_host("web-1", tags={"fleet": "all"}, root=tmp_path_factory.mktemp("root"))
            account.ssm.create_document(
                Name="test-document", Content=json.dumps(content), DocumentType="Command"
            )
            yield account

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            pytest.param({"Targets": []}, "ValidationException", id="nobody"),
            pytest.param(
                {"Targets": [tag("cost+centre", "x")]},
                "ValidationException",
                id="a character that EC2 takes in a tag's key and SSM does not",
            ),
            pytest.param(
                {"Targets": [tag(str(number), "x") for number in range(6)]},
                "ValidationException",
                id="six selectors",
            ),
            pytest.param(
                {"Targets": [tag("fleet", *map(str, range(51)))]},
                "ValidationException",
                id="51 values",
            ),
            pytest.param(
                {"Targets": [EXISTING_TAG, {"Key": "InstanceIds", "Values": ["i-12345678"]}]},
                "ValidationException",
                id="ids and tags",
            ),
            pytest.param(
                {"Targets": [{"Key": "fleet", "Values": ["all"]}]},
                "ValidationException",
                id="a key of no known kind",
            ),
            pytest.param({"Targets": [tag("fleet")]}, "ValidationException", id="no values"),
            pytest.param(
                {"Targets": [EXISTING_TAG, EXISTING_TAG]}, "ValidationException", id="a key twice"
            ),
            pytest.param(
                {"InstanceIds": ["i-12345678"]}, "InvalidInstanceId", id="an id nobody has"
            ),
            pytest.param(
                {"InstanceIds": ["i-12345678", "i-12345678"]},
                "DuplicateInstanceId",
                id="an id twice",
            ),
            pytest.param(
                {"InstanceIds": ["web-1"]}, "ValidationException", id="an id that is none"
            ),
            pytest.param({"Comment": "x" * 101}, "ValidationException", id="a long comment"),
            pytest.param(
                {"TimeoutSeconds": 2_592_001}, "ValidationException", id="a month and 1 s"
            ),
            pytest.param({"MaxConcurrency": "0"}, "ValidationException", id="nobody at once"),
            pytest.param({"MaxConcurrency": "101%"}, "ValidationException", id="more than all"),
            pytest.param({"MaxErrors": "some"}, "ValidationException", id="errors without number"),
            pytest.param({"DocumentName": "nothing"}, "InvalidDocument", id="no such document"),
            pytest.param({"DocumentVersion": "2"}, "InvalidDocumentVersion", id="no such version"),
            pytest.param(
                {"DocumentVersion": "two"}, "ValidationException", id="a version that is none"
            ),
            pytest.param(
                {"DocumentHash": "0" * 64, "DocumentHashType": "Sha256"},
                "InvalidDocument",
                id="another hash",
            ),
            pytest.param({"Parameters": {}}, "InvalidParameters", id="parameter missing"),
            pytest.param(
                {"Parameters": {"Word": ["a"], "Other": ["b"]}},
                "InvalidParameters",
                id="parameter undeclared",
            ),
            pytest.param(
                {"Parameters": {"Word": ["A"]}}, "InvalidParameters", id="pattern not matched"
            ),
            pytest.param(
                {"Parameters": {"Word": ["a\n"]}}, "InvalidParameters", id="newline at the end"
            ),
            pytest.param(
                {"Parameters": {"Word": ["a", "b"]}}, "InvalidParameters", id="two for a String"
            ),
        ],
    )
    def test_request_that_aws_would_refuse(
        self, account: Account, send: Send, arguments: dict[str, object], code: str
    ) -> None:
        with pytest.raises(ClientError) as refused:
            send(**{"Parameters": {"Word": ["a"]}, **arguments})
        assert refused.value.response["Error"]["Code"] == code
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert account.ssm.list_commands()["Commands"] == []


class TestSendCommand:
    def test_answer_is_the_command_before_anything_happened(
        self, account: Account, add_host: Add, store: Store
    ) -> None:
        add_host()
        store("true", parameters=WORD)
        command = account.ssm.send_command(
            DocumentName="test-document",
            Targets=[{"Key": "tag:fleet", "Values": ["all"]}],
            Parameters={"Word": ["a"]},
            Comment="why",
            TimeoutSeconds=30,
            MaxErrors="1",
        )["Command"]
        assert (command["Status"], command["StatusDetails"]) == ("Pending", "Pending")
        assert command["Targets"] == [EXISTING_TAG]
        assert command["Parameters"] == {"Word": ["a"]}
        assert command["Comment"] == "why"
        assert (command["MaxConcurrency"], command["MaxErrors"]) == ("50", "1")
        assert (command["TargetCount"], command["CompletedCount"]) == (1, 0)
        expires = command["RequestedDateTime"] + timedelta(seconds=30 + 3600)
        assert command["ExpiresAfter"] == expires

    @pytest.mark.parametrize(
        ("version", "said"),
        [("$DEFAULT", "one\n"), ("$LATEST", "two\n"), ("1", "one\n"), ("2", "two\n")],
    )
    def test_version_asked_for_is_the_one_that_runs(
        self, account: Account, add_host: Add, store: Store, run: Run, version: str, said: str
    ) -> None:
        add_host()
        store("echo one")
        content = account.ssm.get_document(Name="test-document")["Content"]
        account.ssm.update_document(
            Name="test-document",
            Content=content.replace("echo one", "echo two"),
            DocumentVersion="$LATEST",
        )
        (invocation,) = run(DocumentVersion=version).invocations
        assert invocation.results[0].stdout.decode() == said

    def test_hash_of_the_version_is_accepted(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("true")
        content = account.ssm.get_document(Name="test-document")["Content"]
        digest = hashlib.sha256(content.encode()).hexdigest()
        command = run(DocumentVersion="1", DocumentHash=digest, DocumentHashType="Sha256")
        assert statuses(command) == ["Success"]

    def test_document_may_be_named_by_its_address(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("true")
        command = run(DocumentName="arn:aws:ssm:eu-west-1:123456789012:document/test-document")
        assert statuses(command) == ["Success"]

    def test_ids_and_selectors_together_are_refused(
        self, add_host: Add, store: Store, send: Send
    ) -> None:
        host = add_host()
        store("true")
        with pytest.raises(ClientError, match="ValidationException"):
            send(InstanceIds=[host.instance_id], Targets=[EXISTING_TAG])

    def test_value_that_is_not_among_the_allowed_ones_is_refused(
        self, add_host: Add, store: Store, send: Send
    ) -> None:
        add_host()
        store("true", parameters={"Word": {"type": "String", "allowedValues": ["a", "b"]}})
        with pytest.raises(ClientError, match="InvalidParameters"):
            send(Parameters={"Word": ["c"]})

    def test_terminated_instance_is_refused(
        self, account: Account, add_host: Add, store: Store, send: Send
    ) -> None:
        host = add_host()
        account.ec2.terminate_instances(InstanceIds=[host.instance_id])
        store("true")
        with pytest.raises(ClientError, match="InvalidInstanceId"):
            send(InstanceIds=[host.instance_id])


class TestTargetSelectors:
    @pytest.fixture
    def fleet(self, add_host: Add, store: Store) -> list[EmulatedHost]:
        store("true")
        return [
            add_host("web-1", role="web", zone="a"),
            add_host("web-2", role="web", zone="b"),
            add_host("batch-1", role="batch", zone="a"),
        ]

    @pytest.mark.parametrize(
        ("selectors", "names"),
        [
            ([tag("role", "web")], ["web-1", "web-2"]),
            ([tag("role", "web", "batch")], ["web-1", "web-2", "batch-1"]),
            ([tag("role", "web"), tag("zone", "a")], ["web-1"]),
            ([tag("role", "batch"), tag("zone", "b")], []),
            ([tag("role", "w*")], []),
            ([{"Key": "tag-key", "Values": ["zone"]}], ["web-1", "web-2", "batch-1"]),
        ],
    )
    @pytest.mark.usefixtures("fleet")
    def test_all_selectors_must_fit_by_any_of_their_values(
        self, run: Run, selectors: list[object], names: list[str]
    ) -> None:
        command = run(Targets=selectors)
        assert [one.instance_name for one in command.invocations] == names

    def test_ids_may_be_selectors(self, fleet: list[EmulatedHost], run: Run) -> None:
        wanted = [fleet[0].instance_id, fleet[2].instance_id]
        command = run(Targets=[{"Key": "InstanceIds", "Values": wanted}])
        assert [one.instance_id for one in command.invocations] == wanted

    def test_ids_may_be_given_as_such(self, fleet: list[EmulatedHost], run: Run) -> None:
        command = run(InstanceIds=[fleet[1].instance_id])
        assert [one.instance_name for one in command.invocations] == ["web-2"]

    @pytest.mark.usefixtures("fleet")
    def test_tag_that_nobody_has_is_known_only_afterwards(
        self, account: Account, send: Send
    ) -> None:
        command_id = send(Targets=[tag("role", "mail")])
        account.wait_until_ended(command_id)
        (shown,) = account.ssm.list_commands(CommandId=command_id)["Commands"]
        assert (shown["Status"], shown["StatusDetails"]) == ("Success", "NoInstancesInTag")
        assert (shown["TargetCount"], shown["CompletedCount"]) == (0, 0)

    def test_tag_added_after_the_start_counts(
        self, account: Account, fleet: list[EmulatedHost], run: Run
    ) -> None:
        account.ec2.create_tags(
            Resources=[fleet[2].instance_id], Tags=[{"Key": "role", "Value": "web"}]
        )
        assert len(run(Targets=[tag("role", "web")]).invocations) == 3

    def test_instance_born_later_is_not_in_the_command(
        self, account: Account, fleet: list[EmulatedHost], add_host: Add, send: Send
    ) -> None:
        fleet[0].sleep()
        command_id = send(Targets=[tag("role", "web")])
        add_host("web-3", role="web")
        fleet[0].wake()
        command = account.wait_until_ended(command_id)
        assert [one.instance_name for one in command.invocations] == ["web-1", "web-2"]

    def test_stopped_instance_is_undeliverable_and_leaves_the_command_green(
        self, account: Account, fleet: list[EmulatedHost], run: Run
    ) -> None:
        account.ec2.stop_instances(InstanceIds=[fleet[0].instance_id])
        command = run(Targets=[tag("role", "web")])
        assert statuses(command) == ["Undeliverable", "Success"]
        assert command.status.name == "Success"


class TestMaxConcurrency:
    @pytest.mark.parametrize(
        ("limit", "at_once"), [("1", 1), ("50%", 2), ("74%", 2), ("10%", 1), ("9", 4)]
    )
    def test_no_more_hosts_than_allowed_are_sent_the_command_at_once(
        self,
        account: Account,
        add_host: Add,
        store: Store,
        send: Send,
        limit: str,
        at_once: int,
    ) -> None:
        hosts = [add_host(f"web-{number}") for number in range(4)]
        for host in hosts:
            host.sleep()
        store("true")
        command_id = send(MaxConcurrency=limit)
        (command,) = account.run_command.commands()
        assert [one.sent for one in command.invocations].count(True) == at_once
        for host in hosts:
            host.wake()
        assert statuses(account.wait_until_ended(command_id)) == ["Success"] * 4


class TestMaxErrors:
    FAILS_ON_EVERY_HOST_BUT_THE_LAST = (
        'case $(cat "$SSM_Checkout/name") in last) ;; *) exit 9; esac'
    )

    @pytest.fixture
    def fleet(self, add_host: Add, store: Store, tmp_path: Path) -> list[EmulatedHost]:
        names = ["first", "second", "third", "last"]
        for name in names:
            (tmp_path / name / "srv").mkdir(parents=True)
            (tmp_path / name / "srv/name").write_text(name)
        parameters: dict[str, dict[str, object]] = {
            "Checkout": {"type": "String", "default": "/srv", "interpolationType": "ENV_VAR"}
        }
        store(self.FAILS_ON_EVERY_HOST_BUT_THE_LAST, parameters=parameters)
        return [add_host(name) for name in names]

    @pytest.mark.usefixtures("fleet")
    def test_one_error_more_than_allowed_stops_the_rest(self, run: Run) -> None:
        command = run(MaxConcurrency="1", MaxErrors="0")
        assert statuses(command) == ["Failed", "Terminated", "Terminated", "Terminated"]
        assert (command.status.name, command.status.details) == ("Failed", "Failed")
        assert (command.completed_count, command.error_count) == (4, 1)

    @pytest.mark.parametrize("allowed", ["1", "25%", "49%"])
    @pytest.mark.usefixtures("fleet")
    def test_allowed_errors_let_it_go_on(self, run: Run, allowed: str) -> None:
        command = run(MaxConcurrency="1", MaxErrors=allowed)
        assert statuses(command) == ["Failed", "Failed", "Terminated", "Terminated"]

    @pytest.mark.usefixtures("fleet")
    def test_no_more_errors_than_allowed_leave_the_command_incomplete(self, run: Run) -> None:
        command = run(MaxErrors="3")
        assert statuses(command) == ["Failed", "Failed", "Failed", "Success"]
        assert (command.status.name, command.status.details) == ("Success", "Incomplete")

    def test_host_that_is_not_reached_is_no_error(
        self, fleet: list[EmulatedHost], run: Run
    ) -> None:
        for host in fleet[:3]:
            host.sleep()
        command = run(MaxConcurrency="1", MaxErrors="0", TimeoutSeconds=30)
        assert statuses(command) == [*["DeliveryTimedOut"] * 3, "Success"]
        assert command.error_count == 0
        assert (command.status.name, command.status.details) == ("Success", "Incomplete")


class TestDelivery:
    def test_sleeping_host_delays_the_command_until_it_wakes(
        self, account: Account, add_host: Add, store: Store, send: Send
    ) -> None:
        host = add_host()
        host.sleep()
        store("true")
        command_id = send()
        (shown,) = account.ssm.list_command_invocations(CommandId=command_id)["CommandInvocations"]
        assert shown["Status"] == "Delayed"
        host.wake()
        assert statuses(account.wait_until_ended(command_id)) == ["Success"]

    def test_host_asleep_for_too_long_never_runs_it(
        self, account: Account, add_host: Add, store: Store, run: Run, tmp_path: Path
    ) -> None:
        host = add_host()
        host.sleep()
        store(f"touch {tmp_path}/ran")
        command = run(TimeoutSeconds=30)
        host.wake()
        # One more command, so that whatever the host still had to do is done.
        store("true", name="later")
        run(DocumentName="later")
        assert not (tmp_path / "ran").exists()
        (shown,) = account.ssm.list_commands(CommandId=command.id)["Commands"]
        assert (shown["Status"], shown["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
        assert (shown["DeliveryTimedOutCount"], shown["ErrorCount"]) == (1, 0)

    def test_host_that_falls_asleep_ends_what_it_has_begun_and_tells_once_it_wakes(
        self, account: Account, add_host: Add, store: Store, send: Send, gate: Path, answer: Path
    ) -> None:
        host = add_host()
        store(f"read word <{gate}", 'echo "$word"', f"(exec >{answer}; echo over) 2>&1")
        command_id = send()
        with gate.open("w") as to_script:
            host.sleep()  # as while the agent is restarted
            to_script.write("done\n")
        assert answer.read_text() == "over\n"
        (shown,) = account.ssm.list_commands(CommandId=command_id)["Commands"]
        assert shown["Status"] == "InProgress"
        host.wake()
        (invocation,) = account.wait_until_ended(command_id).invocations
        assert invocation.results[0].stdout == b"done\n"

    def test_killed_worker_fails_the_command_and_the_script_runs_on(
        self, account: Account, add_host: Add, store: Store, send: Send, gate: Path, answer: Path
    ) -> None:
        host = add_host()
        store(f"exec >{answer}", "echo begun", f"read word <{gate}", 'echo "$word"')
        command_id = send()
        with answer.open() as from_script:
            assert from_script.readline() == "begun\n"
            host.kill_worker(command_id)
            account.wait_until_ended(command_id)
            gate.write_text("alive\n")
            assert from_script.read() == "alive\n"
        (shown,) = account.ssm.list_command_invocations(CommandId=command_id, Details=True)[
            "CommandInvocations"
        ]
        assert shown["StatusDetails"] == "Failed"
        assert shown["CommandPlugins"][0]["Output"].startswith("document process failed")

    def test_script_whose_worker_was_killed_ends_with_the_account(
        self, store: Store, send: Send, add_host: Add, account: Account, answer: Path
    ) -> None:
        host = add_host()
        store(f"exec >{answer}", "echo begun", "sleep 60")
        command_id = send()
        with answer.open() as from_script:
            assert from_script.readline() == "begun\n"
            host.kill_worker(command_id)
            host.close()
            assert from_script.read() == ""


class TestCommandStatus:
    def test_failed_host_fails_the_command(self, add_host: Add, store: Store, run: Run) -> None:
        add_host()
        store("exit 1")
        command = run()
        assert (command.status.name, command.status.details) == ("Failed", "Failed")

    def test_execution_timed_out_counts_as_an_error(
        self, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("sleep 60", timeout="5")
        command = run()
        assert (command.status.name, command.status.details) == ("TimedOut", "ExecutionTimedOut")
        assert command.error_count == 1

    def test_command_is_in_progress_while_a_host_is(
        self, account: Account, add_host: Add, store: Store, send: Send, gate: Path
    ) -> None:
        add_host()
        store(f"read word <{gate}")
        command_id = send()
        with gate.open("w"):
            (shown,) = account.ssm.list_commands(CommandId=command_id)["Commands"]
            assert shown["Status"] == "InProgress"


class TestCancelCommand:
    def test_running_script_is_killed(
        self, account: Account, add_host: Add, store: Store, send: Send, gate: Path
    ) -> None:
        add_host()
        store(
            f"exec 3>{gate} 2>/dev/null",
            "trap 'echo trapped >&3' EXIT TERM",
            "echo begun >&3",
            "sleep 60",
        )
        command_id = send()
        with gate.open() as held_by_script:
            held_by_script.readline()
            account.ssm.cancel_command(CommandId=command_id)
            assert held_by_script.read() == ""
        command = account.wait_until_ended(command_id)
        assert statuses(command) == ["Cancelled"]
        assert command.status.name == "Cancelled"

    def test_host_that_was_not_reached_yet_never_runs_it(
        self, account: Account, add_host: Add, store: Store, send: Send
    ) -> None:
        add_host().sleep()
        store("true")
        command_id = send()
        account.ssm.cancel_command(CommandId=command_id)
        command = account.wait_until_ended(command_id)
        assert statuses(command) == ["Cancelled"]
        assert command.invocations[0].results == ()

    def test_hosts_whose_turn_had_not_come_are_cancelled_too(
        self, account: Account, add_host: Add, store: Store, send: Send
    ) -> None:
        for name in ("web-1", "web-2"):
            add_host(name).sleep()
        store("true")
        command_id = send(MaxConcurrency="1")
        account.ssm.cancel_command(CommandId=command_id)
        assert statuses(account.wait_until_ended(command_id)) == ["Cancelled", "Cancelled"]

    def test_one_that_is_queued_on_the_host_is_being_cancelled_for_ever(
        self, account: Account, add_host: Add, store: Store, send: Send, gate: Path, tmp_path: Path
    ) -> None:
        add_host()
        store(f"read word <{gate}")
        with gate.open("r+b", buffering=0) as hold:
            running = [send() for _ in range(5)]
            for one in running:
                account.run_command.wait_for(one, _is_under_way, timeout=HANG_SECONDS)
            store(f"touch {tmp_path}/ran", name="queued")
            queued = send(DocumentName="queued")
            account.run_command.wait_for(queued, _is_under_way, timeout=HANG_SECONDS)
            account.ssm.cancel_command(CommandId=queued)
            hold.write(b"\n" * 5)
            for one in running:
                account.wait_until_ended(one)
        account.run_command.wait_until_quiet()
        (shown,) = account.ssm.list_commands(CommandId=queued)["Commands"]
        assert (shown["Status"], shown["StatusDetails"]) == ("Cancelling", "Cancelling")
        assert not (tmp_path / "ran").exists()

    def test_named_instances_alone_are_cancelled(
        self, account: Account, add_host: Add, store: Store, send: Send
    ) -> None:
        cancelled, kept = add_host("web-1"), add_host("web-2")
        cancelled.sleep()
        kept.sleep()
        store("true")
        command_id = send()
        account.ssm.cancel_command(CommandId=command_id, InstanceIds=[cancelled.instance_id])
        kept.wake()
        assert statuses(account.wait_until_ended(command_id)) == ["Cancelled", "Success"]

    def test_ended_command_stays_as_it_is(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("true")
        command = run()
        account.ssm.cancel_command(CommandId=command.id)
        (shown,) = account.ssm.list_commands(CommandId=command.id)["Commands"]
        assert shown["Status"] == "Success"

    def test_unknown_command_is_refused(self, account: Account) -> None:
        with pytest.raises(ClientError, match="InvalidCommandId"):
            account.ssm.cancel_command(CommandId=UNKNOWN_COMMAND)

    def test_instance_outside_the_command_is_refused(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("true")
        with pytest.raises(ClientError, match="InvalidInstanceId"):
            account.ssm.cancel_command(CommandId=run().id, InstanceIds=["i-12345678"])


class TestListCommands:
    @pytest.fixture
    def history(self, add_host: Add, store: Store, run: Run) -> list[str]:
        """Three commands, oldest first: one failed."""
        add_host()
        store("true")
        store("exit 1", name="failing")
        return [run().id, run(DocumentName="failing").id, run().id]

    def ids(self, account: Account, **arguments: Any) -> list[str]:  # noqa: ANN401 - as boto3 has it
        return [one["CommandId"] for one in account.ssm.list_commands(**arguments)["Commands"]]

    def test_newest_comes_first(self, account: Account, history: list[str]) -> None:
        assert self.ids(account) == history[::-1]

    def test_command_id_leaves_that_command(self, account: Account, history: list[str]) -> None:
        assert self.ids(account, CommandId=history[1]) == [history[1]]

    @pytest.mark.usefixtures("history")
    def test_unknown_command_is_an_empty_list(self, account: Account) -> None:
        assert self.ids(account, CommandId=UNKNOWN_COMMAND) == []

    def test_command_id_that_is_none_is_refused(self, account: Account) -> None:
        with pytest.raises(ClientError, match="InvalidCommandId"):
            account.ssm.list_commands(CommandId="x" * 36)

    def test_instance_id_leaves_the_commands_that_reached_it(
        self, account: Account, history: list[str], add_host: Add, run: Run
    ) -> None:
        other = add_host("web-2")
        newest = run(InstanceIds=[other.instance_id]).id
        assert self.ids(account, InstanceId=other.instance_id) == [newest]
        assert len(self.ids(account)) == len(history) + 1

    @pytest.mark.parametrize(
        ("key", "value", "left"),
        [
            ("Status", "Failed", [1]),
            ("Status", "Success", [2, 0]),
            ("DocumentName", "failing", [1]),
            ("ExecutionStage", "Complete", [2, 1, 0]),
            ("ExecutionStage", "Executing", []),
            ("InvokedAfter", "2020-01-01T00:00:00Z", [2, 1, 0]),
            ("InvokedBefore", "2020-01-01T00:00:00Z", []),
        ],
    )
    def test_filter_leaves_the_commands_that_fit(
        self, account: Account, history: list[str], key: str, value: str, left: list[int]
    ) -> None:
        shown = self.ids(account, Filters=[{"key": key, "value": value}])
        assert shown == [history[number] for number in left]

    def test_time_filters_part_the_commands_at_that_time(
        self, account: Account, history: list[str], run: Run
    ) -> None:
        now = datetime.now(UTC).isoformat()
        newest = run().id
        assert self.ids(account, Filters=[{"key": "InvokedAfter", "value": now}]) == [newest]
        before = self.ids(account, Filters=[{"key": "InvokedBefore", "value": now}])
        assert before == history[::-1]

    def test_filters_must_all_fit(self, account: Account, history: list[str]) -> None:
        filters = [
            {"key": "Status", "value": "Failed"},
            {"key": "DocumentName", "value": "test-document"},
        ]
        assert len(history) == 3
        assert self.ids(account, Filters=filters) == []

    def test_time_that_is_none_is_refused(self, account: Account, history: list[str]) -> None:
        assert history
        with pytest.raises(ClientError, match="ValidationException"):
            self.ids(account, Filters=[{"key": "InvokedAfter", "value": "yesterday"}])

    def test_unknown_filter_is_refused(self, account: Account) -> None:
        with pytest.raises(ClientError, match="ValidationException"):
            self.ids(account, Filters=[{"key": "Mood", "value": "x"}])

    def test_pages_follow_each_other_without_a_gap(
        self, account: Account, history: list[str]
    ) -> None:
        first = account.ssm.list_commands(MaxResults=2)
        second = account.ssm.list_commands(MaxResults=2, NextToken=first["NextToken"])
        assert [one["CommandId"] for one in first["Commands"]] == history[:0:-1]
        assert [one["CommandId"] for one in second["Commands"]] == history[:1]
        assert "NextToken" not in second

    def test_token_that_nobody_gave_is_refused(self, account: Account) -> None:
        with pytest.raises(ClientError, match="InvalidNextToken"):
            account.ssm.list_commands(NextToken="nobody's")


class TestListCommandInvocations:
    def test_details_have_the_steps_and_their_output(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        host = add_host()
        store("echo out", "echo err >&2", "exit 3")
        command = run(Comment="why")
        (shown,) = account.ssm.list_command_invocations(CommandId=command.id, Details=True)[
            "CommandInvocations"
        ]
        assert (shown["InstanceId"], shown["InstanceName"]) == (host.instance_id, "web-1")
        assert (shown["DocumentName"], shown["Comment"]) == ("test-document", "why")
        (step,) = shown["CommandPlugins"]
        assert (step["Name"], step["Status"], step["ResponseCode"]) == ("step1", "Failed", 3)
        assert step["Output"] == (
            "out\n\n----------ERROR-------\nerr\nfailed to run commands: exit status 3"
        )

    def test_without_details_there_are_no_steps(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host()
        store("true")
        answer = account.ssm.list_command_invocations(CommandId=run().id)
        assert answer["CommandInvocations"][0]["CommandPlugins"] == []

    def test_instance_id_leaves_its_invocations(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host("web-1")
        host = add_host("web-2")
        store("true")
        run()
        answer = account.ssm.list_command_invocations(InstanceId=host.instance_id)
        assert [one["InstanceName"] for one in answer["CommandInvocations"]] == ["web-2"]

    def test_status_filter_leaves_the_invocations_that_fit(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        add_host("web-1")
        add_host("web-2").sleep()
        store("true")
        run(TimeoutSeconds=30)
        answer = account.ssm.list_command_invocations(
            Filters=[{"key": "Status", "value": "DeliveryTimedOut"}]
        )
        assert [one["InstanceName"] for one in answer["CommandInvocations"]] == ["web-2"]

    def test_execution_stage_is_no_filter_here(self, account: Account) -> None:
        with pytest.raises(ClientError, match="InvalidFilterKey"):
            account.ssm.list_command_invocations(
                Filters=[{"key": "ExecutionStage", "value": "Complete"}]
            )

    def test_many_invocations_come_in_pages(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        hosts = [add_host(f"web-{number}").instance_id for number in range(3)]
        store("true")
        pages = account.ssm.get_paginator("list_command_invocations").paginate(
            CommandId=run().id, PaginationConfig={"PageSize": 2}
        )
        shown = [[one["InstanceId"] for one in page["CommandInvocations"]] for page in pages]
        assert shown == [hosts[:2], hosts[2:]]


class TestGetCommandInvocation:
    def test_ended_step_has_its_code_and_both_outputs(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        host = add_host()
        store("echo out", "echo err >&2")
        command = run()
        shown = account.ssm.get_command_invocation(
            CommandId=command.id, InstanceId=host.instance_id
        )
        assert (shown["Status"], shown["ResponseCode"]) == ("Success", 0)
        assert shown["StandardOutputContent"] == "out\n"
        assert shown["StandardErrorContent"] == "err\n"
        assert shown["ExecutionStartDateTime"] <= shown["ExecutionEndDateTime"]

    def test_step_that_did_not_run_has_no_code_yet(
        self, account: Account, add_host: Add, store: Store, send: Send
    ) -> None:
        host = add_host()
        host.sleep()
        store("true")
        shown = account.ssm.get_command_invocation(CommandId=send(), InstanceId=host.instance_id)
        assert (shown["Status"], shown["ResponseCode"]) == ("Delayed", -1)
        assert shown["StandardOutputContent"] == ""

    def test_named_step_of_several_is_the_one_shown(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        host = add_host()
        store(["exit 1"], ["echo second"])
        shown = account.ssm.get_command_invocation(
            CommandId=run().id, InstanceId=host.instance_id, PluginName="step2"
        )
        assert (shown["Status"], shown["StandardOutputContent"]) == ("Success", "second\n")

    def test_of_several_steps_one_must_be_named(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        host = add_host()
        store(["true"], ["true"])
        with pytest.raises(ClientError, match="InvalidPluginName"):
            account.ssm.get_command_invocation(CommandId=run().id, InstanceId=host.instance_id)

    def test_unknown_step_is_refused(
        self, account: Account, add_host: Add, store: Store, run: Run
    ) -> None:
        host = add_host()
        store("true")
        with pytest.raises(ClientError, match="InvalidPluginName"):
            account.ssm.get_command_invocation(
                CommandId=run().id, InstanceId=host.instance_id, PluginName="step9"
            )

    def test_unknown_command_is_refused(self, account: Account, add_host: Add) -> None:
        with pytest.raises(ClientError, match="InvocationDoesNotExist"):
            account.ssm.get_command_invocation(
                CommandId=UNKNOWN_COMMAND, InstanceId=add_host().instance_id
            )


class TestDocumentInYaml:
    def test_it_runs_as_one_in_json_does(self, account: Account, add_host: Add, run: Run) -> None:
        add_host()
        content = {
            "schemaVersion": "2.2",
            "mainSteps": [
                {
                    "action": "aws:runShellScript",
                    "name": "only",
                    "inputs": {"runCommand": ["echo yaml"]},
                }
            ],
        }
        account.ssm.create_document(
            Name="test-document",
            Content=json.dumps(content, indent=1),  # JSON is YAML too
            DocumentType="Command",
            DocumentFormat="YAML",
        )
        (invocation,) = run().invocations
        assert invocation.results[0].stdout == b"yaml\n"
