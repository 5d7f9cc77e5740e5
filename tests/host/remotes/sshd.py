"""OpenSSH's sshd with keys of its own, as its socket unit runs it: one process per connection.

Root's sshd lets root in and runs git as the checkout's owner, whose shell may be nologin. A user's
sshd lets that user in.
"""

import contextlib
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.conftest import AS_OWNER, AS_ROOT, Site
from tests.host.remotes.connections import Port, copy
from tests.processes import DIE_WITH_US

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
USER, *_, SHELL = pwd.getpwuid(os.geteuid())


def why_not() -> str:
    """Why sshd cannot serve here; empty if it can."""
    if not (SSHD and shutil.which("ssh")):
        return "takes sshd and ssh: install openssh-server"
    if SHELL.endswith(("nologin", "false")):
        return f"sshd lets nobody in without a shell, and {USER} has none"
    try:
        lines = Path("/etc/shadow").read_text().splitlines()
    except OSError:  # a user's sshd cannot look either
        lines = []
    if any(line.startswith(f"{USER}:!") for line in lines):
        return f"sshd does not let {USER} in, whose account is locked"
    return ""


needs_sshd = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
PRIVILEGE_SEPARATION = Path("/run/sshd")  # root's sshd needs it, and its service makes it
# What a forge runs between ssh and git: it maps /octo/site to the upstream's folder.
FORCED = """#!/bin/sh
eval "set -- $SSH_ORIGINAL_COMMAND"
export HOME={root} GIT_CONFIG_NOSYSTEM=1
exec {as_owner} "$1" "{root}$2"
"""


class Sshd:
    """The server that the site's checkout fetches from, and the owner's side of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.folder = site.root / "ssh"
        self.cuts: list[int] = []  # bytes of the answer after which the next connections are cut
        self.connections = Port(self._answer)
        site.write(
            "ssh/forced",
            FORCED.format(root=site.root, as_owner=shlex.join(AS_OWNER)),
            where=site.root,
        )
        self.make_key("host_key")
        self.make_key("deploy_key")
        self.authorize("deploy_key")
        if AS_ROOT:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)

    @property
    def port(self) -> int:
        return self.connections.number

    def make_key(self, name: str) -> None:
        """Make a new key that the owner owns; sshd reads its host key as root."""
        for old in self.folder.glob(f"{name}*"):
            old.unlink()
        self.site.as_owner(
            "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)
        )

    def authorize(self, name: str) -> None:
        """Let this key in, and no other."""
        key = (self.folder / f"{name}.pub").read_text()
        self.site.write("ssh/authorized_keys", key, where=self.site.root)

    def know_host(self) -> None:
        """Record the host key, as `ssh-keyscan` and a person who checks it do."""
        key = (self.folder / "host_key.pub").read_text()
        line = f"[127.0.0.1]:{self.port} {key}"
        self.site.write("ssh/known_hosts", line, where=self.site.root)

    def configure_owner(self, *more: str) -> None:
        """Write the owner's ssh settings. A test has no home in passwd to write them to."""
        lines = [
            "Host *",
            f"IdentityFile {self.folder}/deploy_key",
            "IdentitiesOnly yes",
            f"UserKnownHostsFile {self.folder}/known_hosts",
            "GlobalKnownHostsFile /dev/null",
            *more,
        ]
        config = self.site.write("ssh/config", "\n".join(lines) + "\n", where=self.site.root)
        self.site.git("config", "core.sshCommand", f"ssh -F {config}")
        self.site.git(
            "remote", "set-url", "origin", f"ssh://{USER}@127.0.0.1:{self.port}/octo/site"
        )

    def _answer(self, connection: socket.socket) -> None:
        if not self.cuts:
            self._run(connection)
            return
        ours, its = socket.socketpair()
        with ours, its:
            running = threading.Thread(target=self._run, args=(its,))
            running.start()
            asking = threading.Thread(target=copy, args=(connection, ours))
            asking.start()
            copy(ours, connection, self.cuts.pop(0))
            asking.join()
            running.join()

    def _run(self, connection: socket.socket) -> None:
        options = {
            "HostKey": self.folder / "host_key",
            "AuthorizedKeysFile": self.folder / "authorized_keys",
            "ForceCommand": self.folder / "forced",
            "StrictModes": "no",  # the folder is below /tmp
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "UsePAM": "no",
            "PermitRootLogin": "prohibit-password",
            "PidFile": "none",
        }
        command = [str(SSHD), "-i", "-e", "-f", "/dev/null"]
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        with subprocess.Popen(
            [*DIE_WITH_US, *command],
            stdin=connection.fileno(),
            stdout=connection.fileno(),
            stderr=subprocess.DEVNULL,
        ) as server:
            server.wait()


@contextlib.contextmanager
def serving(site: Site) -> Iterator[Sshd]:
    """An sshd that the checkout is set up for, as docs/getting-started.md says."""
    sshd = Sshd(site)
    with sshd.connections:
        sshd.know_host()
        sshd.configure_owner()
        yield sshd
