"""The hosts of a sandbox: instances, their disks, and a site for each, all on one port."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypedDict, Unpack

from pulley.sandbox.account import Account
from pulley.sandbox.hosts.machine import Machine, install, place_below
from pulley.sandbox.hosts.site import Site, open_sites
from pulley.sandbox.hosts.users import AS_ROOT
from pulley.sandbox.run_command.agent import AGENT_VERSION


class Unlike(TypedDict, total=False):
    """How a machine may differ from the others."""

    tags: Mapping[str, str]
    agent_version: str
    has_checkout: bool
    is_root_s: bool  # the checkout; only root can make it
    remote: str  # the checkout's `origin`


class Machines(ExitStack):
    """Hosts with a clone of the upstream at the path of the checkout. Closes their sites."""

    def __init__(
        self,
        account: Account,
        directory: Path,
        *,
        upstream: str,
        checkout: str,
        tags: Mapping[str, str],
    ) -> None:
        """Without machines. `directory` gets a folder for each."""
        super().__init__()
        self.all: list[Machine] = []
        self._account, self._directory = account, directory
        self._upstream, self._checkout, self._tags = upstream, checkout, tags

    def open(self, names: Sequence[str]) -> None:
        """Add the first machines. Their port is free at every site's address."""
        sites = open_sites([self._folder(name) for name in names])
        for site in sites:
            self.callback(site.close)
        for name, site in zip(names, sites, strict=True):
            self._add(name, site, {})

    def add(self, name: str, **facts: Unpack[Unlike]) -> Machine:
        """Add a machine. Raises ValueError for a checkout of root's if we are not root."""
        if facts.get("is_root_s") and not AS_ROOT:
            raise ValueError("only root can make a checkout that is root's")
        network, _, number = self._newest_site.address.rpartition(".")
        address = f"{network}.{int(number) + 1}"
        site = Site(self._folder(name), address, self._newest_site.port)
        self.callback(site.close)
        return self._add(name, site, facts)

    def terminate(self, machine: Machine) -> None:
        """Terminate the instance in EC2, and delete its disk."""
        self.all.remove(machine)
        self._account.ec2.terminate_instances(InstanceIds=[machine.host.instance_id])
        machine.host.close()
        shutil.rmtree(machine.host.root)

    def _add(self, name: str, site: Site, facts: Unlike) -> Machine:
        self._newest_site = site
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
        self.all.append(machine)
        return machine

    def _folder(self, name: str) -> Path:
        """The folder that the host's checkout builds."""
        return place_below(self._directory / name, self._checkout) / "build"
