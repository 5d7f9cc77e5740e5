"""The account's instances and documents, as Run Command asks for them.

Both are in moto and are read through the account's own clients. So a changed tag or a stopped
instance counts at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pulley.sandbox.run_command.agent import EmulatedHost
from pulley.sandbox.run_command.documents import Document, parse_document
from pulley.sandbox.run_command.send_request import ApiError, ReceivedRequest

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

_GONE = frozenset({"shutting-down", "terminated"})


@dataclass(frozen=True)
class Instance:
    """A managed instance as EC2 sees it now: `state` is EC2's."""

    host: EmulatedHost
    tags: Mapping[str, str]
    state: str


class Inventory:
    """The hosts and documents of one account."""

    def __init__(self, ssm: "SSMClient", ec2: "EC2Client") -> None:
        """Without hosts at first."""
        self._ssm, self._ec2 = ssm, ec2
        self._hosts: dict[str, EmulatedHost] = {}
        self._documents: dict[tuple[str, str, str], Document] = {}  # by name, version and hash

    def add(self, host: EmulatedHost) -> None:
        """Register the agent of an instance that EC2 knows."""
        self._hosts[host.instance_id] = host

    def close(self) -> None:
        """Kill what is running on the hosts."""
        for host in self._hosts.values():
            host.close()

    def instances(self) -> list[Instance]:
        """Every managed instance that still exists, in the order of registration."""
        if not self._hosts:
            return []
        pages = self._ec2.get_paginator("describe_instances").paginate()
        found = {
            one["InstanceId"]: one
            for page in pages
            for reservation in page["Reservations"]
            for one in reservation["Instances"]
            if one["State"]["Name"] not in _GONE
        }
        return [
            Instance(
                host,
                {tag["Key"]: tag["Value"] for tag in found[instance_id].get("Tags", [])},
                found[instance_id]["State"]["Name"],
            )
            for instance_id, host in tuple(self._hosts.items())
            if instance_id in found
        ]

    def document(self, request: ReceivedRequest) -> Document:
        """Read the document that a command asks for. Raises ApiError."""
        name, version = request.document, request.document_version
        try:
            if version == "$DEFAULT":  # moto does not support this value
                chosen = self._ssm.describe_document(Name=name)["Document"]
            else:
                chosen = self._ssm.describe_document(Name=name, DocumentVersion=version)["Document"]
        except ClientError:
            raise self._missing(name, version) from None
        version, hash_ = chosen["DocumentVersion"], chosen["Hash"]
        wanted = (request.document_hash_type, request.document_hash)
        if request.document_hash and wanted != (chosen["HashType"], hash_):
            raise ApiError("InvalidDocument", f"version {version} has another hash")
        key = (name, version, hash_)
        if key not in self._documents:
            content = self._ssm.get_document(
                Name=name, DocumentVersion=version, DocumentFormat="JSON"
            )["Content"]
            self._documents[key] = parse_document(content, name=name, version=version)
        return self._documents[key]

    def _missing(self, name: str, version: str) -> ApiError:
        """AWS's error says which of the two does not exist; moto's does not."""
        try:
            self._ssm.describe_document(Name=name)
        except ClientError:
            return ApiError("InvalidDocument", f"{name} does not exist")
        return ApiError("InvalidDocumentVersion", f"no version {version}")
