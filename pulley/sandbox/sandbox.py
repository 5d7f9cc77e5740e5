"""The whole of it on this machine: GitHub's part, the AWS account, the app, and the hosts.

What Pulley itself does is real: the app under `chalice local`, and in a process as Lambda's for
events; the document, the script, git.
"""

import json
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from git import Repo

from chalicelib.core.commands import (
    HostResult,
    ResultError,
    build_document,
    document_name,
    parse_result,
)
from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.account import Account
from pulley.sandbox.function import Function
from pulley.sandbox.github import GitHub, RecordedDeployment
from pulley.sandbox.machine import Machine, install, place_below
from pulley.sandbox.site import Site, open_sites
from pulley.sandbox.upstream import SOMEONE, Upstream
from pulley.sandbox.webhook import PROJECT, Webhook

if TYPE_CHECKING:
    from mypy_boto3_ssm.type_defs import CommandInvocationTypeDef

STAGE = "dev"
FULL_NAME = "octo/site"
SCRIPT = PROJECT / "chalicelib/host/pull.sh"
# Without its health check, whose port each Sandbox finds for itself.
TARGET: Mapping[str, object] = {
    "name": "web",
    "repository": FULL_NAME,
    "branch": "main",
    "instances": {"tags": {"role": "web"}},
    "checkout": "/srv/site",
    "after_pull": "deploy/after-pull",
    "restart": ["site.service"],
    "timeout": 60,
}
_FIRST_FILES = {
    "index.html": "<h1>Release one</h1>\n",
    "settings.ini": "workers = 2\n",
    "health": "ok\n",
    ".gitignore": "build/\n",
    "deploy/after-pull": (
        "#!/bin/sh\n"
        "# Runs on each host, as the checkout's owner, after the pull.\n"
        "set -e\n"
        "rm -rf build && mkdir build && cp index.html build/\n"
        "if [ -f health ]; then cp health build/; fi\n"
        'echo "built $PULLEY_COMMIT for $PULLEY_TARGET"\n'
    ),
}


# What the schedule's rule sends.
SCHEDULED: Mapping[str, object] = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-21T00:00:00Z",
    "region": "eu-west-1",
    "resources": [],
    "detail": {},
}


class Sandbox:
    """An account with a target and its hosts, ready for a push. A context manager."""

    def __init__(self, host_names: Sequence[str]) -> None:
        """Start everything. What was started is stopped again where something fails."""
        with ExitStack() as starting:
            # Open to the hosts' owner, as /srv is.
            self.directory = Path(tempfile.mkdtemp(prefix="pulley-sandbox-"))
            starting.callback(shutil.rmtree, self.directory, ignore_errors=True)
            self.directory.chmod(0o755)
            self.account = starting.enter_context(Account())
            self.upstream = Upstream(self.directory / "github", FULL_NAME)
            starting.callback(self.upstream.close)
            self.developer = self._first_push()
            starting.callback(self.developer.close)
            sites = self._open_sites(host_names)
            self._sites = starting.enter_context(ExitStack())
            for site in sites:
                self._sites.callback(site.close)
            # A failing health check is asked for most of the time-out: it is short here.
            health_check = sites[0].health_check
            self.target = {**TARGET, "health_check": health_check, "timeout": 30}
            self.machines = [
                self._add_machine(name, site) for name, site in zip(host_names, sites, strict=True)
            ]
            self.secret = secrets.token_hex(32).encode()
            self.token = f"github_pat_{secrets.token_hex(32)}"
            self._store()
            self.github = starting.enter_context(
                GitHub({FULL_NAME: self.upstream.path}, token=self.token)
            )
            environ = {**self.account.environ, "PULLEY_GITHUB_API": self.github.api_url}
            self.webhook = Webhook(environ, stage=STAGE, log=self.directory / "webhook.log")
            starting.callback(self.webhook.close)
            self.reporter = Function(
                "report_status_change", environ, stage=STAGE, log=self.directory / "report.log"
            )
            starting.callback(self.reporter.close)
            self.account.subscribe(self.reporter.invoke)
            self.reconciler = Function(
                "reconcile_targets", environ, stage=STAGE, log=self.directory / "reconcile.log"
            )
            starting.callback(self.reconciler.close)
            secret_file = self.directory / "webhook-secret"
            secret_file.touch(mode=0o600)
            secret_file.write_bytes(self.secret)
            self.upstream.post_deliveries(self.webhook.url, secret_file)
            self._running = starting.pop_all()

    def __enter__(self) -> Self:
        """Return the sandbox: it runs from its making on."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop everything and leave nothing behind."""
        self._running.close()

    def commit(self, files: Mapping[str, str], message: str) -> str:
        """Commit in the developer's clone. Returns the commit's SHA."""
        work_tree = Path(self.developer.working_dir)
        for path, content in files.items():
            (work_tree / path).parent.mkdir(parents=True, exist_ok=True)
            (work_tree / path).write_text(content)
            if content.startswith("#!"):
                (work_tree / path).chmod(0o755)
            self.developer.index.add([path])
        return self.developer.index.commit(message, author=SOMEONE, committer=SOMEONE).hexsha

    def results(self, command_id: str) -> dict[str, HostResult | ResultError]:
        """Each host's result of a command, or why there is none, by the host's name."""
        pages = self.account.ssm.get_paginator("list_command_invocations").paginate(
            CommandId=command_id, Details=True
        )
        return {
            invocation["InstanceName"]: _result_of(invocation)
            for page in pages
            for invocation in page["CommandInvocations"]
        }

    def add_machine(self, name: str) -> Machine:
        """One more host, with a clone of what the branch has now and nothing deployed yet."""
        checkout = place_below(self._root_of(name), str(TARGET["checkout"]))
        last = self.machines[-1].site
        network, _, number = last.address.rpartition(".")
        site = Site(checkout / "build", f"{network}.{int(number) + 1}", last.port)
        self._sites.callback(site.close)
        machine = self._add_machine(name, site)
        self.machines.append(machine)
        return machine

    def reconcile(self) -> Mapping[str, object]:
        """Do a round now, as the schedule would. Returns what the function returned."""
        self.reconciler.invoke(SCHEDULED)
        self.reconciler.wait_until_idle()
        outcome = self.reconciler.outcomes[-1]
        if outcome.error or not isinstance(outcome.returned, Mapping):
            raise RuntimeError(f"the round failed: {outcome.error}")
        return outcome.returned

    def wait_until_quiet(self) -> None:
        """Return when every command so far has ended, and was reported on."""
        for command in self.account.run_command.commands():
            self.account.wait_until_ended(command.id)
        self.wait_until_reported()

    def wait_until_reported(self) -> None:
        """Return when every event so far was acted on. Not for those whom the account calls."""
        self.account.wait_until_told()
        self.reporter.wait_until_idle()

    def deployment(self, command_id: str) -> RecordedDeployment | None:
        """What GitHub has of a command's commit."""
        (command,) = self.account.ssm.list_commands(CommandId=command_id)["Commands"]
        (commit,) = command["Parameters"]["Commit"]
        made = self.github.deployments(FULL_NAME)
        return next((one for one in made if one.sha == commit), None)

    def _first_push(self) -> Repo:
        self.developer = Repo.init(self.directory / "developer", initial_branch="main")
        with self.developer.config_writer() as config:  # whoever pushes by hand may have none
            config.set_value("user", "name", str(SOMEONE.name))
            config.set_value("user", "email", str(SOMEONE.email))
        self.commit(_FIRST_FILES, "Release one")
        self.developer.create_remote("origin", self.upstream.url)
        self.developer.git.push("-q", "-u", "origin", "main")
        return self.developer

    def _open_sites(self, host_names: Sequence[str]) -> list[Site]:
        """A site for each host, of what is built in its checkout."""
        checkout = str(TARGET["checkout"])
        roots = [self._root_of(name) for name in host_names]
        return open_sites([place_below(root, checkout) / "build" for root in roots])

    def _root_of(self, name: str) -> Path:
        return self.directory / "hosts" / name

    def _add_machine(self, name: str, site: Site) -> Machine:
        root = self._root_of(name)
        host = self.account.add_host(
            name, tags={"pulley": STAGE, "role": "web"}, root=root, path_prefix=[root / "bin"]
        )
        checkout = str(TARGET["checkout"])
        return install(host, root, site, checkout=checkout, remote=self.upstream.url)

    def _store(self) -> None:
        """What an operator sets up: the document and its pin, the secret, the targets."""
        ssm, names = self.account.ssm, ParameterNames(STAGE)
        described = ssm.create_document(
            Name=document_name(STAGE),
            Content=json.dumps(build_document(SCRIPT.read_text())),
            DocumentType="Command",
            DocumentFormat="JSON",
        )["DocumentDescription"]
        pin = {"version": described["DocumentVersion"], "hash": described["Hash"]}
        ssm.put_parameter(Name=names.document, Value=json.dumps(pin), Type="String")
        ssm.put_parameter(
            Name=names.webhook_secret, Value=self.secret.decode(), Type="SecureString"
        )
        ssm.put_parameter(Name=names.github_token, Value=self.token, Type="SecureString")
        ssm.put_parameter(
            Name=names.targets(Repository.parse(FULL_NAME)),
            Value=json.dumps([self.target]),
            Type="String",
        )


def _result_of(invocation: "CommandInvocationTypeDef") -> HostResult | ResultError:
    """A host that was never reached, or not begun, has no step and so no output."""
    if not invocation["CommandPlugins"]:
        return ResultError(f"not run: {invocation['StatusDetails']}")
    try:
        return parse_result(invocation["CommandPlugins"][0]["Output"])
    except ResultError as error:
        return error
