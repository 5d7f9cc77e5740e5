"""Machines behind a load balancer, made with AWS's API as an operator makes it."""

from collections.abc import Sequence
from typing import Any

from pulley.sandbox.account import Account
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.load_balancing.balancer import Balancer

HEALTH_PATH = "/health"


def make_balancer(
    account: Account,
    machines: Sequence[Machine],
    *,
    name: str,
    port: int,
    deregistration_delay: int,
) -> Balancer:
    """Make a load balancer, its target group and its listener. Register the machines.

    The delay is in seconds, each as long as the account's `balancing_second`.
    """
    client: Any = account.client("elbv2")  # its stubs are not installed
    subnets = account.ec2.describe_subnets()["Subnets"]
    made = client.create_load_balancer(
        Name=name, Subnets=[one["SubnetId"] for one in subnets], Type="application"
    )
    group = client.create_target_group(
        Name=name,
        Protocol="HTTP",
        Port=port,
        VpcId=subnets[0]["VpcId"],
        HealthCheckPath=HEALTH_PATH,
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=4,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
    )
    arn = str(group["TargetGroups"][0]["TargetGroupArn"])
    client.modify_target_group_attributes(
        TargetGroupArn=arn,
        Attributes=[
            {
                "Key": "deregistration_delay.timeout_seconds",
                "Value": str(deregistration_delay),
            }
        ],
    )
    client.create_listener(
        LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    balancer = account.load_balancing.open_balancer(arn)
    if machines:
        targets = [{"Id": one.host.instance_id} for one in machines]
        client.register_targets(TargetGroupArn=arn, Targets=targets)
    return balancer
