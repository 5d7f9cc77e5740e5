"""Find the roles that `chalice deploy` made for a stage's functions, and delete them.

IAM has no regions, so stages with the same name in two regions share their roles. The roles go only
when no other region has the stage's webhook.

Source: IAM API Reference, "DeleteRole": nothing may be attached to the role, or be in it.
"""

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from chalicelib.edges.aws import calling
from pulley.operator.stage.settings import FUNCTIONS, WEBHOOK, function_name
from pulley.operator.uninstall.app import APP
from pulley.operator.uninstall.clients import Clients, remove, unless
from pulley.operator.uninstall.found import Found, Left, Removal

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient

ROLE = "role"
_GONE, _NO_FUNCTION = "NoSuchEntity", "ResourceNotFoundException"
_REFUSALS = ("AccessDeniedException", "AccessDenied", "UnrecognizedClientException")


def find_roles(
    clients: Clients, ec2: "EC2Client", stage: str, *, region: str, elsewhere: Collection[str]
) -> Found:
    """The stage's roles. `elsewhere` has those of a stack.

    Raises RefusedError and UnavailableError.
    """
    names = [f"{APP}-{stage}-{one}" for one in FUNCTIONS]
    there = [one for one in names if one not in elsewhere and _is_there(clients, one)]
    if not there:
        return Found()
    using, unknown = _other_regions(clients, ec2, stage, region)
    if using:
        why = f"functions of a stage {stage} in {', '.join(using)} have them, too"
        how = f"uninstall there: the last uninstall removes them ({', '.join(there)})"
        return Found(left=(Left(ROLE, f"{len(there)} roles", why, how),))
    why = "with its policy"
    if unknown:
        why += f"; AWS did not let us look for the same stage in {', '.join(unknown)}"
    return Found(
        tuple(Removal(ROLE, one, why, remove=partial(_delete, clients, one)) for one in there)
    )


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
