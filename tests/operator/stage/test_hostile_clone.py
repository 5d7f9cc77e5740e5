"""A clone that somebody else made, whose settings name programs. Pulley runs none of them.

Each setting is first shown to work: plain git in the clone runs the program.
"""

import os
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple

import pytest

from chalicelib.core.refs import Branch, CommitSha
from pulley.operator.stage.checkout import Here, find_here
from pulley.operator.stage.git import read

MISSING = CommitSha("1" * 40)
MAIN = Branch("main")


class Trap(NamedTuple):
    """`settings` are the clone's, with {program} and {url}; `trigger` is plain git's arguments."""

    settings: dict[str, str]
    trigger: str
    remote: str = "{url}/octo/site.git"
    attributes: str = ""


# The server asks for a password. Nothing listens at port 1.
SSH = "ssh://127.0.0.1:1/octo/site.git"
TRAPS = {
    "file watcher": Trap({"core.fsmonitor": "{program}"}, "status"),
    "hooks": Trap({"core.hooksPath": "{hooks}"}, "update-ref refs/heads/new HEAD"),
    "ssh": Trap({"core.sshCommand": "{program}"}, "ls-remote origin", SSH),
    "other side of a fetch": Trap(
        {"remote.origin.uploadpack": "{program}", "url.{clone}.insteadOf": "{url}/octo/site.git"},
        "ls-remote origin",
    ),
    "proxy": Trap(
        {"core.gitProxy": "{program}"}, "ls-remote origin", "git://127.0.0.1:1/octo/site.git"
    ),
    "credentials": Trap({"credential.helper": "!{program}"}, "ls-remote origin"),
    "password prompt": Trap({"core.askPass": "{program}"}, "ls-remote origin"),
    "remote helper": Trap(
        {"protocol.ext.allow": "always"}, "ls-remote origin", "ext::{program}/octo/site"
    ),
    "remote helper of another address": Trap(
        {"protocol.ext.allow": "always", "url.ext::{program}/.insteadOf": "{url}/"},
        "ls-remote origin",
        "{url}/octo/site",
    ),
    "included file": Trap({"include.path": "{included}"}, "status"),
    "signatures": Trap({"log.showSignature": "true", "gpg.program": "{program}"}, "log"),
    "external diff": Trap({"diff.external": "{program}"}, "diff HEAD~1 HEAD"),
    "filter": Trap({"filter.x.clean": "{program}"}, "add file", attributes="* filter=x"),
    "lazy fetch": Trap(
        {
            "core.repositoryFormatVersion": "1",
            "extensions.partialClone": "evil",
            "remote.evil.promisor": "true",
            "remote.evil.url": "{clone}",
            "remote.evil.uploadpack": "{program}",
        },
        f"cat-file -t {MISSING.sha}",
    ),
    "lazy fetch by ssh": Trap(
        {
            "core.repositoryFormatVersion": "1",
            "extensions.partialClone": "evil",
            "remote.evil.promisor": "true",
            "remote.evil.url": SSH,
            "core.sshCommand": "{program}",
        },
        f"cat-file -t {MISSING.sha}",
    ),
}


class Hostile(NamedTuple):
    """The clone, and a file that each of its programs makes."""

    clone: Path
    ran: Path
    trigger: list[str]

    def ran_by(self, action: Callable[[], object]) -> bool:
        """Whether a program of the clone ran."""
        self.ran.unlink(missing_ok=True)
        action()
        return self.ran.exists()


class _AskingServer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _AskingServer) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def git(folder: Path, *arguments: str) -> str:
    """Plain git, as somebody runs it who trusts the clone. It may fail."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.strip()


@pytest.fixture(params=TRAPS)
def hostile(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> Hostile:
    return make_hostile(tmp_path, url, TRAPS[request.param])


def make_hostile(folder: Path, url: str, trap: Trap) -> Hostile:
    clone, ran, program = folder / "clone", folder / "ran", folder / "program"
    program.mkdir()  # a program "program/octo/site" serves where an address must end so
    (program / "octo").mkdir()
    run = program / "octo/site"
    run.write_text(f"#!/bin/sh\n: >{ran}\nexit 1\n")
    run.chmod(0o755)
    hooks = folder / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-index-change", "post-checkout"):
        (hooks / name).symlink_to(run)
    included = folder / "included"
    included.write_text(f"[core]\n\tfsmonitor = {run}\n")
    git(folder, "init", "-q", "--initial-branch=main", str(clone))
    who = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    for content in ("one", "two"):
        (clone / "file").write_text(content)
        git(clone, "add", "file")
        git(clone, *who, "commit", "-q", "-m", content)
    signed = git(clone, "cat-file", "commit", "HEAD").replace(
        "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n", 1
    )
    (folder / "commit").write_text(f"{signed}\n")
    made = git(clone, "hash-object", "-t", "commit", "-w", str(folder / "commit"))
    git(clone, "update-ref", "refs/heads/main", made)
    git(clone, "update-ref", "refs/remotes/origin/main", made)
    (clone / "file").write_text("three")
    (clone / ".git/info/attributes").write_text(trap.attributes)
    words = {"url": url, "hooks": str(hooks), "included": str(included), "clone": str(clone)}

    def fill(text: str) -> str:
        # In an address, the last two parts of the program's path are the repository's name.
        place = program if "ext::" in text else run
        return text.format(program=place, **words)

    git(clone, "config", "remote.origin.url", fill(trap.remote))
    for key, value in trap.settings.items():
        git(clone, "config", fill(key), fill(value))
    return Hostile(clone, ran, [fill(word) for word in trap.trigger.split()])


def ask_everything(clone: Path) -> Here | None:
    here = find_here(clone)
    if here is not None:
        for revision in ("main", "HEAD~1", MISSING.sha, "abcdef1"):
            here.resolve(revision)
        for commit in filter(None, (here.commit, MISSING)):
            here.has(commit, MAIN)
            here.subject(commit)
        here.tip(MAIN)
    return here


def test_clone_s_program_runs_for_plain_git_and_not_for_us(hostile: Hostile) -> None:
    assert hostile.ran_by(lambda: git(hostile.clone, *hostile.trigger))
    assert not hostile.ran_by(lambda: ask_everything(hostile.clone))


@pytest.mark.parametrize("name", sorted(TRAPS.keys() - {"external diff", "filter"}))
def test_command_that_runs_the_program_for_plain_git_runs_none_for_us(
    tmp_path: Path, url: str, name: str
) -> None:
    """Only for a command that shows or adds files nothing helps: `read` must never be given one."""
    hostile = make_hostile(tmp_path, url, TRAPS[name])
    assert hostile.ran_by(lambda: git(hostile.clone, *hostile.trigger))
    assert not hostile.ran_by(lambda: read(hostile.clone, *hostile.trigger))


@pytest.mark.parametrize("setting", ["core.fsmonitor", "core.sshCommand"])
def test_clone_is_read_all_the_same(tmp_path: Path, url: str, setting: str) -> None:
    here = ask_everything(make_hostile(tmp_path, url, Trap({setting: "{program}"}, "")).clone)
    assert here is not None
    assert (str(here.repository), here.branch) == ("octo/site", MAIN)
    assert here.commit is not None
    assert here.subject(here.commit) == "two"


class TestBareRepository:
    """A folder of a work tree that has the files of a bare repository, with settings."""

    @pytest.fixture
    def bare(self, tmp_path: Path, url: str) -> Hostile:
        outer = make_hostile(tmp_path, url, Trap({}, ""))
        inner = outer.clone / "docs"
        git(outer.clone, "clone", "-q", "--bare", ".", str(inner))
        git(inner, "config", "core.bare", "false")
        git(inner, "config", "core.worktree", str(outer.clone))
        git(inner, "config", "core.fsmonitor", str(tmp_path / "program/octo/site"))
        git(inner, "config", "remote.origin.url", f"{url}/octo/site.git")
        return Hostile(inner, outer.ran, ["status"])

    def test_it_is_no_clone_and_its_program_does_not_run(self, bare: Hostile) -> None:
        assert bare.ran_by(lambda: git(bare.clone, *bare.trigger))
        assert not bare.ran_by(lambda: ask_everything(bare.clone))
        assert find_here(bare.clone) is None

    def test_work_tree_around_it_is_a_clone(self, bare: Hostile) -> None:
        here = find_here(bare.clone.parent)
        assert here is not None
        assert here.folder == bare.clone.parent
