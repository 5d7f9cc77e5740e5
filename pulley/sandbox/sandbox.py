"""The whole sandbox: GitHub, the AWS account, the app, and the hosts.

Pulley's own parts are real: the app under `chalice local`, and in a process like Lambda's for
events; the document, the script, git.
"""

import json
import secrets
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from chalicelib.core.launches import hook_name
from chalicelib.core.results import HostResult, ResultError, parse_result
from chalicelib.core.wake import reconciler_name
from pulley.sandbox.account import Account
from pulley.sandbox.app.chalice_local import Webhook
from pulley.sandbox.app.deployed import DeployedApp
from pulley.sandbox.app.function import Function
from pulley.sandbox.balanced import make_balancer
from pulley.sandbox.developer import commit_files, open_clone
from pulley.sandbox.environment import write_environment, write_secret, write_token
from pulley.sandbox.github.git_server import Upstream
from pulley.sandbox.github.server import GitHubServer, RecordedDeployment
from pulley.sandbox.hosts.launched import LaunchedMachines
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.hosts.machines import Machines, Unlike
from pulley.sandbox.hosts.users import make_private
from pulley.sandbox.load_balancing.balancer import Balancer
from pulley.sandbox.setup import store_document, store_secrets, store_targets

if TYPE_CHECKING:
    from mypy_boto3_ssm.type_defs import CommandInvocationTypeDef

__all__ = ["FULL_NAME", "SCHEDULED", "STAGE", "TAGS", "TARGET", "Sandbox"]

STAGE = "dev"
REMOVALS = 40
LAUNCHES = 10  # so many calls of the launch function run at once; each waits for its instance
FULL_NAME = "octo/site"
TAGS: Mapping[str, str] = {"pulley": STAGE, "role": "web"}
# Without its health check, because each Sandbox finds a port of its own.
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
# The event that the schedule's rule sends.
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
    """An account with a target and its hosts, ready for a push. A context manager.

    An empty one has the app and the hosts, but nothing that an operator sets up: no document, no
    secret (`secret` is b""), no stored token, no targets and no webhook. `token` is GitHub's.
    `checker` is a CI server: `checker.finish_check(sha, "test", "failure")` reports on a commit.
    `launched` has the machines of Auto Scaling groups, which `make_group` and `scale_out` start.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of its own
        self,
        host_names: Sequence[str],
        *,
        empty: bool = False,
        launches: bool = False,
        hook_second: float = 1.0,
        balancing_second: float = 0.1,
        restart_seconds: float = 0.0,
    ) -> None:
        """Start everything. If something fails, stop what was started.

        With `launches` the app's function for launches runs, too: it gets an event for each
        instance that starts from now on. `hook_second` is how long a second of a lifecycle hook's
        time-out takes, `balancing_second` one of a load balancer's intervals and delays. For
        `restart_seconds` a host's site is down when its unit is restarted; it is up all the time
        without them.
        """
        with ExitStack() as starting:
            self.directory = Path(tempfile.gettempdir(), f"pulley-sandbox-{secrets.token_hex(4)}")
            # First, because an interruption may come between any two lines.
            starting.callback(_remove, self.directory)
            make_private(self.directory)
            self.account = starting.enter_context(
                Account(hook_second=hook_second, balancing_second=balancing_second)
            )
            self.upstream = Upstream(self.directory / "github", FULL_NAME)
            starting.callback(self.upstream.close)
            self.developer = open_clone(self.directory / "developer", self.upstream.url)
            starting.callback(self.developer.close)
            self._machines = starting.enter_context(
                Machines(
                    self.account,
                    self.directory / "hosts",
                    upstream=self.upstream.url,
                    checkout=str(TARGET["checkout"]),
                    tags=TAGS,
                    restart_seconds=restart_seconds,
                )
            )
            self._machines.open(host_names)
            self.launched = LaunchedMachines(self.account, self._machines)
            starting.callback(self.launched.close)
            # A failing health check takes most of the time-out, so it is short here.
            health_check = self.machines[0].site.health_check
            self.target = {**TARGET, "health_check": health_check, "timeout": 30}
            self.secret = b"" if empty else secrets.token_hex(32).encode()
            self.token = f"github_pat_{secrets.token_hex(32)}"
            write_token(self.directory, self.token)
            self.github = starting.enter_context(
                GitHubServer({FULL_NAME: self.upstream.path}, token=self.token)
            )
            self.checker = self.github.checker(FULL_NAME)
            self.upstream.tell_of_pushes(self.github.push_url, self.github.push_key)
            self.launcher: Function | None = None
            self._start_app(starting, launches=launches)
            if not empty:
                self._set_up()
            write_environment(self.directory / "environment", self.environ)
            self._running = starting.pop_all()

    @property
    def machines(self) -> list[Machine]:
        """The hosts, in the order in which they were added."""
        return self._machines.all

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that send every `pulley` command to this sandbox."""
        return {
            **self.account.environ,
            "PULLEY_STAGE": STAGE,
            "PULLEY_GITHUB_API": self.github.api_url,
            "PULLEY_WEBHOOK_URL": self.webhook.url,
        }

    def __enter__(self) -> Self:
        """Return the sandbox, which runs already."""
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
        return commit_files(self.developer, files, message)

    def results(self, command_id: str) -> dict[str, HostResult | ResultError]:
        """By the host's name, its result of a command, or why there is no result."""
        pages = self.account.ssm.get_paginator("list_command_invocations").paginate(
            CommandId=command_id, Details=True
        )
        return {
            invocation["InstanceName"]: _result_of(invocation)
            for page in pages
            for invocation in page["CommandInvocations"]
        }

    def add_machine(self, name: str, **facts: Unpack[Unlike]) -> Machine:
        """Add a host, with a clone of the branch as it is now, and nothing deployed yet.

        The facts may change that: see `Unlike`. Raises ValueError for a checkout of root's if we
        are not root.
        """
        return self._machines.add(name, **facts)

    def terminate_machine(self, machine: Machine) -> None:
        """Terminate the instance in EC2, and delete its disk. Its name is free again."""
        self._machines.terminate(machine)

    def make_group(  # noqa: PLR0913 - each is a fact of its own
        self,
        name: str = "web",
        *,
        size: int = 0,
        tags: Mapping[str, str] = TAGS,
        hook_seconds: int = 0,
        has_checkout: bool = False,
        target_groups: Sequence[str] = (),
    ) -> list[str]:
        """Make an Auto Scaling group. Returns the ids of its first instances.

        With `hook_seconds` it has the stage's launch hook, with this time-out. Its instances have
        no checkout, unless `has_checkout` says so. Those in service are in the target groups with
        these ARNs.
        """
        hooks = {hook_name(STAGE): hook_seconds} if hook_seconds else {}
        return self.launched.make_group(
            name,
            tags=tags,
            size=size,
            hooks=hooks,
            has_checkout=has_checkout,
            target_groups=target_groups,
        )

    def scale_out(self, name: str = "web", *, by: int = 1) -> list[str]:
        """Let a group launch more instances. Returns their ids."""
        return self.launched.scale_out(name, by=by)

    def balance(
        self,
        machines: Sequence[Machine] | None = None,
        *,
        name: str = "web",
        deregistration_delay: int = 10,
    ) -> Balancer:
        """Put machines, all by default, behind a load balancer that listens until the end.

        It checks `/health`. The delay is in seconds, each as long as `balancing_second`.
        """
        return make_balancer(
            self.account,
            self.machines if machines is None else machines,
            name=name,
            port=self.machines[0].site.port,
            deregistration_delay=deregistration_delay,
        )

    def reconcile(self) -> Mapping[str, object]:
        """Run a round now, like the schedule, after the queued ones. Returns its result."""
        outcome = self.reconciler.run(SCHEDULED)
        if outcome.error or not isinstance(outcome.returned, Mapping):
            raise RuntimeError(f"the round failed: {outcome.error}")
        return outcome.returned

    def wait_until_quiet(self) -> None:
        """Return when all commands, reports, rounds and calls of the launch function have ended.

        A report or a launch may start a round, and a round may send a command.
        """
        waited_for: set[str] | None = None
        while waited_for != (sent := {one.id for one in self.account.run_command.commands()}):
            waited_for = sent
            for command_id in sent:
                self.account.wait_until_ended(command_id)
            self.wait_until_reported()
            if self.launcher:
                self.launcher.wait_until_idle()
            self.reconciler.wait_until_idle()

    def wait_until_reported(self) -> None:
        """Return when every event so far was handled. Do not call this from a subscriber."""
        self.account.wait_until_told()
        self.reporter.wait_until_idle()

    def deployment(self, command_id: str) -> RecordedDeployment | None:
        """GitHub's deployment of a command's commit."""
        (command,) = self.account.ssm.list_commands(CommandId=command_id)["Commands"]
        (commit,) = command["Parameters"]["Commit"]
        (target,) = command["Parameters"]["Target"]
        for one in self.github.deployments(FULL_NAME):
            payload = one.payload if isinstance(one.payload, dict) else {}
            if (one.sha, payload.get("target")) == (commit, target):
                return one
        return None

    def _start_app(self, starting: ExitStack, *, launches: bool) -> None:
        """Deploy the app in the account, and start it here. Both take a while."""
        settings = {"PULLEY_GITHUB_API": self.github.api_url}
        environ = {**self.account.environ, **settings}
        with ThreadPoolExecutor(max_workers=1) as deploying:
            deployed = deploying.submit(DeployedApp, self.account, stage=STAGE, environ=settings)
            self.webhook = Webhook(environ, stage=STAGE, log=self.directory / "webhook.log")
            starting.callback(self.webhook.close)
            self.reporter = Function(
                "report_status_change", environ, stage=STAGE, log=self.directory / "report.log"
            )
            starting.callback(self.reporter.close)
            self.account.subscribe(self.reporter.invoke, self.reporter.pattern)
            self.reconciler = Function(
                "reconcile_targets", environ, stage=STAGE, log=self.directory / "reconcile.log"
            )
            starting.callback(self.reconciler.close)
            self.account.run_function(reconciler_name(STAGE), self.reconciler.enqueue)
            if launches:
                self._start_launcher(starting, environ)
            self.deployed = deployed.result()

    def _start_launcher(self, starting: ExitStack, environ: Mapping[str, str]) -> None:
        log = self.directory / "launch.log"
        launcher = Function("receive_launch", environ, stage=STAGE, log=log, at_once=LAUNCHES)
        starting.callback(launcher.close)
        self.account.subscribe(launcher.invoke, launcher.pattern)
        self.launcher = launcher

    def _set_up(self) -> None:
        """Do an operator's part: store what the app needs, and connect the repository."""
        ssm, secret = self.account.ssm, self.secret.decode()
        write_secret(self.directory / "webhook-secret", self.secret)
        store_document(ssm, STAGE)
        store_secrets(ssm, STAGE, webhook_secret=secret, github_token=self.token)
        store_targets(ssm, STAGE, FULL_NAME, [self.target])
        config = {"url": self.webhook.url, "content_type": "json", "secret": secret}
        request = urllib.request.Request(  # noqa: S310 - a loopback address
            f"{self.github.api_url}/repos/{FULL_NAME}/hooks",
            json.dumps({"config": config}).encode(),
            {"Authorization": f"Bearer {self.token}"},
        )
        urllib.request.urlopen(request).close()  # noqa: S310


def _remove(folder: Path) -> None:
    """Remove a folder, even if an interrupted program still writes into it."""
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _result_of(invocation: "CommandInvocationTypeDef") -> HostResult | ResultError:
    """The output of a host's step; a host that was never reached, or not begun, has none."""
    if not invocation["CommandPlugins"]:
        return ResultError(f"not run: {invocation['StatusDetails']}")
    try:
        return parse_result(invocation["CommandPlugins"][0]["Output"])
    except ResultError as error:
        return error
