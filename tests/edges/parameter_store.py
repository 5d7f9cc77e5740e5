"""What the tests of both edges to Parameter Store are about, and a store for them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from moto import mock_aws

from chalicelib.core.refs import Repository
from chalicelib.edges.round_parameters import RoundParameters
from chalicelib.flows.receive import WebhookParameters
from chalicelib.flows.reconcile import RoundMemory
from chalicelib.flows.sync import ReportParameters
from tests.edges.clients import new_ssm
from tests.fakes import NAMES, SITE, STAGE, FakeClock

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


class Parameters(WebhookParameters, ReportParameters, RoundMemory, Protocol):
    """What all flows together read and store."""


@dataclass
class Stage:
    """A stage's parameters, and the port that reads them."""

    parameters: Parameters
    store: Callable[[str, str], object]


@contextmanager
def real_stage() -> Iterator[Stage]:
    """In moto's Parameter Store, which is empty."""
    with mock_aws():
        client = new_ssm()

        def store(name: str, value: str) -> None:
            kind: Any = "SecureString" if name.endswith(("secret", "token")) else "String"
            client.put_parameter(Name=name, Value=value, Type=kind, Overwrite=True)

        # It has all that ParameterStore has, and a round's own.
        yield Stage(RoundParameters(client, STAGE, FakeClock()), store)
