"""Read and write Parameter Store for an operator.

Parameter Store has no compare-and-set, and two operators may write at once. So a write compares the
version that it got with the version that was read, and returns what it overwrote.

Source: AWS Systems Manager API Reference, "PutParameter" and "GetParameterHistory".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from chalicelib.core.errors import UnavailableError
from chalicelib.edges.aws import calling
from chalicelib.edges.parameters import NAMES_A_CALL, whole

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.literals import ParameterTierType
    from mypy_boto3_ssm.type_defs import (
        ParameterMetadataTypeDef,
        ParameterStringFilterTypeDef,
        PutParameterRequestTypeDef,
    )

STANDARD: Final = "Standard"
ADVANCED: Final = "Advanced"
LIMITS: Mapping[str, int] = {STANDARD: 4096, ADVANCED: 8192}  # bytes of a value


@dataclass(frozen=True)
class StoredValue:
    """A parameter as it was read. `by` and `at`, if they were read, say who stored it and when."""

    name: str
    value: str = field(repr=False)
    version: int
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Written:
    """The result of a write. `overwritten` is what somebody else stored since the read."""

    name: str
    version: int
    overwritten: StoredValue | None = None


class MadeMeanwhileError(UnavailableError):
    """Somebody else created the parameter after it was read as missing. Nothing was written."""


class Parameters:
    """Reads and writes parameters. Every method raises RefusedError or UnavailableError."""

    def __init__(self, client: "SSMClient") -> None:
        self._client = client

    def read(self, *names: str) -> dict[str, StoredValue]:
        """Read the parameters that exist, decrypted, by name."""
        values: dict[str, StoredValue] = {}
        for start in range(0, len(names), NAMES_A_CALL):
            chunk = names[start : start + NAMES_A_CALL]
            with calling("reading parameters"):
                answer = self._client.get_parameters(Names=chunk, WithDecryption=True)
                for one in whole(answer, chunk):
                    values[one["Name"]] = StoredValue(
                        one["Name"], one["Value"], one["Version"], at=one.get("LastModifiedDate")
                    )
        return values

    def read_one(self, name: str) -> StoredValue | None:
        """Read a parameter; None if it does not exist."""
        return self.read(name).get(name)

    def tier(self, name: str) -> str:
        """The tier of a parameter; the standard tier if it does not exist."""
        return self._described(name).get("Tier", STANDARD)

    def key(self, name: str) -> str:
        """The KMS key of a secret; "" if the parameter does not exist, or is not a secret."""
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
        """Store a value in place of the one that was read. If `read` is None, create the parameter.

        A secret keeps its KMS key. An advanced parameter cannot become standard again: call `tier`
        first. Raises MadeMeanwhileError if the parameter to create exists by now.
        """
        arguments: PutParameterRequestTypeDef = {
            "Name": name,
            "Value": value,
            "Type": "SecureString" if is_secret else "String",
            "Overwrite": read is not None,
            "Tier": tier,
        }
        if is_secret and read and (key := self.key(name)):
            arguments["KeyId"] = key  # else AWS takes the account's default key
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

    def delete(self, names: Sequence[str]) -> None:
        """Delete parameters with their history. Those that are gone already do not matter."""
        for start in range(0, len(names), NAMES_A_CALL):
            with calling("deleting parameters"):
                self._client.delete_parameters(Names=names[start : start + NAMES_A_CALL])

    def versions(self, name: str) -> Sequence[StoredValue]:
        """Every version that Parameter Store keeps (at most 100), the newest first."""
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
        """The parameter's metadata; empty if it does not exist."""
        filters: list[ParameterStringFilterTypeDef] = [
            {"Key": "Name", "Option": "Equals", "Values": [name]}
        ]
        with calling("describing a parameter"):
            found = self._client.describe_parameters(ParameterFilters=filters)["Parameters"]
        return found[0] if found else {}

    def _version(self, name: str, version: int) -> StoredValue | None:
        return next((one for one in self.versions(name) if one.version == version), None)
