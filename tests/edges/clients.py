"""Clients of AWS for the tests, with their own region and credentials."""

from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient

REGION = "eu-central-1"


def new_ssm() -> "SSMClient":
    client: SSMClient = _new("ssm")
    return client


def new_ec2() -> "EC2Client":
    client: EC2Client = _new("ec2")
    return client


def new_auto_scaling() -> "AutoScalingClient":
    client: AutoScalingClient = _new("autoscaling")
    return client


def new_lambda() -> "LambdaClient":
    client: LambdaClient = _new("lambda")
    return client


def new_sns() -> "SNSClient":
    client: SNSClient = _new("sns")
    return client


def _new(service: str) -> Any:  # noqa: ANN401 - boto3 makes its class
    return boto3.client(  # type: ignore[call-overload] # of literals
        service,
        region_name=REGION,
        endpoint_url=f"https://{service}.{REGION}.amazonaws.com",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
