"""Parameter Store as operators write it.

There is no compare-and-set: two operators may write at once. So a write compares the version that
it got with the one that was read, and tells what it overwrote, and whose that was.
Source: AWS Systems Manager API Reference, "PutParameter" and "GetParameterHistory".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from chalicelib.core.errors import UnavailableError
from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.literals import ParameterTierType
    from mypy_boto3_ssm.type_defs import (
        ParameterMetadataTypeDef,
        ParameterStringFilterTypeDef,
        PutParameterRequestTypeDef,
    )

NAMES_A_CALL = 10  # GetParameters' limit
STANDARD: Final = "Standard"
ADVANCED: Final = "Advanced"
LIMITS: Mapping[str, int] = {STANDARD: 4096, ADVANCED: 8192}  # bytes of a value


@dataclass(frozen=True)
class StoredValue:
    """A parameter as it was read. `by` and `at` are of who stored it, where that was asked."""

    name: str
    value: str = field(repr=False)
    version: int
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Written:
    """What a write did. `overwritten` is what somebody else stored after it was read."""

    name: str
    version: int
    overwritten: StoredValue | None = None


class MadeMeanwhileError(UnavailableError):
    """Somebody else stored the parameter since it was seen not to be there. It was left alone."""


class Parameters:
    """Reads and writes. Every method raises RefusedError or UnavailableError."""

    def __init__(self, client: "SSMClient") -> None:
        self._client = client

    def read(self, *names: str) -> dict[str, StoredValue]:
        """Those of the parameters that are there, decrypted."""
        found: dict[str, StoredValue] = {}
        for start in range(0, len(names), NAMES_A_CALL):
            chunk = list(names[start : start + NAMES_A_CALL])
            with calling("reading parameters"):
                answer = self._client.get_parameters(Names=chunk, WithDecryption=True)
                for one in answer["Parameters"]:
                    found[one["Name"]] = StoredValue(
                        one["Name"], one["Value"], one["Version"], at=one.get("LastModifiedDate")
                    )
        return found

    def read_one(self, name: str) -> StoredValue | None:
        """The parameter; None where it is not there."""
        return self.read(name).get(name)

    def tier(self, name: str) -> str:
        """The tier of a parameter; the standard one where it is not there."""
        return self._described(name).get("Tier", STANDARD)

    def key(self, name: str) -> str:
        """The KMS key that a secret is under; "" where it is not there, or is none."""
        return self._described(name).get("KeyId", "")

    def secrets_below(self, path: str) -> Sequence[str]:
        """The names of the encrypted parameters below a path; their values are not read."""
        secrets: ParameterStringFilterTypeDef = {
            "Key": "Type",
            "Option": "Equals",
            "Values": ["SecureString"],
        }
        with calling("listing the secrets"):
            return self._names_below(path, secrets)

    def names_below(self, path: str) -> Sequence[str]:
        """The names of all parameters below a path; their values are not read."""
        with calling("listing the parameters"):
            return self._names_below(path)

    def _names_below(self, path: str, *filters: "ParameterStringFilterTypeDef") -> Sequence[str]:
        pages = self._client.get_paginator("describe_parameters").paginate(
            ParameterFilters=[{"Key": "Path", "Option": "Recursive", "Values": [path]}, *filters]
        )
        return [one["Name"] for page in pages for one in page["Parameters"]]

    def write(
        self,
        name: str,
        value: str,
        *,
        read: StoredValue | None,
        is_secret: bool = False,
        tier: "ParameterTierType" = STANDARD,
    ) -> Written:
        """Store a value in place of what was read, or of nothing.

        A secret stays under the KMS key that it has. What is of the advanced tier cannot be made
        standard again: see `tier` first. Raises MadeMeanwhileError where nothing was read and
        something is there now.
        """
        arguments: PutParameterRequestTypeDef = {
            "Name": name,
            "Value": value,
            "Type": "SecureString" if is_secret else "String",
            "Overwrite": read is not None,
            "Tier": tier,
        }
        if is_secret and read and (key := self.key(name)):
            arguments["KeyId"] = key  # AWS would take the account's default key
        with calling(f"storing {name}"):
            try:
                version = self._client.put_parameter(**arguments)["Version"]
            except self._client.exceptions.ParameterAlreadyExists:
                raise MadeMeanwhileError(
                    f"{name} was stored by somebody else just now: look, and try again"
                ) from None
        if read is None or version == read.version + 1:
            return Written(name, version)
        return Written(name, version, self._version(name, version - 1))

    def versions(self, name: str) -> Sequence[StoredValue]:
        """Every version that is kept, the newest first: a hundred at most."""
        pages = self._client.get_paginator("get_parameter_history").paginate(
            Name=name, WithDecryption=True
        )
        with calling(f"reading the history of {name}"):
            try:
                found = [one for page in pages for one in page["Parameters"]]
            except self._client.exceptions.ParameterNotFound:
                return []
        kept = [
            StoredValue(
                name,
                one["Value"],
                one["Version"],
                one.get("LastModifiedUser", ""),
                one.get("LastModifiedDate"),
            )
            for one in found
        ]
        return sorted(kept, key=lambda one: one.version, reverse=True)

    def _described(self, name: str) -> "ParameterMetadataTypeDef":
        """What is known beside its value; nothing where it is not there."""
        filters: list[ParameterStringFilterTypeDef] = [
            {"Key": "Name", "Option": "Equals", "Values": [name]}
        ]
        with calling("describing a parameter"):
            found = self._client.describe_parameters(ParameterFilters=filters)["Parameters"]
        return found[0] if found else {}

    def _version(self, name: str, version: int) -> StoredValue | None:
        return next((one for one in self.versions(name) if one.version == version), None)
