"""What the tests of both edges to Parameter Store are about, and a client for them."""

from typing import TYPE_CHECKING

import boto3
import pytest

from chalicelib.core.refs import Repository
from tests.fakes import NAMES, SITE

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

OTHER = Repository("octo", "other")
OWN_SECRET = NAMES.repository_webhook_secret(SITE)
OWN_TOKEN = NAMES.repository_github_token(SITE)
BY_TOKENS_STORED = [
    pytest.param({}, "", id="none"),
    pytest.param({NAMES.github_token: "default"}, "default", id="the default one"),
    pytest.param({OWN_TOKEN: "own"}, "own", id="its own"),
    pytest.param({NAMES.github_token: "default", OWN_TOKEN: "own"}, "own", id="its own first"),
    pytest.param({NAMES.github_token: "default", OWN_TOKEN: " \n"}, "default", id="a blank one"),
    pytest.param({NAMES.github_token: " \n", OWN_TOKEN: " "}, "", id="blank ones"),
    pytest.param({NAMES.github_token: " default\n"}, "default", id="with space around it"),
    pytest.param(
        {NAMES.repository_github_token(OTHER): "another's"}, "", id="another repository's"
    ),
]


def new_client() -> "SSMClient":
    return boto3.client(
        "ssm",
        region_name="eu-central-1",
        endpoint_url="https://ssm.eu-central-1.amazonaws.com",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
