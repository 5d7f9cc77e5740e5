"""Names, tokens and a store for the tests of both edges to Parameter Store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from moto import mock_aws

from chalicelib.core.refs import Repository
from chalicelib.edges.round_parameters import RoundParameters
from chalicelib.flows.reconcile import RoundMemory
from chalicelib.flows.sync import ReportParameters
from chalicelib.flows.verify import WebhookParameters
from tests.edges.clients import new_ssm
from tests.fakes import NAMES, SITE, STAGE, FakeClock

OTHER = Repository("octo", "other")
OWN_SECRET = NAMES.repository_webhook_secret(SITE)
OWN_TOKEN = NAMES.repository_github_token(SITE)
BY_TOKENS_STORED = [
    pytest.param({}, "", id="none"),
    pytest.param({NAMES.github_token: "default"}, "default", id="default"),
    pytest.param({OWN_TOKEN: "own"}, "own", id="own"),
    pytest.param({NAMES.github_token: "default", OWN_TOKEN: "own"}, "own", id="own before default"),
    pytest.param({NAMES.github_token: "default", OWN_TOKEN: " \n"}, "default", id="blank own"),
    pytest.param({NAMES.github_token: " \n", OWN_TOKEN: " "}, "", id="both blank"),
    pytest.param({NAMES.github_token: " default\n"}, "default", id="surrounded by space"),
    pytest.param(
        {NAMES.repository_github_token(OTHER): "another's"}, "", id="of another repository"
    ),
]


class Parameters(WebhookParameters, ReportParameters, RoundMemory, Protocol):
    """All that the flows read and store."""


@dataclass
class Stage:
    """A stage's parameters, and the port that reads them."""

    parameters: Parameters
    store: Callable[[str, str], object]


@contextmanager
def real_stage() -> Iterator[Stage]:
    """A stage on moto's empty Parameter Store."""
    with mock_aws():
        client = new_ssm()

        def store(name: str, value: str) -> None:
            kind: Any = "SecureString" if name.endswith(("secret", "token")) else "String"
            client.put_parameter(Name=name, Value=value, Type=kind, Overwrite=True)

        # RoundParameters has the methods of ParameterStore, and those of a round.
        yield Stage(RoundParameters(client, STAGE, FakeClock()), store)
