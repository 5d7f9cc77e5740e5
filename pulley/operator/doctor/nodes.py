"""Read agents and missing tags of hosts from Systems Manager and EC2, for the doctor."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib.core.targets import STAGE_TAG, Target
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef
    from mypy_boto3_ssm import SSMClient

Version = tuple[int, ...]
# Since this version the agent passes parameters as environment variables (its release notes).
# Older ones write them into the script's text. The parameters' patterns make that safe.
AGENT_WITH_ENVIRONMENT: Version = (3, 3, 2746, 0)
STATES = ("pending", "running", "stopping", "stopped")


@dataclass(frozen=True)
class Node:
    """A host as Systems Manager knows it."""

    instance_id: str
    ping: str
    platform: str
    agent: Version
    last_ping: datetime | None

    @property
    def words(self) -> str:
        """Its ping status and the time of its last ping."""
        last = f", last heard of at {self.last_ping:%Y-%m-%d %H:%M} UTC" if self.last_ping else ""
        return f"{self.ping}{last}"


@dataclass(frozen=True)
class Untagged:
    """An instance that fits a target, but lacks the stage's tag."""

    instance_id: str
    name: str


def read_nodes(ssm: "SSMClient") -> Mapping[str, Node]:
    """Every host that Systems Manager knows, by id. Raises RefusedError or UnavailableError."""
    pages = ssm.get_paginator("describe_instance_information").paginate()
    with calling("reading which hosts are online"):
        found = [one for page in pages for one in page["InstanceInformationList"]]
    return {
        one["InstanceId"]: Node(
            instance_id=one["InstanceId"],
            ping=one.get("PingStatus", "Unknown"),
            platform=one.get("PlatformType", ""),
            agent=parse_version(one.get("AgentVersion", "")),
            last_ping=one.get("LastPingDateTime"),
        )
        for one in found
    }


def find_untagged(ec2: "EC2Client", target: Target, stage: str) -> Sequence[Untagged]:
    """The instances that fit a target and lack the stage's tag. Raises as `read_nodes` does."""
    filters: list[FilterTypeDef] = [{"Name": "instance-state-name", "Values": list(STATES)}]
    filters += filters_of(target)
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    with calling("reading the instances"):
        instances = [
            one
            for page in pages
            for reservation in page["Reservations"]
            for one in reservation.get("Instances", [])
        ]
    found = []
    for one in instances:
        tags = {tag.get("Key", ""): tag.get("Value", "") for tag in one.get("Tags", [])}
        tag = tags.get(STAGE_TAG)
        # The tag of another stage is no mistake, but "Prod" in place of "prod" is one.
        if tag is None or (tag != stage and tag.strip().lower() == stage.lower()):
            found.append(Untagged(one["InstanceId"], tags.get("Name", "") or one["InstanceId"]))
    return found


def filters_of(target: Target) -> "Sequence[FilterTypeDef]":
    """EC2's filters for a target's instances."""
    if target.instances.ids:
        ids = [one for one in target.instances.ids if one.startswith("i-")]
        return [{"Name": "instance-id", "Values": ids or ["none"]}]  # EC2 takes no empty list
    return [{"Name": f"tag:{key}", "Values": list(values)} for key, values in target.instances.tags]


def parse_version(text: str) -> Version:
    """Parse a version like `3.3.1142.0`; () for any other text."""
    parts = re.fullmatch(r"\d{1,9}(\.\d{1,9}){0,5}", text)
    return tuple(int(part) for part in text.split(".")) if parts else ()
