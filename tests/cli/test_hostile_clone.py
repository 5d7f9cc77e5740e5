"""Commands that read the clone around the current folder, in a clone that somebody else made."""

import subprocess
from pathlib import Path

import pytest

from pulley.sandbox.sandbox import Sandbox
from tests.cli.conftest import NAMES, Pulley, json_of, stored

# None of them changes anything: nobody answers their questions.
READING = [
    "deploy",
    "deploy web --commit HEAD",
    "plan web",
    "status web",
    "history web",
    "logs web",
    "pin web HEAD --reason x",
    "pin web 1111111 --reason x",
    f"pin web {'1' * 40} --reason x",
    "connect",
    "cancel",
    "promote web",
    "rollback web",
    "unpin web --reason x",
    "doctor",
    "saved web",
    "simulate pulley.toml",
    "targets check pulley.toml",
    "secret rotate --dry-run",
]


@pytest.fixture
def ran(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a file of each program that runs. The current folder is the hostile clone."""
    ran, clone = tmp_path / "ran", tmp_path / "clone"
    ran.mkdir()
    programs = {}
    for name in (
        "fsmonitor",
        "ssh",
        "upload-pack",
        "credential",
        "hook",
        "signature",
        "ask",
        "diff",
    ):
        programs[name] = tmp_path / name
        programs[name].write_text(f"#!/bin/sh\n: >{ran}/{name}\nexit 1\n")
        programs[name].chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-index-change"):
        (hooks / name).symlink_to(programs["hook"])
    git(tmp_path, "clone", "-q", sandbox.upstream.url, str(clone))
    settings = {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "evil",
        "remote.evil.promisor": "true",
        "remote.evil.url": str(clone),
        "remote.evil.uploadpack": str(programs["upload-pack"]),
        "remote.origin.uploadpack": str(programs["upload-pack"]),
        # The remote's name stays octo/site, and plain git asks this folder.
        f"url.{clone}.insteadOf": sandbox.upstream.url,
        "core.fsmonitor": str(programs["fsmonitor"]),
        "core.sshCommand": str(programs["ssh"]),
        "core.hooksPath": str(hooks),
        "core.askPass": str(programs["ask"]),
        "credential.helper": f"!{programs['credential']}",
        "diff.external": str(programs["diff"]),
        "gpg.program": str(programs["signature"]),
        "log.showSignature": "true",
    }
    for key, value in settings.items():
        git(clone, "config", key, value)
    (clone / "pulley.toml").write_text("")
    monkeypatch.chdir(clone)
    return ran


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=False, capture_output=True)


def test_plain_git_runs_the_clones_programs(ran: Path) -> None:
    for arguments in ("status", "ls-remote origin", "cat-file -t " + "1" * 40, "diff HEAD~1 HEAD"):
        git(Path.cwd(), *arguments.split())
    git(Path.cwd(), "update-ref", "refs/heads/new", "HEAD")
    assert {"fsmonitor", "upload-pack", "hook"} <= {one.name for one in ran.iterdir()}


@pytest.mark.parametrize("line", READING)
def test_command_runs_none_of_the_clones_programs(
    sandbox: Sandbox, pulley: Pulley, ran: Path, line: str
) -> None:
    """Without a token for GitHub, so that the operator's git is asked for the branch's tip."""
    with stored(sandbox, NAMES.github_token, None, secret=True):
        done = pulley(*line.split())
    assert "No such" not in done.stderr
    assert "Missing" not in done.stderr
    assert list(ran.iterdir()) == []


def test_tip_comes_from_the_remote_by_the_operators_own_git(
    sandbox: Sandbox, pulley: Pulley, ran: Path
) -> None:
    with stored(sandbox, NAMES.github_token, None, secret=True):
        (target,) = json_of(pulley("plan", "web", "--json"))["targets"]
    assert target["tip"] == sandbox.developer.head.commit.hexsha
    assert list(ran.iterdir()) == []
