"""The account: its endpoint, its hosts, its events."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from pulley.sandbox.account import Account
from pulley.sandbox.run_command.commands import EmulatedCommand
from tests.processes import HANG_SECONDS
from tests.sandbox.lab import Lab

pytestmark = pytest.mark.timeout(30)


class TestAccount:
    def test_boto3_with_the_account_s_environment_reaches_it(
        self, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.ssm.put_parameter(Name="/here", Value="it is", Type="String")
        for name, value in account.environ.items():
            monkeypatch.setenv(name, value)
        answer = boto3.Session().client("ssm").get_parameter(Name="/here")
        assert answer["Parameter"]["Value"] == "it is"

    def test_new_account_has_nothing_of_an_earlier_account(self) -> None:
        with Account() as before:
            before.ssm.put_parameter(Name="/old", Value="x", Type="String")
        with Account() as account, pytest.raises(ClientError, match="ParameterNotFound"):
            account.ssm.get_parameter(Name="/old")

    def test_account_has_the_given_port_and_region_until_it_is_closed(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with Account(port=port, region="us-east-2") as account:
            assert account.endpoint_url == f"http://127.0.0.1:{port}"
            assert account.environ["AWS_DEFAULT_REGION"] == "us-east-2"
            assert account.ssm.meta.region_name == "us-east-2"
            assert account.ssm.list_commands()["Commands"] == []
            with pytest.raises(OSError, match="in use"):
                Account(port=port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    def test_requests_print_nothing(
        self, account: Account, capfd: pytest.CaptureFixture[str]
    ) -> None:
        account.ssm.list_commands()
        account.ec2.describe_instances()
        assert capfd.readouterr() == ("", "")

    def test_closing_kills_running_scripts(self, lab: Lab, gate: Path) -> None:
        lab.add_host()
        lab.store(f"exec 3>{gate}", "echo begun >&3", "sleep 60")
        lab.send()
        with gate.open() as held_by_script:
            assert held_by_script.readline() == "begun\n"
            lab.account.close()
            assert held_by_script.read() == ""

    def test_closing_does_not_wait_for_a_sleeping_host(self, lab: Lab) -> None:
        lab.add_host().sleep()
        lab.store("true")
        command_id = lab.send(TimeoutSeconds=2_592_000)
        lab.account.close()
        assert lab.account.wait_until_ended(command_id, timeout=0).status.terminal

    def test_exception_in_the_emulation_is_a_500_and_is_logged(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> list[EmulatedCommand]:
            raise RuntimeError("planned")

        monkeypatch.setattr(account.run_command, "commands", fail)
        for name, value in account.environ.items():
            monkeypatch.setenv(name, value)
        client = boto3.Session().client("ssm", config=Config(retries={"total_max_attempts": 1}))
        with pytest.raises(ClientError, match="InternalServerError"):
            client.list_commands()
        assert "planned" in caplog.text


class TestAddHost:
    def test_host_is_an_instance_with_its_tags_name_and_root(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        host = lab.add_host("web-1", role="web")
        assert host.root == tmp_path / "web-1"
        filters = [
            {"Name": "tag:role", "Values": ["web"]},
            {"Name": "tag:Name", "Values": ["web-1"]},
        ]
        answer = lab.account.ec2.describe_instances(Filters=filters)  # type: ignore[arg-type]
        (reservation,) = answer["Reservations"]
        assert [one["InstanceId"] for one in reservation["Instances"]] == [host.instance_id]


class TestDescribeInstanceInformation:
    def test_awake_host_is_online_and_the_last_ping_of_a_sleeping_host_stays(
        self, lab: Lab
    ) -> None:
        def shown() -> dict[str, Any]:
            (one,) = lab.account.ssm.describe_instance_information()["InstanceInformationList"]
            return dict(one)

        host = lab.add_host()
        assert shown()["InstanceId"] == host.instance_id
        assert (shown()["PingStatus"], shown()["AgentVersion"]) == ("Online", host.agent_version)
        host.sleep()
        asleep = shown()
        assert asleep["PingStatus"] == "ConnectionLost"
        assert shown()["LastPingDateTime"] == asleep["LastPingDateTime"]
        host.wake()
        assert shown()["PingStatus"] == "Online"

    def test_stopped_instance_is_not_listed(self, lab: Lab) -> None:
        stopped, running = lab.add_host("web-1"), lab.add_host("web-2")
        lab.account.ec2.stop_instances(InstanceIds=[stopped.instance_id])
        (shown,) = lab.account.ssm.describe_instance_information()["InstanceInformationList"]
        assert shown["InstanceId"] == running.instance_id

    def test_instance_without_an_agent_is_not_listed(self, account: Account) -> None:
        account.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
        assert account.ssm.describe_instance_information()["InstanceInformationList"] == []

    @pytest.mark.parametrize(
        ("key", "value"),
        [("PingStatus", "ConnectionLost"), ("tag:role", "batch"), ("tag-key", "nightly")],
    )
    def test_filter_lists_only_matching_hosts(self, lab: Lab, key: str, value: str) -> None:
        lab.add_host("web-1", role="web")
        batch = lab.add_host("batch-1", role="batch", nightly="")
        batch.sleep()
        answer = lab.account.ssm.describe_instance_information(
            Filters=[{"Key": key, "Values": [value]}]
        )
        shown = [one["InstanceId"] for one in answer["InstanceInformationList"]]
        assert shown == [batch.instance_id]

    def test_unknown_filter_is_refused(self, lab: Lab) -> None:
        lab.add_host()
        with pytest.raises(ClientError, match="InvalidFilterKey"):
            lab.account.ssm.describe_instance_information(
                Filters=[{"Key": "Mood", "Values": ["x"]}]
            )

    def test_many_hosts_come_in_pages(self, lab: Lab) -> None:
        hosts = [lab.add_host(f"web-{number}").instance_id for number in range(7)]
        pages = lab.account.ssm.get_paginator("describe_instance_information").paginate(
            PaginationConfig={"PageSize": 5}
        )
        shown = [[one["InstanceId"] for one in page["InstanceInformationList"]] for page in pages]
        assert shown == [hosts[:5], hosts[5:]]


class TestSubscribe:
    def collect(self, account: Account) -> Callable[[], list[dict[str, Any]]]:
        """Gather events until a command has ended."""
        queue: SimpleQueue[dict[str, Any]] = SimpleQueue()
        account.subscribe(queue.put)

        def gathered() -> list[dict[str, Any]]:
            events = [queue.get(timeout=HANG_SECONDS)]
            while not (
                events[-1]["detail-type"] == "EC2 Command Status-change Notification"
                and events[-1]["detail"]["status"] in {"Success", "Failed"}
            ):
                events.append(queue.get(timeout=HANG_SECONDS))
            return events

        return gathered

    def test_each_status_change_arrives_once_and_in_order(self, lab: Lab) -> None:
        gathered = self.collect(lab.account)
        lab.add_host()
        lab.store("exit 1")
        lab.run()
        assert [(one["detail-type"], one["detail"]["status"]) for one in gathered()] == [
            ("EC2 Command Status-change Notification", "Pending"),
            ("EC2 Command Invocation Status-change Notification", "InProgress"),
            ("EC2 Command Status-change Notification", "InProgress"),
            ("EC2 Command Invocation Status-change Notification", "Failed"),
            ("EC2 Command Status-change Notification", "Failed"),
        ]

    def test_events_have_the_fields_of_eventbridge(self, lab: Lab) -> None:
        gathered = self.collect(lab.account)
        host = lab.add_host()
        lab.store("true", parameters={"Word": {"type": "String"}})
        command = lab.run(Parameters={"Word": ["hello"]})
        *_, of_host, of_command = gathered()
        assert of_host["source"] == of_command["source"] == "aws.ssm"
        assert of_host["detail"] == {
            "command-id": command.id,
            "document-name": "test-document",
            "instance-id": host.instance_id,
            "requested-date-time": of_command["detail"]["requested-date-time"],
            "status": "Success",
        }
        assert of_command["detail"]["command-id"] == command.id
        assert json.loads(of_command["detail"]["parameters"]) == {"Word": ["hello"]}
        assert of_command["detail"]["expire-after"] > of_command["detail"]["requested-date-time"]

    def test_exception_in_a_subscriber_affects_neither_the_run_nor_other_subscribers(
        self, lab: Lab, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_event: object) -> None:
            raise RuntimeError("planned")

        lab.account.subscribe(fail)
        gathered = self.collect(lab.account)
        lab.add_host()
        lab.store("true")
        assert lab.run().status.name == "Success"
        assert gathered()[-1]["detail"]["status"] == "Success"
        assert "planned" in caplog.text
