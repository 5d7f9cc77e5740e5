"""Requests that a test writes itself, signed with an account's key as boto3 signs."""

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pulley.sandbox.account import Account


def sign(account: Account, service: str, body: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers for a POST to the account's endpoint."""
    environ = account.environ
    request = AWSRequest("POST", f"{account.endpoint_url}/", headers, data=body)
    key = Credentials(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(key, service, account.region).add_auth(request)
    return dict(request.headers.items())


def session(account: Account, region: str) -> boto3.Session:
    """With the account's key, for another Region."""
    environ = account.environ
    return boto3.Session(
        environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], region_name=region
    )
