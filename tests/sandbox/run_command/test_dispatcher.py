"""Run Command as boto3 sees it: refused requests, deliveries to hosts, and their results."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pulley.sandbox.account import Account
from pulley.sandbox.run_command.agent import EmulatedHost
from pulley.sandbox.run_command.commands import EmulatedCommand
from tests.processes import HANG_SECONDS
from tests.sandbox.lab import Lab

pytestmark = pytest.mark.timeout(30)


UNKNOWN_COMMAND = "00000000-0000-4000-8000-000000000000"
EXISTING_TAG = {"Key": "tag:fleet", "Values": ["all"]}
WORD: dict[str, dict[str, object]] = {"Word": {"type": "String", "allowedPattern": "^[a-z]+$"}}


def statuses(command: EmulatedCommand) -> list[str]:
    return [one.status.details for one in command.invocations]


def _is_in_progress(command: EmulatedCommand) -> bool:
    return command.status.details == "InProgress"


def tag(key: str, *values: str) -> dict[str, object]:
    return {"Key": f"tag:{key}", "Values": list(values)}


class TestSendCommandRefuses:
    @pytest.fixture(scope="class")
    @classmethod
    def account(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
        """One account for all tests: a refused request changes nothing."""
        word = WORD["Word"] | {"allowedValues": ["a", "b"]}
        with Account() as account:
            lab = Lab(account, tmp_path_factory.mktemp("hosts"))
            lab.add_host()
            lab.store("true", parameters={"Word": word})
            yield account

    REFUSED: Mapping[str, Sequence[Mapping[str, object]]] = {
        "ValidationException": [
            {"Targets": []},
            {"Targets": [tag("cost+centre", "x")]},  # EC2 accepts this key of a tag
            {"Targets": [tag(str(number), "x") for number in range(6)]},
            {"Targets": [tag("fleet", *map(str, range(51)))]},
            {"Targets": [EXISTING_TAG, {"Key": "InstanceIds", "Values": ["i-12345678"]}]},
            {"Targets": [{"Key": "fleet", "Values": ["all"]}]},
            {"Targets": [tag("fleet")]},
            {"Targets": [EXISTING_TAG, EXISTING_TAG]},
            {"Targets": [EXISTING_TAG], "InstanceIds": ["i-12345678"]},
            {"InstanceIds": ["web-1"]},
            {"Comment": "x" * 101},
            {"TimeoutSeconds": 2_592_001},
            {"MaxConcurrency": "0"},
            {"MaxConcurrency": "101%"},
            {"MaxErrors": "some"},
            {"DocumentVersion": "two"},
        ],
        "InvalidInstanceId": [{"InstanceIds": ["i-12345678"]}],
        "DuplicateInstanceId": [{"InstanceIds": ["i-12345678", "i-12345678"]}],
        "InvalidDocument": [
            {"DocumentName": "nothing"},
            {"DocumentHash": "0" * 64, "DocumentHashType": "Sha256"},
        ],
        "InvalidDocumentVersion": [{"DocumentVersion": "2"}],
        "InvalidParameters": [
            {"Parameters": {}},
            {"Parameters": {"Word": ["a"], "Other": ["b"]}},
            {"Parameters": {"Word": ["A"]}},
            {"Parameters": {"Word": ["a\n"]}},
            {"Parameters": {"Word": ["a", "b"]}},
            {"Parameters": {"Word": ["c"]}},  # not among the allowed values
        ],
    }

    @pytest.mark.parametrize("code", REFUSED)
    def test_invalid_request_is_refused_with_the_code_of_aws(self, lab: Lab, code: str) -> None:
        for arguments in self.REFUSED[code]:
            with pytest.raises(ClientError) as refused:
                lab.send(**{"Parameters": {"Word": ["a"]}, **arguments})
            assert refused.value.response["Error"]["Code"] == code, arguments
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert lab.account.ssm.list_commands()["Commands"] == []


class TestSendCommand:
    def test_answer_is_the_pending_command(self, lab: Lab) -> None:
        lab.add_host()
        lab.store("true", parameters=WORD)
        command = lab.account.ssm.send_command(
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

    def test_document_is_found_by_name_or_arn_version_and_hash(self, lab: Lab) -> None:
        lab.add_host()
        lab.store("echo one")
        content = lab.account.ssm.get_document(Name="test-document")["Content"]
        lab.account.ssm.update_document(
            Name="test-document",
            Content=content.replace("echo one", "echo two"),
            DocumentVersion="$LATEST",
        )
        for version, said in ("$DEFAULT", b"one\n"), ("$LATEST", b"two\n"), ("2", b"two\n"):
            (invocation,) = lab.run(DocumentVersion=version).invocations
            assert invocation.results[0].stdout == said
        digest = hashlib.sha256(content.encode()).hexdigest()
        arn = "arn:aws:ssm:eu-west-1:123456789012:document/test-document"
        for more in {"DocumentHash": digest, "DocumentHashType": "Sha256"}, {"DocumentName": arn}:
            assert statuses(lab.run(DocumentVersion="1", **more)) == ["Success"]

    def test_terminated_instance_is_refused(self, lab: Lab) -> None:
        host = lab.add_host()
        lab.account.ec2.terminate_instances(InstanceIds=[host.instance_id])
        lab.store("true")
        with pytest.raises(ClientError, match="InvalidInstanceId"):
            lab.send(InstanceIds=[host.instance_id])


class TestTargetSelectors:
    @pytest.fixture
    def fleet(self, lab: Lab) -> list[EmulatedHost]:
        lab.store("true")
        return [
            lab.add_host("web-1", role="web", zone="a"),
            lab.add_host("web-2", role="web", zone="b"),
            lab.add_host("batch-1", role="batch", zone="a"),
        ]

    def test_host_must_match_all_selectors_each_by_any_value(
        self, lab: Lab, fleet: list[EmulatedHost]
    ) -> None:
        for selectors, names in (
            ([tag("role", "web")], ["web-1", "web-2"]),
            ([tag("role", "web", "batch")], ["web-1", "web-2", "batch-1"]),
            ([tag("role", "web"), tag("zone", "a")], ["web-1"]),
            ([tag("role", "batch"), tag("zone", "b")], []),
            ([tag("role", "w*")], []),
            ([{"Key": "tag-key", "Values": ["zone"]}], ["web-1", "web-2", "batch-1"]),
        ):
            command = lab.run(Targets=selectors)
            assert [one.instance_name for one in command.invocations] == names
        wanted = [fleet[0].instance_id, fleet[2].instance_id]
        for by_id in (
            lab.run(Targets=[{"Key": "InstanceIds", "Values": wanted}]),
            lab.run(InstanceIds=wanted),
        ):
            assert [one.instance_id for one in by_id.invocations] == wanted

    @pytest.mark.usefixtures("fleet")
    def test_tag_of_no_host_ends_the_command_with_no_instances_in_tag(self, lab: Lab) -> None:
        command_id = lab.send(Targets=[tag("role", "mail")])
        lab.account.wait_until_ended(command_id)
        (shown,) = lab.account.ssm.list_commands(CommandId=command_id)["Commands"]
        assert (shown["Status"], shown["StatusDetails"]) == ("Success", "NoInstancesInTag")
        assert (shown["TargetCount"], shown["CompletedCount"]) == (0, 0)

    def test_tag_that_is_added_to_a_running_instance_counts(
        self, lab: Lab, fleet: list[EmulatedHost]
    ) -> None:
        lab.account.ec2.create_tags(
            Resources=[fleet[2].instance_id], Tags=[{"Key": "role", "Value": "web"}]
        )
        assert len(lab.run(Targets=[tag("role", "web")]).invocations) == 3

    def test_instance_started_after_the_command_is_not_in_it(
        self, lab: Lab, fleet: list[EmulatedHost]
    ) -> None:
        fleet[0].sleep()
        command_id = lab.send(Targets=[tag("role", "web")])
        lab.add_host("web-3", role="web")
        fleet[0].wake()
        command = lab.account.wait_until_ended(command_id)
        assert [one.instance_name for one in command.invocations] == ["web-1", "web-2"]

    def test_stopped_instance_is_undeliverable_and_the_command_a_success(
        self, lab: Lab, fleet: list[EmulatedHost]
    ) -> None:
        lab.account.ec2.stop_instances(InstanceIds=[fleet[0].instance_id])
        command = lab.run(Targets=[tag("role", "web")])
        assert statuses(command) == ["Undeliverable", "Success"]
        assert command.status.name == "Success"


class TestMaxConcurrency:
    @pytest.mark.parametrize(
        ("limit", "at_once"), [("1", 1), ("50%", 2), ("74%", 2), ("10%", 1), ("9", 4)]
    )
    def test_only_the_allowed_number_of_hosts_get_the_command_at_once(
        self, lab: Lab, limit: str, at_once: int
    ) -> None:
        hosts = [lab.add_host(f"web-{number}") for number in range(4)]
        for host in hosts:
            host.sleep()
        lab.store("true")
        command_id = lab.send(MaxConcurrency=limit)
        (command,) = lab.account.run_command.commands()
        assert [one.sent for one in command.invocations].count(True) == at_once
        for host in hosts:
            host.wake()
        assert statuses(lab.account.wait_until_ended(command_id)) == ["Success"] * 4


class TestMaxErrors:
    FAILS_ON_EVERY_HOST_BUT_THE_LAST = (
        'case $(cat "$SSM_Checkout/name") in last) ;; *) exit 9; esac'
    )

    @pytest.fixture
    def fleet(self, lab: Lab, tmp_path: Path) -> list[EmulatedHost]:
        names = ["first", "second", "third", "last"]
        for name in names:
            (tmp_path / name / "srv").mkdir(parents=True)
            (tmp_path / name / "srv/name").write_text(name)
        parameters: dict[str, dict[str, object]] = {
            "Checkout": {"type": "String", "default": "/srv", "interpolationType": "ENV_VAR"}
        }
        lab.store(self.FAILS_ON_EVERY_HOST_BUT_THE_LAST, parameters=parameters)
        return [lab.add_host(name) for name in names]

    @pytest.mark.usefixtures("fleet")
    def test_one_error_more_than_allowed_terminates_the_other_invocations(self, lab: Lab) -> None:
        command = lab.run(MaxConcurrency="1", MaxErrors="0")
        assert statuses(command) == ["Failed", "Terminated", "Terminated", "Terminated"]
        assert (command.status.name, command.status.details) == ("Failed", "Failed")
        assert (command.completed_count, command.error_count) == (4, 1)

    @pytest.mark.parametrize("allowed", ["1", "25%", "49%"])
    @pytest.mark.usefixtures("fleet")
    def test_command_goes_on_until_the_allowed_errors_are_exceeded(
        self, lab: Lab, allowed: str
    ) -> None:
        command = lab.run(MaxConcurrency="1", MaxErrors=allowed)
        assert statuses(command) == ["Failed", "Failed", "Terminated", "Terminated"]

    @pytest.mark.usefixtures("fleet")
    def test_command_with_only_allowed_errors_ends_incomplete(self, lab: Lab) -> None:
        command = lab.run(MaxErrors="3")
        assert statuses(command) == ["Failed", "Failed", "Failed", "Success"]
        assert (command.status.name, command.status.details) == ("Success", "Incomplete")

    def test_host_that_is_not_reached_does_not_count_as_an_error(
        self, lab: Lab, fleet: list[EmulatedHost]
    ) -> None:
        for host in fleet[:3]:
            host.sleep()
        command = lab.run(MaxConcurrency="1", MaxErrors="0", TimeoutSeconds=30)
        assert statuses(command) == [*["DeliveryTimedOut"] * 3, "Success"]
        assert command.error_count == 0
        assert (command.status.name, command.status.details) == ("Success", "Incomplete")


class TestDelivery:
    def test_invocation_of_a_sleeping_host_is_delayed_until_it_wakes(self, lab: Lab) -> None:
        host = lab.add_host()
        host.sleep()
        lab.store("true")
        command_id = lab.send()
        (shown,) = lab.account.ssm.list_command_invocations(CommandId=command_id)[
            "CommandInvocations"
        ]
        assert shown["Status"] == "Delayed"
        host.wake()
        assert statuses(lab.account.wait_until_ended(command_id)) == ["Success"]

    def test_host_that_wakes_after_the_time_out_never_runs_the_command(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        host = lab.add_host()
        host.sleep()
        lab.store(f"touch {tmp_path}/ran")
        command = lab.run(TimeoutSeconds=30)
        host.wake()
        # One more command, so that the host has finished everything before it.
        lab.store("true", name="later")
        lab.run(DocumentName="later")
        assert not (tmp_path / "ran").exists()
        (shown,) = lab.account.ssm.list_commands(CommandId=command.id)["Commands"]
        assert (shown["Status"], shown["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
        assert (shown["DeliveryTimedOutCount"], shown["ErrorCount"]) == (1, 0)

    def test_host_that_falls_asleep_finishes_its_script_and_reports_when_it_wakes(
        self, lab: Lab, gate: Path, answer: Path
    ) -> None:
        host = lab.add_host()
        lab.store(f"read word <{gate}", 'echo "$word"', f"(exec >{answer}; echo over) 2>&1")
        command_id = lab.send()
        with gate.open("w") as to_script:
            host.sleep()  # as during a restart of the agent
            to_script.write("done\n")
        assert answer.read_text() == "over\n"
        (shown,) = lab.account.ssm.list_commands(CommandId=command_id)["Commands"]
        assert shown["Status"] == "InProgress"
        host.wake()
        (invocation,) = lab.account.wait_until_ended(command_id).invocations
        assert invocation.results[0].stdout == b"done\n"

    def test_killed_worker_fails_the_command_and_the_script_runs_on(
        self, lab: Lab, gate: Path, answer: Path
    ) -> None:
        host = lab.add_host()
        lab.store(f"exec >{answer}", "echo begun", f"read word <{gate}", 'echo "$word"')
        command_id = lab.send()
        with answer.open() as from_script:
            assert from_script.readline() == "begun\n"
            host.kill_worker(command_id)
            lab.account.wait_until_ended(command_id)
            gate.write_text("alive\n")
            assert from_script.read() == "alive\n"
        (shown,) = lab.account.ssm.list_command_invocations(CommandId=command_id, Details=True)[
            "CommandInvocations"
        ]
        assert shown["StatusDetails"] == "Failed"
        assert shown["CommandPlugins"][0]["Output"].startswith("document process failed")

    def test_script_whose_worker_was_killed_ends_with_the_account(
        self, lab: Lab, answer: Path
    ) -> None:
        host = lab.add_host()
        lab.store(f"exec >{answer}", "echo begun", "sleep 60")
        command_id = lab.send()
        with answer.open() as from_script:
            assert from_script.readline() == "begun\n"
            host.kill_worker(command_id)
            host.close()
            assert from_script.read() == ""


class TestCommandStatus:
    def test_failed_host_fails_the_command(self, lab: Lab) -> None:
        command = lab.run_new("exit 1")
        assert (command.status.name, command.status.details) == ("Failed", "Failed")

    def test_execution_timed_out_counts_as_an_error(self, lab: Lab) -> None:
        command = lab.run_new("sleep 60", timeout="5")
        assert (command.status.name, command.status.details) == ("TimedOut", "ExecutionTimedOut")
        assert command.error_count == 1

    def test_command_is_in_progress_while_a_host_is(self, lab: Lab, gate: Path) -> None:
        lab.add_host()
        lab.store(f"read word <{gate}")
        command_id = lab.send()
        with gate.open("w"):
            (shown,) = lab.account.ssm.list_commands(CommandId=command_id)["Commands"]
            assert shown["Status"] == "InProgress"


class TestCancelCommand:
    def test_running_script_is_killed(self, lab: Lab, gate: Path) -> None:
        lab.add_host()
        lab.store(
            f"exec 3>{gate} 2>/dev/null",
            "trap 'echo trapped >&3' EXIT TERM",
            "echo begun >&3",
            "sleep 60",
        )
        command_id = lab.send()
        with gate.open() as held_by_script:
            held_by_script.readline()
            lab.account.ssm.cancel_command(CommandId=command_id)
            assert held_by_script.read() == ""
        command = lab.account.wait_until_ended(command_id)
        assert statuses(command) == ["Cancelled"]
        assert command.status.name == "Cancelled"

    def test_host_that_was_not_reached_never_runs_a_cancelled_command(self, lab: Lab) -> None:
        lab.add_host().sleep()
        lab.store("true")
        command_id = lab.send()
        lab.account.ssm.cancel_command(CommandId=command_id)
        command = lab.account.wait_until_ended(command_id)
        assert statuses(command) == ["Cancelled"]
        assert command.invocations[0].results == ()

    def test_hosts_that_wait_for_their_turn_are_cancelled_too(self, lab: Lab) -> None:
        for name in ("web-1", "web-2"):
            lab.add_host(name).sleep()
        lab.store("true")
        command_id = lab.send(MaxConcurrency="1")
        lab.account.ssm.cancel_command(CommandId=command_id)
        assert statuses(lab.account.wait_until_ended(command_id)) == ["Cancelled", "Cancelled"]

    def test_cancelled_command_in_the_host_s_queue_stays_in_cancelling(
        self, lab: Lab, gate: Path, tmp_path: Path
    ) -> None:
        lab.add_host()
        lab.store(f"read word <{gate}")
        with gate.open("r+b", buffering=0) as hold:
            running = [lab.send() for _ in range(5)]
            for one in running:
                lab.account.run_command.wait_for(one, _is_in_progress, timeout=HANG_SECONDS)
            lab.store(f"touch {tmp_path}/ran", name="queued")
            queued = lab.send(DocumentName="queued")
            lab.account.run_command.wait_for(queued, _is_in_progress, timeout=HANG_SECONDS)
            lab.account.ssm.cancel_command(CommandId=queued)
            hold.write(b"\n" * 5)
            for one in running:
                lab.account.wait_until_ended(one)
        lab.account.run_command.wait_until_quiet()
        (shown,) = lab.account.ssm.list_commands(CommandId=queued)["Commands"]
        assert (shown["Status"], shown["StatusDetails"]) == ("Cancelling", "Cancelling")
        assert not (tmp_path / "ran").exists()

    def test_only_the_named_instances_are_cancelled(self, lab: Lab) -> None:
        cancelled, kept = lab.add_host("web-1"), lab.add_host("web-2")
        cancelled.sleep()
        kept.sleep()
        lab.store("true")
        command_id = lab.send()
        lab.account.ssm.cancel_command(CommandId=command_id, InstanceIds=[cancelled.instance_id])
        kept.wake()
        assert statuses(lab.account.wait_until_ended(command_id)) == ["Cancelled", "Success"]

    def test_ended_command_keeps_its_status(self, lab: Lab) -> None:
        command = lab.run_new("true")
        lab.account.ssm.cancel_command(CommandId=command.id)
        (shown,) = lab.account.ssm.list_commands(CommandId=command.id)["Commands"]
        assert shown["Status"] == "Success"

    def test_unknown_command_is_refused(self, account: Account) -> None:
        with pytest.raises(ClientError, match="InvalidCommandId"):
            account.ssm.cancel_command(CommandId=UNKNOWN_COMMAND)

    def test_instance_outside_the_command_is_refused(self, lab: Lab) -> None:
        lab.add_host()
        lab.store("true")
        with pytest.raises(ClientError, match="InvalidInstanceId"):
            lab.account.ssm.cancel_command(CommandId=lab.run().id, InstanceIds=["i-12345678"])


class TestListCommands:
    def ids(self, account: Account, **arguments: Any) -> list[str]:  # noqa: ANN401 - as boto3 has it
        return [one["CommandId"] for one in account.ssm.list_commands(**arguments)["Commands"]]

    def test_commands_are_listed_newest_first_by_id_host_filter_and_page(self, lab: Lab) -> None:
        lab.add_host()
        lab.store("true")
        lab.store("exit 1", name="failing")
        history = [lab.run().id, lab.run(DocumentName="failing").id, lab.run().id]
        assert self.ids(lab.account) == history[::-1]
        assert self.ids(lab.account, CommandId=history[1]) == [history[1]]
        assert self.ids(lab.account, CommandId=UNKNOWN_COMMAND) == []
        for key, value, left in (
            ("Status", "Failed", [1]),
            ("Status", "Success", [2, 0]),
            ("DocumentName", "failing", [1]),
            ("ExecutionStage", "Complete", [2, 1, 0]),
            ("ExecutionStage", "Executing", []),
        ):
            shown = self.ids(lab.account, Filters=[{"key": key, "value": value}])
            assert shown == [history[number] for number in left], value
        both = [
            {"key": "Status", "value": "Failed"},
            {"key": "DocumentName", "value": "test-document"},
        ]
        assert self.ids(lab.account, Filters=both) == []
        with pytest.raises(ClientError, match="ValidationException"):
            self.ids(lab.account, Filters=[{"key": "InvokedAfter", "value": "yesterday"}])
        first = lab.account.ssm.list_commands(MaxResults=2)
        second = lab.account.ssm.list_commands(MaxResults=2, NextToken=first["NextToken"])
        assert [one["CommandId"] for one in first["Commands"]] == history[:0:-1]
        assert [one["CommandId"] for one in second["Commands"]] == history[:1]
        assert "NextToken" not in second
        now = datetime.now(UTC).isoformat()
        other = lab.add_host("web-2")
        newest = lab.run(InstanceIds=[other.instance_id]).id
        assert self.ids(lab.account, InstanceId=other.instance_id) == [newest]
        assert self.ids(lab.account, Filters=[{"key": "InvokedAfter", "value": now}]) == [newest]
        before = self.ids(lab.account, Filters=[{"key": "InvokedBefore", "value": now}])
        assert before == history[::-1]

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            ({"CommandId": "x" * 36}, "InvalidCommandId"),
            ({"Filters": [{"key": "Mood", "value": "x"}]}, "ValidationException"),
            ({"NextToken": "nobody's"}, "InvalidNextToken"),
        ],
    )
    def test_invalid_request_is_refused_with_the_code_of_aws(
        self, account: Account, arguments: dict[str, Any], code: str
    ) -> None:
        with pytest.raises(ClientError, match=code):
            self.ids(account, **arguments)


class TestListCommandInvocations:
    def test_details_have_the_steps_and_their_output(self, lab: Lab) -> None:
        host = lab.add_host()
        lab.store("echo out", "echo err >&2", "exit 3")
        command = lab.run(Comment="why")
        (shown,) = lab.account.ssm.list_command_invocations(CommandId=command.id, Details=True)[
            "CommandInvocations"
        ]
        assert (shown["InstanceId"], shown["InstanceName"]) == (host.instance_id, "web-1")
        assert (shown["DocumentName"], shown["Comment"]) == ("test-document", "why")
        (step,) = shown["CommandPlugins"]
        assert (step["Name"], step["Status"], step["ResponseCode"]) == ("step1", "Failed", 3)
        assert step["Output"] == (
            "out\n\n----------ERROR-------\nerr\nfailed to run commands: exit status 3"
        )

    def test_invocation_without_details_has_no_steps(self, lab: Lab) -> None:
        lab.add_host()
        lab.store("true")
        answer = lab.account.ssm.list_command_invocations(CommandId=lab.run().id)
        assert answer["CommandInvocations"][0]["CommandPlugins"] == []

    def test_instance_id_lists_only_its_invocations(self, lab: Lab) -> None:
        lab.add_host("web-1")
        host = lab.add_host("web-2")
        lab.store("true")
        lab.run()
        answer = lab.account.ssm.list_command_invocations(InstanceId=host.instance_id)
        assert [one["InstanceName"] for one in answer["CommandInvocations"]] == ["web-2"]

    def test_status_filter_lists_only_matching_invocations(self, lab: Lab) -> None:
        lab.add_host("web-1")
        lab.add_host("web-2").sleep()
        lab.store("true")
        lab.run(TimeoutSeconds=30)
        answer = lab.account.ssm.list_command_invocations(
            Filters=[{"key": "Status", "value": "DeliveryTimedOut"}]
        )
        assert [one["InstanceName"] for one in answer["CommandInvocations"]] == ["web-2"]

    def test_execution_stage_is_refused_as_a_filter_of_invocations(self, account: Account) -> None:
        with pytest.raises(ClientError, match="InvalidFilterKey"):
            account.ssm.list_command_invocations(
                Filters=[{"key": "ExecutionStage", "value": "Complete"}]
            )

    def test_many_invocations_come_in_pages(self, lab: Lab) -> None:
        hosts = [lab.add_host(f"web-{number}").instance_id for number in range(3)]
        lab.store("true")
        pages = lab.account.ssm.get_paginator("list_command_invocations").paginate(
            CommandId=lab.run().id, PaginationConfig={"PageSize": 2}
        )
        shown = [[one["InstanceId"] for one in page["CommandInvocations"]] for page in pages]
        assert shown == [hosts[:2], hosts[2:]]


class TestGetCommandInvocation:
    def test_ended_step_has_its_code_and_both_outputs(self, lab: Lab) -> None:
        host = lab.add_host()
        lab.store("echo out", "echo err >&2")
        command = lab.run()
        shown = lab.account.ssm.get_command_invocation(
            CommandId=command.id, InstanceId=host.instance_id
        )
        assert (shown["Status"], shown["ResponseCode"]) == ("Success", 0)
        assert shown["StandardOutputContent"] == "out\n"
        assert shown["StandardErrorContent"] == "err\n"
        assert shown["ExecutionStartDateTime"] <= shown["ExecutionEndDateTime"]

    def test_step_that_did_not_run_has_response_code_minus_1(self, lab: Lab) -> None:
        host = lab.add_host()
        host.sleep()
        lab.store("true")
        shown = lab.account.ssm.get_command_invocation(
            CommandId=lab.send(), InstanceId=host.instance_id
        )
        assert (shown["Status"], shown["ResponseCode"]) == ("Delayed", -1)
        assert shown["StandardOutputContent"] == ""

    def test_named_step_of_several_is_returned(self, lab: Lab) -> None:
        host = lab.add_host()
        lab.store(["exit 1"], ["echo second"])
        shown = lab.account.ssm.get_command_invocation(
            CommandId=lab.run().id, InstanceId=host.instance_id, PluginName="step2"
        )
        assert (shown["Status"], shown["StandardOutputContent"]) == ("Success", "second\n")

    def test_request_that_names_none_of_several_steps_is_refused(self, lab: Lab) -> None:
        host = lab.add_host()
        lab.store(["true"], ["true"])
        with pytest.raises(ClientError, match="InvalidPluginName"):
            lab.account.ssm.get_command_invocation(
                CommandId=lab.run().id, InstanceId=host.instance_id
            )

    def test_unknown_step_is_refused(self, lab: Lab) -> None:
        host = lab.add_host()
        lab.store("true")
        with pytest.raises(ClientError, match="InvalidPluginName"):
            lab.account.ssm.get_command_invocation(
                CommandId=lab.run().id, InstanceId=host.instance_id, PluginName="step9"
            )

    def test_unknown_command_is_refused(self, lab: Lab) -> None:
        with pytest.raises(ClientError, match="InvocationDoesNotExist"):
            lab.account.ssm.get_command_invocation(
                CommandId=UNKNOWN_COMMAND, InstanceId=lab.add_host().instance_id
            )


class TestDocumentInYaml:
    def test_yaml_document_runs_like_a_json_document(self, lab: Lab) -> None:
        lab.add_host()
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
        lab.account.ssm.create_document(
            Name="test-document",
            Content=json.dumps(content, indent=1),  # JSON is YAML too
            DocumentType="Command",
            DocumentFormat="YAML",
        )
        (invocation,) = lab.run().invocations
        assert invocation.results[0].stdout == b"yaml\n"
