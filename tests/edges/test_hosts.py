"""The hosts, from EC2 and Systems Manager together: page by page, then on the sandbox."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

from chalicelib.core.errors import PulleyError, RefusedError, UnavailableError
from chalicelib.core.hosts import Host
from chalicelib.core.refs import InstanceId
from chalicelib.edges.hosts import INSTANCES_A_PAGE, NODES_A_PAGE, HostDirectory
from pulley.sandbox.account import Account
from tests.edges.clients import new_ec2, new_ssm
from tests.fakes import STAGE, Wire, aws_error

INSTANCE_FILTERS = [
    {"Name": "tag:pulley", "Values": [STAGE]},
    {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
]
NODE_FILTERS = [{"Key": "tag:pulley", "Values": [STAGE]}]


def id_of(number: int) -> str:
    return f"i-{number:017x}"


def instance(number: int = 0, state: str = "running", **tags: str) -> dict[str, Any]:
    """An instance as DescribeInstances shows it, with fewer fields."""
    tags = {"Name": f"web-{number}", "pulley": STAGE} | tags
    return {
        "InstanceId": id_of(number),
        "State": {"Code": 16, "Name": state},
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


def node(instance_id: str = id_of(0), ping: str = "Online", **changes: str) -> dict[str, Any]:
    """A managed node as DescribeInstanceInformation shows it, with fewer fields."""
    return {"InstanceId": instance_id, "PingStatus": ping, "PlatformType": "Linux"} | changes


def reservations(*groups: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Reservations": [{"Instances": group} for group in groups]}


@dataclass
class Aws:
    """EC2 and Systems Manager; each gives each answer of the test once."""

    directory: HostDirectory
    ec2: Stubber
    ssm: Stubber

    def hosts(
        self, instances: list[dict[str, Any]], nodes: list[dict[str, Any]]
    ) -> Mapping[str, Host]:
        """The hosts by id, if each service answers with this one page."""
        self.ec2.add_response("describe_instances", reservations(instances))
        self.ssm.add_response("describe_instance_information", {"InstanceInformationList": nodes})
        return {host.instance_id: host for host in self.directory.hosts()}


@pytest.fixture
def aws() -> Iterator[Aws]:
    ec2, ssm = new_ec2(), new_ssm()
    with Stubber(ec2) as ec2_stub, Stubber(ssm) as ssm_stub:
        yield Aws(HostDirectory(ec2, ssm, STAGE), ec2_stub, ssm_stub)
        ec2_stub.assert_no_pending_responses()
        ssm_stub.assert_no_pending_responses()


class TestHost:
    def test_one_host_is_read_by_its_id(self, aws: Aws) -> None:
        one = InstanceId(id_of(0))
        launched = datetime(2030, 1, 1, tzinfo=UTC)
        aws.ec2.add_response(
            "describe_instances",
            reservations([instance(role="web") | {"LaunchTime": launched}]),
            {"InstanceIds": [one]},
        )
        wanted = {"Filters": [{"Key": "InstanceIds", "Values": [one]}]}
        aws.ssm.add_response(
            "describe_instance_information", {"InstanceInformationList": [node()]}, wanted
        )
        found = aws.directory.host(one)
        assert found
        assert (found.name, found.is_online, found.launched) == ("web-0", True, launched)
        assert found.tags["role"] == "web"

    @pytest.mark.parametrize(
        "instances", [[], [instance(pulley="other")], [instance(state="terminated")]]
    )
    def test_instance_of_another_stage_or_none_is_none(
        self, aws: Aws, instances: list[dict[str, Any]]
    ) -> None:
        aws.ec2.add_response("describe_instances", reservations(instances))
        aws.ssm.add_response("describe_instance_information", {"InstanceInformationList": []})
        assert aws.directory.host(InstanceId(id_of(0))) is None

    def test_instance_that_ec2_does_not_know_is_none(self, aws: Aws) -> None:
        aws.ec2.add_client_error("describe_instances", "InvalidInstanceID.NotFound")
        assert aws.directory.host(InstanceId(id_of(0))) is None

    def test_other_refusal_is_an_error(self, aws: Aws) -> None:
        aws.ec2.add_client_error("describe_instances", "UnauthorizedOperation")
        with pytest.raises(RefusedError, match="reading an instance"):
            aws.directory.host(InstanceId(id_of(0)))


class TestHostDirectoryPages:
    def test_all_pages_of_instances_are_read(self, aws: Aws) -> None:
        asked = {"Filters": INSTANCE_FILTERS, "MaxResults": INSTANCES_A_PAGE}
        pages = [
            reservations([instance(0), instance(1)], [instance(2)]) | {"NextToken": "second"},
            reservations() | {"NextToken": "third"},
            reservations([instance(3)]),
        ]
        tokens: list[dict[str, str]] = [{}, {"NextToken": "second"}, {"NextToken": "third"}]
        for page, token in zip(pages, tokens, strict=True):
            aws.ec2.add_response("describe_instances", page, asked | token)
        aws.ssm.add_response("describe_instance_information", {"InstanceInformationList": []})
        assert [host.name for host in aws.directory.hosts()] == [f"web-{n}" for n in range(4)]

    def test_all_pages_of_pings_are_read(self, aws: Aws) -> None:
        asked = {"Filters": NODE_FILTERS, "MaxResults": NODES_A_PAGE}
        aws.ec2.add_response("describe_instances", reservations([instance(n) for n in range(3)]))
        pages: list[list[dict[str, Any]]] = [[node(id_of(0))], [], [node(id_of(2)), node("mi-0")]]
        for number, page in enumerate(pages):
            answer: dict[str, Any] = {"InstanceInformationList": page}
            if number + 1 < len(pages):
                answer["NextToken"] = str(number + 1)
            token = {"NextToken": str(number)} if number else {}
            aws.ssm.add_response("describe_instance_information", answer, asked | token)
        found = {host.instance_id: host.is_online for host in aws.directory.hosts()}
        assert found == {id_of(0): True, id_of(1): False, id_of(2): True, "mi-0": True}

    def test_page_sizes_are_within_the_limits_of_aws(self) -> None:
        assert 5 <= INSTANCES_A_PAGE <= 1000
        assert 5 <= NODES_A_PAGE <= 50

    def test_instance_listed_twice_is_one_host(self, aws: Aws) -> None:
        assert len(aws.hosts([instance(), instance()], [node(), node()])) == 1


class TestHostDirectoryInstances:
    def test_instance_is_a_host_with_all_its_tags(self, aws: Aws) -> None:
        tags = {"role": "web", "aws:autoscaling:groupName": "web", "note": ""}
        found = aws.hosts([instance(7, **tags)], [node(id_of(7))])
        expected = {"Name": "web-7", "pulley": STAGE, **tags}
        assert found == {id_of(7): Host(id_of(7), "web-7", expected, is_online=True)}

    @pytest.mark.parametrize("tags", [[{"Key": "Name", "Value": ""}], [{"Key": "pulley"}], None])
    def test_instance_without_a_name_is_named_by_its_id(self, aws: Aws, tags: object) -> None:
        found = instance() | {"Tags": tags}
        if tags is None:
            del found["Tags"]
        assert aws.hosts([found], [])[id_of(0)].name == id_of(0)

    @pytest.mark.parametrize("state", ["pending", "stopping", "stopped"])
    def test_instance_that_does_not_run_is_offline_despite_an_online_ping(
        self, aws: Aws, state: str
    ) -> None:
        assert not aws.hosts([instance(state=state)], [node()])[id_of(0)].is_online

    @pytest.mark.parametrize("ping", ["ConnectionLost", "Inactive"])
    def test_instance_without_agent_contact_is_offline(self, aws: Aws, ping: str) -> None:
        assert not aws.hosts([instance()], [node(ping=ping)])[id_of(0)].is_online

    def test_instance_unknown_to_systems_manager_is_offline(self, aws: Aws) -> None:
        found = aws.hosts([instance(0), instance(1)], [node(id_of(1))])
        assert [host.is_online for host in found.values()] == [False, True]

    def test_node_unknown_to_ec2_is_not_a_host(self, aws: Aws) -> None:
        assert aws.hosts([], [node(id_of(5))]) == {}


class TestHostDirectoryHybridNodes:
    def test_hybrid_node_is_a_host_with_only_the_tag_of_the_stage(self, aws: Aws) -> None:
        found = aws.hosts(
            [instance()], [node(), node("mi-1", Name="cellar", ComputerName="c.local")]
        )
        assert found["mi-1"] == Host("mi-1", "cellar", {"pulley": STAGE}, is_online=True)
        assert len(found) == 2

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"ComputerName": "cellar.example.internal"}, "cellar"),
            ({"Name": "", "ComputerName": "cellar"}, "cellar"),
            ({"ComputerName": ".local"}, "mi-1"),
            ({}, "mi-1"),
        ],
    )
    def test_hybrid_node_name_is_short_and_never_empty(
        self, aws: Aws, changes: dict[str, str], name: str
    ) -> None:
        assert aws.hosts([], [node("mi-1", **changes)])["mi-1"].name == name

    def test_hybrid_node_without_agent_contact_is_offline(self, aws: Aws) -> None:
        assert not aws.hosts([], [node("mi-1", ping="ConnectionLost")])["mi-1"].is_online


READING = {
    "describe_instances": "reading the instances",
    "describe_instance_information": "reading which hosts are online",
}


@pytest.mark.parametrize(("operation", "what"), READING.items())
class TestHostDirectoryErrors:
    def fail(self, aws: Aws, operation: str, code: str, status: int) -> PulleyError:
        """The error when the second page fails."""
        ec2_page = reservations([instance()]) | {"NextToken": "2"}
        ssm_page = {"InstanceInformationList": [node()], "NextToken": "2"}
        if operation == "describe_instances":
            aws.ssm.add_response("describe_instance_information", {"InstanceInformationList": []})
            aws.ec2.add_response(operation, ec2_page)
            aws.ec2.add_client_error(operation, code, "on arn:aws:ec2", http_status_code=status)
        else:
            aws.ssm.add_response(operation, ssm_page)
            aws.ssm.add_client_error(operation, code, "on arn:aws:ssm", http_status_code=status)
        with pytest.raises(PulleyError) as caught:
            aws.directory.hosts()
        return caught.value

    @pytest.mark.parametrize(
        ("code", "status"), [("AccessDeniedException", 400), ("UnauthorizedOperation", 403)]
    )
    def test_refused_page_is_a_refusal_with_its_code(
        self, aws: Aws, operation: str, what: str, code: str, status: int
    ) -> None:
        error = self.fail(aws, operation, code, status)
        assert isinstance(error, RefusedError)
        assert str(error) == f"AWS refused {what} ({code})"
        assert "on arn:aws:" in error.detail

    @pytest.mark.parametrize(
        ("code", "status"),
        [("ThrottlingException", 400), ("RequestLimitExceeded", 503), ("InternalError", 500)],
    )
    def test_busy_aws_is_unavailable(
        self, aws: Aws, operation: str, what: str, code: str, status: int
    ) -> None:
        error = self.fail(aws, operation, code, status)
        assert isinstance(error, UnavailableError)
        assert str(error) == f"AWS is too busy for {what}"


class TestHostDirectoryOutOfReach:
    def test_failure_before_the_network_is_unavailable(self) -> None:
        ssm, wire = new_ssm(), Wire(NoCredentialsError())
        wire.attach(ssm.meta.events)
        with pytest.raises(UnavailableError, match="AWS could not be reached for reading which"):
            HostDirectory(new_ec2(), ssm, STAGE).hosts()

    def test_ec2_is_not_called_if_systems_manager_refuses(self) -> None:
        ssm, wire = new_ssm(), Wire(aws_error("AccessDeniedException"))
        wire.attach(ssm.meta.events)
        ec2 = new_ec2()
        with Stubber(ec2), pytest.raises(RefusedError):  # this stub has no answers
            HostDirectory(ec2, ssm, STAGE).hosts()


class TestHostDirectoryOnTheSandbox:
    @pytest.fixture
    def account(self) -> Iterator[Account]:
        with Account() as account:
            yield account

    def hosts(self, account: Account) -> dict[str, bool]:
        found = HostDirectory(account.ec2, account.ssm, STAGE).hosts()
        return {host.name: host.is_online for host in found}

    def test_each_host_of_the_stage_is_listed_as_online_or_offline(
        self, account: Account, tmp_path: Path
    ) -> None:
        names = ["awake", "asleep", "stopped", "terminated"]
        hosts = {
            name: account.add_host(name, tags={"pulley": STAGE, "role": "web"}, root=tmp_path)
            for name in names
        }
        account.add_host("prod", tags={"pulley": "prod"}, root=tmp_path)
        account.add_host("untagged", tags={"role": "web"}, root=tmp_path)
        tags: Any = [{"Key": "pulley", "Value": STAGE}, {"Key": "Name", "Value": "without agent"}]
        account.ec2.run_instances(
            ImageId="ami-00000000",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        hosts["asleep"].sleep()
        account.ec2.stop_instances(InstanceIds=[hosts["stopped"].instance_id])
        account.ec2.terminate_instances(InstanceIds=[hosts["terminated"].instance_id])
        assert self.hosts(account) == {
            "awake": True,
            "asleep": False,
            "stopped": False,
            "without agent": False,
        }
        hosts["asleep"].wake()
        account.ec2.start_instances(InstanceIds=[hosts["stopped"].instance_id])
        assert self.hosts(account) == {
            "awake": True,
            "asleep": True,
            "stopped": True,
            "without agent": False,
        }

    def test_hosts_of_several_pages_are_all_listed(self, account: Account, tmp_path: Path) -> None:
        count = NODES_A_PAGE + 3
        for number in range(count):
            account.add_host(f"web-{number}", tags={"pulley": STAGE}, root=tmp_path)
        assert self.hosts(account) == {f"web-{number}": True for number in range(count)}
