"""Whether a host's role may read a stage's secrets, by its policies."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.iam.aws_managed_policies import aws_managed_policies_data

from chalicelib.core.stored import ParameterNames
from chalicelib.core.targets import Instances, parse_target
from pulley.operator.doctor.host_roles import (
    Access,
    HostRoles,
    accesses,
    denial,
    find_allowed,
    missing_for_drain,
)
from pulley.operator.doctor.row import FAIL, PASS, WARN
from pulley.operator.targets.host_policy import CHANGING, READING, host_policy
from tests.fakes import target_json

PROJECT = Path(__file__).parents[3]
ARNS = "arn:aws:ssm:eu-central-1:123456789012:parameter"
NAMES = ParameterNames("prod")
SECRET = f"{ARNS}/pulley/prod/webhook-secret"
OWN = "/pulley/prod/repositories/octo/site/webhook-secret"
OF_IT = ["ssm:GetParameter*", "ssm:PutParameter", "ssm:DeleteParameter*"]
MANAGED = json.loads(aws_managed_policies_data)  # AWS's own, by name


def managed(name: str) -> Any:  # noqa: ANN401 - IAM's JSON
    return MANAGED[name]["Document"]


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any = "ssm:GetParameter", resource: Any = "*", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = OF_IT, resource: Any = "*", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def allowed(*documents: Any) -> Access | None:  # noqa: ANN401 - IAM's JSON
    return find_allowed(documents, accesses(NAMES, [OWN], ARNS))


def may_read(*documents: Any) -> bool:  # noqa: ANN401 - IAM's JSON
    return allowed(*documents) is not None


def without(statement: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in statement.items() if key not in keys}


class TestAccesses:
    def test_every_action_on_every_secret_is_checked(self) -> None:
        found = list(accesses(NAMES, [OWN], ARNS))
        stages = [f"/pulley/prod/{name}" for name in ("webhook-secret", "github-token", "page-key")]
        for name in [*stages, OWN]:
            for action in ("GetParameter", "GetParameters", "GetParameterHistory"):
                assert Access(f"ssm:{action}", f"{ARNS}{name}") in found
            for action in ("PutParameter", "DeleteParameter", "DeleteParameters"):
                assert Access(f"ssm:{action}", f"{ARNS}{name}") in found
        paths = [one.arn for one in found if one.action == "ssm:GetParametersByPath"]
        assert paths == [
            *(f"{ARNS}/{path}" for path in ("pulley/prod", "pulley", "")),
            *(f"{ARNS}/pulley/prod/repositories{path}" for path in ("/octo/site", "/octo", "")),
        ]


class TestAWSsOwnPolicies:
    @pytest.mark.parametrize(
        "name",
        ["AmazonSSMManagedInstanceCore", "AmazonEC2RoleforSSM", "AmazonSSMReadOnlyAccess"],
    )
    def test_role_with_an_ssm_policy_may_read_secrets_unless_the_denial_is_added(
        self, name: str
    ) -> None:
        assert may_read(managed(name))
        assert not may_read(managed(name), denial(ARNS))

    @pytest.mark.parametrize(
        "name", ["AmazonSSMManagedEC2InstanceDefaultPolicy", "CloudWatchAgentServerPolicy"]
    )
    def test_role_with_other_policies_may_not_read_secrets(self, name: str) -> None:
        assert not may_read(managed(name))

    def test_role_with_the_denial_in_the_documentation_may_not_read_secrets(self) -> None:
        text = (PROJECT / "docs/getting-started.md").read_text()
        (said,) = re.findall(r"put-role-policy .* --policy-document '(.*)'", text)
        assert not may_read(managed("AmazonSSMManagedInstanceCore"), json.loads(said))


class TestFindAllowed:
    def test_readable_secret_is_named(self) -> None:
        assert allowed(policy(allow())) == Access("ssm:GetParameter", SECRET)

    @pytest.mark.parametrize(
        ("statement", "found"),
        [
            (allow(resource=ARNS + OWN), Access("ssm:GetParameter", ARNS + OWN)),
            (
                allow(resource=f"{ARNS}/pulley/*/repositories/*/webhook-secret"),
                Access("ssm:GetParameter", ARNS + OWN),
            ),
            (
                allow("ssm:GetParametersByPath", f"{ARNS}/pulley/prod/repositories/octo"),
                Access("ssm:GetParametersByPath", f"{ARNS}/pulley/prod/repositories/octo"),
            ),
            (
                allow(resource=f"{ARNS}/pulley/prod/page-*"),
                Access("ssm:GetParameter", f"{ARNS}/pulley/prod/page-key"),
            ),
            (allow("ssm:Put*"), Access("ssm:PutParameter", SECRET)),
            (allow("ssm:DeleteParameters", ARNS + OWN), Access("ssm:DeleteParameters", ARNS + OWN)),
        ],
        ids=str,
    )
    def test_access_to_any_secret_of_the_stage_counts(
        self, statement: dict[str, Any], found: Access
    ) -> None:
        assert allowed(policy(statement)) == found
        assert allowed(policy(statement), denial(ARNS)) is None

    def test_targets_are_no_secrets(self) -> None:
        assert not may_read(policy(allow(resource=f"{ARNS}/pulley/prod/*/targets")))

    @pytest.mark.parametrize(
        "statement",
        [
            allow("*"),
            allow("ssm:*"),
            allow("SSM:getparameter"),
            allow(["s3:GetObject", "ssm:GetParameters"]),
            allow("ssm:GetParameterHistory"),
            allow("ssm:GetParameter?"),
            allow("ssm:GetParametersByPath", f"{ARNS}/"),
            allow("ssm:GetParametersByPath", f"{ARNS}/pulley"),
            allow(resource=SECRET),
            allow(resource=["arn:aws:s3:::a/*", "arn:aws:ssm:*:*:parameter/pulley/*"]),
            allow(resource="arn:aws:ssm:*"),
            allow(resource="arn:aws:ssm"),
            allow(resource=f"{ARNS}/*/prod/github-token"),
            allow(resource=f"{ARNS}/${{aws:PrincipalTag/app}}/*"),
            allow(Condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}}),
            without(allow(NotAction="iam:*"), "Action"),
            without(allow(NotResource="arn:aws:s3:::*"), "Resource"),
            without(allow(NotResource=f"{ARNS}/${{aws:PrincipalTag/app}}/*"), "Resource"),
        ],
        ids=str,
    )
    def test_statement_that_covers_a_secret_allows_access(self, statement: dict[str, Any]) -> None:
        assert may_read(policy(statement))

    @pytest.mark.parametrize(
        "statement",
        [
            allow("ssm:DescribeParameters"),
            allow("s3:*"),
            allow(resource=f"{ARNS}/mine/*"),
            allow(resource=f"{ARNS}/PULLEY/*"),
            allow(resource="arn:aws:ssm:us-east-1:*:parameter/*"),
            allow(resource=f"{ARNS}/pulley/[p]rod/*"),
            allow("ssm:GetParametersByPath", f"{ARNS}/mine"),
            without(allow(NotAction=["ssm:Get*", "ssm:Put*", "ssm:Delete*"]), "Action"),
            without(allow(NotResource="arn:aws:ssm:*:*:parameter/*"), "Resource"),
        ],
        ids=str,
    )
    def test_statement_for_other_actions_or_resources_allows_no_access(
        self, statement: dict[str, Any]
    ) -> None:
        assert not may_read(policy(statement))

    @pytest.mark.parametrize(
        "statement",
        [
            deny(),
            deny("*"),
            deny(resource="arn:aws:ssm:*:*:parameter/*"),
            without(deny(NotAction="s3:*"), "Action"),
            without(deny(NotResource=f"{ARNS}/mine/*"), "Resource"),
        ],
        ids=str,
    )
    def test_denial_wins_in_any_policy(self, statement: dict[str, Any]) -> None:
        everything = policy(allow("*"))
        assert not may_read(everything, policy(statement))
        assert not may_read(policy(statement), everything)

    @pytest.mark.parametrize(
        "statement",
        [
            deny("ssm:GetParameter"),
            deny("ssm:GetParameter*"),  # whoever writes a secret can sign with it
            deny(["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]),
            deny(resource=f"{ARNS}/pulley/*"),  # the path above it is not denied
            deny(resource=SECRET),
            deny(resource="arn:aws:ssm:us-east-1:*:*"),
            deny(resource=f"{ARNS}/${{aws:PrincipalTag/app}}*"),
            deny(Condition={"Bool": {"aws:SecureTransport": "false"}}),
            without(deny(NotAction="ssm:*"), "Action"),
            without(deny(NotResource=f"{ARNS}/${{aws:PrincipalTag/app}}/*"), "Resource"),
        ],
        ids=str,
    )
    def test_denial_of_only_some_actions_or_resources_is_not_enough(
        self, statement: dict[str, Any]
    ) -> None:
        assert may_read(policy(allow("*")), policy(statement))

    def test_role_without_policies_may_not_read_secrets(self) -> None:
        assert not may_read()

    def test_single_statement_without_a_list_is_read(self) -> None:
        assert may_read({"Version": "2012-10-17", "Statement": allow()})


class TestDenial:
    def test_denial_has_the_account_s_partition(self) -> None:
        arns = ARNS.replace("arn:aws:", "arn:aws-cn:")
        (statement,) = denial(arns)["Statement"]
        assert statement["Resource"][0] == "arn:aws-cn:ssm:*:*:parameter/pulley/*"

    def test_parameters_outside_pulley_may_still_be_read(self) -> None:
        documents = [managed("AmazonSSMManagedInstanceCore"), denial(ARNS)]
        own = Access("ssm:GetParameter", f"{ARNS}/mine/password")
        assert find_allowed(documents, [own]) == own


class TestDrain:
    GROUP = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef"
    TARGET = parse_target(
        "web",
        target_json(restart=["site.service"], max_concurrency="25%", drain={"target_group": GROUP}),
    )

    def missing(self, *documents: Any) -> list[str]:  # noqa: ANN401 - IAM's JSON
        return [one.action for one in missing_for_drain(documents, self.TARGET)]

    def test_printed_policy_is_enough_and_allows_nothing_more(self) -> None:
        printed = host_policy(self.TARGET)
        assert printed
        assert self.missing(printed) == []
        other = self.GROUP.replace("/web/", "/api/")
        allowed = [Access(action, other) for action in CHANGING]
        assert find_allowed([printed], allowed) is None

    def test_role_without_it_lacks_all_three(self) -> None:
        core = managed("AmazonSSMManagedInstanceCore")
        assert self.missing(core) == [*CHANGING, READING]

    def test_policy_of_another_group_is_not_enough(self) -> None:
        other = self.GROUP.replace("/web/", "/api/")
        assert self.missing(policy(allow([*CHANGING, READING], other))) == [*CHANGING, READING]
        assert self.missing(policy(allow([*CHANGING, READING]))) == []

    def test_denial_counts(self) -> None:
        documents = policy(allow([*CHANGING, READING])), policy(deny(CHANGING[0]))
        assert self.missing(*documents) == [CHANGING[0]]

    def test_target_that_stays_in_needs_nothing(self) -> None:
        plain = parse_target("web", target_json())
        assert host_policy(plain) is None
        assert missing_for_drain([], plain) == []

    def test_roles_of_the_target_s_hosts_are_looked_at(self) -> None:
        with mock_aws():
            session = boto3.Session("testing", "testing", region_name="eu-west-1")
            iam, ec2 = session.client("iam"), session.client("ec2")
            for name in ("good", "bad", "other"):
                iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
                iam.create_instance_profile(InstanceProfileName=name)
                iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
                tags = {"pulley": "prod", "role": "web" if name != "other" else "api"}
                ec2.run_instances(
                    ImageId="ami-12c6146b",
                    MinCount=1,
                    MaxCount=1,
                    IamInstanceProfile={"Name": name},
                    TagSpecifications=[
                        {
                            "ResourceType": "instance",
                            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                        }
                    ],
                )
            text = json.dumps(host_policy(self.TARGET))
            iam.put_role_policy(RoleName="good", PolicyName="drain", PolicyDocument=text)
            roles = HostRoles(ec2, iam, NAMES, [], ARNS)
            rows = list(roles.check_drain(self.TARGET))
            nobodys = Instances(tags=(("role", ("db",)),)), Instances(ids=("mi-0123456789abcdef0",))
            without = [
                row
                for one in nobodys
                for row in roles.check_drain(replace(self.TARGET, instances=one))
            ]
        assert [(row.what, row.outcome) for row in rows] == [
            ("hosts' role bad, drain of web", FAIL),
            ("hosts' role good, drain of web", PASS),
        ]
        assert "elasticloadbalancing:DeregisterTargets on arn:aws" in rows[0].words
        assert rows[0].mend == "pulley targets host-policy web"
        assert [row.outcome for row in without] == [WARN, WARN]
        assert "no host of it has a role" in without[0].words
