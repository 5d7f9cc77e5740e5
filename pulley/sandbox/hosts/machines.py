"""The hosts of a sandbox: instances, their disks, and a site for each, all on one port."""

import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import TypedDict, Unpack

from pulley.sandbox.account import Account
from pulley.sandbox.hosts.machine import Machine, install, place_below
from pulley.sandbox.hosts.restarts import Restarts
from pulley.sandbox.hosts.site import Site, open_sites
from pulley.sandbox.hosts.users import AS_ROOT
from pulley.sandbox.run_command.agent import AGENT_VERSION

CLONE = "git@github.com:octo/site.git"  # what a target of the sandbox may have as its `clone`


class Unlike(TypedDict, total=False):
    """How a machine may differ from the others."""

    tags: Mapping[str, str]
    agent_version: str
    has_checkout: bool
    is_root_s: bool  # the checkout; only root can make it
    remote: str  # the checkout's `origin`
    has_aws: bool  # the AWS command line


class Machines(ExitStack):
    """Hosts with a clone of the upstream at the path of the checkout. Closes their sites."""

    def __init__(  # noqa: PLR0913 - each is a fact of its own
        self,
        account: Account,
        directory: Path,
        *,
        upstream: str,
        checkout: str,
        tags: Mapping[str, str],
        restart_seconds: float = 0.0,
    ) -> None:
        """Without machines. `directory` gets a folder for each.

        For `restart_seconds` a site is down when its unit is restarted.
        """
        super().__init__()
        self.all: list[Machine] = []
        self._account, self._directory = account, directory
        self._upstream, self._checkout, self._tags = upstream, checkout, tags
        self._restart_seconds = restart_seconds
        self._lock = threading.Lock()  # for the newest site: machines of groups boot on threads

    def open(self, names: Sequence[str]) -> None:
        """Add the first machines. Their port is free at every site's address."""
        sites = open_sites([self._folder(name) for name in names])
        for site in sites:
            self.callback(site.close)
        self._newest_site = sites[-1]
        for name, site in zip(names, sites, strict=True):
            self._add(name, site, {})

    def add(self, name: str, **facts: Unpack[Unlike]) -> Machine:
        """Add a machine. Raises ValueError for a checkout of root's if we are not root."""
        if facts.get("is_root_s") and not AS_ROOT:
            raise ValueError("only root can make a checkout that is root's")
        return self._add(name, self._open_site(name), facts)

    def adopt(self, instance_id: str, name: str, *, has_checkout: bool) -> Machine:
        """Add the machine of an instance that runs already. Its agent connects at the end."""
        site = self._open_site(instance_id)
        root = self._directory / instance_id
        host = self._account.build_agent(
            instance_id,
            name,
            root=root,
            path_prefix=[root / "bin"],
            unit={"GIT_CONFIG_GLOBAL": str(self._git_settings())},
        )
        machine = install(
            host,
            site,
            checkout=self._checkout,
            upstream=self._upstream,
            has_checkout=has_checkout,
        )
        self._finish(machine)
        self._account.connect(host)
        return machine

    def _git_settings(self) -> Path:
        """A file of git's settings, by which the address CLONE leads to the upstream."""
        path = self._directory / "launched.gitconfig"
        path.write_text(f'[url "{self._upstream}"]\n\tinsteadOf = {CLONE}\n')
        path.chmod(0o644)
        return path

    def terminate(self, machine: Machine) -> None:
        """Terminate the instance in EC2, and delete its disk."""
        self.all.remove(machine)
        self._account.load_balancing.displace(machine.host.instance_id)
        self._account.ec2.terminate_instances(InstanceIds=[machine.host.instance_id])
        machine.host.close()
        shutil.rmtree(machine.host.root)

    def remove(self, machine: Machine) -> None:
        """Delete the disk of an instance that is terminated, unless `terminate` does it."""
        if machine in self.all:
            self.all.remove(machine)
            self._account.load_balancing.displace(machine.host.instance_id)
            machine.host.close()
            shutil.rmtree(machine.host.root, ignore_errors=True)  # a script may still write

    def _open_site(self, name: str) -> Site:
        """A site at the next address. It is closed at the end: nobody needs the address before."""
        with self._lock:
            address = str(ip_address(self._newest_site.address) + 1)
            site = Site(self._folder(name), address, self._newest_site.port)
            self.callback(site.close)
            self._newest_site = site
        return site

    def _add(self, name: str, site: Site, facts: Unlike) -> Machine:
        root = self._directory / name
        host = self._account.add_host(
            name,
            tags=facts.get("tags", self._tags),
            root=root,
            path_prefix=[root / "bin"],
            agent_version=facts.get("agent_version", AGENT_VERSION),
        )
        machine = install(
            host,
            site,
            checkout=self._checkout,
            upstream=self._upstream,
            remote=facts.get("remote", ""),
            has_checkout=facts.get("has_checkout", True),
            is_root_s=facts.get("is_root_s", False),
        )
        self._finish(machine, has_aws=facts.get("has_aws", True))
        return machine

    def _finish(self, machine: Machine, *, has_aws: bool = True) -> None:
        """What each machine has beside its disk."""
        if has_aws:
            machine.install_aws(self._account.environ)
        if self._restart_seconds:
            restarts = Restarts(machine.site, self._restart_seconds)
            self.callback(restarts.close)
            restarts.install(machine.host.root, machine.journal)
        self._account.load_balancing.place(machine.host.instance_id, machine.site.address)
        self.all.append(machine)

    def _folder(self, name: str) -> Path:
        """The folder that the host's checkout builds."""
        return place_below(self._directory / name, self._checkout) / "build"
