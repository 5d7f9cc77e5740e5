"""What an emulated host has on its disk: a checkout with its owner, a systemctl and a curl.

The checkout is a real clone, and whoever owns it is a real user. systemd is the one thing that
cannot run several times on one machine: its command writes down what it was asked for. What is
built in the checkout is served by the host's site.
"""

from dataclasses import dataclass
from pathlib import Path

from pulley.sandbox.agent import Host
from pulley.sandbox.site import Site
from pulley.sandbox.users import give_to_owner, run_as_owner

_SYSTEMCTL = """\
#!/bin/sh
# Stands in for systemd's: writes down what it was asked for.
echo "$(id -un): systemctl $*" >>"{journal}"
"""


@dataclass(frozen=True)
class Machine:
    """A host of the account, and its disk. `checkout` is where the target's path leads here."""

    host: Host
    checkout: Path
    journal: Path
    site: Site

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name

    def head(self) -> str:
        """The commit that the host has checked out."""
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """Run git in the checkout as its owner, and return its output."""
        return run_as_owner(["git", *arguments], cwd=self.checkout)

    def write(self, path: str, content: str) -> None:
        """Edit a file of the checkout as its owner would."""
        file = self.checkout / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        give_to_owner(file)

    def commit(self, path: str, content: str, message: str) -> None:
        """Commit an edit on the host, as somebody in a hurry does."""
        self.write(path, content)
        self.git("add", path)
        identity = ["-c", "user.name=Operator", "-c", "user.email=operator@example.invalid"]
        self.git(*identity, "commit", "-q", "-m", message)


def install(host: Host, root: Path, site: Site, *, checkout: str, remote: str) -> Machine:
    """Put a clone of the remote at the path of the checkout below the host's root."""
    place = place_below(root, checkout)
    place.mkdir(parents=True)
    give_to_owner(place)
    run_as_owner(["git", "clone", "-q", remote, "."], cwd=place)
    site.install_curl(root)
    return Machine(host, place, install_systemctl(root), site)


def place_below(root: Path, path: str) -> Path:
    """Where a path of the host is on this machine."""
    return root / path.lstrip("/")


def install_systemctl(root: Path) -> Path:
    """Put the stand-in into the host's `bin`. Returns the file that it writes to."""
    journal = root / "systemctl.log"
    journal.touch(mode=0o666)
    journal.chmod(0o666)
    systemctl = root / "bin/systemctl"
    systemctl.parent.mkdir(parents=True, exist_ok=True)
    systemctl.write_text(_SYSTEMCTL.format(journal=journal))
    systemctl.chmod(0o755)
    return journal
