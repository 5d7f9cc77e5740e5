"""An emulated host's disk: a checkout with its owner, a systemctl, a curl and an aws.

The checkout is a real clone, and its owner is a real user. Only systemd cannot run several times on
one machine, so its command just records its arguments (that of restarts.py does more). The host's
site serves what is built in the checkout.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pulley.sandbox.hosts import aws
from pulley.sandbox.hosts.site import Site
from pulley.sandbox.hosts.users import give_to_owner, run_as_owner, run_as_self
from pulley.sandbox.run_command.agent import EmulatedHost

_SYSTEMCTL = """\
#!/bin/sh
# Stands in for systemd's: writes down what it was asked for.
echo "$(id -un): systemctl $*" >>"{journal}"
"""
# `version` may be anywhere among the arguments, because the script puts options before it.
_OLD_GIT = """\
#!/bin/sh
# Stands in for an old git: says so, and does all else as this machine's does.
case " $* " in *" version "* | *" --version "*) echo "git version {version}"; exit ;; esac
PATH=${{PATH#*:}} exec git "$@"
"""
# GNU coreutils' manual, "df invocation": POSIX format, in blocks of 1,024 bytes.
_FULL_DISK = """\
#!/bin/sh
# Stands in for df on a disk with nothing left.
echo "Filesystem     1024-blocks    Used Available Capacity Mounted on"
echo "/dev/nvme0n1p1     8123812 8123812         0     100% /"
"""


@dataclass(frozen=True)
class Machine:
    """A host of the account, and its disk. `checkout` is the target's path on this machine."""

    host: EmulatedHost
    checkout: Path
    journal: Path
    site: Site
    is_root_s: bool = False  # the checkout

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name

    @property
    def work_tree(self) -> Path:
        """The folder of what the host runs: the checkout, or its current release."""
        current = self.checkout / "current"
        return current if current.is_symlink() else self.checkout

    def head(self) -> str:
        """The commit that the host has checked out."""
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """Run git in the work tree as its owner, and return its output."""
        run = run_as_self if self.is_root_s else run_as_owner
        return run(["git", *arguments], cwd=self.work_tree)

    def write(self, path: str, content: str) -> None:
        """Edit a file of the work tree as its owner would."""
        file = self.work_tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        give_to_owner(file)

    def commit(self, path: str, content: str, message: str) -> None:
        """Commit an edit on the host, as a person in a hurry does."""
        self.write(path, content)
        self.git("add", path)
        identity = ["-c", "user.name=Operator", "-c", "user.email=operator@example.invalid"]
        self.git(*identity, "commit", "-q", "-m", message)

    def install_program(self, name: str, text: str) -> None:
        """Put a program first on the PATH of the scripts that run here."""
        install_program(self.host.root, name, text)

    def remove_program(self, name: str) -> None:
        """Remove such a program."""
        (self.host.root / "bin" / name).unlink()

    def install_aws(self, environ: Mapping[str, str]) -> None:
        """Give the host the AWS command line, with an account's environment; none if we lack it."""
        text = aws.aws_program(environ)
        if text:
            self.install_program("aws", text)

    def hang_aws(self) -> None:
        """Make the AWS command line wait for ever."""
        self.install_program("aws", aws.HANGING)

    def refuse_aws(self) -> None:
        """Make the AWS command line fail as if the host's role allowed nothing."""
        self.install_program("aws", aws.REFUSING)

    def age_git(self, version: str) -> None:
        """Make git report an old version; it works as before."""
        self.install_program("git", _OLD_GIT.format(version=version))

    def fill_disk(self) -> None:
        """Make df report a full disk; writing works as before."""
        self.install_program("df", _FULL_DISK)


def install(  # noqa: PLR0913 - each is a fact of its own
    host: EmulatedHost,
    site: Site,
    *,
    checkout: str,
    upstream: str,
    remote: str = "",
    has_checkout: bool = True,
    is_root_s: bool = False,
) -> Machine:
    """Give a host its disk, with a clone of the upstream at the path of the checkout.

    `remote` is the clone's `origin`, if not the upstream.
    """
    place = place_below(host.root, checkout)
    place.parent.mkdir(parents=True, exist_ok=True)
    machine = Machine(host, place, install_systemctl(host.root), site, is_root_s)
    site.install_curl(host.root)
    if has_checkout:
        place.mkdir()
        if not is_root_s:
            give_to_owner(place)
        machine.git("clone", "-q", upstream, ".")
        if remote:
            machine.git("remote", "set-url", "origin", remote)
    return machine


def install_program(root: Path, name: str, text: str) -> Path:
    """Put a program into a host's `bin`. Returns its path."""
    program = root / "bin" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(text)
    program.chmod(0o755)
    return program


def place_below(root: Path, path: str) -> Path:
    """A host's path on this machine."""
    return root / path.lstrip("/")


def install_systemctl(root: Path) -> Path:
    """Put the stand-in into the host's `bin`. Returns the file that it writes to."""
    journal = root / "systemctl.log"
    root.mkdir(parents=True, exist_ok=True)
    journal.touch(mode=0o666)
    journal.chmod(0o666)
    install_program(root, "systemctl", _SYSTEMCTL.format(journal=journal))
    return journal
