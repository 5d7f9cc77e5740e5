"""The whole of it on this machine: GitHub's part, the AWS account, the app, and the hosts.

What Pulley itself does is real: the app under `chalice local`, the document, the script, git.
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
from pulley.sandbox.machine import Machine, install
from pulley.sandbox.upstream import SOMEONE, Upstream
from pulley.sandbox.webhook import PROJECT, Webhook

if TYPE_CHECKING:
    from mypy_boto3_ssm.type_defs import CommandInvocationTypeDef

STAGE = "dev"
FULL_NAME = "octo/site"
SCRIPT = PROJECT / "chalicelib/host/pull.sh"
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
    ".gitignore": "build/\n",
    "deploy/after-pull": (
        "#!/bin/sh\n"
        "# Runs on each host, as the checkout's owner, after the pull.\n"
        "mkdir -p build && cp index.html build/\n"
        'echo "built $PULLEY_COMMIT for $PULLEY_TARGET"\n'
    ),
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
            self.machines = [self._add_machine(name) for name in host_names]
            self.secret = secrets.token_hex(32).encode()
            self._store()
            self.webhook = Webhook(
                self.account.environ, stage=STAGE, log=self.directory / "webhook.log"
            )
            starting.callback(self.webhook.close)
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

    def _first_push(self) -> Repo:
        self.developer = Repo.init(self.directory / "developer", initial_branch="main")
        with self.developer.config_writer() as config:  # whoever pushes by hand may have none
            config.set_value("user", "name", str(SOMEONE.name))
            config.set_value("user", "email", str(SOMEONE.email))
        self.commit(_FIRST_FILES, "Release one")
        self.developer.create_remote("origin", self.upstream.url)
        self.developer.git.push("-q", "-u", "origin", "main")
        return self.developer

    def _add_machine(self, name: str) -> Machine:
        root = self.directory / "hosts" / name
        host = self.account.add_host(
            name, tags={"pulley": STAGE, "role": "web"}, root=root, path_prefix=[root / "bin"]
        )
        return install(host, root, checkout=str(TARGET["checkout"]), remote=self.upstream.url)

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
        ssm.put_parameter(
            Name=names.targets(Repository.parse(FULL_NAME)),
            Value=json.dumps([TARGET]),
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
