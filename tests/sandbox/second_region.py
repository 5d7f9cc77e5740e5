"""A second Region of a sandbox's account: a stage and hosts of its own, for the same repository."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from pulley.sandbox.account import Account
from pulley.sandbox.app.chalice_local import Webhook
from pulley.sandbox.app.function import Function
from pulley.sandbox.hosts.machine import Machine
from pulley.sandbox.hosts.machines import Machines
from pulley.sandbox.sandbox import FULL_NAME, TAGS, TARGET, Sandbox
from pulley.sandbox.setup import store_document, store_secrets, store_targets

SECRET = "the second Region's own secret"


class SecondRegion(ExitStack):
    """Runs until it is closed. It is set up, but no webhook on GitHub posts to it."""

    def __init__(
        self, sandbox: Sandbox, host_names: Sequence[str], *, stage: str, region: str
    ) -> None:
        """Start it, beside the sandbox. `stage` is one that Chalice's configuration has."""
        super().__init__()
        with ExitStack() as starting:
            self.stage = stage
            folder = sandbox.directory / region
            folder.mkdir()
            folder.chmod(0o755)
            self.account = starting.enter_context(Account(region=region, is_second_region=True))
            machines = starting.enter_context(
                Machines(
                    self.account,
                    folder / "hosts",
                    upstream=sandbox.upstream.url,
                    checkout=str(TARGET["checkout"]),
                    tags={**TAGS, "pulley": stage},
                )
            )
            machines.open(host_names)
            self.machines: list[Machine] = machines.all
            environ = {**self.account.environ, "PULLEY_GITHUB_API": sandbox.github.api_url}
            self.webhook = Webhook(environ, stage=stage, log=folder / "webhook.log")
            starting.callback(self.webhook.close)
            self._reporter = Function(
                "report_status_change", environ, stage=stage, log=folder / "report.log"
            )
            starting.callback(self._reporter.close)
            self.account.subscribe(self._reporter.invoke, self._reporter.pattern)
            ssm = self.account.ssm
            store_document(ssm, stage)
            store_secrets(ssm, stage, webhook_secret=SECRET, github_token=sandbox.token)
            health_check = self.machines[0].site.health_check
            target = {**sandbox.target, "environment": region, "health_check": health_check}
            store_targets(ssm, stage, FULL_NAME, [target])
            self.callback(starting.pop_all().close)

    def wait_until_quiet(self) -> None:
        """Return when all commands and reports have ended."""
        for one in self.account.run_command.commands():
            self.account.wait_until_ended(one.id)
        self.account.wait_until_told()
        self._reporter.wait_until_idle()


def write_profiles(folder: Path, accounts: Mapping[str, Account]) -> dict[str, str]:
    """Write AWS's configuration with a profile for each account, as an operator has it.

    Returns the environment variables that select it, without an address or a key.
    """
    lines = []
    for name, account in accounts.items():
        environ = account.environ
        lines += [
            f"[profile {name}]",
            f"region = {account.region}",
            f"endpoint_url = {account.endpoint_url}",
            f"aws_access_key_id = {environ['AWS_ACCESS_KEY_ID']}",
            f"aws_secret_access_key = {environ['AWS_SECRET_ACCESS_KEY']}",
        ]
    path = folder / "config"
    path.write_text("\n".join([*lines, ""]))
    return {"AWS_CONFIG_FILE": str(path), "AWS_EC2_METADATA_DISABLED": "true"}
