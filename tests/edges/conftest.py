"""Fixtures: GitHub on loopback, and a stage's parameters."""

from collections.abc import Iterator

import pytest

from tests.edges.github_server import Api
from tests.edges.parameter_store import Stage, real_stage
from tests.edges.scripted_server import ScriptedServer, answer
from tests.fakes import FakeParameters


@pytest.fixture
def api() -> Iterator[Api]:
    with ScriptedServer(lambda _request: answer([])) as server:
        api = Api(server)
        yield api
        api.github._pool.clear()


@pytest.fixture(params=["fake", "real"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param == "fake":
        fake = FakeParameters()
        yield Stage(fake, fake.values.__setitem__)
        return
    with real_stage() as stage:
        yield stage
