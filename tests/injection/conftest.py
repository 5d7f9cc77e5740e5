"""One sandbox. One of its hosts has an old agent, which writes values into the script's text."""

import json
import re
from collections.abc import Iterator, Mapping

import pytest

from pulley.sandbox.run_command.commands import EmulatedCommand
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.injection.hostile import BAD_IN_A_LINE, CANARY, TOUCH, WORD
from tests.injection.house import (
    DOCUMENT,
    GUID,
    commands_since,
    count_commands,
    files_of,
    good_payload,
    parameters_of,
    post,
)

OLD_AGENT = "3.3.2299.0"


@pytest.fixture(scope="session")
def shared() -> Iterator[Sandbox]:
    with Sandbox(["web-1"]) as opened:
        old = opened.add_machine("web-old", agent_version=OLD_AGENT)
        for machine in (opened.machines[0], old):
            machine.install_program(WORD, f"#!/bin/sh\n{TOUCH}\n")
        yield opened


@pytest.fixture
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox. After the test, checks that nothing hostile has run."""
    before = {machine.name: files_of(machine) for machine in shared.machines}
    yield shared
    shared.wait_until_quiet()
    try:
        assert not CANARY.exists(), "it was run"
    finally:
        CANARY.unlink(missing_ok=True)
    assert {machine.name: files_of(machine) for machine in shared.machines} == before
    assert not BAD_IN_A_LINE.search(
        (shared.directory / "webhook.log").read_text().replace("\n", "")
    )


@pytest.fixture
def unreported(sandbox: Sandbox) -> Iterator[None]:
    """Switch the reporter off, because its work takes longer than all else."""
    sandbox.reporter.pattern = {"source": ["nobody"]}
    yield
    sandbox.wait_until_quiet()
    sandbox.reporter.pattern = {"source": ["aws.ssm"]}


@pytest.fixture(scope="session")
def patterns(shared: Sandbox) -> Mapping[str, str]:
    """Each parameter's pattern, as the account's own document has it."""
    stored = shared.account.ssm.get_document(Name=DOCUMENT, DocumentFormat="JSON")
    parameters = json.loads(stored["Content"])["parameters"]
    return {name: parameter["allowedPattern"] for name, parameter in parameters.items()}


@pytest.fixture
def clean(sandbox: Sandbox, patterns: Mapping[str, str]) -> EmulatedCommand:
    """The command of a good push, checked field by field."""
    answer = post(sandbox, good_payload(sandbox))
    (command,) = commands_since(sandbox, count_commands(sandbox) - 1)
    assert answer.command_ids == [command.id]
    parameters = parameters_of(command)
    commit = sandbox.developer.head.commit.hexsha
    assert parameters == {
        "Target": "web",
        "Repository": FULL_NAME,
        "Checkout": "/srv/site",
        "Branch": "main",
        "Commit": commit,
        "Update": "rebase",
        "AfterPull": "deploy/after-pull",
        "Restart": "site.service",
        "HealthCheck": sandbox.target["health_check"],
        "Timeout": "30",
        "Issued": parameters["Issued"],
        "Cause": "push",
        "Delivery": GUID,
        "Deployment": parameters["Deployment"],
        "Attempt": "",
        "By": parameters["By"],
        "PushedAt": parameters["PushedAt"],
        "Saved": "keep",
    }
    for name, value in parameters.items():
        assert re.fullmatch(patterns[name].removesuffix("$"), value), name
    comment = f"push at 2026-11-21T10:00:00Z by mona: octo/site {commit[:7]} to web"
    assert command.request.comment == comment
    return command
