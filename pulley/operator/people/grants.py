"""Which command needs which actions of AWS, and which of the three policies allows them.

One table for the policies, docs/cli.md and the words of a refusal; tests/cli/test_people.py holds
it against the calls that the commands make.

Source of which action takes which resource: Service Authorization Reference, "Actions, resources,
and condition keys for AWS Systems Manager", and the same of the other services.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.core.targets import STAGE_TAG, Target

LOOK, DEPLOY, ADMINISTER = "look", "deploy", "administer"
NONE = ""  # whoever may write policies may do anything: none of the three allows it
LEVELS = (LOOK, DEPLOY, ADMINISTER)  # each may do what the ones before it may
EVERYTHING = ("*",)


@dataclass(frozen=True)
class Grant:
    """An action on resources: `*`, or `service:region:resource` with STAGE for the stage's name.

    `tags` are those that a host must have, each with its values.
    """

    action: str
    resources: tuple[str, ...] = EVERYTHING
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Need:
    """A command needs these grants; the policy of this level has all of them, or NONE."""

    level: str
    grants: frozenset[Grant]

    @property
    def actions(self) -> Sequence[str]:
        """Its actions, sorted."""
        return sorted({grant.action for grant in self.grants})


def _parameters(*names: str) -> tuple[str, ...]:
    return tuple(f"ssm:*:parameter/pulley/STAGE/{name}" for name in names)


def _grants(actions: str, resources: tuple[str, ...] = EVERYTHING) -> frozenset[Grant]:
    return frozenset(Grant(action, resources) for action in actions.split())


def _reading(*names: str) -> frozenset[Grant]:
    return _grants("ssm:GetParameters", _parameters(*names))


_DOCUMENT = ("ssm:*:document/pulley-STAGE-pull",)
_HOSTS = ("ec2:*:instance/*", "ssm:*:managed-instance/*")
_WEBHOOK, _OTHERS = "lambda:*:function:pulley-STAGE", "lambda:*:function:pulley-STAGE-*"
_RULES = ("events:*:rule/pulley-STAGE-*",)
_GROUPS = ("autoscaling:*:autoScalingGroup:*",)
_ALL = _parameters("*")

_LIST = _grants("ssm:DescribeParameters")
_TARGETS = _LIST | _reading("repositories/*/targets")
_STATE = _reading("document", "pins/*", "reconcile")
_INSTANCES = _grants("ec2:DescribeInstances ssm:DescribeInstanceInformation")
_SENT = _grants("ssm:ListCommands")
_RESULTS = _grants("ssm:ListCommandInvocations")
_STANDINGS = _TARGETS | _STATE | _INSTANCES | _SENT | _RESULTS
_OUTPUT = _grants("ssm:GetCommandInvocation")
_PIN_VERSIONS = _grants("ssm:GetParameterHistory", _parameters("pins/*"))
# A write reads the versions too, if somebody else wrote meanwhile.
_PIN = _PIN_VERSIONS | _grants("ssm:PutParameter", _parameters("pins/*"))
_SEND = _grants("ssm:SendCommand", _DOCUMENT) | {
    Grant("ssm:SendCommand", _HOSTS, ((STAGE_TAG, ("STAGE",)),))
}
_ASK = _STATE | _SEND | _SENT | _RESULTS
_READ_ALL = _LIST | _grants("ssm:GetParameters", _ALL)
_WRITE_ALL = _grants("ssm:PutParameter ssm:GetParameterHistory", _ALL)
_READ_DOCUMENT = _grants("ssm:DescribeDocument ssm:GetDocument", _DOCUMENT)
_CHANGE_DOCUMENT = _grants(
    "ssm:CreateDocument ssm:UpdateDocument ssm:UpdateDocumentDefaultVersion ssm:DeleteDocument",
    _DOCUMENT,
)
_READ_GROUPS = _grants("autoscaling:DescribeAutoScalingGroups autoscaling:DescribeLifecycleHooks")
_READ_FUNCTIONS = (
    _grants("lambda:GetFunctionConfiguration", (_WEBHOOK, _OTHERS))
    | _grants("lambda:GetPolicy", (_OTHERS,))
    | _grants("events:ListRuleNamesByTarget")
    | _grants("events:DescribeRule", _RULES)
)
_READ_ROLES = (
    _grants("iam:ListAttachedRolePolicies iam:ListRolePolicies iam:GetRolePolicy", ("iam::role/*",))
    | _grants("iam:GetInstanceProfile", ("iam::instance-profile/*",))
    | _grants("iam:GetPolicy iam:GetPolicyVersion")  # AWS's own policies have no account
)
_EXAMINE = (
    _READ_ALL
    | _STANDINGS
    | _SEND
    | _READ_DOCUMENT
    | _READ_FUNCTIONS
    | _READ_ROLES
    | _READ_GROUPS
    | _grants("ssm:GetParameterHistory", _ALL)
)
_POLICIES = _grants(
    "iam:CreatePolicy iam:CreatePolicyVersion iam:DeletePolicyVersion iam:GetPolicy "
    "iam:GetPolicyVersion iam:ListPolicyVersions",
    ("iam::policy/pulley-STAGE-*",),
)
# What a stack has goes with the rights of whoever deletes it.
_REMOVE = _grants(
    "apigateway:DELETE apigateway:GET autoscaling:DeleteLifecycleHook "
    "cloudformation:DeleteStack cloudformation:DescribeStackResources "
    "cloudformation:DescribeStacks ec2:DescribeRegions events:DeleteRule events:DescribeRule "
    "events:ListRuleNamesByTarget "
    "events:ListTargetsByRule events:RemoveTargets iam:DeletePolicy iam:DeletePolicyVersion "
    "iam:DeleteRole iam:DeleteRolePolicy iam:DetachRolePolicy iam:GetRole "
    "iam:ListAttachedRolePolicies iam:ListEntitiesForPolicy iam:ListPolicies "
    "iam:ListPolicyVersions iam:ListRolePolicies lambda:DeleteFunction "
    "lambda:GetFunctionConfiguration logs:DeleteLogGroup logs:DescribeLogGroups "
    "ssm:DeleteDocument ssm:DeleteParameters ssm:DescribeDocument"
)

NEEDS: Mapping[str, Need] = {
    "setup": Need(ADMINISTER, _READ_ALL | _WRITE_ALL | _READ_DOCUMENT | _CHANGE_DOCUMENT),
    "setup --people": Need(NONE, _READ_ALL | _READ_DOCUMENT | _POLICIES),
    "targets apply": Need(
        ADMINISTER, _READ_ALL | _WRITE_ALL | _INSTANCES | _grants("ssm:GetParameterHistory", _ALL)
    ),
    "targets host-policy": Need(LOOK, _TARGETS),
    "targets launch-hook": Need(
        ADMINISTER,
        _TARGETS
        | _INSTANCES
        | _READ_GROUPS
        | _grants("autoscaling:CreateOrUpdateTags autoscaling:PutLifecycleHook", _GROUPS),
    ),
    "targets show": Need(LOOK, _TARGETS),
    "connect": Need(ADMINISTER, _READ_ALL),
    "doctor": Need(ADMINISTER, _EXAMINE),
    "doctor --fix": Need(ADMINISTER, _EXAMINE | _WRITE_ALL | _CHANGE_DOCUMENT),
    "plan": Need(LOOK, _STANDINGS),
    "deploy": Need(DEPLOY, _STANDINGS | _SEND | _OUTPUT),
    "promote": Need(DEPLOY, _STANDINGS | _SEND | _OUTPUT),
    "cancel": Need(DEPLOY, _STANDINGS | _SEND | _PIN | _grants("ssm:CancelCommand")),
    "status": Need(LOOK, _STANDINGS),
    "status --live": Need(DEPLOY, _STANDINGS | _SEND),
    "open": Need(LOOK, _STANDINGS | _OUTPUT),
    "open --hosted": Need(LOOK, _TARGETS | _reading("page-key")),
    "open --hosted --new-key": Need(ADMINISTER, _READ_ALL | _WRITE_ALL),
    "history": Need(LOOK, _TARGETS | _SENT | _RESULTS | _PIN_VERSIONS),
    "logs": Need(LOOK, _TARGETS | _INSTANCES | _SENT | _RESULTS | _OUTPUT),
    "saved": Need(DEPLOY, _TARGETS | _INSTANCES | _ASK | _OUTPUT),
    "pin": Need(DEPLOY, _TARGETS | _STATE | _PIN | _SENT | _RESULTS),
    "freeze": Need(DEPLOY, _TARGETS | _reading("pins/*") | _PIN),
    "unpin": Need(DEPLOY, _STANDINGS | _PIN),
    "rollback": Need(DEPLOY, _STANDINGS | _PIN | _SEND | _OUTPUT),
    "secret rotate": Need(ADMINISTER, _READ_ALL | _WRITE_ALL),
    "simulate": Need(
        ADMINISTER,
        _grants("ssm:GetParameters", _ALL)
        | _INSTANCES
        | _grants("ssm:DescribeDocument", _DOCUMENT),
    ),
    "uninstall": Need(NONE, _READ_ALL | _SENT | _READ_GROUPS | _REMOVE),
}


def needs_of(command: str) -> Mapping[str, Need]:
    """What a command needs, by its name and the options that need more; {} if it calls no AWS."""
    return {
        name: need
        for name, need in NEEDS.items()
        if name == command or name.startswith(f"{command} --")
    }


def grants_of(level: str) -> frozenset[Grant]:
    """All that a level may do: what the commands need that are of it, or of one before it."""
    levels = LEVELS[: LEVELS.index(level) + 1]
    every = [need.grants for need in NEEDS.values() if need.level in levels]
    return frozenset[Grant]().union(*every)


def narrowed(grant: Grant, target: Target) -> Grant:
    """The grant for one target: it sends only to the target's hosts, and writes only its pin."""
    if grant.tags:
        hosts = tuple(_host(one) for one in target.instances.ids) or grant.resources
        return Grant(grant.action, hosts, (*grant.tags, *target.instances.tags))
    if grant.action == "ssm:PutParameter":
        return Grant(grant.action, _parameters(f"pins/{target.name}"))
    return grant


def _host(instance_id: str) -> str:
    """A host's ARN. The id of a managed node that is no instance of EC2 begins with mi-."""
    return _HOSTS[instance_id.startswith("mi-")].replace("/*", f"/{instance_id}")
