"""Lists a stage's hosts by EC2 and Systems Manager, and says which of them are online.

EC2 knows the tags, and the hosts that are offline. Systems Manager knows the agents that answer,
and the hybrid nodes.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from chalicelib.core.hosts import Host
from chalicelib.core.refs import InstanceId
from chalicelib.core.targets import STAGE_TAG
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import InstanceInformationTypeDef

INSTANCES_A_PAGE = 500  # EC2 gives 1000, but an answer must fit into the function's memory
NODES_A_PAGE = 50  # DescribeInstanceInformation's limit
_RUNNING = "running"
# EC2 shows terminated instances for another hour.
_STATES = ("pending", _RUNNING, "stopping", "stopped")
_ONLINE = "Online"
_HYBRID = "mi-"


class HostDirectory:
    """Finds one stage's hosts: their tag `pulley` has the stage's name."""

    def __init__(self, ec2: "EC2Client", ssm: "SSMClient", stage: str) -> None:
        self._ec2 = ec2
        self._ssm = ssm
        self._stage = stage

    def host(self, instance: InstanceId) -> Host | None:
        """One of them; None if there is no such instance (any more, or yet), or without the tag.

        Raises RefusedError or UnavailableError.
        """
        with calling("reading an instance"):
            try:
                answer = self._ec2.describe_instances(InstanceIds=[instance])
            except self._ec2.exceptions.ClientError as error:
                if error.response["Error"]["Code"].startswith("InvalidInstanceID"):
                    return None
                raise
            found = [one for part in answer["Reservations"] for one in part.get("Instances", [])]
            alive = [one for one in found if one.get("State", {}).get("Name") in _STATES]
        with calling("reading whether a host is online"):
            nodes = self._ssm.describe_instance_information(
                Filters=[{"Key": "InstanceIds", "Values": [instance]}]
            )["InstanceInformationList"]
        hosts = self.joined(nodes, alive)
        return next((one for one in hosts if one.tags.get(STAGE_TAG) == self._stage), None)

    def hosts(self) -> Sequence[Host]:
        """All of them, also offline, stopped and new ones.

        A hybrid node has only the tag `pulley`: reading its other tags would cost a call for each
        node. Raises RefusedError or UnavailableError.
        """
        return self.joined(self.nodes(), self.instances())

    def joined(
        self,
        nodes: "Sequence[InstanceInformationTypeDef]",
        instances: "Sequence[InstanceTypeDef]",
    ) -> Sequence[Host]:
        """The hosts, from what Systems Manager and EC2 know of them."""
        by_id = {one["InstanceId"]: one for one in nodes}
        found = {
            one["InstanceId"]: _instance(one, by_id.get(one["InstanceId"])) for one in instances
        }
        hybrid = [self._hybrid(one) for id_, one in by_id.items() if id_.startswith(_HYBRID)]
        return [*found.values(), *hybrid]

    def instances(self) -> "Sequence[InstanceTypeDef]":
        """The instances that EC2 knows. Raises RefusedError or UnavailableError."""
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": f"tag:{STAGE_TAG}", "Values": [self._stage]},
                {"Name": "instance-state-name", "Values": list(_STATES)},
            ],
            PaginationConfig={"PageSize": INSTANCES_A_PAGE},
        )
        with calling("reading the instances"):
            return [
                one
                for page in pages
                for reservation in page["Reservations"]
                for one in reservation.get("Instances", [])
            ]

    def nodes(self) -> "Sequence[InstanceInformationTypeDef]":
        """The agents that Systems Manager knows. Raises RefusedError or UnavailableError."""
        pages = self._ssm.get_paginator("describe_instance_information").paginate(
            Filters=[{"Key": f"tag:{STAGE_TAG}", "Values": [self._stage]}],
            PaginationConfig={"PageSize": NODES_A_PAGE},
        )
        with calling("reading which hosts are online"):
            return [one for page in pages for one in page["InstanceInformationList"]]

    def _hybrid(self, node: "InstanceInformationTypeDef") -> Host:
        named = node.get("Name", "") or node.get("ComputerName", "").partition(".")[0]
        return Host(
            instance_id=node["InstanceId"],
            name=named or node["InstanceId"],
            tags={STAGE_TAG: self._stage},
            is_online=_answers(node),
        )


def _instance(instance: "InstanceTypeDef", node: "InstanceInformationTypeDef | None") -> Host:
    tags: Mapping[str, str] = {
        tag.get("Key", ""): tag.get("Value", "") for tag in instance.get("Tags", [])
    }
    # The agent of a host that was just stopped still counts as online.
    is_running = instance.get("State", {}).get("Name") == _RUNNING
    return Host(
        instance_id=instance["InstanceId"],
        name=tags.get("Name", "") or instance["InstanceId"],
        tags=tags,
        is_online=is_running and node is not None and _answers(node),
        launched=instance.get("LaunchTime"),
    )


def _answers(node: "InstanceInformationTypeDef") -> bool:
    return node.get("PingStatus") == _ONLINE
