"""Commands in this process, against a sandbox that a module of tests shares."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pulley.cli import main
from pulley.sandbox.sandbox import Sandbox

Pulley = Callable[..., Result]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(["web-1", "web-2"]) as opened:
        yield opened


@pytest.fixture
def pulley(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Pulley:
    """Run a command as an operator of the sandbox would; stdin is no terminal."""
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "AWS_PROFILE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, stdin: str = "", environ: Mapping[str, str] = {}) -> Result:
        settings = {**sandbox.environ, **environ}
        done = CliRunner().invoke(main, arguments, input=stdin, env=settings)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception  # a command never ends with a traceback
        return done

    return run


def json_of(done: Result) -> Any:  # noqa: ANN401 - JSON
    """What `--json` printed: all of stdout."""
    return json.loads(done.stdout)
