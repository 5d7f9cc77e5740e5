"""Find what IAM has of a stage, and delete it: the functions' roles, the policies for people.

IAM has no regions, so stages with the same name in two regions share these. They go only when no
other region has the stage's webhook.

Source: IAM API Reference, "DeleteRole": nothing may be attached to the role, or be in it;
"DeletePolicy": it may be attached to nobody, and have no version but the default.
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from chalicelib.edges.aws import calling
from pulley.operator.people.policies import is_of
from pulley.operator.stage.settings import FUNCTIONS, WEBHOOK, function_name
from pulley.operator.uninstall.app import APP
from pulley.operator.uninstall.clients import Clients, remove, unless
from pulley.operator.uninstall.found import Found, Left, Removal, joined

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient

ROLE, PEOPLE = "role", "policy for people"
_GONE, _NO_FUNCTION = "NoSuchEntity", "ResourceNotFoundException"
_REFUSALS = ("AccessDeniedException", "AccessDenied", "UnrecognizedClientException")


def find_in_iam(  # noqa: PLR0913 - each is a fact of its own
    clients: Clients,
    ec2: "EC2Client",
    stage: str,
    *,
    region: str,
    elsewhere: Collection[str],
    foreign: Collection[str] = (),
) -> Found:
    """The stage's roles and policies. `elsewhere` has the roles of a stack.

    `foreign` has the functions that are another stage's, and need their roles.

    Raises RefusedError and UnavailableError.
    """
    ours = [one for one in FUNCTIONS if function_name(APP, stage, one) not in foreign]
    names = [f"{APP}-{stage}-{one}" for one in ours]
    roles = [one for one in names if one not in elsewhere and _is_there(clients, one)]
    policies = _policies(clients, stage)
    if not roles and not policies:
        return Found()
    using, unknown = _other_regions(clients, ec2, stage, region)
    if using:
        why = f"functions of a stage {stage} in {', '.join(using)} have them, too"
        every = ", ".join([*roles, *policies])
        how = f"uninstall there: the last uninstall removes them ({every})"
        what = f"{len(roles)} roles" + (f", {len(policies)} policies" if policies else "")
        return Found(left=(Left(ROLE, what, why, how),))
    why = f"; AWS did not let us look for the same stage in {', '.join(unknown)}" if unknown else ""
    found = [
        Removal(ROLE, one, f"with its policy{why}", remove=partial(_delete, clients, one))
        for one in roles
    ]
    return Found(tuple(found)) + joined(_policy(clients, *one) for one in policies.items())


def _policies(clients: Clients, stage: str) -> dict[str, str]:
    """The ARNs of the stage's policies for people, by their names."""
    with calling("reading the account's policies"):
        pages = clients.roles.get_paginator("list_policies").paginate(Scope="Local")
        every = {one["PolicyName"]: one["Arn"] for page in pages for one in page["Policies"]}
    return {name: arn for name, arn in every.items() if is_of(stage, name)}


def _policy(clients: Clients, name: str, arn: str) -> Found:
    with calling(f"reading who has the policy {name}"):
        pages = clients.roles.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn)
        whose = [
            *(("role", one) for page in pages for one in _names(page, "Role")),
            *(("user", one) for page in pages for one in _names(page, "User")),
            *(("group", one) for page in pages for one in _names(page, "Group")),
        ]
    if whose:
        why = f"it is attached to {', '.join(f'the {kind} {one}' for kind, one in whose)}"
        how = "; ".join(
            f"aws iam detach-{kind}-policy --{kind}-name {one} --policy-arn {arn}"
            for kind, one in whose
        )
        return Found(left=(Left(PEOPLE, name, why, f"{how}; then run this again"),))
    delete = partial(_delete_policy, clients.roles, arn)
    return Found((Removal(PEOPLE, name, remove=lambda: remove(name, _GONE, delete)),))


def _names(page: Mapping[str, Any], kind: str) -> list[str]:
    return [one[f"{kind}Name"] for one in page.get(f"Policy{kind}s", [])]


def _delete_policy(client: "IAMClient", arn: str) -> None:
    for one in client.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not one["IsDefaultVersion"]:
            client.delete_policy_version(PolicyArn=arn, VersionId=one["VersionId"])
    client.delete_policy(PolicyArn=arn)


def _is_there(clients: Clients, name: str) -> bool:
    with calling(f"reading the role {name}"):
        return unless({_GONE}, lambda: clients.roles.get_role(RoleName=name)) is not None


def _other_regions(
    clients: Clients, ec2: "EC2Client", stage: str, region: str
) -> tuple[list[str], list[str]]:
    """The other regions that have a function of the stage, and those where we may not look."""
    using, unknown = [], []
    with calling("reading the regions"):
        regions = [one["RegionName"] for one in ec2.describe_regions()["Regions"]]
    for other in sorted({*regions} - {region}):
        look = partial(_has_function, clients.functions_of(other), stage)
        with calling(f"looking for functions in {other}"):
            has_function = unless(_REFUSALS, look)
        if has_function is None:
            unknown.append(other)
        elif has_function:
            using.append(other)
    return using, unknown


def _has_function(functions: "LambdaClient", stage: str) -> bool:
    """Whether a region has the stage's webhook, and so a stage."""
    name = function_name(APP, stage, WEBHOOK)
    ask = partial(functions.get_function_configuration, FunctionName=name)
    return unless({_NO_FUNCTION}, ask) is not None


def _delete(clients: Clients, name: str) -> None:
    remove(f"the role {name}", _GONE, partial(_empty_and_delete, clients.roles, name))


def _empty_and_delete(roles: "IAMClient", name: str) -> None:
    for policy in roles.list_role_policies(RoleName=name)["PolicyNames"]:
        roles.delete_role_policy(RoleName=name, PolicyName=policy)
    for one in roles.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        roles.detach_role_policy(RoleName=name, PolicyArn=one["PolicyArn"])
    roles.delete_role(RoleName=name)
