"""What the tests of both edges to Parameter Store are about, and a store for them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from chalicelib.core.refs import Repository
from tests.edges.clients import new_ssm
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


@contextmanager
def real_store() -> Iterator[tuple["SSMClient", Callable[[str, str], object]]]:
    """A client of an empty Parameter Store, and what stores a value there by its name."""
    with mock_aws():
        client = new_ssm()

        def store(name: str, value: str) -> None:
            kind: Any = "SecureString" if name.endswith(("secret", "token")) else "String"
            client.put_parameter(Name=name, Value=value, Type=kind, Overwrite=True)

        yield client, store
