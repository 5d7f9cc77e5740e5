"""Check that the roles of the hosts may not read or write the stage's secrets.

Every process on an instance can get the credentials of the instance's role. With write access to a
secret, it can sign deliveries. If it deletes a repository's own secret, the stage's secret opens
the repository.

AWS's own policy for managed instances (AmazonSSMManagedInstanceCore) allows ssm:GetParameter and
ssm:GetParameters on everything. Values that are encrypted with the default key aws/ssm are
decrypted for every principal of the account.

The role's attached and inline policies are evaluated as IAM does, an explicit Deny first. In doubt
the role counts as allowed: a condition of an Allow is assumed to be met, one of a Deny not to be,
and the same goes for policy variables. NotAction and NotResource match everything that they do not
name. Not checked are keys, permissions boundaries, an organization's policies, and the role of a
hybrid node, which belongs to its activation.

Sources: IAM User Guide, "Policy evaluation logic" and "IAM JSON policy elements: Resource"; Systems
Manager User Guide, "How Parameter Store authorizes parameter retrieval".
"""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from chalicelib.core.stored import ParameterNames
from chalicelib.core.targets import STAGE_TAG, Target
from chalicelib.edges.aws import calling
from pulley.operator.doctor.nodes import STATES, filters_of
from pulley.operator.doctor.row import FAIL, WARN, Row, passed
from pulley.operator.suggest import suggest
from pulley.operator.targets.host_policy import CHANGING, READING

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef
    from mypy_boto3_iam import IAMClient

_READ_ONE = ("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParameterHistory")
_WRITE_ONE = ("ssm:PutParameter", "ssm:DeleteParameter", "ssm:DeleteParameters")
# IAM checks only the path in the request: who may read / gets every parameter below it.
_READ_PATH = "ssm:GetParametersByPath"
_POLICY = "no-pulley-secrets"
_VARIABLE = re.compile(r"\$\{[^}]*\}")


@dataclass(frozen=True)
class Access:
    """A request that returns a secret, or changes one."""

    action: str
    arn: str


@dataclass(frozen=True)
class HostRoles:
    """The roles of a stage's instances. `parameters` is the prefix of the parameters' ARNs.

    `secrets` are the names of the stage's stored secrets. Raises RefusedError and UnavailableError
    if AWS does not allow a call.
    """

    ec2: "EC2Client"
    iam: "IAMClient"
    names: ParameterNames
    secrets: Sequence[str]
    parameters: str

    def check(self) -> Iterator[Row]:
        """Check that no role may read or write a secret of the stage."""
        roles = self._every_role([])
        if not roles:
            yield passed("hosts' roles", "no instance has a role")
        for role in roles:
            yield self._check_role(role)

    def check_drain(self, target: Target) -> Iterator[Row]:
        """Check that the roles of a target's hosts may do what its `drain` needs."""
        if not target.drain:
            return
        roles = self._every_role(filters_of(target))
        if not roles:
            words = "no host of it has a role, so none could leave its target group"
            yield Row(f"hosts' role, drain of {target.name}", WARN, words)
        for role in roles:
            what = f"hosts' role {role}, drain of {target.name}"
            missing = missing_for_drain(self._policies(role), target)
            if not missing:
                yield passed(what, "its hosts may leave the target group and come back")
                continue
            words = ", ".join(f"{one.action} on {one.arn}" for one in missing)
            hint = str(suggest("targets host-policy", target.name))
            yield Row(what, FAIL, f"it may not {words}", hint)

    def _every_role(self, filters: "Sequence[FilterTypeDef]") -> Sequence[str]:
        """The roles of those of the stage's hosts that fit the filters."""
        profiles = self._profiles(filters)
        return sorted({role for profile in profiles for role in self._roles(profile)})

    def _profiles(self, filters: "Sequence[FilterTypeDef]") -> Sequence[str]:
        """The names of the instance profiles of the stage's hosts."""
        pages = self.ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": f"tag:{STAGE_TAG}", "Values": [self.names.stage]},
                {"Name": "instance-state-name", "Values": list(STATES)},
                *filters,
            ]
        )
        with calling("reading the instances' profiles"):
            arns = {
                one.get("IamInstanceProfile", {}).get("Arn", "")
                for page in pages
                for reservation in page["Reservations"]
                for one in reservation.get("Instances", [])
            }
        return sorted(arn.rpartition("/")[2] for arn in arns if arn)

    def _roles(self, profile: str) -> Sequence[str]:
        with calling(f"reading the instance profile {profile}"):
            try:
                found = self.iam.get_instance_profile(InstanceProfileName=profile)
            except self.iam.exceptions.NoSuchEntityException:  # deleted: it gives no credentials
                return []
            return [one["RoleName"] for one in found["InstanceProfile"]["Roles"]]

    def _check_role(self, role: str) -> Row:
        what = f"hosts' role {role}"
        wanted = accesses(self.names, self.secrets, self.parameters)
        found = find_allowed(self._policies(role), wanted)
        if found is None:
            return passed(what, "it may not read or write this stage's secrets")
        verb = "write" if found.action in _WRITE_ONE else "read"
        words = (
            f"it may {verb} secrets of this stage, and so may everybody on a host: {found.action} "
            f"on {found.arn}"
        )
        document = shlex.quote(json.dumps(denial(self.parameters)))
        hint = (
            f"aws iam put-role-policy --role-name {shlex.quote(role)} --policy-name {_POLICY} "
            f"--policy-document {document}"
        )
        return Row(what, WARN, words, hint)

    def _policies(self, role: str) -> Sequence[Any]:
        """The role's policies: the attached ones in their default version, and the inline ones."""
        iam = self.iam
        with calling(f"reading the role {role}"):
            attached = [
                iam.get_policy(PolicyArn=one["PolicyArn"])["Policy"]
                for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=role)
                for one in page["AttachedPolicies"]
            ]
            documents: list[Any] = [
                iam.get_policy_version(
                    PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"]
                )["PolicyVersion"]["Document"]
                for policy in attached
            ]
            documents += [
                iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
                for page in iam.get_paginator("list_role_policies").paginate(RoleName=role)
                for name in page["PolicyNames"]
            ]
        return documents


def accesses(names: ParameterNames, secrets: Iterable[str], parameters: str) -> Iterator[Access]:
    """Every request for the secrets that are stored, and for those that every stage may have."""
    usual = (names.webhook_secret, names.github_token, f"/pulley/{names.stage}/page-key")
    every = tuple(dict.fromkeys([*usual, *secrets]))
    for action in _READ_ONE:
        yield from (Access(action, parameters + name) for name in every)
    paths = dict.fromkeys(path for name in every for path in PurePosixPath(name).parents)
    yield from (Access(_READ_PATH, f"{parameters}{path}") for path in paths)
    for action in _WRITE_ONE:
        yield from (Access(action, parameters + name) for name in every)


def find_allowed(documents: Iterable[Any], wanted: Iterable[Access]) -> Access | None:
    """The first access that the policies allow together."""
    statements = _statements(documents)
    return next((one for one in wanted if _is_allowed(statements, one)), None)


def missing_for_drain(documents: Iterable[Any], target: Target) -> Sequence[Access]:
    """What the policies do not allow of what a target's `drain` needs."""
    statements = _statements(documents)
    wanted = [Access(action, arn) for action in CHANGING for arn in target.drain]
    wanted += [Access(READING, "*")] if target.drain else []
    return [one for one in wanted if not _is_allowed(statements, one)]


def denial(parameters: str) -> dict[str, Any]:
    """The policy that denies a role every stage's secrets, in every region."""
    arns = ":".join([*parameters.split(":")[:3], "*", "*", "parameter"])
    paths = ("/pulley/*", "/pulley", "/")  # the last two are for GetParametersByPath
    deny = {
        "Effect": "Deny",
        "Action": ["ssm:GetParameter*", "ssm:PutParameter", "ssm:DeleteParameter*"],
        "Resource": [arns + path for path in paths],
    }
    return {"Version": "2012-10-17", "Statement": [deny]}


def _statements(documents: Iterable[Any]) -> Sequence[Any]:
    return [one for document in documents for one in _as_list(document.get("Statement", []))]


def _is_allowed(statements: Sequence[Any], access: Access) -> bool:
    effects = {statement.get("Effect") for statement in statements if _is_about(statement, access)}
    return effects == {"Allow"}


def _is_about(statement: Any, access: Access) -> bool:  # noqa: ANN401 - IAM's JSON
    """Whether a statement applies to the access. In doubt an Allow does, and a Deny does not."""
    allows = statement.get("Effect") == "Allow"
    if statement.get("Condition") and not allows:
        return False

    def has_action(key: str) -> bool:
        patterns = _as_list(statement.get(key, []))
        return any(_fits(access.action.lower(), pattern.lower()) for pattern in patterns)

    def has_resource(key: str, *, loosely: bool) -> bool:
        patterns = _as_list(statement.get(key, []))
        return any(_covers(one, access.arn, loosely=loosely) for one in patterns)

    if has_action("NotAction") if "NotAction" in statement else not has_action("Action"):
        return False
    if "NotResource" in statement:
        return not has_resource("NotResource", loosely=not allows)
    return has_resource("Resource", loosely=allows)


def _covers(pattern: str, arn: str, *, loosely: bool) -> bool:
    """Whether a pattern matches the ARN. `loosely`: variables and missing parts match anything."""
    if not loosely:
        return _fits(arn, pattern)
    pattern = _VARIABLE.sub("*", pattern)
    return _fits(arn, pattern) or _fits(arn, pattern + ":*")


def _fits(text: str, pattern: str) -> bool:
    """Match as IAM does: `*` and `?` match `/` and `:` too, and brackets are no wildcards."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _as_list(value: Any) -> list[Any]:  # noqa: ANN401 - IAM's JSON: an item, or a list of items
    return value if isinstance(value, list) else [value]
