"""The policy that the role of a target's hosts needs beside AWS's own for managed instances.

Source: Service Authorization Reference, "Actions, resources, and condition keys for AWS Elastic
Load Balancing V2": DescribeTargetHealth has no resource.
"""

from typing import Any

from chalicelib.core.targets import Target

CHANGING = ("elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets")
READING = "elasticloadbalancing:DescribeTargetHealth"


def host_policy(target: Target) -> dict[str, Any] | None:
    """The policy; None if the target needs none."""
    if not target.drain:
        return None
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "LeaveAndJoinTheseTargetGroups",
                "Effect": "Allow",
                "Action": list(CHANGING),
                "Resource": list(target.drain),
            },
            {
                "Sid": "SeeWhoIsHealthy",
                "Effect": "Allow",
                "Action": READING,
                "Resource": "*",
            },
        ],
    }
