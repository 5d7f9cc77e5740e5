"""IAM's managed policies: read the newest content, and store another one.

Source: IAM API Reference, "CreatePolicy", "CreatePolicyVersion"; IAM User Guide, "IAM and AWS STS
quotas", on the five versions of a policy.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.edges.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

MOST_VERSIONS = 5


@dataclass(frozen=True)
class ManagedPolicies:
    """Reads and stores policies by their ARN. Raises RefusedError and UnavailableError."""

    client: "IAMClient"

    def read(self, arn: str) -> Mapping[str, Any] | None:
        """The content that is in use; None if there is no such policy."""
        with calling(f"reading the policy {_name(arn)}"):
            try:
                version = self.client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            except self.client.exceptions.NoSuchEntityException:
                return None
            found = self.client.get_policy_version(PolicyArn=arn, VersionId=version)
            # botocore has parsed the JSON.
            content: Any = found["PolicyVersion"]["Document"]
            return content if isinstance(content, dict) else {}

    def create(self, arn: str, content: Mapping[str, Any], words: str) -> None:
        """Create the policy. `words` is its description, which cannot be changed later."""
        with calling(f"creating the policy {_name(arn)}"):
            self.client.create_policy(
                PolicyName=_name(arn), PolicyDocument=json.dumps(content), Description=words
            )

    def update(self, arn: str, content: Mapping[str, Any]) -> None:
        """Store a new version and use it. If there are five, the oldest goes first."""
        with calling(f"updating the policy {_name(arn)}"):
            pages = self.client.get_paginator("list_policy_versions").paginate(PolicyArn=arn)
            versions = [one for page in pages for one in page["Versions"]]
            spare = [one for one in versions if not one["IsDefaultVersion"]]
            if len(versions) >= MOST_VERSIONS:
                oldest = min(spare, key=lambda one: one["CreateDate"])
                self.client.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
            self.client.create_policy_version(
                PolicyArn=arn, PolicyDocument=json.dumps(content), SetAsDefault=True
            )


def is_same(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> bool:
    """Whether two contents allow the same. The order of statements and lists does not count."""
    return one is not None and _canonical(one) == _canonical(other)


def _canonical(content: Mapping[str, Any]) -> list[str]:
    statements = content.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    return sorted(json.dumps(_sorted(one), sort_keys=True) for one in listed)


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(one) for key, one in value.items() if key != "Sid"}
    if isinstance(value, list):
        return sorted(value, key=str) if len(value) != 1 else value[0]
    return value


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]
