"""Run git in the operator's clone so that nothing of the clone's own settings runs.

The clone may be somebody else's work: unpacked, cloned with its .git, or lying in another work
tree. Its .git/config can name programs that git runs: for ssh, credentials, hooks, a file watcher,
signatures, the other side of a fetch. So git only reads files here, and asks a remote from outside
the clone, where only the operator's own settings count. This is the only module of the command that
runs git.

Sources: git's documentation, "git-config", "git" ("Environment Variables").
"""

import os
from collections.abc import Mapping
from pathlib import Path

_SECONDS = 30
# On the command line, these win over the clone's settings. git takes the first one only from there.
_HARMLESS: Mapping[str, str] = {
    "safe.bareRepository": "explicit",  # a folder that looks like a repository is none
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.pager": "cat",
    "log.showSignature": "false",
}
_READING: Mapping[str, str] = {
    # An object that a partial clone lacks would be fetched, by a program that the clone names.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",  # the same for git before 2.45: no protocol at all
    "GIT_NO_REPLACE_OBJECTS": "1",  # a clone could show another commit under a commit's id
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
}
# No remote helper (ext::) runs. A local path can only come from the operator's own insteadOf.
_PROTOCOLS = "file:git:http:https:ssh"


def read(folder: Path, *arguments: str) -> str | None:
    """What git prints in a folder about objects, refs or settings on this disk. None if it fails.

    Never give it a command that shows or adds the work tree's files, like `diff`: their attributes
    choose programs, and no option turns all of these off.
    """
    return _run(folder, arguments, _READING)


def ask(folder: Path, *arguments: str) -> str | None:
    """What git prints about a remote, outside every repository. It does not prompt. None likewise.

    `folder` is the clone for which the operator's own settings may choose a key.
    """
    return _run(Path("/"), arguments, _asking(folder))


def _run(folder: Path, arguments: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    from git import Git
    from git.exc import GitError

    settings = [part for key, value in _HARMLESS.items() for part in ("-c", f"{key}={value}")]
    try:
        status, output, _ = Git(str(folder)).execute(
            ["git", *settings, *arguments],
            env=dict(environ),
            with_extended_output=True,
            with_exceptions=False,
            kill_after_timeout=_SECONDS,
        )
    except (GitError, OSError, ValueError):  # no git, no such folder, a null byte
        return None
    return None if status else str(output)


def _asking(folder: Path) -> dict[str, str]:
    """The environment outside every repository, in which git and ssh do not prompt."""
    environ = {
        "GIT_DIR": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": os.environ.get("GIT_ALLOW_PROTOCOL", _PROTOCOLS),
    }
    if "GIT_SSH_COMMAND" not in os.environ and "GIT_SSH" not in os.environ:
        # ssh would prompt on the terminal.
        environ["GIT_SSH_COMMAND"] = _own_ssh_command(folder) or "ssh -oBatchMode=yes"
    return environ


def _own_ssh_command(folder: Path) -> str | None:
    """The operator's own setting; one of theirs may be only for clones below some folder."""
    wanted = ("config", "--includes", "--get", "core.sshCommand")
    own = read(folder, *wanted[:1], "--global", *wanted[1:])
    return own or read(folder, *wanted[:1], "--system", *wanted[1:])
