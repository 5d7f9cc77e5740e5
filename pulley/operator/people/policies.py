"""The policies for people as IAM's JSON.

Source: IAM User Guide, "IAM and AWS STS quotas": a managed policy has at most 6,144 characters,
spaces not counted; "IAM policy elements: Variables and tags".
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.core.errors import UnavailableError
from chalicelib.core.targets import STAGE_TAG, Target
from pulley.operator.people.grants import (
    ADMINISTER,
    DEPLOY,
    LEVELS,
    LOOK,
    Grant,
    grants_of,
    narrowed,
)

MOST_CHARACTERS = 6144
_WORDS = {LOOK: "look at", DEPLOY: "look at everything and deploy to", ADMINISTER: "administer"}


@dataclass(frozen=True)
class Scope:
    """A stage, in every region of an account."""

    stage: str
    account: str
    partition: str = "aws"

    def policy_arn(self, name: str) -> str:
        """The ARN of a policy of this name."""
        return f"arn:{self.partition}:iam::{self.account}:policy/{name}"

    def arn(self, resource: str) -> str:
        """The ARN of a grant's resource."""
        if resource == "*":
            return resource
        service, region, rest = resource.replace("STAGE", self.stage).split(":", 2)
        return f"arn:{self.partition}:{service}:{region}:{self.account}:{rest}"

    def tag_value(self, key: str, value: str) -> str:
        """A value of a grant's tag, as IAM compares it.

        Only that of the stage's own tag stands for the stage: the others are what somebody wrote in
        pulley.toml. IAM would take a `${` there for a variable, such as the caller's name.
        """
        return self.stage if key == STAGE_TAG else value.replace("${", "${$}{")


@dataclass(frozen=True)
class PeoplePolicy:
    """A policy for people: its ARN, its content as IAM's JSON, and whom it is for in `words`."""

    arn: str
    content: Mapping[str, Any] = field(repr=False)
    words: str

    @property
    def name(self) -> str:
        """Its name in the account."""
        return self.arn.rpartition("/")[2]


def policy_name(stage: str, level: str, target: str = "") -> str:
    """The name of a level's policy, or of one for a single target.

    No stage's name has a dot, so a target's policy cannot have the name of another stage's.
    """
    return f"pulley-{stage}-{level}{f'.{target}' if target else ''}"


def is_of(stage: str, name: str) -> bool:
    """Whether a policy of this name is one of the stage's."""
    of_a_target = name.startswith(policy_name(stage, DEPLOY) + ".")
    return of_a_target or name in {policy_name(stage, level) for level in LEVELS}


def people_policies(scope: Scope, targets: Iterable[Target] = ()) -> Sequence[PeoplePolicy]:
    """The three policies, and one that deploys to each of these targets alone."""
    every = [
        PeoplePolicy(
            scope.policy_arn(policy_name(scope.stage, level)),
            content_of(grants_of(level), scope),
            f"for people who {_WORDS[level]} stage {scope.stage}",
        )
        for level in LEVELS
    ]
    for target in targets:
        grants = {narrowed(grant, target) for grant in grants_of(DEPLOY)}
        every.append(
            PeoplePolicy(
                scope.policy_arn(policy_name(scope.stage, DEPLOY, target.name)),
                content_of(grants, scope),
                f"for people who {_WORDS[DEPLOY]} {target.name} of stage {scope.stage}",
            )
        )
    return every


def check_sizes(policies: Iterable[PeoplePolicy]) -> None:
    """Raise UnavailableError for a policy that IAM would refuse as too long."""
    for policy in policies:
        size = len(json.dumps(policy.content, separators=(",", ":")))
        if size > MOST_CHARACTERS:
            raise UnavailableError(
                f"{policy.name} would have {size:,} characters, and IAM takes {MOST_CHARACTERS:,}: "
                "the target has too many instances or values of tags. Select its hosts by one tag"
            )


def content_of(grants: Iterable[Grant], scope: Scope) -> Mapping[str, Any]:
    """A policy that allows these grants: one statement for the actions on the same resources."""
    actions = defaultdict(set)
    for grant in grants:
        actions[grant.resources, grant.tags].add(grant.action)
    statements = []
    for (resources, tags), allowed in sorted(actions.items()):
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Action": sorted(allowed),
            "Resource": [scope.arn(one) for one in resources],
        }
        if tags:
            conditions = {
                f"ssm:resourceTag/{key}": [scope.tag_value(key, one) for one in values]
                for key, values in tags
            }
            statement["Condition"] = {"StringEquals": conditions}
        statements.append(statement)
    return {"Version": "2012-10-17", "Statement": statements}
