"""`drain`: the target groups that a host leaves around its restart.

Source: Elastic Load Balancing API Reference, "TargetGroup"; Service Authorization Reference,
"Actions, resources, and condition keys for AWS Elastic Load Balancing V2".
"""

import re

from chalicelib.core.fields import is_match, parse_object
from chalicelib.core.refs import shown

MAX_GROUPS = 4
_GROUP = (
    "arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:"
    "targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}"
)
DRAIN_PATTERN = f"^({_GROUP},?){{0,{MAX_GROUPS}}}$"
_ARN = re.compile(_GROUP)


def read_drain(value: object) -> tuple[str, ...]:
    """Parse `{target_group = ARN}`, or with a list of ARNs. Raises ValueError."""
    found = parse_object("", value, {"target_group": _groups}, required=["target_group"])
    groups: tuple[str, ...] = found["target_group"]
    return groups


def _groups(value: object) -> tuple[str, ...]:
    values = [str(one) for one in (value if isinstance(value, list) else [value])]
    if not 1 <= len(values) <= MAX_GROUPS or not all(is_match(_ARN, one) for one in values):
        raise ValueError(
            f"must be the ARN of a target group, or 1 to {MAX_GROUPS} of them, like "
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef, "
            f"not {shown(value)}"
        )
    if len(set(values)) < len(values):
        raise ValueError("must not have the same target group twice")
    if len({one.split(":")[3] for one in values}) > 1:
        raise ValueError("must be of one region: an instance is in no target group of another one")
    return tuple(values)
