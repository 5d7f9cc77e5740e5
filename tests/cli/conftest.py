"""Run commands in this process, against a sandbox that modules share: its start takes seconds."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.cli import main
from pulley.sandbox.account import Account
from pulley.sandbox.sandbox import FULL_NAME, STAGE, Sandbox

Pulley = Callable[..., Result]
PULLEYS = ("PULLEY_STAGE", "PULLEY_WEBHOOK_URL")
NAMES = ParameterNames(STAGE)
TARGETS = NAMES.targets(Repository.parse(FULL_NAME))


@pytest.fixture(scope="session")
def shared() -> Iterator[Sandbox]:
    with Sandbox(["web-1", "web-2"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox. A module restores it, except for a few more commands in its history."""
    before = setting_of(shared)
    yield shared
    shared.wait_until_quiet()
    assert setting_of(shared) == before


@pytest.fixture(scope="session")
def used() -> Iterator[Sandbox]:
    """For modules that push and deploy a lot. Their tests start from any commit on the hosts."""
    with Sandbox(["web-1", "web-2"]) as opened:
        yield opened


def setting_of(sandbox: Sandbox) -> tuple[object, ...]:
    """All state that a command may read, except the history. The state `none` is no pin."""
    pages = sandbox.account.ssm.get_paginator("get_parameters_by_path").paginate(
        Path="/pulley", Recursive=True, WithDecryption=True
    )
    values = {one["Name"]: one["Value"] for page in pages for one in page["Parameters"]}
    hooks = [(one.config, one.events, one.active) for one in sandbox.github.hooks(FULL_NAME)]
    hosts = [(one.name, one.host.asleep, one.head()) for one in sandbox.machines]
    pins = {name: value for name, value in values.items() if '"none"' not in value}
    return pins, hooks, hosts, dict(sandbox.github.permissions), sandbox.github.fault


@pytest.fixture
def account() -> Iterator[Account]:
    """An empty account."""
    with Account() as opened:
        yield opened


def invoke(environ: Mapping[str, str | None], *arguments: str, stdin: str = "") -> Result:
    """Run a command, which never ends with a traceback; stdin is no terminal."""
    done = CliRunner().invoke(main, arguments, input=stdin, env=environ)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the developer's own shell."""
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "AWS_PROFILE", "COLUMNS", *PULLEYS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pulley(sandbox: Sandbox, no_settings: None) -> Pulley:
    """Run a command as an operator of the sandbox would."""

    def run(*arguments: str, stdin: str = "", environ: Mapping[str, str] = {}) -> Result:
        return invoke({**sandbox.environ, **environ}, *arguments, stdin=stdin)

    return run


def json_of(done: Result) -> Any:  # noqa: ANN401 - JSON
    """What `--json` printed: all of stdout."""
    return json.loads(done.stdout)


@contextmanager
def stored(
    sandbox: Sandbox, name: str, value: str | None, *, secret: bool = False
) -> Iterator[None]:
    """Set the parameter to this value, or delete it (None); restore it at the end."""
    ssm = sandbox.account.ssm
    found = ssm.get_parameters(Names=[name], WithDecryption=True)["Parameters"]
    if value is None:
        ssm.delete_parameter(Name=name)
    else:
        ssm.put_parameter(
            Name=name, Value=value, Type="SecureString" if secret else "String", Overwrite=True
        )
    try:
        yield
    finally:
        for one in found:
            ssm.put_parameter(Name=name, Value=one["Value"], Type=one["Type"], Overwrite=True)
        if not found:
            ssm.delete_parameter(Name=name)


@contextmanager
def targets(sandbox: Sandbox, *changes: Mapping[str, object]) -> Iterator[None]:
    """Store a target for each of these changes, and at the end the sandbox's target again."""
    value = json.dumps([{**sandbox.target, **one} for one in changes])
    with stored(sandbox, TARGETS, value):
        yield


def pin(sandbox: Sandbox, **value: str) -> None:
    sandbox.account.ssm.put_parameter(
        Name=NAMES.pin("web"), Value=json.dumps(value), Type="String", Overwrite=True
    )


@contextmanager
def asleep(sandbox: Sandbox, number: int = 1) -> Iterator[None]:
    host = sandbox.machines[number].host
    host.sleep()
    try:
        yield
    finally:
        host.wake()


def push(
    sandbox: Sandbox, words: str, files: Mapping[str, str] = {}, *, is_quiet: bool = False
) -> str:
    """Push a page with these words and wait for the deploy. A quiet push causes no delivery."""
    commit = sandbox.commit({"index.html": f"{words}\n", **files}, words)
    if is_quiet:
        with sandbox.upstream.losing_deliveries():
            sandbox.developer.git.push("-q", "origin", "main")
    else:
        sandbox.developer.git.push("-q")
        sandbox.wait_until_quiet()
    return commit


def heads(sandbox: Sandbox) -> set[str]:
    """The commits that the hosts are at."""
    return {machine.head() for machine in sandbox.machines}
