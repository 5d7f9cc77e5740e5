"""GitHub on loopback, for the tests of the two edges to it."""

from collections.abc import Iterator

import pytest

from tests.edges.github_server import Api
from tests.edges.scripted_server import ScriptedServer, answer


@pytest.fixture
def api() -> Iterator[Api]:
    with ScriptedServer(lambda _request: answer([])) as server:
        api = Api(server)
        yield api
        api.github._pool.clear()
