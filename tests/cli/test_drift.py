"""A checkout that somebody moves by hand is seen, told and brought back by the real app."""

from pathlib import Path

import pytest

from pulley.demo import _push
from pulley.sandbox.sandbox import FULL_NAME, Sandbox
from tests.cli.conftest import Pulley, json_of


@pytest.fixture(scope="module")
def commit(sandbox: Sandbox) -> str:
    """Two are deployed; this one is the second."""
    for text in ("one", "two"):
        commit = sandbox.commit({"index.html": f"{text}\n"}, text.title())
        _push(sandbox.developer)
        sandbox.wait_until_quiet()
    return commit


def page(sandbox: Sandbox) -> Path:
    return Path(sandbox.machines[0].checkout) / "index.html"


@pytest.mark.parametrize("how", ["head", "files", "branch"])
def test_checkout_that_was_moved_is_seen_brought_back_and_told(
    sandbox: Sandbox, pulley: Pulley, commit: str, how: str
) -> None:
    web_1 = sandbox.machines[0]
    assert pulley("status", "web", "--live").exit_code == 0
    if how == "head":
        web_1.git("reset", "-q", "--hard", "HEAD~1")
    elif how == "files":
        page(sandbox).unlink()
    else:
        web_1.git("checkout", "-q", "-b", "experiment")

    # Nobody has looked yet: what is shown is as old as it says.
    (host, _) = json_of(pulley("status", "web", "--json"))["targets"][0]["hosts"]
    assert host["there"] is True

    live = pulley("status", "web", "--live")
    assert live.exit_code == 3
    assert "drifted" in live.stdout
    for command in ("status", "plan"):  # neither shows what was there before it was moved
        (host, _) = json_of(pulley(command, "web", "--json"))["targets"][0]["hosts"]
        assert host["commit"] == web_1.head()
    assert (web_1.head() == commit) == (how != "head")
    doctor = pulley("doctor")
    assert doctor.exit_code == 3
    assert f"it has drifted from {commit[:7]}: " in " ".join(doctor.stdout.split())

    assert sandbox.reconcile()["sent"] == 1
    sandbox.wait_until_quiet()
    assert web_1.head() == commit
    assert web_1.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert page(sandbox).read_text() == "two\n"
    (told,) = (one for one in sandbox.github.deployments(FULL_NAME) if one.sha == commit)
    assert told.status
    assert told.state == "success"
    assert "web-1 (drifted, brought back)" in told.status.description
    assert pulley("status", "web", "--live").exit_code == 0
    assert sandbox.reconcile()["sent"] == 0


def test_frozen_host_that_was_moved_is_not_as_it_was_left(
    sandbox: Sandbox, pulley: Pulley, commit: str
) -> None:
    web_1 = sandbox.machines[0]
    assert pulley("freeze", "web", "--reason", "a holiday").exit_code == 0
    assert pulley("status", "web", "--live").exit_code == 0
    web_1.git("reset", "-q", "--hard", "HEAD~1")
    live = pulley("status", "web", "--live", "--json")
    (target,) = json_of(live)["targets"]
    assert (live.exit_code, target["well"]) == (3, False)
    assert [one["place"] for one in target["hosts"]] == ["drifted", None]
    assert [one["commit"] for one in target["hosts"]] == [web_1.head(), commit]
    assert target["hosts"][0]["since"] is None
    assert sandbox.reconcile()["sent"] == 0
    assert pulley("unpin", "web").exit_code == 0
    assert sandbox.reconcile()["sent"] == 1
    sandbox.wait_until_quiet()
    assert web_1.head() == commit
