"""Whether a host's role may read a stage's secrets, by its policies."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from chalicelib.core.stored import ParameterNames
from pulley.operator.doctor.host_roles import Access, accesses, denial, find_allowed

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
